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
    assert low <= mean <= high
    assert all(type(x) is float for x in (mean, low, high))
    assert interval(values) == interval(np.array(values), 0.95)  # unless told


@given(values=VALUES)
def test_verdict_is_a_t_test(values):
    tested = stats.ttest_1samp(values, 0)
    assume(abs(tested.pvalue - 0.05) > 1e-9)
    decided = "supported" if tested.statistic > 0 else "refuted"
    assert verdict(values) == (decided if tested.pvalue < 0.05 else "undecided")


@pytest.mark.parametrize(("differences", "expected"), [
    ([0.1, 0.1, 0.1], "supported"), ([-0.1, -0.1], "refuted"),
    ([0.0, 0.0, 0.0], "undecided"),  # not above 0
    ([0.0, 0.1], "undecided"), ([5, 6, 5], "supported"), ((-5, -6, -5), "refuted"),
    ([1e-12, 1.1e-12, 0.9e-12], "supported"),
])  # fmt: skip
def test_verdicts(differences, expected):
    assert verdict(differences) == verdict(np.array(differences)) == expected


@pytest.mark.parametrize(
    "values", [[], [1.0], 1.0, [[1.0, 2.0], [3.0, 4.0]], [1.0, np.nan], [1.0, np.inf]]
)
def test_wrong_values(values):
    with pytest.raises(ValueError, match="values must be at least two finite numbers, got"):
        interval(values)


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, np.nan])
def test_wrong_level(level):
    for call in (interval, lambda values, level: ratio(values, values, level=level)):
        with pytest.raises(ValueError, match=f"level must be between 0 and 1, got {level}"):
            call([1.0, 2.0], level)


# Ratios

POSITIVE = st.floats(0.01, 100)
PAIRS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=30).map(np.array)


def pairs(count, seed=0, spread=0.5):
    """Lognormal and correlated, in a true ratio of medians and of means of 2."""
    rng = np.random.default_rng(seed)
    common, *own = rng.normal(0, spread, (3, count))
    return 2 * np.exp(common + own[0]), np.exp(common + own[1])


@pytest.mark.parametrize("statistic", [np.median, np.mean, np.max], ids=["median", "mean", "max"])
@pytest.mark.parametrize(("count", "level"), [(2, 0.95), (5, 0.5), (41, 0.95), (300, 0.99)])
def test_ratio(statistic, count, level):
    """SciPy's, of indices in place of pairs, one resample at a time and unbatched."""
    x, y = pairs(count)
    expected = stats.bootstrap(
        (np.arange(count),), lambda i: statistic(x[i]) / statistic(y[i]), vectorized=False,
        n_resamples=2000, method="percentile", confidence_level=level, random_state=0,
    ).confidence_interval  # fmt: skip
    found = ratio(x, y, statistic, level)
    assert found[0] == pytest.approx(statistic(x) / statistic(y), rel=1e-12)
    assert found[1:] == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert all(type(value) is float for value in found)


def test_the_median_and_95_percent_unless_told():
    x, y = pairs(30)
    assert ratio(x, y) == ratio(x.tolist(), tuple(y), np.median, 0.95)
    assert ratio(x, y) != ratio(x, y, np.mean)
    _, low, high = ratio(x, y)
    _, lower, higher = ratio(x, y, level=0.999)
    assert lower < low < high < higher


@given(pairs=PAIRS, power=st.integers(-20, 20), other=st.integers(-20, 20))
def test_ratio_scales(pairs, power, other):
    """Exactly, by powers of two."""
    x, y = pairs.T
    found = ratio(x, y)
    assert ratio(x * 2.0**power, y * 2.0**other) == tuple(v * 2.0 ** (power - other) for v in found)
    assert 0 < found[1] <= found[2]


@given(pairs=PAIRS, factor=st.sampled_from([1.0, 0.5, 8.0]))
def test_ratio_of_equal_values(pairs, factor):
    """The pairs are drawn together, so that the ratio is the same in each resample."""
    x = pairs[:, 0]
    assert ratio(x, x) == (1.0, 1.0, 1.0)
    assert ratio(factor * x, x) == (factor, factor, factor)


def test_ratio_of_pairs_that_vary_together():
    """Drawn apart the interval would be ten times as wide."""
    common = np.exp(np.random.default_rng(1).normal(0, 1, 50))
    noise = np.exp(np.random.default_rng(2).normal(0, 0.01, (2, 50)))
    _, low, high = ratio(2 * common * noise[0], common * noise[1], np.mean)
    assert low < 2 < high
    assert high - low < 0.05
    _, low, high = ratio(2 * common * noise[0], np.roll(common * noise[1], 1), np.mean)
    assert high - low > 0.5


@pytest.mark.parametrize("statistic", [np.median, np.mean], ids=["median", "mean"])
def test_coverage_of_ratio(statistic):
    """Of 200 intervals, so many hold the true ratio."""
    held = 0
    for seed in range(200):
        _, low, high = ratio(*pairs(60, seed), statistic)
        held += low <= 2 <= high
    assert 0.88 * 200 <= held <= 0.99 * 200


@pytest.mark.parametrize(("values", "others"), [
    ([], []), ([1.0], [1.0]), (1.0, 1.0), ([1.0, 2.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0]),
    ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]), ([1.0, np.nan], [1.0, 2.0]),
    ([1.0, 2.0], [1.0, np.inf]),
])  # fmt: skip
def test_wrong_pairs(values, others):
    message = r"(?s)values and others must be equally many finite numbers.* got .* and "
    for one, other in ((values, others), (np.array(values), np.array(others))):
        with pytest.raises(ValueError, match=message):
            ratio(one, other)
