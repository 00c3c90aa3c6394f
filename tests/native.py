"""The schedules of PyTorch, Keras and TensorFlow 1, each beside the one of ours that equals it.

An entry holds a strategy for the arguments, the native schedule made from them, ours made
from them, and the steps at which something happens.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch.optim import lr_scheduler as t

import lrsched as L

LR = st.floats(1e-4, 10)
STEPS = st.integers(1, 120)
SHARE = st.floats(0.05, 0.95)


@dataclass(frozen=True)
class Pair:
    arguments: Any
    native: Any
    ours: Any
    boundaries: Any = lambda **_: ()


def pair(native, ours, boundaries=lambda **_: (), **arguments):
    return Pair(st.fixed_dictionaries(arguments), native, ours, boundaries)


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


def _trapezoid(optimizer, lr, rise, stay, fall):
    parts = [
        t.LambdaLR(optimizer, lambda step: step / rise),
        t.ConstantLR(optimizer, 1.0, 1),
        t.LinearLR(optimizer, 1.0, 0.0, fall),
    ]
    return t.SequentialLR(optimizer, parts, [rise, rise + stay])


TORCH = {
    "StepLR": pair(
        lambda o, lr, size, gamma: t.StepLR(o, size, gamma),
        lambda lr, size, gamma: L.StepDecay(lr, size, gamma=gamma),
        lr=LR, size=STEPS, gamma=st.floats(0, 1.2),
    ),
    "MultiStepLR": pair(
        lambda o, lr, milestones, gamma: t.MultiStepLR(o, milestones, gamma),
        lambda lr, milestones, gamma: L.MultiStep(lr, milestones, gamma=gamma),
        lr=LR, milestones=st.lists(STEPS, max_size=4, unique=True).map(sorted),
        gamma=st.floats(0, 1.2),
    ),
    "ConstantLR": pair(
        lambda o, lr, factor, total: t.ConstantLR(o, factor, total),
        lambda lr, factor, total: L.PiecewiseConstant([total], [lr * factor, lr]),
        lr=LR, factor=SHARE, total=STEPS,
    ),
    "ExponentialLR": pair(
        lambda o, lr, gamma: t.ExponentialLR(o, gamma),
        lambda lr, gamma: L.Exponential(lr, decay_rate=gamma),
        lr=LR, gamma=st.floats(0, 1.02),
    ),
    "ExponentialLR with a floor": pair(
        lambda o, lr, gamma, floor: t.LambdaLR(o, lambda step: max(gamma**step, floor)),
        lambda lr, gamma, floor: L.Factor(lr, factor=gamma, floor_lr=lr * floor),
        lr=LR, gamma=SHARE, floor=st.floats(0, 1),
    ),
    "LambdaLR of a square root": pair(
        lambda o, lr: t.LambdaLR(o, lambda step: pow(step + 1.0, -0.5)),
        lambda lr: L.Power(lr),
        lr=LR,
    ),
    "LinearLR": pair(
        lambda o, lr, start, end, total: t.LinearLR(o, start, end, total),
        lambda lr, start, end, total: L.Linear(lr * start, lr * end, decay_steps=total),
        lr=LR, start=st.floats(0.01, 1), end=st.floats(0, 1), total=STEPS,
    ),
    "PolynomialLR": pair(
        lambda o, lr, total, power: t.PolynomialLR(o, total, power),
        lambda lr, total, power: L.Polynomial(lr, total, power=power),
        lr=LR, total=STEPS, power=st.floats(0.3, 4),
    ),
    "CosineAnnealingLR": pair(
        lambda o, lr, t_max, low: t.CosineAnnealingLR(o, t_max, lr * low),
        lambda lr, t_max, low: L.CosineAnnealing(lr, t_max, end_lr=lr * low),
        lr=LR, t_max=STEPS, low=st.floats(0, 1.5),
    ),
    "CosineAnnealingWarmRestarts": pair(
        lambda o, lr, first, mul, low: t.CosineAnnealingWarmRestarts(o, first, mul, lr * low),
        lambda lr, first, mul, low: L.CosineRestarts(lr, first, t_mul=mul, end_lr=lr * low),
        lr=LR, first=STEPS, mul=st.integers(1, 4), low=st.floats(0, 1),
    ),
    "CyclicLR": pair(
        lambda o, lr, top, up, down, mode: t.CyclicLR(
            o, lr, lr * top, up, down, cycle_momentum=False, **mode
        ),
        lambda lr, top, up, down, mode: L.Cyclical(
            lr, lr * top, step_size_up=up, step_size_down=down, **mode
        ),
        lr=LR, top=st.floats(1, 10), up=STEPS, down=st.none() | STEPS,
        mode=st.sampled_from([
            {"mode": "triangular"}, {"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.97}
        ]),
    ),
    "OneCycleLR": pair(
        # OneCycleLR raises an error from step total + 1 on: ours must go on.
        lambda o, lr, total, start, anneal, div, last: t.OneCycleLR(
            o, lr, total, pct_start=start, anneal_strategy=anneal, cycle_momentum=False,
            div_factor=div, final_div_factor=last,
        ),
        lambda lr, total, start, anneal, div, last: L.OneCycle(
            lr, total, pct_start=start, anneal=anneal, div_factor=div, final_div_factor=last
        ),
        lr=LR, total=st.integers(25, 120), start=SHARE, anneal=st.sampled_from(["cos", "linear"]),
        div=st.floats(1, 100), last=st.floats(1, 1e5),
    ),
    "SequentialLR of a trapezoid": pair(
        _trapezoid,
        lambda lr, rise, stay, fall: L.WarmupStableDecay(
            lr, warmup_steps=rise, stable_steps=stay, decay_steps=fall
        ),
        lr=LR, rise=STEPS, stay=STEPS, fall=STEPS,
    ),
}  # fmt: skip

STAIRCASE = {"rate": st.floats(0.05, 1), "steps": STEPS, "staircase": st.booleans()}
POLYNOMIAL = {"steps": STEPS, "low": SHARE, "power": st.floats(0.5, 3), "cycle": st.booleans()}


def _staircase(native, cls):
    """A decay by a rate each so many steps; what is native takes the two the other way round."""

    def ours(lr, rate, steps, staircase):
        return cls(lr, decay_rate=rate, decay_steps=steps, staircase=staircase)

    return pair(native, ours, lambda steps, **_: (steps, 2 * steps), lr=LR, **STAIRCASE)


def _polynomial(lr, steps, low, power, cycle):
    return L.Polynomial(lr, steps, end_lr=low, power=power, cycle=cycle)


def _keras():
    from keras.optimizers import schedules as k

    def of(native):
        return lambda lr, rate, steps, staircase: native(lr, steps, rate, staircase)

    def shares_of(lr, bounds, shares):
        return [lr * share for share in shares[: len(bounds) + 1]]

    def decay_ends(steps, **_):
        return (steps, 2 * steps)

    return {
        "ExponentialDecay": _staircase(of(k.ExponentialDecay), L.Exponential),
        "InverseTimeDecay": _staircase(of(k.InverseTimeDecay), L.InverseTime),
        "PiecewiseConstantDecay": pair(
            # Keras changes after the boundary, we at it.
            lambda lr, bounds, shares: k.PiecewiseConstantDecay(
                [b - 1 for b in bounds], shares_of(lr, bounds, shares)
            ),
            lambda lr, bounds, shares: L.PiecewiseConstant(bounds, shares_of(lr, bounds, shares)),
            lambda bounds, **_: bounds,
            lr=LR, bounds=st.lists(STEPS, min_size=1, max_size=4, unique=True).map(sorted),
            shares=st.lists(st.floats(0, 1), min_size=5, max_size=5),
        ),
        "PolynomialDecay": pair(
            lambda lr, low, **how: k.PolynomialDecay(
                lr, how["steps"], lr * low, how["power"], how["cycle"]
            ),
            lambda lr, low, **how: _polynomial(lr, low=lr * low, **how),
            decay_ends, lr=LR, **POLYNOMIAL,
        ),
        "CosineDecay": pair(
            lambda lr, steps, alpha: k.CosineDecay(lr, steps, alpha),
            lambda lr, steps, alpha: L.Cosine(lr, steps, end_lr=lr * alpha),
            decay_ends, lr=LR, steps=STEPS, alpha=st.floats(0, 1),
        ),
        "CosineDecay with warmup": pair(
            lambda lr, steps, alpha, warm, start: k.CosineDecay(
                lr * start, steps, alpha, warmup_target=lr, warmup_steps=warm
            ),
            lambda lr, steps, alpha, warm, start: L.Cosine(lr, steps, end_lr=lr * alpha).warmup(
                warm, start_lr=lr * start
            ),
            lambda steps, warm, **_: (warm, warm + steps),
            lr=LR, steps=STEPS, alpha=st.floats(0, 1), warm=STEPS, start=st.floats(0, 1),
        ),
        "CosineDecayRestarts": pair(
            lambda lr, steps, alpha, **mul: k.CosineDecayRestarts(lr, steps, alpha=alpha, **mul),
            lambda lr, steps, alpha, **mul: L.CosineRestarts(lr, steps, end_lr=lr * alpha, **mul),
            # Next to the restarts, not at them: there Keras's logarithm errs.
            lambda steps, t_mul, **_: (steps / 2, steps * (1 + t_mul / 2)),
            lr=LR, steps=st.integers(20, 120), t_mul=st.sampled_from([1.0, 1.5, 2.0]),
            m_mul=st.floats(0.1, 1), alpha=st.floats(0, 0.9),
        ),
    }  # fmt: skip


def _tf1():
    import tensorflow as tf

    v1 = tf.compat.v1.train

    def of(native):
        return lambda t, lr, rate, steps, staircase: native(lr, t, steps, rate, staircase)()

    return {
        "exponential_decay": _staircase(of(v1.exponential_decay), L.Exponential),
        "natural_exp_decay": _staircase(of(v1.natural_exp_decay), L.NaturalExponential),
        "inverse_time_decay": _staircase(of(v1.inverse_time_decay), L.InverseTime),
        "polynomial_decay": pair(
            lambda t, lr, **how: v1.polynomial_decay(
                lr, t, how["steps"], how["low"], how["power"], how["cycle"]
            )(),
            _polynomial, lr=LR, **POLYNOMIAL,
        ),
        "cosine_decay": pair(
            lambda t, lr, steps: v1.cosine_decay(lr, t, steps)(),
            lambda lr, steps: L.Cosine(lr, steps), lr=LR, steps=STEPS,
        ),
        "linear_cosine_decay": pair(
            lambda t, lr, steps, **how: v1.linear_cosine_decay(lr, t, steps, **how)(),
            lambda lr, steps, **how: L.LinearCosine(lr, steps, **how),
            lr=LR, steps=STEPS, num_periods=st.floats(0, 3), alpha=st.floats(0, 1),
            beta=st.floats(0, 0.1),
        ),
    }  # fmt: skip


def __getattr__(name):  # TensorFlow is slow to import: only where it is asked for
    if name in ("KERAS", "TF1"):
        globals()[name] = {"KERAS": _keras, "TF1": _tf1}[name]()
        return globals()[name]
    raise AttributeError(name)
