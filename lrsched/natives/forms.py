"""Schedules of ours that are equal at all whole steps, by other classes of ours.

Where no native schedule equals one of ours as it stands, one may equal another form of it.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from ..compositions import Clipped, PerEpoch, Product, Scaled, Warmup
from ..cosines import Cosine, CosineAnnealing, CosineRestarts, LinearCosine
from ..cycles import Cyclical, OneCycle, WarmupStableDecay
from ..decays import Exponential, Factor, InverseTime, Linear, NaturalExponential, Polynomial, Power
from ..noise import NoisyLinearCosine
from ..piecewise import Constant, MultiStep, PiecewiseConstant, StepDecay
from ..schedule import Schedule
from ..sequence import Sequence
from .pieces import joined, jumps, stepwise

__all__ = ["forms"]


def forms(schedule: Schedule, until: float = math.inf) -> Iterator[Schedule]:
    """A schedule and all that is known to equal it at the whole steps below ``until``."""
    seen: list[Schedule] = []
    waiting = [schedule]
    while waiting:
        form = waiting.pop(0)
        if form not in seen:
            seen.append(form)
            yield form
            waiting += _next(form, until)


def _next(schedule: Any, until: float) -> list[Schedule]:
    """The forms that are one step away."""
    find = _FORMS.get(type(schedule))
    try:
        found = find(schedule, until) if find else None
    except (ArithmeticError, ValueError):  # beyond what another class takes
        return []
    return [found] if found else []


def _constant(s: Constant, until: float) -> Schedule:
    return Exponential(s.base_lr, decay_rate=1.0)


def _piecewise_constant(s: PiecewiseConstant, until: float) -> Schedule:
    return joined(zip((0, *s.boundaries), map(Constant, s.values), strict=True))


def _multi_step(s: MultiStep, until: float) -> Schedule:
    starts = (0, *s.milestones)
    return jumps(zip(starts, map(s, starts), strict=True))


def _step_decay(s: StepDecay, until: float) -> Schedule:
    return Exponential(s.base_lr, decay_rate=s.gamma, decay_steps=s.step_size, staircase=True)


def _exponential(s: Exponential, until: float) -> Schedule | None:
    if s.staircase:
        return StepDecay(s.base_lr, s.decay_steps, gamma=s.decay_rate)
    if s.decay_steps == 1:
        return None
    return Exponential(s.base_lr, decay_rate=s.decay_rate ** (1 / s.decay_steps))


def _natural_exponential(s: NaturalExponential, until: float) -> Schedule | None:
    if s.decay_rate > 50 and not s.staircase:  # its exponential is next to nothing
        return None
    return Exponential(
        s.base_lr,
        decay_rate=math.exp(-s.decay_rate),
        decay_steps=s.decay_steps,
        staircase=s.staircase,
    )


def _factor(s: Factor, until: float) -> Schedule:
    decay = Exponential(s.base_lr, decay_rate=s.factor)
    if s.floor_lr == 0 or s.factor >= 1:
        return decay
    if s.floor_lr == s.base_lr:
        return Constant(s.base_lr)
    step = 1 if s.factor == 0 else math.floor(math.log(s.floor_lr / s.base_lr, s.factor)) - 1
    while decay(max(step, 1)) > s.floor_lr:
        step += 1
    return joined([(0, decay), (max(step, 1), Constant(s.floor_lr))])


def _power(s: Power, until: float) -> Schedule | None:
    if s.power != 1:
        return None
    return InverseTime(s.base_lr, decay_rate=1.0, decay_steps=s.decay_steps)


def _linear(s: Linear, until: float) -> Schedule:
    return Polynomial(s.start_lr, s.decay_steps, end_lr=s.end_lr)


def _polynomial(s: Polynomial, until: float) -> Schedule | None:
    if s.power != 1 or s.cycle:
        return None
    return Linear(s.base_lr, s.end_lr, decay_steps=s.decay_steps)


def _cosine(s: Cosine, until: float) -> Schedule:
    if until <= s.decay_steps + 1:
        return CosineAnnealing(s.base_lr, s.decay_steps, end_lr=s.end_lr)
    return joined([(0, s), (s.decay_steps, Constant(s.end_lr))])


def _one_cycle(s: OneCycle, until: float) -> Schedule | None:
    if until <= s.total_steps:
        return None
    return joined([(0, s), (s.total_steps, Constant(s(s.total_steps)))])


def _warmup_stable_decay(s: WarmupStableDecay, until: float) -> Schedule | None:
    rise = Linear(0.0, s.base_lr, decay_steps=s.warmup_steps or 1)
    fall: Schedule = Linear(s.base_lr, s.end_lr, decay_steps=s.decay_steps)
    if s.decay == "cosine" and s.end_lr <= s.base_lr:
        fall = Cosine(s.base_lr, s.decay_steps, end_lr=s.end_lr)
    elif s.decay != "linear":
        return None
    starts = (0, s.warmup_steps, s.warmup_steps + s.stable_steps)
    return joined(stepwise("", starts[1:], [rise, Constant(s.base_lr), fall]))


def _warmup(s: Warmup, until: float) -> Schedule:
    w, start, target = s.warmup_steps, s.start_lr, s.schedule(0)
    if w == 0:
        return s.schedule
    rise: Schedule = Linear(start, target, decay_steps=w)
    if s.shape == "constant":
        rise = Constant(start)
    elif s.shape == "exponential":
        rise = Exponential(start, decay_rate=target / start, decay_steps=w)
    return joined([(0, rise), (w, s.schedule)])


def _sequence(s: Sequence, until: float) -> Schedule | None:
    first, *rest = s.schedules
    if not rest:
        return first
    is_rise = isinstance(first, Linear) and first.decay_steps == s.boundaries[0]
    if len(rest) == 1 and is_rise and first(s.boundaries[0]) == rest[0](0):
        return Warmup(rest[0], s.boundaries[0], start_lr=first(0))
    return None


def _clipped(s: Clipped, until: float) -> Schedule | None:
    return s.schedule if s.min_lr == 0 and s.max_lr is None else None


# Compositions that change all numbers of what is inside


def _scaled(s: Scaled, until: float) -> Schedule | None:
    return _replaced(s.schedule, s.factor, lambda name: name.endswith("_lr") or name == "values")


LENGTHS = {
    "boundaries", "decay_steps", "first_decay_steps", "milestones", "stable_steps", "step_size",
    "step_size_down", "step_size_up", "t_max", "warmup_steps",
}  # fmt: skip


def _per_epoch(s: PerEpoch, until: float) -> Schedule | None:
    inner: Any = s.schedule
    stairs = isinstance(inner, Constant | StepDecay | MultiStep | PiecewiseConstant)
    stairs = stairs or getattr(inner, "staircase", False)
    if not _knows_lengths(inner) or not (s.smooth or (stairs and _has_whole_lengths(inner))):
        return None
    return _replaced(inner, s.steps_per_epoch, lambda name: name in LENGTHS)


def _knows_lengths(schedule: Any) -> bool:
    """Whether a schedule depends on the step through its lengths alone, and what is inside, too."""
    if isinstance(schedule, Factor | OneCycle | NoisyLinearCosine | PerEpoch):
        return False
    if isinstance(schedule, Cyclical) and schedule.mode == "exp_range":
        return False
    return all(_knows_lengths(item) for item in _inside(schedule))


def _has_whole_lengths(schedule: Schedule) -> bool:
    lengths: list[Any] = [value for name, value in vars(schedule).items() if name in LENGTHS]
    flat = [x for length in lengths for x in (length if isinstance(length, tuple) else [length])]
    return all(x == int(x) for x in flat)


def _inside(schedule: Schedule) -> list[Schedule]:
    held = [getattr(schedule, field.name) for field in dataclasses.fields(schedule)]
    items = [x for value in held for x in (value if isinstance(value, tuple) else [value])]
    return [item for item in items if isinstance(item, Schedule)]


def _replaced(schedule: Any, factor: float, wanted: Any) -> Schedule | None:
    """A schedule of ours, and all inside it, with the arguments of some names times a factor."""
    if type(schedule) not in _KNOWN:
        return None
    if isinstance(schedule, Scaled | PerEpoch):  # first without it
        found = _next(schedule, math.inf)
        return _replaced(found[0], factor, wanted) if found else None

    def changed(name: str, value: Any) -> Any:
        if isinstance(value, tuple):
            return [changed(name, item) for item in value]
        if isinstance(value, Schedule):
            return _replaced(value, factor, wanted)
        return value * factor if wanted(name) and value is not None else value

    arguments = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    new = {name: changed(name, value) for name, value in arguments.items()}
    if isinstance(schedule, Product) and wanted("base_lr"):  # one of the two is enough
        new["other"] = schedule.other
    items = [x for value in new.values() for x in (value if isinstance(value, list) else [value])]
    if len([x for x in items if isinstance(x, Schedule)]) < len(_inside(schedule)):
        return None
    made: Schedule = type(schedule)(**new)
    return made


_FORMS: dict[type, Any] = {
    Clipped: _clipped,
    Constant: _constant,
    Cosine: _cosine,
    Exponential: _exponential,
    Factor: _factor,
    Linear: _linear,
    MultiStep: _multi_step,
    NaturalExponential: _natural_exponential,
    OneCycle: _one_cycle,
    PerEpoch: _per_epoch,
    PiecewiseConstant: _piecewise_constant,
    Polynomial: _polynomial,
    Power: _power,
    Scaled: _scaled,
    Sequence: _sequence,
    StepDecay: _step_decay,
    Warmup: _warmup,
    WarmupStableDecay: _warmup_stable_decay,
}

#: Those whose rates and lengths are all in the arguments of these names, and in what they hold.
_KNOWN = {
    *_FORMS, CosineAnnealing, CosineRestarts, Cyclical, InverseTime, LinearCosine,
    NoisyLinearCosine, Product,
}  # fmt: skip
