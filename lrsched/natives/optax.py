"""The schedules of optax: functions, whose arguments are the variables that they have kept."""

import inspect
import itertools
from typing import Any

from ..cosines import Cosine
from ..decays import Exponential, Linear, Polynomial
from ..piecewise import Constant
from ..schedule import Schedule
from .pieces import arc, joined, jumps, stepwise
from .rows import Given, Row, plain, whole

__all__ = ["ROWS", "arguments_of", "maker_of"]


def maker_of(function: Any) -> str:
    """The function of optax that has made a schedule, or "" if none has."""
    if not inspect.isfunction(function) or not function.__module__.startswith("optax."):
        return ""
    return function.__qualname__.partition(".")[0]


def arguments_of(function: Any) -> dict[str, Any]:
    """The variables of the function around a schedule that it uses."""
    kept = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # never set
            continue
        kept[name] = value if name == "schedules" else plain(value)
    return kept


def _constant(given: Given) -> Schedule:
    return Constant(given["value"])


def _after(begin: float, start: float, schedule: Schedule) -> Schedule:
    """A schedule that begins at a step, constant before."""
    return joined([(0, Constant(start)), (begin, schedule)]) if begin > 0 else schedule


def _polynomial(given: Given) -> Schedule:
    start = given["init_value"]
    if "transition_steps" not in given or given["power"] == 0:  # optax calls that constant
        return Constant(start)
    end, steps, power = given["end_value"], given["transition_steps"], given["power"]
    if power == 1:
        decay: Schedule = Linear(start, end, decay_steps=steps)
    else:
        decay = Polynomial(start, steps, end_lr=end, power=power)
    return _after(given["transition_begin"], start, decay)


def _exponential(given: Given) -> Schedule:
    start = given["init_value"]
    if "transition_steps" not in given:
        return Constant(start)
    rate, end = given["decay_rate"], given["end_value"]
    decay = Exponential(
        start,
        decay_rate=rate,
        decay_steps=given["transition_steps"],
        staircase=bool(given["staircase"]),
    )
    schedule = _after(given["transition_begin"], start, decay)
    if end is None:
        return schedule
    return schedule.clip(min_lr=end) if rate < 1 else schedule.clip(max_lr=end)


def _cosine(given: Given) -> Schedule:
    if given["exponent"] != 1:
        raise ValueError(
            f"cosine_decay_schedule cannot be read with exponent={given['exponent']!r}: "
            f"lrsched.Cosine has no exponent; write the formula as a subclass of lrsched.Schedule"
        )
    start = given["init_value"]
    return Cosine(start, given["decay_steps"], end_lr=start * given["alpha"])


def _piecewise(given: Given) -> Schedule:
    steps = sorted((given["boundaries_and_scales"] or {}).items())
    values = list(itertools.accumulate([given["init_value"], *(v for _, v in steps)], _times))
    return jumps(stepwise("piecewise_constant_schedule", [start for start, _ in steps], values))


def _times(rate: float, scale: float) -> float:
    return rate * scale


def _interpolated(given: Given) -> Schedule:
    name = "piecewise_interpolate_schedule"
    ends = [whole(name, "boundaries", end) for end in given["boundaries"]]
    values = list(itertools.accumulate([given["init_value"], *given["scales"]], _times))
    pieces: list[Schedule] = [Constant(values[-1])]
    starts = [0, *ends]
    for k, (start, end) in reversed(list(enumerate(itertools.pairwise(starts)))):
        low, high = values[k : k + 2]
        pieces.insert(0, arc(given["interpolate_fn"].__name__, low, high, max(end - start, 1)))
    kept = list(stepwise(name, ends, pieces))
    if len(kept) > 1:
        kept.pop()  # each piece stays at its end
    return joined(kept)


def _join(given: Given) -> Schedule:
    kept = list(stepwise("join_schedules", given["boundaries"], given["schedules"]))
    return joined([(start, _read(schedule)) for start, schedule in kept])


def _read(function: Any) -> Schedule:
    maker = maker_of(function)
    row = next((row for row in ROWS if row.key[1] == maker), None)
    if row is None:
        raise TypeError(
            f"join_schedules cannot be read: {function!r} in it is no schedule of optax; write "
            f"what it does as a subclass of lrsched.Schedule"
        )
    schedule: Schedule = row.read(arguments_of(function))
    return schedule


def _row(name: str, ours: str, read: Any, note: str = "") -> Row:
    return Row("optax", f"optax.{name}", tuple(ours.split()), read, None, note)


def _made_of(name: str, ours: str, inner: str, note: str = "") -> Row:
    """The row of a function that returns what others have made, by which it is read."""
    reads = next(row.read for row in SINGLE if row.name == f"optax.{inner}")
    return Row("optax", f"optax.{name}", tuple(ours.split()), reads, None, note)


SINGLE = [
    _row("constant_schedule", "Constant", _constant),
    _row("polynomial_schedule", "Polynomial", _polynomial),
    _row("exponential_decay", "Exponential", _exponential, "may begin later there"),
    _row("cosine_decay_schedule", "Cosine", _cosine, "read without its exponent"),
    _row("piecewise_constant_schedule", "PiecewiseConstant", _piecewise,
         "takes factors, not rates"),
    _row("piecewise_interpolate_schedule", "Sequence", _interpolated),
    _row("join_schedules", "Sequence", _join),
]  # fmt: skip
ROWS = [
    *SINGLE,
    _made_of("linear_schedule", "Linear", "polynomial_schedule"),
    _made_of("warmup_constant_schedule", "Linear", "polynomial_schedule",
             "stays at its start if warmup_steps is 0"),
    _made_of("warmup_cosine_decay_schedule", "Sequence", "join_schedules",
             "its decay_steps count the warmup"),
    _made_of("warmup_exponential_decay_schedule", "Sequence", "join_schedules"),
    _made_of("linear_onecycle_schedule", "Sequence", "piecewise_interpolate_schedule",
             "of three lines"),
    _made_of("cosine_onecycle_schedule", "Sequence", "piecewise_interpolate_schedule",
             "its peak is one step later than in OneCycle"),
    _made_of("sgdr_schedule", "Sequence", "join_schedules"),
]  # fmt: skip
