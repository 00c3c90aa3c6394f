"""The experiments that came out of pages: the measures, and the records that they give again."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

import lrsched as L
from lrsched import lab
from lrsched.book import TRIALS, Plan, editions, record_table
from lrsched.book.trials import batchnorm, drops, searches, sensitivity
from lrsched.lab import mlp, polynomial

BATCHNORM = [name for name in TRIALS if name.startswith("batchnorm")]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The default edition, which writes no record."""
    monkeypatch.delenv("LRSCHED_EDITION", raising=False)
    monkeypatch.delenv("LRSCHED_RECORD", raising=False)
    monkeypatch.delenv("LRSCHED_RECORD_GROW", raising=False)


# The measures of sensitivity


@pytest.fixture(scope="module")
def table():
    """Two networks at two rates, with 25 seeds."""
    networks = {"plain": functools.partial(mlp, depth=1),
                "normal": functools.partial(mlp, depth=1, norm="before")}  # fmt: skip
    how = {"epochs": 6, "batch_size": 50}
    return lab.sweep(networks, [0.05, 0.01], 25, polynomial(), **how).table()


def losses(table, network, rate):
    """The training loss of each run after each epoch, [seeds, epochs]."""
    some = table[(table.network == network) & (table.schedule == rate)]
    return some.sort_values(["seed", "epoch"]).train_loss.to_numpy(float).reshape(25, 6)


def test_measures_in_other_words(table):
    curve = sensitivity.curves(table)
    rows = [*sensitivity.compare(curve, "normal", "plain", [0.05, 0.01], "its name")]
    assert {row["network"] for row in rows} == {"its name"}
    found = {(row["measure"], row["rate"]): row for row in rows if row["rate"] > 0}
    ends = {}
    for rate in (0.05, 0.01):
        ours, others = (np.log10(losses(table, name, rate)) for name in ("normal", "plain"))
        bends = [np.abs(np.diff(each[:, 2:], 2)).mean(1) for each in (ours, others)]
        spreads = [np.subtract(*np.quantile(each[:, -1], [0.9, 0.1])) for each in (ours, others)]
        row = found["roughness", rate]
        expected = np.median(bends[0]) / np.median(bends[1])
        np.testing.assert_allclose(row["ratio"], expected, rtol=1e-5)
        interval = [row[part] for part in ("ratio", "low", "high")]
        np.testing.assert_allclose(interval, lab.ratio(*bends), rtol=1e-4)
        np.testing.assert_allclose(
            found["spread", rate]["ratio"], spreads[0] / spreads[1], rtol=1e-4
        )
        ends[rate] = ours[:, -1], others[:, -1]
    slopes = [np.abs(ends[0.05][k] - ends[0.01][k]) / np.log10(5) for k in (0, 1)]
    expected = np.median(slopes[0]) / np.median(slopes[1])
    assert rows[-1]["measure"] == "change with the rate"
    for row in (rows[-1], found["change from this rate on", 0.01]):
        np.testing.assert_allclose(row["ratio"], expected, rtol=1e-4)


def test_straight_lines_have_no_roughness():
    epochs = range(1, 7)
    curve = pd.DataFrame([10.0 ** np.arange(6), np.full(6, 30.0)], columns=epochs)
    np.testing.assert_allclose(sensitivity.roughness(curve), 0, atol=1e-12)


def test_too_few_seeds_decide_nothing():
    values = pd.Series(np.arange(1.0, 21))
    assert sensitivity.ratio(values, values)["ratio"] == 1
    lost = values.where(values > 1)
    found = sensitivity.ratio(values, lost)
    assert found["verdict"] == "undecided"
    assert np.isnan([found["ratio"], found["low"], found["high"]]).all()


def test_the_momentum_changes_no_training():
    networks = {str(m): functools.partial(mlp, depth=2, norm="before", momentum=m)
                for m in batchnorm.MOMENTA}  # fmt: skip
    results = lab.sweep(networks, [0.03], 3, polynomial(), epochs=2, batch_size=50)
    batches = results.metrics["batch_loss"].reshape(2, len(networks), 3)
    assert (batches == batches[:, :1]).all()


# Records of BatchNorm


@pytest.mark.parametrize("name", BATCHNORM)
def test_a_trial_has_what_its_record_has(name):
    """The same rows and columns, from few seeds and epochs."""
    plan = dataclasses.replace(editions.plan(name), epochs=4, seeds=3)
    table, recorded = TRIALS[name](plan), record_table(name)
    assert list(table.columns) == list(recorded.columns)
    case = ["network", *{"rate", "schedule", "strategy", "measure"}.intersection(table.columns)]
    if name == "batchnorm-range-test":
        case.remove("rate")  # as many as there are updates' epochs
    if name == "batchnorm-strategies":
        case.remove("rate")  # the last, a result
    ours, theirs = (
        each[case].drop_duplicates().reset_index(drop=True) for each in (table, recorded)
    )
    pd.testing.assert_frame_equal(ours, theirs, rtol=5.01e-5)
    if "pairs" in table:
        assert set(table.pairs) <= {0, 1, 2, 3}


def test_a_record_comes_out_again():
    """At full size; the medians stay where other processors round differently."""
    name = "batchnorm-batch-200"
    plan = dataclasses.replace(editions.plan(name), seeds=300)
    table, recorded = TRIALS[name](plan), record_table(name)
    assert plan.seeds == recorded.attrs["settings"]["seeds"]
    np.testing.assert_allclose(table.ratio, recorded.ratio, rtol=0.1)
    assert (table.verdict == recorded.verdict).sum() >= len(table) - 1


def test_strategies_are_those_of_the_text():
    epochs, n = np.arange(40), 14
    rules = batchnorm.strategies_of(n)
    expected = {
        "power": 0.1 / (1 + epochs / 4),
        "exponential": 0.1 * 0.1 ** (epochs / 20),
        "piecewise constant": np.select([epochs >= 30, epochs >= 20], [0.001, 0.01], 0.1),
        "cyclical": 0.001 + 0.099 * (1 - np.abs(epochs % 10 / 5 - 1)),
    }
    for name, rates in expected.items():
        np.testing.assert_allclose(rules[name](epochs * n), rates, rtol=1e-12)


# When to drop


def test_rules_of_the_drop():
    plan = editions.plan("decay-epochs")
    rules, n = drops.rules(plan), plan.steps_per_epoch
    assert len(rules) == 29 + 1 + len(drops.PATIENCES)
    for epoch in drops.candidates(plan.epochs):
        before, after = rules[f"{epoch}"]([epoch * n - 1, epoch * n])
        assert (before, after) == (0.5, pytest.approx(0.05))
    assert rules["never"](10**6) == 0.5
    assert rules["plateau 20"] == L.Plateau(0.5, factor=0.1, patience=20)


@pytest.fixture(scope="module")
def looked_up():
    """The recorded landscape of two seeds, with the ends of its runs as their curves."""
    landscape = record_table("decay-epochs-landscape").query("seed < 2")
    ends = landscape.pivot(index="label", columns="seed", values="validation_loss")
    labels = dict.fromkeys(landscape.label)
    return {label: np.tile(ends.loc[label].to_numpy(), (60, 1)) for label in labels}, landscape


def test_recorded_searches_come_out_again(looked_up):
    """Those without a pruner, which look at nothing but the ends of runs."""
    found = searches.found(*looked_up)
    recorded = record_table("decay-epochs-searches").query("seed < 2")
    assert list(found.columns) == list(recorded.columns)
    pruned = {name for name, search in searches.SEARCHES.items() if search.pruner}
    assert pruned == {"TPE, median", "TPE, halving"}
    found, recorded = (
        table.set_index(["method", "seed"]).sort_index() for table in (found, recorded)
    )
    pd.testing.assert_frame_equal(
        found.drop(list(pruned)), recorded.drop(list(pruned)), check_dtype=False, rtol=5.01e-5
    )
    assert (found.loc[list(pruned), "epochs"] <= 600).all()


def test_a_pruner_stops_what_it_sees_to_be_worse():
    """Runs are parallel lines, the earlier the drop the better: only later ones are stopped."""
    lines = {f"{e}": np.linspace(2, 1, 60)[:, None] + e / 10 for e in range(2, 60, 2)}
    table = searches.stopped(lines | {"never": lines["58"] + 1})
    assert list(table.columns) == list(record_table("decay-epochs-pruning").columns)
    for name, rows in table.groupby("pruner"):
        assert rows.begun.sum() == 100, name
        assert (rows.before <= rows.stopped).all()
        assert (rows.stopped <= rows.begun).all()
        assert rows.worse_half.tolist() == [False] * 15 + [True] * 14
        better, worse = (rows[rows.worse_half == half].stopped.sum() for half in (False, True))
        assert worse > better


def test_one_experiment_keeps_three_parts(monkeypatch):
    kept = {}
    monkeypatch.setattr(
        drops, "keep", lambda plan, results, table, part: kept.setdefault(part, table)
    )
    plan = Plan("decay-epochs", 60, 1, 600, 200)
    landscape = TRIALS["decay-epochs"](plan)
    assert landscape is kept["landscape"]
    assert list(kept) == ["searches", "pruning", "landscape"]
    for part, table in kept.items():
        assert list(table.columns) == list(record_table(f"decay-epochs-{part}").columns)
    assert landscape.label.tolist() == [*drops.rules(plan)]
    singles = landscape[landscape.label.str.isdigit()]
    assert (singles.first_drop == singles.label.astype(int)).all()
    assert (singles.drops == 1).all()
    assert landscape.set_index("label").first_drop.isna()["never"]
    by_label = landscape.set_index("label").validation_loss
    grid = kept["searches"].set_index("method").loc["grid of 4"]
    best = by_label[["10", "20", "30", "50"]].idxmin()
    assert (grid["drop"], grid["epochs"]) == (int(best), 240)
