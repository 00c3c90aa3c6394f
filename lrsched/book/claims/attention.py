"""Claims about warmup for a small transformer, normalised after each part or before."""

from functools import partial

import pandas as pd

from ..measures import FAILS, LOSS_MARGIN, at_chosen_rate
from ..records import record_table
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_transformer"
RECORD = ("transformer-warmup",)
NAMES = {"after": "Post-LN", "before": "Pre-LN"}
COLD, SHORT, LONG = 0.0, 0.5, 2.0  # epochs of warmup


def _table(norm: str, warmup: float) -> pd.DataFrame:
    table = record_table(*RECORD)
    return table[(table["norm"] == norm) & (table["warmup"] == warmup)]


def _failures(norm: str) -> Cases:
    """At how many base rates a seed fails without warmup, minus with the long one."""
    failed = [
        (_table(norm, warmup).set_index("seed")["test_accuracy"].fillna(0.0) < FAILS)
        .groupby("seed")
        .sum()
        for warmup in (COLD, LONG)
    ]
    return {NAMES[norm]: failed[0] - failed[1]}


def _at_best(norm: str, shorter: float, longer: float) -> Cases:
    losses = [at_chosen_rate(_table(norm, warmup)) for warmup in (shorter, longer)]
    return {NAMES[norm]: losses[0] - losses[1]}


def _before_beats_after() -> Cases:
    return {
        f"{warmup:g} epochs of warmup": at_chosen_rate(_table("after", warmup))
        - at_chosen_rate(_table("before", warmup))
        for warmup in (COLD, SHORT, LONG)
    }


_claim = partial(Claim, source=0, records=RECORD, page=PAGE, margin=LOSS_MARGIN)

CLAIMS = (
    *(
        _claim(
            f"warmup-saves-{NAMES[norm].lower()}",
            f"with a warmup of two epochs fewer {NAMES[norm]} runs fail to learn",
            difference="base rates of four at which a run fails, without warmup minus with it",
            cases=partial(_failures, norm),
            margin=None,
            digits=1,
        )
        for norm in NAMES
    ),
    *(
        _claim(
            f"warmup-lowers-{NAMES[norm].lower()}",
            f"a warmup of two epochs lowers the loss of {NAMES[norm]}",
            difference="test loss without warmup minus with it, each at its best base rate (nats)",
            cases=partial(_at_best, norm, COLD, LONG),
        )
        for norm in NAMES
    ),
    _claim(
        "half-an-epoch-is-too-short-for-post-ln",
        "for Post-LN half an epoch of warmup ends higher than two",
        difference="test loss with half an epoch minus with two, each at its best base rate (nats)",
        cases=partial(_at_best, "after", SHORT, LONG),
    ),
    _claim(
        "pre-ln-beats-post-ln",
        "Pre-LN ends lower than Post-LN",
        difference="test loss of Post-LN minus that of Pre-LN, each at its best base rate (nats)",
        cases=_before_beats_after,
    ),
)
