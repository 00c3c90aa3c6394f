"""Claims about BatchNorm and the rate: sensitivity, the U, the range test, five strategies.

The records hold ratios of medians over seeds, with intervals by the bootstrap.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ..records import record_table
from ..verdicts import Interval
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_batchnorm"
RATES = ("batchnorm-rates",)
VARIANTS = ("batchnorm-rates", "batchnorm-momentum", "batchnorm-batch-10", "batchnorm-batch-200")
SOURCE = ("3 layers, BN", "4 layers, BN")  # the networks of the tutorial
CONSTANT = "constant 0.1"
TENTH = 0.1


def _table(name: str) -> pd.DataFrame:
    """A record of a table; the seeds of each row where it does not have them itself."""
    table = record_table(name)
    seeds = table.attrs["settings"]["seeds"]
    return table.assign(seeds=table["pairs"].astype(int) if "pairs" in table else seeds)


def _ratio(row: dict[str, Any], suffix: str = "") -> Interval:
    """The ratio of a row, how many times as much a network with BatchNorm has of a measure."""
    mean, low, high = (float(row[part + suffix]) for part in ("ratio", "low", "high"))
    return Interval(mean, low, high, int(row["seeds"]))


def _inverse(ratio: Interval) -> Interval:
    """The ratio the other way round, whose interval by percentiles is that of the ends."""
    return Interval(1 / ratio.mean, 1 / ratio.high, 1 / ratio.low, ratio.seeds)


def _rows(table: pd.DataFrame, measure: str) -> dict[str, dict[str, Any]]:
    """The rows of a measure, by network and rate."""
    chosen = table[table["measure"] == measure].to_dict("records")
    return {_case(row["network"], row["rate"]): row for row in chosen}


def _case(network: str, rate: float) -> str:
    return network if np.isnan(rate) else f"{network}, rate {rate:g}"


def _of_source() -> pd.DataFrame:
    table = _table(*RATES)
    return table[table["network"].isin(SOURCE)]


def _sensitive(measure: str) -> Cases:
    """The ratios of a measure, where enough seeds have it."""
    rows = _rows(_of_source(), measure)
    return {case: _ratio(row) for case, row in rows.items() if not np.isnan(row["ratio"])}


def _steadier() -> Cases:
    rows = _rows(_of_source(), "roughness over that at 0.1")
    return {case: _inverse(_ratio(row)) for case, row in rows.items()}


def _survives(measure: str) -> Cases:
    """The same ratios for BatchNorm at another place, of other momenta, in other batches."""
    table = pd.concat([_table(name) for name in VARIANTS])
    table = table[~table["network"].isin([*SOURCE, "m = 0.1"])]
    return {case: _ratio(row) for case, row in _rows(table, measure).items()}


# The curve of the final loss over the rate, in medians: no intervals, but single numbers


def _curves() -> dict[str, pd.DataFrame]:
    """By network, the medians over the rates at which more than half of the seeds stay finite."""
    table = _table("batchnorm-curve")
    table = table[table["diverged"] <= 0.5]
    return {
        str(name): rows.set_index("schedule") for name, rows in table.groupby("network", sort=False)
    }


def _arms(median: pd.Series) -> tuple[pd.Series, pd.Series]:
    """From the minimum to the left, and to the right."""
    place = int(median.argmin())
    return median.iloc[: place + 1][::-1], median.iloc[place:]


def _u_shaped() -> Cases:
    """How many times what a U asks for is met: high ends, and arms that rise."""
    cases = {}
    for network, curve in _curves().items():
        median = curve["median"]
        ends = min(median.iloc[0], median.iloc[-1]) / (1.5 * median.min())
        rises = min((arm / (0.9 * arm.cummax())).min() for arm in _arms(median))
        cases[network] = _point(min(ends, rises), curve)
    return cases


def _finds_flat_part(share: float) -> Cases:
    """How far within the flat part a share of the rate of the lowest loss lies."""
    tests = _table("batchnorm-range-test")
    cases = {}
    for network, curve in _curves().items():
        low, high = (_end_of_flat(arm) for arm in _arms(curve["median"]))
        test = tests[(tests["network"] == network) & (tests["diverged"] <= 0.5)]
        rate = share * float(test["rate"][test["median"].idxmin()])
        cases[network] = _point(min(np.log10(rate / low), np.log10(high / rate)), curve)
    return cases


def _end_of_flat(arm: pd.Series) -> float:
    """The last rate of an arm before a median lies more than a tenth above the minimum."""
    flat = (arm > 1.1 * arm.min()).cumsum() == 0
    return float(arm.index[flat][-1])


def _point(value: float, curve: pd.DataFrame) -> Interval:
    return Interval(float(value), float(value), float(value), int(curve["seeds"].iloc[0]))


def _recovers(strategy: str) -> Cases:
    table = _table("batchnorm-strategies")
    rows = table[table["strategy"] == strategy].to_dict("records")
    return {row["network"]: _inverse(_ratio(row, "_large")) for row in rows}


_claim = partial(Claim, source=5, records=RATES, bound=1, margin=TENTH, digits=2)

MEASURES = (  # in a name, in words, in the records
    ("roughness", "roughness of the curve", "roughness"),
    ("spread", "spread over the seeds", "spread"),
    ("change", "change of the result with the rate", "change with the rate"),
)


def _more_sensitive(short: str, words: str, measure: str, **more: Any) -> Claim:
    settings: dict[str, Any] = {"page": f"{PAGE}#three-measures-three-answers"} | more
    return _claim(
        f"batchnorm-more-sensitive-by-{short}",
        f"BatchNorm makes a network more sensitive to the rate, by the {words}",
        cases=partial(_sensitive, measure),
        difference=f"{words}, with BatchNorm over without (a ratio)",
        **settings,
    )


def _variants_too(short: str, words: str, measure: str) -> Claim:
    return _claim(
        f"batchnorm-variants-more-sensitive-by-{short}",
        "with BatchNorm after the activation, of another momentum, or in other batches a network "
        f"is more sensitive to the rate, by the {words}",
        page=f"{PAGE}#does-it-survive",
        cases=partial(_survives, measure),
        source=0,
        records=VARIANTS,
        difference=f"{words}, with BatchNorm over without (a ratio)",
    )


WHY: dict[str, Any] = {"page": f"{PAGE}#why-is-the-curve-rough", "source": 0}
SENSITIVE = (
    *(_more_sensitive(*measure) for measure in MEASURES),
    _more_sensitive(
        "each-step", "change of the result from each rate to the next", "change from this rate on"
    ),
    _more_sensitive(
        "precise-roughness", "roughness by precise statistics", "roughness, precise", **WHY
    ),
    _more_sensitive(
        "roughness-of-learnt",
        "roughness where both have learnt",
        "roughness, both have learnt",
        **WHY,
    ),
)

STRATEGIES = tuple(
    _claim(
        f"{strategy.replace(' ', '-')}-recovers",
        f"the strategy {strategy!r} recovers a BatchNorm network from a rate of 0.1",
        page=f"{PAGE}#five-strategies",
        cases=partial(_recovers, strategy),
        records=("batchnorm-strategies",),
        difference=f"median test loss, {CONSTANT} over the strategy (a ratio)",
    )
    for strategy in ("power", "exponential", "piecewise constant", "performance", "cyclical")
)

READINGS = {
    "the rate of the lowest loss": ("lowest-loss", 1.0),
    "a tenth of that rate": ("tenth", 0.1),
}
RANGE_TEST = tuple(
    _claim(
        f"range-test-finds-flat-part-by-{short}",
        f"the range test finds the flat part of the curve, by {words}",
        page=f"{PAGE}#one-run-instead-of-33-the-range-test",
        cases=partial(_finds_flat_part, share),
        source=0,
        records=("batchnorm-curve", "batchnorm-range-test"),
        difference="how far within the flat part the rate lies (powers of ten; of medians)",
        bound=0,
        margin=None,
    )
    for words, (short, share) in READINGS.items()
)

CLAIMS = (
    *SENSITIVE,
    _claim(
        "smaller-rate-steadies-batchnorm",
        "a smaller rate steadies a BatchNorm network",
        page=f"{PAGE}#why-is-the-curve-rough",
        cases=_steadier,
        difference="roughness of the curve at the rate 0.1 over that at the smaller (a ratio)",
    ),
    *(_variants_too(*measure) for measure in MEASURES),
    _claim(
        "loss-over-rate-is-u-shaped",
        "the final loss over the rate is a U",
        page=f"{PAGE}#the-u-shaped-curve",
        cases=_u_shaped,
        records=("batchnorm-curve",),
        margin=None,
        difference="how many times the ends are as high, and the arms rise, as a U needs it "
        "(the smaller; of medians)",
    ),
    *RANGE_TEST,
    *STRATEGIES,
)
