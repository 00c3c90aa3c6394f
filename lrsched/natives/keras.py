"""The schedules of Keras. Those of TensorFlow 1 and their arguments are the same.

They are pure functions of the step, computed in float32, or in integers where the first rate
is an integer.
"""

import math
from dataclasses import replace
from typing import Any

from ..compositions import Warmup
from ..cosines import Cosine, CosineRestarts, LinearCosine
from ..decays import Exponential, InverseTime, Polynomial
from ..piecewise import Constant, PiecewiseConstant
from ..plateau import Plateau
from ..schedule import Schedule
from .pieces import jumps, stepwise
from .rows import Given, Need, NoEquivalent, Row, falls, refusing, same, share, steps_of

__all__ = ["ROWS", "TENSORFLOW_1"]

MODULE = "keras.optimizers.schedules"
SMALLEST = 2.0**-126  # of float32's normal numbers
STAIRCASE = {
    "base_lr": "initial_learning_rate",
    "decay_steps": "decay_steps",
    "decay_rate": "decay_rate",
    "staircase": "staircase",
}


def _piecewise(given: Given) -> Schedule:
    # The value changes after a boundary: at the whole step that follows it.
    starts = [math.floor(boundary) + 1 for boundary in given["boundaries"]]
    return jumps(stepwise("PiecewiseConstantDecay", starts, given["values"]))


def _write_piecewise(s: PiecewiseConstant, need: Need) -> dict[str, Any]:
    if not s.boundaries:
        raise NoEquivalent("PiecewiseConstantDecay needs a boundary")
    starts = [steps_of("PiecewiseConstantDecay", start) for start in s.boundaries]
    if starts[-1] > 2**31:
        raise NoEquivalent("PiecewiseConstantDecay holds its boundaries in 32 bits")
    return {"boundaries": [start - 1 for start in starts], "values": s.values}


def _polynomial(given: Given) -> Schedule:
    if given["power"] == 0:
        return Constant(given["initial_learning_rate"])
    return Polynomial(
        given["initial_learning_rate"],
        given["decay_steps"],
        end_lr=given["end_learning_rate"],
        power=given["power"],
        cycle=given["cycle"],
    )


def _write_polynomial(s: Polynomial, need: Need) -> dict[str, Any]:
    steps = steps_of("PolynomialDecay", s.decay_steps) if s.cycle else s.decay_steps
    shape = {"end_learning_rate": s.end_lr, "power": s.power}
    cycle = {"cycle": True} if s.cycle else {}
    return {"initial_learning_rate": s.base_lr, "decay_steps": steps, **shape, **cycle}


def _cosine(given: Given) -> Schedule:
    start, steps, alpha = (given[key] for key in ("initial_learning_rate", "decay_steps", "alpha"))
    target = given.get("warmup_target")
    if target is None:
        return Cosine(start, steps, end_lr=start * alpha)
    decay = Cosine(target, steps, end_lr=target * alpha)
    warmup = given["warmup_steps"]
    return decay.warmup(warmup, start_lr=start) if warmup > 0 else decay


def _write_cosine(s: Cosine | Warmup, need: Need) -> dict[str, Any]:
    decay = s.schedule if isinstance(s, Warmup) else s
    if not isinstance(decay, Cosine) or (isinstance(s, Warmup) and s.shape != "linear"):
        raise NoEquivalent("its only warmup is the linear one of CosineDecay")
    if decay.base_lr == 0:
        raise NoEquivalent("CosineDecay takes the end rate as a share of the base rate")
    shape = {"decay_steps": decay.decay_steps, "alpha": share(decay.end_lr, decay.base_lr)}
    if isinstance(s, Cosine):
        return {"initial_learning_rate": s.base_lr, **shape}
    warmup = {"warmup_target": decay.base_lr, "warmup_steps": s.warmup_steps}
    return {"initial_learning_rate": s.start_lr, **shape, **warmup}


def _restarts(given: Given) -> Schedule:
    start = given["initial_learning_rate"]
    return CosineRestarts(
        start,
        given["first_decay_steps"],
        t_mul=given["t_mul"],
        m_mul=given["m_mul"],
        end_lr=start * given["alpha"],
    )


def _write_restarts(s: CosineRestarts, need: Need) -> dict[str, Any]:
    name = "CosineDecayRestarts"
    if s.t_mul != 1:
        raise NoEquivalent(f"{name} looks for restarts with a logarithm, and misses some")
    if s.base_lr == 0:
        raise NoEquivalent(f"{name} takes the end rate as a share of the base rate")
    falls(name, s.m_mul)
    steps = steps_of(name, s.first_decay_steps)
    heights = {"t_mul": 1.0, "m_mul": s.m_mul, "alpha": share(s.end_lr, s.base_lr)}
    return {"initial_learning_rate": s.base_lr, "first_decay_steps": steps, **heights}


def _plateau(given: Given) -> Plateau:
    """At its start, as each ``fit`` finds it. Keras's counters run one longer than ours."""
    mode, monitor = given["mode"], given["monitor"]
    if mode == "auto" and monitor.removeprefix("val_") != "loss":
        raise ValueError(
            f"ReduceLROnPlateau cannot be read: whether less {monitor} is better is known only in "
            f"training; give it mode='min' or mode='max'"
        )
    if given["lr"] is None:
        raise ValueError(
            "ReduceLROnPlateau cannot be read before it has a model, whose optimizer has the base "
            "rate; call its set_model(model) with a compiled one, or read it after fit"
        )
    return Plateau(
        given["lr"],
        factor=given["factor"],
        patience=max(given["patience"] - 1, 0),
        threshold=abs(given["min_delta"]),
        threshold_mode="abs",
        cooldown=max(given["cooldown"] - 1, 0),
        min_lr=min(given["min_lr"], given["lr"]),
        mode="min" if mode == "auto" else mode,
        eps=0.0,
    )


def _write_plateau(p: Plateau, need: Need) -> dict[str, Any]:
    if p.threshold_mode != "abs" or p.eps != 0:
        raise NoEquivalent("ReduceLROnPlateau has threshold_mode='abs' and eps=0 there")
    counts = {"cooldown": p.cooldown + 1 if p.cooldown else 0, "min_lr": p.min_lr}
    better = {"patience": p.patience + 1, "min_delta": p.threshold}
    return {"monitor": "val_loss", "mode": p.mode, "factor": p.factor, **better, **counts}


def _own(given: Given) -> Any:
    return given["schedule"]


def _row(name: str, ours: str, read: Any, write: Any = None, note: str = "", also: str = "") -> Row:
    native, classes = f"{MODULE}.{name}", tuple(ours.split())
    return Row("keras", native, classes, read, write, note, also=tuple(also.split()))


def _in_float32(row: Row, also: str) -> Row:
    """The same, but not written where float32 is too coarse for it."""
    exactly: Any = row.write

    def write(schedule: Any, need: Need) -> dict[str, Any]:
        rate, slower = schedule.decay_rate, {}
        if schedule.staircase:
            steps_of(row.name, schedule.decay_steps)
        if isinstance(schedule, Exponential):
            falls(row.key[1], rate)
        if 0 < rate < SMALLEST:
            raise NoEquivalent(f"a decay_rate of {rate!r} is 0 in float32")
        if isinstance(schedule, Exponential) and 0.999 < rate < 1:
            if schedule.staircase:
                raise NoEquivalent(f"float32 rounds a decay_rate of {rate!r}, and its powers more")
            # The same curve by a factor that float32 holds better.
            times = math.ceil(math.log(0.5, rate))
            slower = {"decay_steps": times * schedule.decay_steps, "decay_rate": rate**times}
        given: dict[str, Any] = exactly(schedule, need) | slower
        return given

    return replace(row, write=write, also=tuple(also.split()))


EXPONENTIAL = same(
    "keras", f"{MODULE}.ExponentialDecay", Exponential, STAIRCASE, defaults={"staircase": False}
)
INVERSE_TIME = same(
    "keras", f"{MODULE}.InverseTimeDecay", InverseTime, STAIRCASE, defaults={"staircase": False}
)
ROWS = [
    _in_float32(EXPONENTIAL, "Constant Factor NaturalExponential StepDecay"),
    _in_float32(INVERSE_TIME, "Power"),
    _row("PiecewiseConstantDecay", "PiecewiseConstant", _piecewise, _write_piecewise,
         "the value changes one step later there: boundaries are one lower", also="MultiStep"),
    _row("PolynomialDecay", "Polynomial", _polynomial, _write_polynomial,
         "ends at 0.0001 there by default", also="Linear"),
    _row("CosineDecay", "Cosine Warmup", _cosine, _write_cosine,
         "its alpha is the end rate as a share of the base rate", also="Sequence"),
    _row("CosineDecayRestarts", "CosineRestarts", _restarts, _write_restarts,
         "misses some restarts there"),
    Row("keras", "keras.callbacks.ReduceLROnPlateau", ("Plateau",), _plateau, _write_plateau,
        "counts one longer there, and forgets all at each fit"),
    Row("lrsched", "lrsched.keras.KerasSchedule", ("Schedule",), _own),
    Row("lrsched", "lrsched.keras.ScheduleCallback", ("Schedule",), _own),
]  # fmt: skip

V1 = "tf.compat.v1.train"
LINEAR_COSINE = {name: name for name in ("decay_steps", "num_periods", "alpha", "beta")}


def _version_1(name: str, row: Row, ours: str = "", note: str = "") -> Row:
    """The row of a decay of TensorFlow 1, which is that of Keras by another name."""
    classes = (ours,) if ours else row.ours[:1]
    found_as = row.name.rpartition(".")[-1]
    return Row("tensorflow1", f"{V1}.{name}", classes, row.read, None, note, found_as)


TENSORFLOW_1 = [
    _version_1("exponential_decay", EXPONENTIAL),
    _version_1("natural_exp_decay", EXPONENTIAL, "NaturalExponential",
               "read as Exponential with decay_rate e**-k, as it is kept there"),
    _version_1("inverse_time_decay", INVERSE_TIME),
    _version_1("piecewise_constant", ROWS[2], note="as in Keras, boundaries are one lower"),
    _version_1("polynomial_decay", ROWS[3], note="ends at 0.0001 there by default"),
    _version_1("cosine_decay", ROWS[4]),
    _version_1("cosine_decay_restarts", ROWS[5], note="misses some restarts there"),
    same("tensorflow1", f"{V1}.linear_cosine_decay", LinearCosine,
         {"base_lr": "initial_learning_rate"} | LINEAR_COSINE, found_as="LinearCosineDecay"),
    refusing("tensorflow1", f"{V1}.noisy_linear_cosine_decay",
             "its noise is drawn anew each time; take lrsched.NoisyLinearCosine, which draws its "
             "own from a seed", "NoisyLinearCosine", "NoisyLinearCosineDecay"),
]  # fmt: skip
