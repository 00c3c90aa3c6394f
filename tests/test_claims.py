"""The catalogue of claims: whole, linked, judged by the one rule, and from the records alone."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from house import ROOT
from lrsched.book import claims, record_table, together
from lrsched.book.claims import CLAIMS, Claim
from lrsched.book.claims.__main__ import main
from lrsched.book.pictures import LOOKS, draw_findings, draw_map, draw_rows, panels
from lrsched.book.sources import SOURCES
from lrsched.book.verdicts import VERDICTS, Finding, weigh

OURS = ROOT / "lrsched" / "book" / "records"
EACH = pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
DECIDED = ("supported", "refuted", "no difference")


@pytest.fixture
def shown(monkeypatch):
    """What is displayed."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda text: texts.append(text.data))
    return texts


# The catalogue


@EACH
def test_claim_is_judged_from_records(claim):
    """All its records are there; each case has seeds and a verdict."""
    assert all((OURS / f"{name}.json").exists() for name in claim.records)
    findings = claim.findings()
    assert findings
    for case, found in findings.items():
        assert case
        assert isinstance(found, Finding)
        assert found.verdict in VERDICTS
        assert found.seeds >= 2
        assert 0 <= found.lost <= found.seeds
        assert np.isnan(found.mean) or not found.lost
    assert claim.verdict == together(found.verdict for found in findings.values())


@pytest.mark.parametrize("what", ["name", "text"])
def test_no_claim_is_there_twice(what):
    values = [getattr(claim, what) for claim in CLAIMS]
    assert len({*values}) == len(values)


def anchors(page):
    """The places of a page that can be linked to, as its headings and labels give them."""
    cells = json.loads((ROOT / "book" / f"{page}.ipynb").read_text())["cells"]
    lines = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    headings = re.findall(r"^#{1,3} (.+)$", lines, re.MULTILINE)
    slugs = [re.sub(r"[^\w\s-]", "", each.lower()).strip().replace(" ", "-") for each in headings]
    return {*slugs, *re.findall(r"^\(([\w-]+)\)=$", lines, re.MULTILINE)}


@EACH
def test_claim_links_to_a_heading(claim):
    page, mark, heading = claim.page.partition("#")
    assert anchors(page)
    assert not mark or heading in anchors(page)
    assert claim.link == f"{page}.ipynb{mark}{heading}"


@EACH
def test_claim_reads_well(claim):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.name)
    for text in (claim.text, claim.difference):
        assert text == text.strip()
        assert not text.endswith(".")
    assert claim.source == 0 or str(SOURCES[claim.source])


def test_table_has_all():
    rows = claims.table()
    assert list(rows["name"]) == [claim.name for claim in CLAIMS]
    for claim, row in zip(CLAIMS, rows.to_dict("records"), strict=True):
        verdicts = [found.verdict for found in claim.findings().values()]
        assert row["verdict"] == claim.verdict
        assert row["cases"] == len(verdicts)
        assert row["decided"] == sum(verdict in DECIDED for verdict in verdicts)
        assert row["records"].split(", ") == list(claim.records)
        assert row["data"] in ("Fashion-MNIST", "polynomial")
    some = claims.table(["cosine-beats-constant", CLAIMS[0]])
    assert list(some["claim"]) == [claims.claim("cosine-beats-constant").text, CLAIMS[0].text]
    assert claims.table([]).shape == (0, rows.shape[1])
    decided = rows["verdict"].isin(DECIDED).sum()
    sentence = f"{decided} of {len(rows)} claims and {rows.decided.sum()} of {rows.cases.sum()}"
    assert claims.count(rows) == f"{sentence} comparisons are decided"


def test_unknown_names_and_wrong_claims():
    for ask in (claims.claim, claims.conclude, claims.draw, lambda name: claims.table([name])):
        with pytest.raises(ValueError, match=r"name must be that of a claim \('.*\), got 'x'"):
            ask("x")
    with pytest.raises(ValueError, match="at least one panel"):
        claims.draw([])
    given = {"source": 0, "records": ("a",), "difference": "d", "page": "p#h", "cases": dict}
    for argument, values, message in (
        ("source", (9, "3", None), "source must be 0 or one of"),
        ("records", ((),), "records must name at least one"),
        ("margin", (0, -1, np.nan), "margin must be above 0, or None"),
    ):
        for value in values:
            with pytest.raises(ValueError, match=message):
                Claim("x", "y", **given | {argument: value})


# The same as what others compute from the records


def test_ratios_agree_with_the_verdicts_in_their_tables():
    """The tables of BatchNorm hold verdicts of their own, from before there were margins."""
    tables = {"batchnorm-strategies": "strategy", "batchnorm-rates": "measure"}
    strategies, rates = (record_table(name) for name in tables)
    compared = 0
    for row in strategies.to_dict("records"):
        if not row["strategy"].startswith("constant"):
            name = f"{row['strategy'].replace(' ', '-')}-recovers"
            found = claims.claim(name).findings()[row["network"]]
            assert found.verdict == row["verdict"]
            compared += 1
    claim = claims.claim("batchnorm-more-sensitive-by-precise-roughness")
    rows = rates[rates["measure"] == "roughness, precise"].to_dict("records")
    findings = claim.findings()
    for row in rows:
        found = findings.get(f"{row['network']}, rate {row['rate']:g}")
        if found:
            small = {"undecided": {"undecided", "no difference"}}
            assert found.verdict in small.get(row["verdict"], {row["verdict"]})
            compared += 1
    assert compared == 10 + len(findings)


def raw(name, metric, label):
    """A metric after the last epoch by seed, as the file has it; without one, that of guessing."""
    guessing = 0.1 if metric.endswith("accuracy") else np.log(10)
    content = json.loads((OURS / f"{name}.json").read_text())
    last = content["metrics"][metric][-1]
    pairs = zip(content["runs"], last, strict=True)
    return {
        run["seed"]: guessing if value is None else value
        for run, value in pairs
        if run["label"] == label
    }


@pytest.mark.parametrize(
    ("name", "case", "record", "metric", "labels", "sign"),
    [
        ("cosine-beats-constant", "cosine", "lenet-schedules", "test_accuracy",
         ("cosine", "constant"), 1),
        ("warmup-with-adam", "0.003", "warmup-adam", "train_loss",
         ("0.003, warmup", "0.003"), -1),
        ("one-epoch-of-warmup", "SGD, constant 0.7", "warmup-lengths", "test_accuracy",
         ("0.7, 1", "0.7, 0"), 1),
        ("cycles-beat-a-decay", "exp_range", "cyclical-rates", "test_accuracy",
         ("exp_range", "cosine"), 1),
    ],
)  # fmt: skip
def test_gains_are_those_of_the_files(name, case, record, metric, labels, sign):
    ours, others = (raw(record, metric, label) for label in labels)
    both = ours.keys() & others.keys()
    differences = [sign * (ours[seed] - others[seed]) for seed in both]
    found = claims.claim(name).findings()[case]
    ends = ttest_1samp(differences, 0).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high), ends, rtol=1e-9)
    assert found.seeds == len(both)


# What is shown


def dots(ax):
    return [line for line in ax.lines if line.get_marker() not in ("None", "", None)]


@EACH
def test_drawn(claim):
    """A dot and a bar for each case with an interval, and words for each other."""
    findings = claim.findings()
    figure = claims.draw(claim)
    (ax,) = figure.axes
    there = [found for found in findings.values() if not np.isnan(found.mean)]
    assert len(dots(ax)) == len(ax.collections) == len(there)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(findings)
    looks = {(line.get_color(), line.get_marker()) for line in dots(ax)}
    assert len(looks) == len({found.verdict for found in there})
    assert len({marker for _, marker in looks}) == len({colour for colour, _ in looks})
    words = [text.get_text() for text in ax.texts]
    assert len(words) >= len(findings) - len(there)
    assert sum("lost" in text for text in words) == sum(f.lost > 0 for f in findings.values())
    title = " ".join(ax.get_title(loc="left").split() or ax.get_title().split())
    assert title.lower() == f"{claim.text}: {claim.verdict}".lower()
    assert " ".join(ax.get_xlabel().split()) == claim.difference
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert shown == {found.verdict for found in findings.values()}
    bars = [bar.get_segments()[0][:, 0] for bar in ax.collections]
    assert [tuple(bar) for bar in bars] == [(found.low, found.high) for found in there]


def test_several_are_drawn_below_each_other():
    names = ["cosine-beats-constant", "falling-beats-constant"]
    figure = claims.draw(names)
    assert [len(ax.get_yticks()) for ax in figure.axes] == [
        len(claims.claim(name).findings()) for name in names
    ]
    figure.canvas.draw()


def test_panels_have_room_for_their_text():
    short, long = (panels([3], lines)[0].get_figheight() for lines in (None, [5]))
    assert long > short == panels([3], [2])[0].get_figheight()
    tall = panels([1, 1], [2, 6])[1]
    assert tall[1].get_position().height > tall[0].get_position().height
    with pytest.raises(ValueError, match="lines must be those of 2 panels"):
        panels([1, 1], [2])


def test_map_has_each_number_in_its_place():
    values = pd.DataFrame([[0, 0.5], [np.nan, 1]], ["a", "b"], [10, 20])
    ax = draw_map(plt.gca(), values, 0, 1, ".1f")
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "0.0", (1, 0): "0.5", (1, 1): "1.0"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "20"]
    assert ax.yaxis_inverted()  # the first row at the top
    assert [text.get_color() for text in ax.texts] == ["black", "black", "white"]


@pytest.mark.parametrize("intervals", [False, True])
def test_a_row_has_all_cases_of_its_claim(intervals):
    low, high = Finding(-1, -2, -0.5, 3, 0, "refuted"), Finding(2, 1, 3, 3, 0, "supported")
    ax = draw_rows(plt.figure().gca(), {"a": [low, high], "b": [high]}, intervals=intervals)
    drawn = dots(ax)
    assert [dot.get_xdata()[0] for dot in drawn] == [-1, 2, 2]
    assert [round(dot.get_ydata()[0]) for dot in drawn] == [0, 0, 1]
    assert bool(drawn[0].get_ydata()[0] < drawn[1].get_ydata()[0]) is intervals
    looks = [(dot.get_color(), dot.get_marker()) for dot in drawn]
    assert looks == [LOOKS[each] for each in ("refuted", "supported", "supported")]
    bars = [bar.get_segments()[0][:, 0].tolist() for bar in ax.collections]
    assert bars == ([[-2, -0.5], [1, 3], [1, 3]] if intervals else [])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.yaxis_inverted()


def test_what_is_far_off_is_written_out():
    near, far = Finding(0.01, 0, 0.02, 3, 0, "undecided"), Finding(5, 4, 6, 3, 0, "supported")
    ax = draw_findings(plt.gca(), {"a": near, "b": near, "c": far}, margin=0.01)
    low, high = ax.get_xlim()
    assert low < -0.01 < 0.02 < high < 1
    assert [text.get_text() for text in ax.texts] == ["+5.000 (+4.000 to +6.000)"]
    assert dots(ax)[-1].get_xdata()[0] == high
    lost = Finding(np.nan, np.nan, np.nan, 3, 3, "undecided")
    ax = draw_findings(plt.figure().gca(), {"a": lost})
    assert [text.get_text() for text in ax.texts] == ["3 of 3 seeds lost"]


def test_conclude_and_overview(shown):
    claim = claims.claim("falling-beats-constant")
    assert claims.conclude(claim.name, cases=True) == claim.verdict
    table, sentence = shown
    assert table.count("\n") == 1 + len(claim.findings())
    assert sentence.startswith(f"**Verdict** on *{claim.text}*: **{claim.verdict}**; 5 cases: ")
    shown.clear()
    claims.overview(["falling-beats-constant"])
    assert claim.text in shown[0]
    assert "5 cases: " in shown[0]
    assert shown[1].startswith(("0 of 1 claims", "1 of 1 claims"))


def test_why():
    claim = claims.claim("cosine-beats-constant")
    small = weigh([0.001, -0.001, 0.002], margin=claim.margin)
    assert claim.why({"a": small}) == "+0.0007 (-0.0031 to +0.0045), within ±0.01"
    one, none = weigh([0.1]), weigh([0.1, np.nan])
    assert claim.why({"a": one, "b": none, "c": small}) == "3 cases: 1 no difference, 2 undecided"
    assert (claim.why({"a": none}), claim.why({})) == ("1 of 2 seeds lost", "no case")


def test_command(capsys, monkeypatch, tmp_path):
    assert main(["cosine-BEATS", "range-test", "--cases"]) == 0
    printed = capsys.readouterr().out
    chosen = [each for each in CLAIMS if re.search("cosine-beats|range-test", each.name)]
    for claim in chosen:
        assert f"\n{claim.name}: {claim.text}\n" in printed
        assert f"\n{claim.name}: {claim.difference}\n" in printed
    assert printed.rstrip().endswith(f"{claims.count(claims.table(chosen))}.")
    assert main(["cosine-beats-constant", "--csv"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split(",") == list(claims.table([]).columns)
    assert row.startswith("cosine-beats-constant,")
    assert main(["nothing-of-this"]) == 2
    assert capsys.readouterr().err == "lrsched.book.claims: no name holds nothing-of-this\n"
    monkeypatch.setenv("LRSCHED_RECORDS_DIR", str(tmp_path))
    assert main(["cosine-beats-constant"]) == 1
    assert capsys.readouterr().err == (
        "lrsched.book.claims: name must be that of a record (there is none), "
        "got 'lenet-schedules'\n"
    )
