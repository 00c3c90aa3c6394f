"""Intervals, verdicts and ratios, beside SciPy's."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from lrsched.book import verdict
from lrsched.lab import interval, ratio

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12).filter(
    lambda values: np.std(values) > 1e-3
)


@given(values=VALUES, level=st.floats(0.01, 0.999))
def test_interval(values, level):
    mean, low, high = interval(values, level)
    assert mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    spread = max(1, high - low)
    assert (low, high) == pytest.approx((*expected,), rel=1e-9, abs=1e-9 * spread)
    assert all(type(x) is float for x in (mean, low, high))
    assert interval(values) == interval(np.array(values), 0.95)  # unless told


@given(values=VALUES)
def test_verdict_is_a_t_test(values):
    tested = stats.ttest_1samp(values, 0)
    assume(abs(tested.pvalue - 0.05) > 1e-9)
    decided = "supported" if tested.statistic > 0 else "refuted"
    assert verdict(values) == (decided if tested.pvalue < 0.05 else "undecided")


def test_a_verdict_without_spread():
    for value, expected in ((0.1, "supported"), (-0.1, "refuted"), (0.0, "undecided")):
        assert verdict([value] * 3) == verdict(np.full(3, value)) == expected


@pytest.mark.parametrize("values", [[], 1.0, [[1.0, 2.0], [3.0, 4.0]], [1.0, np.nan]])
def test_wrong_values(values):
    with pytest.raises(ValueError, match="values must be at least two finite numbers, got"):
        interval(values)
    for others in (values, [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"(?s)values and others must be equally many finite"):
            ratio(np.array(others), values)


@pytest.mark.parametrize("level", [0, 1, np.nan])
def test_wrong_level(level):
    for call in (interval, lambda values, level: ratio(values, values, level=level)):
        with pytest.raises(ValueError, match=f"level must be between 0 and 1, got {level}"):
            call([1.0, 2.0], level)


@pytest.mark.parametrize("statistic", [np.median, np.mean, np.max], ids=["median", "mean", "max"])
@pytest.mark.parametrize(("count", "level"), [(2, 0.95), (5, 0.5), (41, 0.95), (300, 0.99)])
def test_ratio(statistic, count, level):
    """SciPy's, of indices in place of pairs, one resample at a time and unbatched."""
    common, *own = np.random.default_rng(0).normal(0, 0.5, (3, count))
    x, y = 2 * np.exp(common + own[0]), np.exp(common + own[1])
    expected = stats.bootstrap(
        (np.arange(count),), lambda i: statistic(x[i]) / statistic(y[i]), vectorized=False,
        n_resamples=2000, method="percentile", confidence_level=level, random_state=0,
    ).confidence_interval  # fmt: skip
    found = ratio(x.tolist(), tuple(y), statistic, level)
    assert found[0] == pytest.approx(statistic(x) / statistic(y), rel=1e-12)
    assert found[1:] == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert all(type(value) is float for value in found)
    assert ratio(x, y) == ratio(x, y, np.median, 0.95)  # unless told
