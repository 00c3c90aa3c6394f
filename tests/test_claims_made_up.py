"""Claims judged from records that are made up: known differences give the known verdicts."""

import json

import numpy as np
import pandas as pd
import pytest

import lrsched as L
from house import ROOT
from lrsched.book import claims, measures, records
from lrsched.book.claims import CLAIMS
from lrsched.lab import Results, Run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LRSCHED_RECORDS_DIR", str(tmp_path))
    return tmp_path


def write_runs(name, runs, epochs=2, distances=None, **metrics):
    """A record of made-up runs, (label, seed); metrics are functions of both, or numbers."""
    made = [Run(label, L.Constant(0.1), seed) for label, seed in runs]
    names = [f"{part}_{kind}" for part in ("train", "validation", "test")
             for kind in ("loss", "accuracy")]  # fmt: skip

    def values(metric):
        given = metrics.get(metric, 0.5)
        row = [given(*run) if callable(given) else given for run in runs]
        return np.tile(np.array(row, dtype=float), (epochs, 1))

    lost = np.isnan(values("test_accuracy")[-1])
    settings = {"epochs": epochs, "steps_per_epoch": 10, "data": "made up"}
    results = Results(
        tuple(made), {each: values(each) for each in names}, None, None, None,
        distances or {}, np.arange(0, 10 * epochs + 1, 5), np.where(lost, 3, -1),
        np.ones(len(made)), settings, {},
    )  # fmt: skip
    return records.write(name, results)


def write_rows(name, rows, seeds=50):
    source = write_runs("source", [("a", seed) for seed in range(seeds)])
    results = records.record(source.stem)
    source.unlink()
    return records.write_table(name, results, pd.DataFrame(rows))


def thinned(content):
    """A record of runs whose labels have lost their seed 0 or their seed 1, by turns."""
    labels = list(dict.fromkeys(run["label"] for run in content["runs"]))
    gone = {(label, place % 2) for place, label in enumerate(labels)}
    kept = [k for k, run in enumerate(content["runs"]) if (run["label"], run["seed"]) not in gone]

    def few(value):
        return [value[k] for k in kept]

    layers = ("metrics", "distances")
    rows = {part: {k: [*map(few, v)] for k, v in content[part].items()} for part in layers}
    return content | rows | {part: few(content[part]) for part in ("runs", "diverged", "seconds")}


def test_all_are_judged_where_labels_have_other_seeds(folder, monkeypatch):
    """Each label of the package's records loses its seed 0 or its seed 1."""
    ours = ROOT / "lrsched" / "book" / "records"
    contents = {path.stem: json.loads(path.read_text()) for path in ours.glob("*.json")}
    of_runs = {name for name, content in contents.items() if "runs" in content}
    for name in contents:
        some = thinned(contents[name]) if name in of_runs else contents[name]
        (folder / f"{name}.json").write_text(json.dumps(some))
    after = {claim: claim.findings() for claim in CLAIMS}
    monkeypatch.setenv("LRSCHED_RECORDS_DIR", str(ours))
    for claim in CLAIMS:
        before = claim.findings()
        gone = (1, 2) if of_runs.intersection(claim.records) else (0,)
        gone += (0,) * ("warmup-distances" in claim.records)  # a seed that had diverged anyway
        for case in before.keys() & after[claim].keys():
            assert before[case].seeds - after[claim][case].seeds in gone, (claim.name, case)


@pytest.mark.parametrize(
    ("apart", "wanted"), [(0.05, "supported"), (-0.05, "refuted"), (0, "no difference")]
)
def test_difference_by_the_seeds_that_both_have(folder, apart, wanted):
    runs = [("constant", seed) for seed in (4, 0, 2, 1)] + [("cosine", s) for s in (1, 9, 2, 4, 8)]

    def accuracy(label, seed):
        only_cosine = 100 if seed > 7 else 0  # would change all, if it were paired
        own = 0.001 * (seed - 2.3) if label == "cosine" else 0
        return 0.5 + 0.1 * seed + (label == "cosine") * apart + only_cosine + own / 3

    write_runs("lenet-schedules", runs, test_accuracy=accuracy)
    claim = claims.claim("cosine-beats-constant")
    (found,) = claim.findings().values()
    assert (found.seeds, found.lost, found.verdict) == (3, 0, wanted)
    assert abs(found.mean - apart) < 0.001
    assert claim.data == "made up"


def test_runs_that_diverged_count_as_guessing(folder):
    runs = [(label, seed) for label in ("constant", "cosine") for seed in range(4)]

    def accuracy(label, seed):
        return np.nan if label == "constant" else 0.8 + 0.01 * seed

    write_runs("lenet-schedules", runs, test_accuracy=accuracy, train_loss=lambda *_: np.nan)
    (found,) = claims.claim("cosine-beats-constant").findings().values()
    np.testing.assert_allclose(found.mean, 0.8 + 0.015 - 0.1)
    kept = records.record("lenet-schedules")
    assert (measures.final(kept, "train_loss", "cosine") == np.log(10)).all()
    assert measures.diverged(kept, "constant").all()
    assert measures.fails(kept, "constant").all()
    assert not measures.fails(kept, "cosine").any()
    with pytest.raises(ValueError, match=r"label must be .*\('constant', 'cosine'\), got 'none'"):
        measures.final(kept, "train_loss", "none")


def test_runs_at_chance_are_lost(folder):
    labels = ["constant", "square root", "factor", "multi-factor", "cosine", "cosine, warmup"]
    runs = [(label, seed) for label in labels for seed in range(5)]

    def train(label, seed):
        at_chance = label == "factor" or (label == "multi-factor" and seed == 3)
        return 0.1 if at_chance else 0.9 + (label == "constant") * 0.05 + 0.001 * (seed % 2)

    write_runs("lenet-schedules", runs, epochs=12, train_accuracy=train, test_accuracy=0.8)
    findings = claims.claim("falling-overfits-less").findings()
    lost = {name: (found.lost, found.verdict) for name, found in findings.items()}
    u, s = (0, "undecided"), (0, "supported")
    assert lost == {"square root": s, "factor": (5, u[1]), "multi-factor": (1, u[1]),
                    "cosine": s, "cosine, warmup": s}  # fmt: skip
    assert [*claims.claim("falling-better-for-same-training").findings()] == [
        "square root", "cosine", "cosine, warmup"
    ]  # fmt: skip


def test_each_family_at_its_own_best_rate(folder):
    """Chosen by validation among the rates at which all learn, whatever the test says."""
    best = {"constant": "0.28", "cosine": "0.56"}
    runs = [(f"{name} {rate}", seed) for name in best
            for rate in ("0.1", "0.28", "0.56", "0.8") for seed in range(3)]  # fmt: skip

    def is_best(label):
        name, rate = label.split()
        return best[name] == rate

    def validation(label, seed):
        return 0.9 if is_best(label) or label.endswith("0.8") else 0.7

    def train(label, seed):
        return 0.1 if label.endswith("0.8") and seed == 1 else 0.9

    def test(label, seed):
        return (0.8 if is_best(label) else 0.95) + label.startswith("cosine") * (
            0.02 + 0.001 * seed
        )

    write_runs("lenet-base-rates", runs, validation_accuracy=validation,
               train_accuracy=train, test_accuracy=test)  # fmt: skip
    (found,) = claims.claim("falling-beats-constant-at-best-rates").findings().values()
    np.testing.assert_allclose(found.mean, 0.021)
    cases = claims.claim("best-constant-beats-its-neighbours").findings()
    assert [*cases] == ["0.28 over 0.1", "0.28 over 0.56"]


def test_counts(folder):
    """How many base rates fewer fail."""
    rates = ("0.1", "0.5", "1.0")
    runs = [(f"{rate}, {length}", seed) for rate in rates for length in ("0", "0.25", "1")
            for seed in range(4 if length == "1" else 6)]  # fmt: skip

    def accuracy(label, seed):
        rate, length = label.split(", ")
        fails = rate == "1.0" or (rate == "0.5" and seed == 0)
        return 0.1 if fails and length != "1" else 0.9

    write_runs("warmup-lengths", runs, test_accuracy=accuracy)
    (found,) = claims.claim("warmup-prevents-failing").findings().values()
    assert (found.mean, found.seeds) == (1.25, 4)
    assert claims.claim("warmup-prevents-divergence").verdict == "undecided"
    assert len(claims.claim("any-length-lowers-loss").findings()) == 6


def test_distances_leave_out_seeds_that_diverged(folder):
    runs = [(label, seed) for label in ("0.1", "0.1, warmup") for seed in range(4)]
    walked = np.arange(5)[:, None] * np.array([2.0, 2.1, 2.2, 9, 1, 1, 1, np.nan])
    write_runs("warmup-distances", runs, distances=dict.fromkeys(("7", "9", "11"), walked))
    findings = claims.claim("warmup-limits-deep-layers").findings()
    assert [(found.seeds, found.verdict) for found in findings.values()] == [(3, "supported")] * 3
    np.testing.assert_allclose(findings["linear 1, rate 0.1"].mean, 2 * 2.1 - 2)
    shorter = claims.claim("warmup-limits-deep-layers-same-sum").findings()
    np.testing.assert_allclose(shorter["linear 3, rate 0.1"].mean, 2.1 - 2)


def test_ratios(folder):
    row = {"network": "3 layers, BN", "measure": "roughness", "pairs": 40.0}
    ends = {0.1: (2, 1.5, 3), 0.03: (1.01, 0.95, 1.05), 0.01: (1.1, 0.8, 1.4), 0.005: (0.5,) * 3}
    rows = [row | {"rate": rate} | dict(zip(("ratio", "low", "high"), each, strict=True))
            for rate, each in ends.items()]  # fmt: skip
    write_rows("batchnorm-rates", rows)
    findings = claims.claim("batchnorm-more-sensitive-by-roughness").findings().values()
    assert [found.verdict for found in findings] == [
        "supported", "no difference", "undecided", "refuted"
    ]  # fmt: skip
    assert {found.seeds for found in findings} == {40}
    steps = [each | {"measure": "roughness over that at 0.1"} for each in rows]
    write_rows("batchnorm-rates", steps)
    findings = [*claims.claim("smaller-rate-steadies-batchnorm").findings().values()]
    assert [found.verdict for found in findings] == [
        "refuted", "no difference", "undecided", "supported"
    ]  # fmt: skip
    np.testing.assert_allclose((findings[0].low, findings[0].high), (1 / 3, 1 / 1.5))


def curve(network, losses):
    rates = (0.001, 0.01, 0.1, 1.0)
    return [
        {"network": network, "schedule": rate, "median": loss, "diverged": float(loss > 90)}
        for rate, loss in zip(rates, losses, strict=True)
    ]


def test_shapes_of_medians(folder):
    """A U; one whose left end is low; one that falls on its way up. And what a range test finds."""
    shapes = {"u": (9, 2, 2.1, 9), "low": (2.9, 2, 2, 9), "wave": (9, 2, 20, 9)}
    rows = [row for name, losses in shapes.items() for row in curve(name, losses)]
    write_rows("batchnorm-curve", rows)
    verdicts = claims.claim("loss-over-rate-is-u-shaped").findings()
    assert {name: found.verdict for name, found in verdicts.items()} == {
        "u": "supported", "low": "refuted", "wave": "refuted"
    }  # fmt: skip
    assert {found.text(2, "") for found in verdicts.values()} == {"1.11", "0.97", "0.50"}
    lowest = {"u": 0.5, "low": 0.05, "wave": 0.5}
    rows = [
        {"network": name, "rate": rate, "median": abs(rate - best), "diverged": float(rate > 1)}
        for name, best in lowest.items()
        for rate in (0.05, 0.5, best * 100)
    ]
    write_rows("batchnorm-range-test", rows)
    found = claims.claim("range-test-finds-flat-part-by-lowest-loss").findings()
    assert [each.verdict for each in found.values()] == ["refuted", "supported", "refuted"]
    tenth = claims.claim("range-test-finds-flat-part-by-tenth").findings()
    assert [each.verdict for each in tenth.values()] == ["supported", "refuted", "refuted"]
    np.testing.assert_allclose(tenth["u"].mean, np.log10(2))


def test_landscape_and_searches(folder):
    losses = {"10": 0.4, "20": 0.3, "30": 0.35, "never": 0.5, "plateau 10": 0.2}
    rows = [
        {"label": label, "seed": seed, "validation_loss": loss + 0.0001 * seed,
         "validation_accuracy": 0.9 if label in ("20", "30") else 0.8,
         "test_loss": loss + 0.001 * (seed == 1) * (label == "20"), "test_accuracy": 0.8}
        for label, loss in losses.items() for seed in (0, 1, 2, 7)
        if seed < 7 or label != "never"
    ]  # fmt: skip
    write_rows("decay-epochs-landscape", rows)
    matters = claims.claim("exact-epoch-of-the-drop-matters").findings()
    assert {case: found.seeds for case, found in matters.items()} == {"10 over 20": 3,
                                                                     "30 over 20": 3}  # fmt: skip
    assert claims.claim("exact-epoch-of-the-drop-matters").verdict == "supported"
    assert claims.claim("a-drop-beats-none").verdict == "supported"
    (later,) = claims.claim("accuracy-asks-for-a-later-drop").findings().values()
    assert (later.mean, later.verdict) == (5, "supported")  # the middle of 20 and 30, minus 20
    rows = [{"method": method, "seed": seed, "test_loss": loss + 0.0001 * seed}
            for method, loss in {"all": 0.3, "grid of 4": 0.3}.items()
            for seed in range(4)]  # fmt: skip
    write_rows("decay-epochs-searches", rows)
    assert claims.claim("all-beats-grid-of-4").verdict == "no difference"


def test_the_best_constant_is_chosen_with_hindsight(folder):
    means = {"constant, base": 0.7, "constant, mean": 0.8, "constant, max": 0.75,
             "triangular": 0.82, "triangular2": 0.8, "exp_range": 0.76}  # fmt: skip
    runs = [(label, seed) for label in means for seed in range(4)]

    def accuracy(label, seed):
        return means[label] + 0.001 * seed * (label == "triangular")

    write_runs("cyclical-rates", runs, epochs=8, test_accuracy=accuracy)
    findings = claims.claim("cycles-end-higher").findings()
    assert [found.verdict for found in findings.values()] == [
        "supported", "no difference", "refuted"
    ]  # fmt: skip
    fewer = claims.claim("cycles-need-fewer-epochs").findings()
    assert [found.mean for found in fewer.values()] == [0, 0, 1 - 9]
    epochs = [case.split()[-1] for case in claims.claim("cycles-are-faster").findings()]
    assert {*epochs} == {"4", "8"}
