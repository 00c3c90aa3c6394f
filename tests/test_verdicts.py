"""The rule by which the book judges claims, and what the notebooks show of results."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from lrsched import Constant, book, lab
from lrsched.book import Findings, decide, described, judged, overview, spread, together, verdict
from lrsched.book.verdicts import VERDICTS, Interval, weigh

S, R, U = "supported", "refuted", "undecided"


@pytest.fixture
def shown(monkeypatch):
    """What is displayed."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda text: texts.append(text.data))
    return texts


def test_no_interval():
    lost = [0.1, np.nan, 0.1, np.inf]
    for differences, why in (([], "too few seeds"), (lost, "2 of 4 seeds lost")):
        assert judged(differences) == (why, U)
        assert verdict(differences) == U
        with pytest.raises(ValueError, match="values must be at least two finite numbers, got"):
            verdict([differences, differences])


def test_decide():
    ends = [(1, 2), (1.1, 2), (0, 1), (0, 0.9), (0.5, 2)]
    assert [decide(*each, bound=1) for each in ends] == [U, S, U, R, U]


@pytest.mark.parametrize(("cases", "found"), [([S, S], S), ([], U), ([S, U], U), ([S, U, R], R)])
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


def test_spread():
    assert spread([0.5]) == "0.500"
    assert spread([1, 2]) == "1.500 (1.000–2.000)"
    assert spread([np.inf, 1, 2, np.nan]) == "1.500 (1.000–2.000; 2 diverged)"
    assert spread([np.nan, np.nan]) == "diverged"


def test_overview(shown, capsys):
    runs = [lab.Run("a", Constant(0.1), 0), lab.Run("b", Constant(0.1), 0)]
    history = lab.train([*runs, lab.Run("b", Constant(0.1), 1)], lab.digits(), epochs=1)
    here = "digits, 1,297 images, 1 epoch, up to 2 seeds; trained on this page"
    assert described(history) == here
    table = book.record_table("decay-epochs-landscape")
    recorded = replace(history, surroundings=table.attrs["surroundings"])
    for source, start in ((recorded, "digits, 1,"), (table, "Fashion-MNIST, 55,000 images, 60 ")):
        assert re.match(rf"{start}.* seeds; record of \d{{4}}-\d\d-\d\d", described(source))
    overview(history, ["test_loss"], more={"note": {"a": "first", "b": "second"}}, digits=2)
    assert capsys.readouterr().out == f"{here}\n"
    last = history.final("test_loss")
    assert shown == [
        "| run | test loss | note |\n| --- | --- | --- |\n"
        f"| a | {spread(last['a'], 2)} | first |\n| b | {spread(last['b'], 2)} | second |"
    ]


# With a margin


def is_decided(values, bound, margin):
    """The rule in the words of tests: Student's t, and the two one-sided ones of equivalence."""

    def p(mean, side):
        return ttest_1samp(values, mean, alternative=side).pvalue

    if ttest_1samp(values, bound).pvalue < 0.05:
        return "supported" if np.mean(values) > bound else "refuted"
    ends = margin and max(p(bound - margin, "greater"), p(bound + margin, "less"))
    return "no difference" if margin and ends <= 0.025 else "undecided"


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=12),
    st.sampled_from([0, 1, -0.01]),
    st.none() | st.floats(0.001, 2),
    st.sampled_from([1e-3, 1e-2, 1]),
)
def test_differences_are_weighed_by_the_rule(numbers, bound, margin, scale):
    values = bound + scale * np.array(numbers)
    assume(np.std(values) > 1e-9)
    found = weigh(values, bound, margin)
    ends = ttest_1samp(values, bound).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high), ends, rtol=1e-9, atol=1e-12)
    beside = [bound] if margin is None else [bound, bound - margin, bound + margin]
    assume(all(abs(end - near) > 1e-9 for end in ends for near in beside))
    assert found.verdict == is_decided(values, bound, margin)
    assert (found.seeds, found.lost) == (len(values), 0)
    assert weigh(Interval(found.mean, *ends, 9), bound, margin).verdict == found.verdict


@given(st.lists(st.sampled_from(VERDICTS), max_size=6), st.randoms())
def test_cases_together(verdicts, random):
    verdict = together(verdicts)
    random.shuffle(verdicts)
    assert together(verdicts) == verdict
    assert (verdict == "supported") == (set(verdicts) == {"supported"})
    assert (verdict == "refuted") == ("refuted" in verdicts)
    small = "no difference" in verdicts and {*verdicts} <= {"supported", "no difference"}
    assert (verdict == "no difference") == small


def test_the_margin_holds_its_ends():
    ends = [(-1, 1), (-1.01, 1), (-1, 1.01), (0, 0), (0.01, 0.5), (-0.5, -0.01), (np.nan, np.nan)]
    n, u = "no difference", "undecided"
    assert [decide(*each, margin=1) for each in ends] == [n, u, u, n, "supported", "refuted", u]
    assert [decide(*each, bound=2, margin=1) for each in [(1, 3), (0.9, 3)]] == [n, u]


def test_an_explosion_is_told_briefly():
    found = weigh([-2.0e10, -1.0e10, -6.0e10])
    assert found.text() == "-3e+10 (-9.57e+10 to +3.57e+10)"
    assert weigh([9_000.0, 9_000.5, 9_001.0]).text(1).startswith("+9000.5 (")
