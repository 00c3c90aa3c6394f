"""The rule by which the book judges claims, and what the notebooks show of results."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lrsched import Constant, book, lab
from lrsched.book import Findings, decide, described, judged, overview, spread, together, verdict

S, R, U = "supported", "refuted", "undecided"


@pytest.fixture
def shown(monkeypatch):
    """What is displayed."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda text: texts.append(text.data))
    return texts


@pytest.mark.parametrize("sign", [1, -1])
def test_judged(sign):
    differences = sign * np.array([0.11, 0.12, 0.14])
    text, found = judged(differences, digits=4)
    mean, low, high = lab.interval(differences)
    assert text == f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
    assert text.startswith("+0.1233" if sign > 0 else "-0.1233")
    assert found == verdict(differences) == decide(low, high) == (S if sign > 0 else R)


@pytest.mark.parametrize(
    ("differences", "why"),
    [
        ([], "too few seeds"),
        ([0.1], "too few seeds"),
        ([np.nan], "1 of 1 seeds lost"),
        ([0.1, np.nan, 0.1, np.inf], "2 of 4 seeds lost"),
    ],
)
def test_no_interval(differences, why):
    assert judged(differences) == (why, U)
    assert verdict(differences) == U


@pytest.mark.parametrize("wrong", [0.1, [[0.1, 0.2], [0.3, 0.4]]])
def test_no_row(wrong):
    with pytest.raises(ValueError, match="values must be at least two finite numbers, got"):
        verdict(wrong)


@pytest.mark.parametrize(
    ("interval", "found"), [((1, 2), U), ((1.1, 2), S), ((0, 0.9), R), ((0, 1), U), ((0.5, 2), U)]
)
def test_decide(interval, found):
    assert decide(*interval, bound=1) == found


@pytest.mark.parametrize(
    ("cases", "found"),
    [
        ([S], S), ([S, S], S), ([R], R), ([R, R], R), ([U], U), ([], U),
        ([S, U], U), ([R, U], R), ([S, R], R), ([S, U, R], R),
    ],
)  # fmt: skip
def test_together(cases, found):
    assert together(cases) == together(reversed(cases)) == together(pd.Series(cases)) == found


def test_findings(shown):
    """They are a dictionary, and each is shown once."""
    findings = Findings()
    findings.conclude("a is better", S)
    findings.judge("b is better", [0.1, 0.2, 0.3])
    cases = {"x": [0.11, 0.12, 0.14], "y": [-0.11, -0.12, -0.14]}
    findings.judge("c is better", cases, heads=("on", "by"), digits=2)
    assert findings == {"a is better": S, "b is better": U, "c is better": R}
    assert shown == [
        "**Verdict** on *a is better*: **supported**.",
        "**Verdict** on *b is better*: **undecided**; +0.200 (-0.048 to +0.448).",
        "| on | by | verdict |\n| --- | --- | --- |\n"
        "| x | +0.12 (+0.09 to +0.16) | supported |\n"
        "| y | -0.12 (-0.16 to -0.09) | refuted |",
        "**Verdict** on *c is better*: **refuted**; 1 of 2 cases support it.",
    ]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5], "0.500"),
        ([1, 2], "1.500 (1.000–2.000)"),
        ([np.inf, 1, 2, np.nan], "1.500 (1.000–2.000; 2 diverged)"),
        ([np.nan, np.nan], "diverged"),
    ],
)
def test_spread(values, text):
    assert spread(values) == text


def test_overview(shown, capsys):
    runs = [lab.Run("a", Constant(0.1), 0), lab.Run("b", Constant(0.1), 0)]
    history = lab.train([*runs, lab.Run("b", Constant(0.1), 1)], lab.digits(), epochs=1)
    here = "digits, 1,297 images, 1 epoch, up to 2 seeds; trained on this page"
    assert described(history) == here
    assert described(replace(history, surroundings={"date": "2026-11-25"})).endswith(
        "; record of 2026-11-25"
    )
    overview(history, ["test_loss"], more={"note": {"a": "first", "b": "second"}}, digits=2)
    assert capsys.readouterr().out == f"{here}\n"
    last = history.final("test_loss")
    assert shown == [
        "| run | test loss | note |\n| --- | --- | --- |\n"
        f"| a | {spread(last['a'], 2)} | first |\n| b | {spread(last['b'], 2)} | second |"
    ]


def test_described_table():
    text = described(book.record_table("decay-epochs-landscape"))
    assert text.startswith("Fashion-MNIST, 55,000 images, 60 epochs, 10 seeds; record of ")
