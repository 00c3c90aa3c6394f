"""Warmup-stable-decay: cooldowns that branch from one stable run, against cosines."""

from functools import partial
from typing import Any

import pandas as pd

from ... import Cosine, Schedule, WarmupStableDecay
from ...lab import SGD, Run
from ..editions import Plan
from ..measurements import Measurements
from .optimizers import network

__all__ = ["DECAYS", "LENGTHS", "RATES", "SHARES", "branches", "lengths"]

RATES = (0.0125, 0.025, 0.05, 0.1, 0.2)
LENGTHS = (0.25, 0.5, 1.0)  # of the training, of the epochs of the plan
SHARES = (0.1, 0.2, 0.4)  # of the cooldown, of the epochs of the training
DECAYS = ("linear", "1-sqrt", "cosine")
MOMENTUM = 0.9
WARMUP = 0.5  # epochs


def branches(epochs: int) -> dict[int, list[tuple[int, float]]]:
    """By the epoch in which cooldowns branch off: the epochs in all, and the share."""
    found: dict[int, list[tuple[int, float]]] = {}
    for length in LENGTHS:
        whole = round(length * epochs)
        for share in SHARES:
            if (cooldown := round(share * whole)) >= 1:
                found.setdefault(whole - cooldown, []).append((whole, share))
    return found


def lengths(plan: Plan) -> pd.DataFrame:
    """Cooldowns of each kind and length from stable runs at each rate, and cosines as long.

    In the table "epochs" are those of the training in all, and "share" is that of the cooldown:
    1 for a cosine, 0 for the stable run, which is measured without one.
    """
    found = Measurements(plan, "decay", "epochs", "share", "rate")
    n = plan.steps_per_epoch
    warm = round(WARMUP * n)
    how: dict[str, Any] = {"optimizer": SGD(momentum=MOMENTUM), "network": network(plan)}

    def stable(rate: float, epochs: int, cooldown: int, decay: Any = "linear") -> Schedule:
        return WarmupStableDecay(
            rate,
            warmup_steps=warm,
            stable_steps=(epochs - cooldown) * n - warm,
            decay_steps=max(cooldown * n, 1),
            decay=decay,
        )

    by_epoch = branches(plan.epochs)
    wholes = sorted({whole for each in by_epoch.values() for whole, _ in each})
    cases = {("stable", plan.epochs, 0.0, rate): stable(rate, plan.epochs, 0) for rate in RATES}
    trunk = found.train("trunk", cases, keep=[*by_epoch], **how)
    for epochs in wholes:
        waves = {
            ("cosine run", epochs, 1.0, rate): Cosine(rate, epochs * n - warm).warmup(warm)
            for rate in RATES
        }
        found.train(f"cosine-{epochs}", waves, epochs=epochs, **how)
    for start, several in by_epoch.items():
        for epochs, share in several:
            for rate in RATES:
                falls = {
                    (decay, epochs, share, rate): stable(rate, epochs, epochs - start, decay)
                    for decay in DECAYS
                }
                state = trunk.states[start].select(partial(_has_rate, rate))
                found.train(
                    f"{epochs}-{share}-{rate}", falls, epochs=epochs - start, start=state, **how
                )
    return found.table()


def _has_rate(rate: float, run: Run) -> bool:
    return isinstance(run.schedule, WarmupStableDecay) and run.schedule.base_lr == rate
