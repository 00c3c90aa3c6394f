"""Claims about warmup-stable-decay: cooldowns from one stable run, against cosines."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from ..measures import at_chosen_rate
from ..records import record_table
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_cooldowns"
RECORD = ("cooldowns",)
SMALL = 0.005  # nats, about 1.5 % of the loss


def _losses() -> dict[tuple[str, int, float], pd.Series]:
    """Test losses by decay, epochs and share of the cooldown, each at its best base rate."""
    tables = record_table(*RECORD).groupby(["decay", "epochs", "share"], sort=False)
    return {
        (str(decay), int(epochs), float(share)): at_chosen_rate(table)
        for (decay, epochs, share), table in tables
    }


def _crossed(losses: dict[tuple[str, int, float], pd.Series]) -> Iterator[tuple[int, float]]:
    """The lengths and shares of the cooldowns."""
    yield from dict.fromkeys(key[1:] for key in losses if key[0] == "linear")


def _epochs(losses: dict[tuple[str, int, float], pd.Series], *shares: float) -> list[int]:
    """The lengths of which there are cooldowns of all these shares."""
    crossed = [*_crossed(losses)]
    lengths = dict.fromkeys(epochs for epochs, _ in crossed)
    return [each for each in lengths if all((each, share) in crossed for share in shares)]


def _against_cosine(share: float) -> Cases:
    """The cosine of the same length, minus the cooldown."""
    losses = _losses()
    return {
        f"{decay}, {epochs} epochs": losses["cosine run", epochs, 1.0]
        - losses[decay, epochs, share]
        for decay in ("linear", "1-sqrt", "cosine")
        for epochs in _epochs(losses, share)
    }


def _shape(ours: str) -> Cases:
    losses = _losses()
    return {
        f"{share:.0%} of {epochs} epochs": losses["linear", epochs, share]
        - losses[ours, epochs, share]
        for epochs, share in _crossed(losses)
    }


def _longer(shorter: float, longer: float) -> Cases:
    losses = _losses()
    return {
        f"{decay}, {epochs} epochs": losses[decay, epochs, shorter] - losses[decay, epochs, longer]
        for decay in ("linear", "1-sqrt", "cosine")
        for epochs in _epochs(losses, shorter, longer)
    }


def _beats_stable() -> Cases:
    losses = _losses()
    (stable,) = (key for key in losses if key[0] == "stable")
    return {
        f"{decay}, {share:.0%}": losses[stable] - losses[decay, epochs, share]
        for decay in ("linear", "1-sqrt", "cosine")
        for epochs, share in _crossed(losses)
        if epochs == stable[1]
    }


_claim = partial(Claim, source=0, records=RECORD, page=PAGE, margin=SMALL, digits=4)

CLAIMS = (
    _claim(
        "a-cooldown-beats-the-stable-run",
        "a cooldown ends lower than the stable run of the same length",
        difference="test loss of the stable run minus that of the cooldown (nats)",
        cases=_beats_stable,
    ),
    *(
        _claim(
            f"a-cooldown-of-{round(share * 100)}-percent-beats-a-cosine",
            f"a cooldown over {share:.0%} of the training ends lower than a cosine of the same "
            "length",
            difference="test loss of the cosine minus that of the cooldown (nats)",
            cases=partial(_against_cosine, share),
        )
        for share in (0.1, 0.2, 0.4)
    ),
    *(
        _claim(
            f"{name}-beats-a-linear-cooldown",
            f"a cooldown by {text} ends lower than a linear one",
            difference="test loss of the linear cooldown minus that of the other (nats)",
            cases=partial(_shape, decay),
        )
        for name, decay, text in (
            ("one-minus-root", "1-sqrt", "1 - square root"),
            ("cosine-cooldown", "cosine", "half a cosine"),
        )
    ),
    *(
        _claim(
            f"{round(longer * 100)}-percent-beats-{round(shorter * 100)}",
            f"a cooldown over {longer:.0%} of the training ends lower than one over {shorter:.0%}",
            difference="test loss of the shorter cooldown minus that of the longer (nats)",
            cases=partial(_longer, shorter, longer),
        )
        for shorter, longer in ((0.1, 0.2), (0.2, 0.4))
    ),
)
