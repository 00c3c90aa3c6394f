"""What a rate costs: lrsched beside NumPy by hand, and PyTorch's, Keras's and optax's schedules.

Run with `make benchmark`, or `python benchmarks/schedules.py`. Each table is measured in one
run, the contestants in turns, and each figure is the best of several rounds: compare the
ratios, not the seconds.
"""

import math
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

import lrsched
import lrsched.pytorch
from lrsched.book import quiet

with quiet():
    import keras
    import tensorflow as tf

STEPS = 1_000_000


def best_seconds(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The shortest time of each; they take turns, so that a busy machine is busy for all.

    Each runs once unmeasured before its turn is timed, so that none of them pays for memory
    that the one before has handed back.
    """
    seconds = dict.fromkeys(contestants, math.inf)
    for _ in range(rounds):
        for name, run in contestants.items():
            run()
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def optimizer(groups: int) -> torch.optim.Optimizer:
    """An optimizer whose groups have different rates."""
    params = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1 * (1 + k / groups)}
        for k in range(groups)
    ]
    return torch.optim.SGD(params, lr=0.1)


def stepping(scheduler: torch.optim.lr_scheduler.LRScheduler, calls: int) -> Callable[[], None]:
    """A loop of scheduler.step(); the optimizer has done its step before."""
    scheduler.optimizer.step()

    def run() -> None:
        for _ in range(calls):
            scheduler.step()

    return run


def arrays() -> None:
    """Rates of a million steps at once, against the closed form written by hand."""
    t = np.arange(STEPS)
    boundaries, values = np.array([300, 50_000, 700_000]), 0.3 * 0.1 ** np.arange(4)
    pairs: dict[str, tuple[lrsched.Schedule, Callable[[], object]]] = {
        "Cosine": (
            lrsched.Cosine(0.3, 700_000, end_lr=0.01),
            lambda: 0.01 + 0.29 * 0.5 * (1 + np.cos(np.pi * np.minimum(t, 700_000) / 700_000)),
        ),
        "Exponential": (
            lrsched.Exponential(0.3, decay_rate=0.96, decay_steps=1000),
            lambda: 0.3 * 0.96 ** (t / 1000),
        ),
        "StepDecay": (
            lrsched.StepDecay(0.3, 300, gamma=0.99),
            lambda: 0.3 * 0.99 ** (t // 300),
        ),
        "MultiStep": (
            lrsched.MultiStep(0.3, [300, 50_000, 700_000]),
            lambda: values[np.searchsorted(boundaries, t, side="right")],
        ),
        "Linear": (
            lrsched.Linear(0.3, 0.0, decay_steps=700_000),
            lambda: 0.3 - 0.3 * np.minimum(t / 700_000, 1.0),
        ),
        "Cosine, warmup": (
            lrsched.Cosine(0.3, 700_000).warmup(1000),
            lambda: np.where(
                t < 1000,
                0.3 * t / 1000,
                0.15 * (1 + np.cos(np.pi * np.clip((t - 1000) / 700_000, 0, 1))),
            ),
        ),
    }
    print(f"\nRates of {STEPS:,} steps as one array, ns a step")
    print(f"{'schedule':<18}{'by hand':>10}{'lrsched':>10}{'ratio':>8}")
    for name, (schedule, by_hand) in pairs.items():
        np.testing.assert_allclose(schedule(t), by_hand(), rtol=1e-12, atol=1e-15)
        times = best_seconds({"hand": by_hand, "ours": lambda s=schedule: s(t)}, rounds=9)
        hand, ours = (times[key] / STEPS * 1e9 for key in ("hand", "ours"))
        print(f"{name:<18}{hand:>10.1f}{ours:>10.1f}{ours / hand:>8.2f}")


def frameworks() -> None:
    """A cosine over a million steps, in the ways that the frameworks offer."""
    schedule = lrsched.Cosine(0.3, STEPS)
    t = np.arange(STEPS)
    tensor = tf.constant(t, tf.float32)
    native = keras.optimizers.schedules.CosineDecay(0.3, STEPS)
    graph = tf.function(native)
    few = 2_000

    ours_stepped = lrsched.pytorch.scheduler(optimizer(groups=1), schedule)
    torch_stepped = CosineAnnealingLR(optimizer(groups=1), STEPS)

    def keras_loop() -> None:
        for step in range(few):
            native(step)

    # Name: what runs, and how many rates it computes.
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "lrsched, one array": (lambda: schedule(t), STEPS),
        "Keras, one array, eager, float32": (lambda: native(tensor), STEPS),
        "Keras, one array, tf.function, float32": (lambda: graph(tensor).numpy(), STEPS),
        "lrsched, a call for each step": (lambda: [schedule(s) for s in range(STEPS)], STEPS),
        "lrsched, PyTorch scheduler.step()": (stepping(ours_stepped, STEPS), STEPS),
        "PyTorch CosineAnnealingLR.step()": (stepping(torch_stepped, STEPS), STEPS),
        f"Keras, a call for each step ({few:,} measured)": (keras_loop, few),
    }
    times = best_seconds({name: run for name, (run, _) in ways.items()}, rounds=2)
    ours = times["lrsched, one array"] / STEPS
    print(f"\nA cosine over {STEPS:,} steps")
    print(f"{'way':<48}{'ns a step':>12}{'ratio':>10}")
    for name, (_, count) in ways.items():
        each = times[name] / count
        print(f"{name:<48}{each * 1e9:>12.1f}{each / ours:>10.1f}")


def adapter_step() -> None:
    """One step() of the PyTorch adapter against PyTorch's own schedulers."""
    print("\nOne scheduler.step(), microseconds (ratio to LambdaLR)")
    print(f"{'scheduler':<48}{'1 group':>16}{'100 groups':>16}")
    rows: dict[str, list[str]] = {}
    for groups, calls in ((1, 20_000), (100, 1_000)):
        cosine = lrsched.Cosine(0.1, STEPS)
        parts = [1 + k / groups for k in range(groups)]
        made = {
            "LambdaLR": LambdaLR(
                optimizer(groups), lambda s: 0.5 * (1 + math.cos(math.pi * min(s / STEPS, 1)))
            ),
            "CosineAnnealingLR": CosineAnnealingLR(optimizer(groups), STEPS),
            "lrsched, one schedule for all groups": lrsched.pytorch.scheduler(
                optimizer(groups), cosine
            ),
            "lrsched, one each: schedule * factor": lrsched.pytorch.scheduler(
                optimizer(groups), [cosine * part for part in parts]
            ),
            "lrsched, one each: all different": lrsched.pytorch.scheduler(
                optimizer(groups), [lrsched.Cosine(0.1 * part, STEPS) for part in parts]
            ),
        }

        times = best_seconds({name: stepping(s, calls) for name, s in made.items()}, rounds=5)
        for name, seconds in times.items():
            ratio = seconds / times["LambdaLR"]
            rows.setdefault(name, []).append(f"{seconds / calls * 1e6:>9.2f} ({ratio:.2f})")
    for name, cells in rows.items():
        print(f"{name:<48}{cells[0]:>16}{cells[1]:>16}")


def compiled_by_jax() -> None:
    """Rates on JAX against optax's own schedules: ours in float64, theirs in float32."""
    import jax
    import optax

    pairs = {
        "Cosine, warmup": (
            lrsched.Cosine(0.3, 1000).warmup(50),
            optax.warmup_cosine_decay_schedule(0.0, 0.3, 50, 1050),
        ),
        "Exponential, stairs": (
            lrsched.Exponential(0.3, decay_rate=0.96, decay_steps=100, staircase=True),
            optax.exponential_decay(0.3, 100, 0.96, staircase=True),
        ),
        "MultiStep": (
            lrsched.MultiStep(0.3, [300, 50_000, 700_000]),
            optax.piecewise_constant_schedule(0.3, dict.fromkeys([300, 50_000, 700_000], 0.1)),
        ),
    }
    print(f"\nJAX {jax.__version__}, compiled: ratio to optax {optax.__version__}")
    print(f"{'schedule':<24}{'one step':>12}{f'{STEPS:,} steps':>20}")
    for name, (ours, native) in pairs.items():
        ratios = []
        for steps, calls in ((jax.numpy.int32(300), 1_000), (jax.numpy.arange(STEPS), 3)):
            compiled = {"ours": jax.jit(ours), "native": jax.jit(native)}

            def run(rate: Callable, steps: object = steps, calls: int = calls) -> None:
                for _ in range(calls):
                    rate(steps).block_until_ready()

            times = best_seconds({k: lambda f=f: run(f) for k, f in compiled.items()}, rounds=5)
            ratios.append(times["ours"] / times["native"])
        print(f"{name:<24}{ratios[0]:>12.2f}{ratios[1]:>20.2f}")


if __name__ == "__main__":
    print(
        f"lrsched {lrsched.__version__}, torch {torch.__version__}, keras {keras.__version__}, "
        f"tensorflow {tf.__version__}, numpy {np.__version__}"
    )
    arrays()
    frameworks()
    adapter_step()
    if find_spec("jax") and find_spec("optax"):
        compiled_by_jax()
