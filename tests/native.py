"""The schedulers of PyTorch with strategies for their arguments, and optimizers.

What they equal is not said here: it is read from them.
"""

from collections import namedtuple

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch.optim import lr_scheduler as t
from torch.optim.swa_utils import SWALR

LR = st.floats(1e-4, 10)
STEPS = st.integers(1, 120)
SHARE = st.floats(0.05, 0.95)


Native = namedtuple("Native", "arguments made")


def native(make, **arguments):
    """What ``make(optimizer, **arguments)`` makes, with strategies for these and the rate."""
    return Native(st.fixed_dictionaries({"lr": LR} | arguments), make)


def plain(cls, **arguments):
    """One that takes its arguments by their names."""
    return native(lambda optimizer, lr, **given: cls(optimizer, **given), **arguments)


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


def refused(read, native, error, message):
    """Reading a native schedule must fail by a sentence."""
    with pytest.raises(error, match=message) as caught:
        read(native)
    assert "cannot be read" in str(caught.value)


def close(actual, expected, rtol=1e-10, atol=1e-13):
    scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol * scale)


POWERS = st.floats(0.3, 4)
FACTORS = st.floats(0, 1.2)
MODES = [
    {"mode": "triangular"}, {"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.97}
]  # fmt: skip

# Of each class one or more, by its name.
TORCH = {
    "StepLR": plain(t.StepLR, step_size=STEPS, gamma=FACTORS),
    "MultiStepLR": plain(
        t.MultiStepLR, milestones=st.lists(st.integers(-1, 60), max_size=6), gamma=FACTORS
    ),
    "ConstantLR": plain(t.ConstantLR, factor=SHARE, total_iters=st.just(0) | STEPS),
    "LinearLR": plain(
        t.LinearLR, start_factor=st.floats(0.01, 1), end_factor=st.floats(0, 1),
        total_iters=st.just(0) | STEPS,
    ),
    "ExponentialLR": plain(t.ExponentialLR, gamma=st.floats(0, 1.02)),
    "PolynomialLR": plain(
        t.PolynomialLR, total_iters=st.just(0) | STEPS, power=st.just(0) | POWERS
    ),
    "CosineAnnealingLR": native(
        lambda o, lr, low, T_max: t.CosineAnnealingLR(o, T_max, lr * low),
        T_max=STEPS, low=st.floats(0, 1.5),
    ),
    "CosineAnnealingWarmRestarts": native(
        lambda o, lr, low, **given: t.CosineAnnealingWarmRestarts(o, eta_min=lr * low, **given),
        T_0=STEPS, T_mult=st.integers(1, 4), low=st.floats(0, 1),
    ),
    "CyclicLR": native(
        lambda o, lr, top, mode, cycle_momentum=False, **sizes: t.CyclicLR(
            o, lr, lr * top, cycle_momentum=cycle_momentum, **sizes, **mode
        ),
        top=st.floats(1, 10), mode=st.sampled_from(MODES),
        step_size_up=STEPS | st.floats(0.5, 50), step_size_down=st.none() | STEPS,
    ),
    "OneCycleLR": native(
        # It raises an error from step total + 1 on.
        lambda o, lr, cycle_momentum=False, **given: t.OneCycleLR(
            o, lr, cycle_momentum=cycle_momentum, **given
        ),
        total_steps=st.integers(25, 120), pct_start=SHARE,
        anneal_strategy=st.sampled_from(["cos", "linear"]),
        div_factor=st.floats(0.5, 100), final_div_factor=st.floats(0.5, 1e5),
        three_phase=st.booleans(),
    ),
    "SWALR": native(
        lambda o, lr, end, **given: SWALR(o, lr * end, **given),
        end=st.floats(0, 2), anneal_epochs=st.just(0) | STEPS,
        anneal_strategy=st.sampled_from(["cos", "linear"]),
    ),
    "SequentialLR": native(
        lambda o, lr, first, low, length, gamma: t.SequentialLR(
            o,
            [t.LinearLR(o, 0.1, 1.0, first), t.CosineAnnealingLR(o, length, lr * low),
             t.ExponentialLR(o, gamma), t.ConstantLR(o, 0.5, length)],
            [first, first + length, first + 2 * length],
        ),
        first=STEPS, length=STEPS, low=st.floats(0, 1), gamma=st.floats(0, 1.02),
    ),
    "ChainedScheduler": native(
        lambda o, lr, length, size, gamma: t.ChainedScheduler(
            [t.ConstantLR(o, 0.5, length), t.StepLR(o, size, gamma), t.ExponentialLR(o, 0.99)]
        ),
        length=STEPS, size=STEPS, gamma=FACTORS,
    ),
}  # fmt: skip
