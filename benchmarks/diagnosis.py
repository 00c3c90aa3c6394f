"""What a diagnosis costs: a hundred thousand updates, right and with each kind of fault.

Run with `make benchmark`, or `python benchmarks/diagnosis.py`. Each figure is the best of several
rounds. The schedule is a cosine after a warmup; rates come as float64, and as float32, in which
rounding is dearer to judge.
"""

import math
import time

import numpy as np

import lrsched

UPDATES = 100_000
PLAN = lrsched.Cosine(0.3, UPDATES).warmup(UPDATES // 20)


def runs() -> dict[str, np.ndarray]:
    """The rates of a right run and of faulty ones, by what is wrong."""
    t, half = np.arange(UPDATES), UPDATES // 2
    random = np.random.default_rng(0)
    skipped = np.cumsum(random.random(UPDATES) < 0.05)
    return {
        "none": PLAN(t),
        "constant": np.full(UPDATES, 0.1),
        "early by 1": PLAN(t + 1),
        "early by all": PLAN(t + UPDATES),
        "late by 1": PLAN(np.maximum(t - 1, 0)),
        "late by 7, after others": np.concatenate([np.full(7, 0.3), PLAN(t[:-7])]),
        "slow, 390 times": PLAN(t // 390),
        "fast, 8 times": PLAN(8 * t),
        "scaled": PLAN(t) / 2,
        "stopped": PLAN(np.minimum(t, half)),
        "restarted": PLAN(t % half),
        "restarted 1,999 times": PLAN(t % 50),
        "skipped, 1 of 20": PLAN(np.maximum(t - skipped, 0)),
        "skipped, 1 of 2": PLAN(np.maximum(t - np.cumsum(random.random(UPDATES) < 0.5), 0)),
        "went back": PLAN(t - 20 * (t > half)),
        "went on, once an epoch": PLAN(t + t // 390),
        "unexplained": PLAN(t) * random.random(UPDATES),
    }


def seconds(rates: np.ndarray, rounds: int = 3) -> float:
    """The shortest time of a diagnosis."""
    best = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        lrsched.diagnose(rates, PLAN)
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    print(f"lrsched {lrsched.__version__}, numpy {np.__version__}: {UPDATES:,} updates, seconds")
    print(f"{'fault':<26}{'float64':>9}{'float32':>9}  found")
    for name, rates in runs().items():
        times = [seconds(rates.astype(dtype)) for dtype in (np.float64, np.float32)]
        found = lrsched.diagnose(rates, PLAN)
        print(f"{name:<26}{times[0]:>9.3f}{times[1]:>9.3f}  {found.fault}")
