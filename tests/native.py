"""The schedules of PyTorch, each beside the one of ours that equals it, and optimizers.

An entry holds a strategy for the arguments, the native schedule made from them, ours made
from them, and the steps at which something happens.
"""

from collections import namedtuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch.optim import lr_scheduler as t

import lrsched as L

LR = st.floats(1e-4, 10)
STEPS = st.integers(1, 120)
SHARE = st.floats(0.05, 0.95)


Pair = namedtuple("Pair", "arguments native ours boundaries")


def pair(native, ours, boundaries=lambda **_: (), **arguments):
    return Pair(st.fixed_dictionaries({"lr": LR} | arguments), native, ours, boundaries)


def plain(native, ours, **arguments):
    """One that needs the optimizer and its own arguments alone."""

    def made(optimizer, **given):
        return native(optimizer, *(given[name] for name in arguments))

    return pair(made, ours, **arguments)


def sgd(lr, groups=1, cls=torch.optim.SGD, **options):
    """A real optimizer with something to update in each of its groups."""
    parameters = [torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(groups)]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 0.5)
    return cls([{"params": [parameter]} for parameter in parameters], lr=lr, **options)


def lrs(optimizer):
    """The rate that each group holds."""
    held = [group["lr"] for group in optimizer.param_groups]
    return [float(lr.detach() if isinstance(lr, torch.Tensor) else lr) for lr in held]


def rates_of(optimizer, scheduler, steps):
    """The rate that the optimizer holds at each step, driven as a training loop does."""
    rates = []
    for _ in range(steps):
        rates.append(lrs(optimizer)[0])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def close(actual, expected, rtol=1e-10, atol=1e-13):
    scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol * scale)


ONE_CYCLE = {
    "total": st.integers(25, 120), "anneal": st.sampled_from(["cos", "linear"]),
    "div": st.floats(1, 100), "last": st.floats(1, 1e5),
}  # fmt: skip


def one_cycle_lr(optimizer, cycle_momentum, lr, total, start, anneal, div, last, **how):
    return t.OneCycleLR(
        optimizer, lr, total, pct_start=start, anneal_strategy=anneal, div_factor=div,
        final_div_factor=last, cycle_momentum=cycle_momentum, **how,
    )  # fmt: skip


def one_cycle(lr, total, start, anneal, div, last, **how):
    return L.OneCycle(
        lr, total, pct_start=start, anneal=anneal, div_factor=div, final_div_factor=last, **how
    )


TORCH = {
    "StepLR": plain(
        t.StepLR, lambda lr, size, gamma: L.StepDecay(lr, size, gamma=gamma),
        size=STEPS, gamma=st.floats(0, 1.2),
    ),
    "MultiStepLR": plain(
        t.MultiStepLR, lambda lr, milestones, gamma: L.MultiStep(lr, milestones, gamma=gamma),
        milestones=st.lists(STEPS, max_size=4, unique=True).map(sorted), gamma=st.floats(0, 1.2),
    ),
    "ExponentialLR": plain(
        t.ExponentialLR, lambda lr, gamma: L.Exponential(lr, decay_rate=gamma),
        gamma=st.floats(0, 1.02),
    ),
    "ExponentialLR with a floor": pair(
        lambda o, lr, gamma, floor: t.LambdaLR(o, lambda step: max(gamma**step, floor)),
        lambda lr, gamma, floor: L.Factor(lr, factor=gamma, floor_lr=lr * floor),
        gamma=SHARE, floor=st.floats(0, 1),
    ),
    "LambdaLR of a square root": pair(
        lambda o, lr: t.LambdaLR(o, lambda step: pow(step + 1.0, -0.5)), lambda lr: L.Power(lr)
    ),
    "LinearLR": plain(
        t.LinearLR,
        lambda lr, start, end, total: L.Linear(lr * start, lr * end, decay_steps=total),
        start=st.floats(0.01, 1), end=st.floats(0, 1), total=STEPS,
    ),
    "PolynomialLR": plain(
        t.PolynomialLR, lambda lr, total, power: L.Polynomial(lr, total, power=power),
        total=STEPS, power=st.floats(0.3, 4),
    ),
    "CosineAnnealingLR": pair(
        lambda o, lr, t_max, low: t.CosineAnnealingLR(o, t_max, lr * low),
        lambda lr, t_max, low: L.CosineAnnealing(lr, t_max, end_lr=lr * low),
        t_max=STEPS, low=st.floats(0, 1.5),
    ),
    "CosineAnnealingWarmRestarts": pair(
        lambda o, lr, first, mul, low: t.CosineAnnealingWarmRestarts(o, first, mul, lr * low),
        lambda lr, first, mul, low: L.CosineRestarts(lr, first, t_mul=mul, end_lr=lr * low),
        first=STEPS, mul=st.integers(1, 4), low=st.floats(0, 1),
    ),
    "CyclicLR": pair(
        lambda o, lr, top, up, down, mode, cycle_momentum=False: t.CyclicLR(
            o, lr, lr * top, up, down, cycle_momentum=cycle_momentum, **mode
        ),
        lambda lr, top, up, down, mode: L.Cyclical(
            lr, lr * top, step_size_up=up, step_size_down=down, **mode
        ),
        top=st.floats(1, 10), up=STEPS, down=st.none() | STEPS,
        mode=st.sampled_from([
            {"mode": "triangular"}, {"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.97}
        ]),
    ),
    "OneCycleLR": pair(
        # OneCycleLR raises an error from step total + 1 on: ours must go on.
        lambda o, cycle_momentum=False, **given: one_cycle_lr(o, cycle_momentum, **given),
        one_cycle, **ONE_CYCLE, start=SHARE,
    ),
    "OneCycleLR in three phases": pair(
        lambda o, cycle_momentum=False, **given: one_cycle_lr(
            o, cycle_momentum, three_phase=True, **given
        ),
        lambda **given: one_cycle(three_phase=True, **given),
        **ONE_CYCLE, start=st.floats(0.05, 0.5),
    ),
    "LambdaLR of a trapezoid": pair(
        lambda o, lr, rise, stay, fall: t.LambdaLR(
            o, lambda step: max(0.0, min(step / rise, 1.0, (rise + stay + fall - step) / fall))
        ),
        lambda lr, rise, stay, fall: L.WarmupStableDecay(
            lr, warmup_steps=rise, stable_steps=stay, decay_steps=fall
        ),
        rise=STEPS, stay=STEPS, fall=STEPS,
    ),
}  # fmt: skip
