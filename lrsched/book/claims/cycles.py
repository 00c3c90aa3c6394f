"""Claims about restarts, one cycle and triangular cycles, against plain decays."""

from functools import partial

import pandas as pd

from ..measures import at_chosen_rate
from ..records import record_table
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_cycles"
RECORD = ("cycles",)
SMALL = 0.005  # nats, about 1.5 % of the loss


def _losses() -> dict[str, pd.Series]:
    """Test losses of each shape at its best base rate."""
    tables = record_table(*RECORD).groupby("shape", sort=False)
    return {str(shape): at_chosen_rate(table) for shape, table in tables}


def _lower(ours: tuple[str, ...], other: str) -> Cases:
    losses = _losses()
    return {name: losses[other] - losses[name] for name in losses if name.startswith(ours)}


def _than(name: str, text: str, ours: tuple[str, ...], other: str = "cosine") -> Claim:
    return Claim(
        name,
        text,
        source=0,
        records=RECORD,
        page=PAGE,
        difference=f"test loss of the {other}, minus that of the other, each at its best base "
        "rate (nats)",
        cases=partial(_lower, ours, other),
        margin=SMALL,
        digits=4,
    )


CLAIMS = (
    _than("restarts-beat-a-cosine", "restarts end lower than one cosine", ("restarts",)),
    _than("one-cycle-beats-a-cosine", "one cycle ends lower than a cosine", ("one cycle",)),
    _than(
        "cycled-momentum-helps-one-cycle",
        "one cycle ends lower if the momentum is cycled, too",
        ("one cycle, momentum",),
        "one cycle",
    ),
    _than(
        "triangular-beats-a-cosine", "triangular cycles end lower than a cosine", ("triangular",)
    ),
    _than("linear-beats-a-cosine", "a linear decay ends lower than a cosine", ("linear",)),
    _than(
        "any-decay-beats-a-constant",
        "whatever ends at a small rate ends lower than the best constant rate",
        ("linear", "cosine", "one cycle", "restarts", "triangular"),
        "constant",
    ),
)
