"""Claims about the base rate: by optimizer, by batch size, and as a range test reads it off."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd

from ..measures import LOSS_MARGIN, at_chosen_rate, best_rates, chosen_rate
from ..records import record_table
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_base_rates"
BY_OPTIMIZER, TESTS, BY_BATCH = ("optimizer-rates",), ("range-tests",), ("batch-rates",)
OCTAVE = 1.0  # a factor of 2: how near a rate has to come
READINGS = {
    "steepest": "the rate at which the loss falls fastest",
    "minimum": "the rate at which the loss is least",
    "tenth": "a tenth of the rate at which the loss is least",
}
RULES = {"in proportion to": 1.0, "as the square root of": 0.5, "independently of": 0.0}


def _optimizers() -> dict[str, pd.DataFrame]:
    """The table of each optimizer."""
    return {str(name): each for name, each in record_table(*BY_OPTIMIZER).groupby("optimizer")}


def _octaves(table: pd.DataFrame) -> pd.Series:
    """The best rate as a logarithm to the base 2, by seed."""
    return np.log2(best_rates(table))


def _near(octaves: pd.Series) -> pd.Series:
    """How far within a factor of 2 differences are, which are in octaves."""
    return OCTAVE - octaves.abs()


def _a_tenth() -> Cases:
    best = {name: _octaves(table) for name, table in _optimizers().items()}
    return {
        f"{name}, SGD": _near(best[name] - best["SGD"] + np.log2(10))
        for name in ("momentum", "Nesterov")
    }


def _at_a_tenth() -> Cases:
    """How near plain SGD and momentum at a tenth of its rate end, up to the cliff."""
    tables = _optimizers()
    plain, moving = (
        tables[name].pivot(index="rate", columns="seed", values="test_loss")
        for name in ("SGD", "momentum")
    )
    best = chosen_rate(tables["SGD"])
    pairs = [(rate, other) for rate in plain.index for other in moving.index]
    return {
        f"{rate:g}, {other:g}": LOSS_MARGIN - (plain.loc[rate] - moving.loc[other]).abs()
        for rate, other in pairs
        if rate <= best and abs(rate / other - 10) < 0.1
    }


def _default() -> Cases:
    tables = _optimizers()
    return {name: _near(_octaves(tables[name]) - np.log2(0.001)) for name in ("Adam", "AdamW")}


def _cost(places: int) -> Cases:
    """What it costs to be away from the best rate, by so many places of the grid."""
    return {
        name: at_chosen_rate(table, places=places) - at_chosen_rate(table)
        for name, table in _optimizers().items()
    }


def _lower(*pairs: tuple[str, str]) -> Cases:
    tables = _optimizers()
    losses = {name: at_chosen_rate(tables[name]) for pair in pairs for name in pair}
    return {f"{ours}, {other}": losses[other] - losses[ours] for ours, other in pairs}


def _read(reading: str) -> Cases:
    tables, tests = _optimizers(), record_table(*TESTS)
    return {
        str(name): _near(np.log2(test.set_index("seed")[reading]) - _octaves(tables[str(name)]))
        for name, test in tests.groupby("optimizer", sort=False)
    }


def _by_batch() -> Iterator[tuple[str, pd.DataFrame]]:
    """What is told apart beside the batch size and the rate, and its table."""
    for (optimizer, equal, warmup), table in record_table(*BY_BATCH).groupby(
        ["optimizer", "equal", "warmup"], sort=False
    ):
        yield f"{optimizer}, equal {equal}{', warmup' if float(warmup) else ''}", table


def _scales(power: float) -> Cases:
    """How far within a quarter of a power the best rate follows the batch size."""
    cases = {}
    for case, table in _by_batch():
        best = pd.DataFrame({size: _octaves(each) for size, each in table.groupby("batch")})
        octaves = np.log2(best.columns.to_numpy(float))
        slopes = [np.polyfit(octaves, row, 1)[0] for row in best.to_numpy()]
        cases[case] = 0.25 - (pd.Series(slopes, best.index) - power).abs()
    return cases


def _largest_is_worse(equal: str) -> Cases:
    """The test loss of the largest batch size minus that of the smallest."""
    cases = {}
    for case, table in _by_batch():
        if f"equal {equal}" in case:
            sizes = dict(iter(table.groupby("batch")))
            large, small = at_chosen_rate(sizes[max(sizes)]), at_chosen_rate(sizes[min(sizes)])
            cases[case] = large - small
    return cases


def _warmup_helps_the_largest() -> Cases:
    """Its test loss without warmup minus that with it."""
    cases = {}
    for (optimizer, equal), table in record_table(*BY_BATCH).groupby(
        ["optimizer", "equal"], sort=False
    ):
        largest = table[table["batch"] == table["batch"].max()]
        cold, warm = (at_chosen_rate(each) for _, each in largest.groupby("warmup"))
        cases[f"{optimizer}, equal {equal}"] = cold - warm
    return cases


_claim = partial(
    Claim,
    source=0,
    records=BY_OPTIMIZER,
    page=f"{PAGE}#by-optimizer",
    difference="test loss, each at its best base rate (nats)",
    margin=LOSS_MARGIN,
    digits=4,
)


def _compared(name: str, text: str, *pairs: tuple[str, str]) -> Claim:
    return _claim(
        name,
        text,
        difference="test loss of the second minus that of the first, each at its best base rate "
        "(nats)",
        cases=partial(_lower, *pairs),
    )


def _about_rates(name: str, text: str, cases: Callable[[], Cases]) -> Claim:
    return _claim(
        name,
        text,
        difference="octaves within a factor of 2",
        cases=cases,
        margin=None,
        digits=2,
    )


CLAIMS = (
    _about_rates(
        "momentum-wants-a-tenth",
        "with momentum 0.9 the best base rate is a tenth of that of plain SGD, to a factor of 2",
        _a_tenth,
    ),
    _claim(
        "momentum-at-a-tenth-equals-sgd",
        "up to the best rate of plain SGD, momentum 0.9 at a tenth of the rate ends as low",
        difference="test losses within 0.02 nats of each other",
        cases=_at_a_tenth,
        margin=None,
    ),
    _about_rates(
        "adams-default-is-best",
        "the default rate 0.001 is the best base rate, to a factor of 2",
        _default,
    ),
    _compared("momentum-beats-sgd", "momentum ends lower than plain SGD", ("momentum", "SGD")),
    _compared(
        "nesterov-beats-momentum", "Nesterov's momentum ends lower", ("Nesterov", "momentum")
    ),
    _compared(
        "adam-beats-momentum",
        "Adam and AdamW end lower than SGD with momentum",
        ("Adam", "momentum"),
        ("AdamW", "momentum"),
    ),
    _compared("adamw-beats-adam", "AdamW ends lower than Adam", ("AdamW", "Adam")),
    _claim(
        "a-third-of-the-best-rate-costs",
        "a third of the best base rate costs loss",
        difference="test loss at a third of the best base rate minus that at the best (nats)",
        cases=partial(_cost, -2),
    ),
    _claim(
        "three-times-the-best-rate-costs",
        "three times the best base rate cost loss",
        difference="test loss at three times the best base rate minus that at the best (nats)",
        cases=partial(_cost, 2),
    ),
    *(
        _claim(
            f"range-test-finds-best-rate-by-{reading}",
            f"{text} in a range test is the best base rate, to a factor of 2",
            records=(*TESTS, *BY_OPTIMIZER),
            page=f"{PAGE}#what-a-range-test-reads-off",
            difference="octaves within a factor of 2",
            cases=partial(_read, reading),
            margin=None,
            digits=2,
        )
        for reading, text in READINGS.items()
    ),
    *(
        _claim(
            f"rate-grows-{text.replace(' ', '-')}-batch-size",
            f"the best base rate grows {text} the batch size",
            records=BY_BATCH,
            page=f"{PAGE}#by-batch-size",
            difference="power of the batch size within a quarter",
            cases=partial(_scales, power),
            margin=None,
            digits=2,
        )
        for text, power in RULES.items()
    ),
    *(
        _claim(
            f"largest-batch-is-worse-in-equal-{equal}",
            f"in equal {equal} the largest batch size ends higher than the smallest",
            records=BY_BATCH,
            page=f"{PAGE}#by-batch-size",
            difference="test loss of the largest minus that of the smallest, each at its best "
            "base rate (nats)",
            cases=partial(_largest_is_worse, equal),
        )
        for equal in ("epochs", "updates")
    ),
    _claim(
        "warmup-helps-the-largest-batch",
        "the largest batch size ends lower with a warmup",
        records=BY_BATCH,
        page=f"{PAGE}#by-batch-size",
        difference="test loss without minus with warmup, each at its best base rate (nats)",
        cases=_warmup_helps_the_largest,
    ),
)
