"""Intervals and verdicts, beside SciPy's."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from lrsched.lab import interval, verdict

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12).filter(
    lambda values: np.std(values) > 1e-3
)
LEVELS = st.floats(0.01, 0.999)


@given(values=VALUES, level=LEVELS)
def test_interval(values, level):
    mean, low, high = interval(values, level)
    spread = max(1, high - low)
    assert mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)
    expected = stats.t.interval(level, len(values) - 1, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected, rel=1e-9, abs=1e-9 * spread)
    tested = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (low, high) == pytest.approx((tested.low, tested.high), rel=1e-9, abs=1e-9 * spread)
    assert low <= mean <= high
    assert all(type(x) is float for x in (mean, low, high))


@given(values=VALUES)
def test_the_level_is_95_percent(values):
    assert interval(values) == interval(np.array(values), 0.95)


@given(values=VALUES)
def test_verdict_is_a_t_test(values):
    tested = stats.ttest_1samp(values, 0)
    assume(abs(tested.pvalue - 0.05) > 1e-9)
    if tested.pvalue > 0.05:
        expected = "undecided"
    else:
        expected = "supported" if tested.statistic > 0 else "refuted"
    assert verdict(values) == expected


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.1, 0.1, 0.1], "supported"),
        ([-0.1, -0.1], "refuted"),
        ([0.0, 0.0, 0.0], "undecided"),  # not above 0
        ([0.0, 0.1], "undecided"),
        ([5, 6, 5], "supported"),
        ((-5, -6, -5), "refuted"),
        ([1e-12, 1.1e-12, 0.9e-12], "supported"),
    ],
)
def test_verdicts(differences, expected):
    assert verdict(differences) == expected
    assert verdict(np.array(differences)) == expected


@pytest.mark.parametrize(
    "values",
    [[], [1.0], 1.0, [[1.0, 2.0], [3.0, 4.0]], [1.0, float("nan")], [1.0, float("inf")]],
)
def test_wrong_values(values):
    with pytest.raises(ValueError, match="values must be at least two finite numbers, got"):
        interval(values)
    with pytest.raises(ValueError, match="values must be at least two finite numbers, got"):
        verdict(values)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, float("nan")])
def test_wrong_level(level):
    with pytest.raises(ValueError, match=f"level must be between 0 and 1, got {level}"):
        interval([1.0, 2.0], level)
