"""The schedulers of PyTorch together: ``SequentialLR``, ``ChainedScheduler``, and their code."""

import functools
import operator
from collections.abc import Iterator
from typing import Any

from ..compositions import Product
from ..schedule import Schedule
from ..sequence import Sequence
from .forms import forms
from .lines import Call, Raw, is_ours
from .pieces import joined, stepwise
from .pytorch import FACTORS, MODULE, SETTING, SPOILT, Given
from .pytorch import ROWS as SINGLE
from .rows import Need, NoEquivalent, Row, find, native_class, plain, steps_of, whole

__all__ = ["OPTIMIZER", "ROWS", "base_rate", "call", "read_groups"]

OPTIMIZER = Raw("optimizer")


def read_groups(scheduler: Any) -> list[Any]:
    """What a scheduler does to each parameter group."""
    groups = scheduler.optimizer.param_groups
    return [_read(Given(scheduler, index)) for index in range(len(groups))]


def _read(given: Given) -> Any:
    row = find(ROWS, given.scheduler)
    if row is None:
        raise TypeError(
            f"{native_class(given.scheduler)} cannot be read: it is none of PyTorch's own "
            f"schedulers; write what it does as a subclass of lrsched.Schedule"
        )
    if given.begins == "nested" and given.name in SPOILT:
        raise ValueError(
            f"{given.name} cannot be read where it begins a SequentialLR or a ChainedScheduler "
            f"inside a SequentialLR: PyTorch makes one step too many of it there"
        )
    return row.read(given)


# Schedulers of schedulers


def _sequential(given: Given) -> Schedule:
    if given.begins == "later":
        raise _not_later(given)
    milestones = [whole(given.name, "milestones", m) for m in given["_milestones"]]
    starts = [milestone - given.ahead for milestone in milestones]
    if given.ahead and min([1, *starts]) < 1:
        raise ValueError(
            f"SequentialLR cannot be read inside {given.ahead} more with milestones={milestones}: "
            f"its clock runs ahead, and the first of them has passed before step 0"
        )
    parts: list[tuple[float, Schedule]] = []
    for start, scheduler in stepwise(given.name, starts, vars(given.scheduler)["_schedulers"]):
        if parts:  # SWALR goes on from the rate that the one before it has ended with
            found = joined(parts)(start - 1)
            lr = found if type(scheduler).__name__ == "SWALR" else None
            part = Given(scheduler, given.index, "later", lr)
        else:
            how: Any = "nested" if given.ahead else "first"
            lr = plain(given.group["initial_lr"])
            part = Given(scheduler, given.index, how, lr, given.ahead + 1)
        parts.append((start, _read(part)))
    return joined(parts)


def _not_later(given: Given) -> ValueError:
    return ValueError(
        f"{given.name} cannot be read where it does not come first in a SequentialLR: PyTorch "
        f"raises a NotImplementedError when its time comes"
    )


def _chained(given: Given) -> Schedule:
    if given.begins == "later":
        raise _not_later(given)
    begins: Any = given.begins if given.begins == "alone" else "nested"
    members = [
        Given(scheduler, given.index, begins, given.lr, given.ahead)
        for scheduler in _members(given.scheduler)
    ]
    setting = [k for k, member in enumerate(members) if member.name in SETTING]
    begin = setting[-1] if setting else 0
    if begin and begins == "alone" and members[begin].name == "CyclicLR":
        raise ValueError(
            "ChainedScheduler cannot be read with a CyclicLR behind others: at step 0 it sets the "
            "base rate of the others; put it first"
        )
    members = members[begin:]  # what comes before is overwritten
    if len(members) == 1:
        only: Schedule = _read(members[0])
        return only
    names = [member.name for member in members]
    strange = [name for name in names if name not in FACTORS and name != "CosineAnnealingLR"]
    if strange:
        raise ValueError(
            f"ChainedScheduler of {', '.join(names)} cannot be read: {strange[0]} does not "
            f"multiply the rate by a factor; multiply schedules of lrsched instead"
        )
    _check_cosines(members)
    schedules = [_read(members[0])]
    for member in members[1:]:
        schedules.append(_read(Given(member.scheduler, given.index, begins, 1.0)))
    product: Schedule = functools.reduce(operator.mul, schedules)
    return product


def _members(scheduler: Any) -> Iterator[Any]:
    for member in vars(scheduler)["_schedulers"]:
        if type(member).__name__ == "ChainedScheduler":
            yield from _members(member)
        else:
            yield member


def _check_cosines(members: list[Given]) -> None:
    """At its end a cosine forgets the factors of the others, which must be 1 from there on."""
    cosines = [member for member in members if member.name == "CosineAnnealingLR"]
    if not cosines:
        return
    others = [member for member in members if member is not cosines[0]]
    over = all(
        member.name in ("LinearLR", "ConstantLR")
        and 0 < member["total_iters"] <= cosines[0]["T_max"]
        and (member.name == "ConstantLR" or member["end_factor"] == 1)
        for member in others
    )
    if not over or cosines[0]["eta_min"] != 0:
        raise ValueError(
            "ChainedScheduler with CosineAnnealingLR cannot be read unless its eta_min is 0 and "
            "the others are a LinearLR to 1 or a ConstantLR that end before T_max: else what comes "
            "out is no product; multiply schedules of lrsched instead"
        )


# Code


def call(row: Row, given: dict[str, Any]) -> Call:
    """The call of a scheduler with its arguments, the base rate left out."""
    arguments = [(name, value) for name, value in given.items() if name != "lr"]
    if row.name != f"{MODULE}.ChainedScheduler":
        arguments.insert(0, ("", OPTIMIZER))
    return Call(row.name, tuple(arguments))


def base_rate(given: dict[str, Any]) -> list[str]:
    """The lines that set the rate from which PyTorch's schedulers start."""
    # CyclicLR has its own, but for step 0.
    lr = given["base_lr"] if given["lr"] is None else given["lr"]
    rate = f'    group["lr"] = group["initial_lr"] = {lr!r}'
    return ["for group in optimizer.param_groups:", rate]


def _write_sequence(s: Sequence, need: Need) -> dict[str, Any]:
    """All schedulers of a sequence start from one base rate: each rate in it is tried as that."""
    reasons = []
    for lr in sorted(_rates(s), reverse=True):
        try:
            parts = list(_parts(s, 0, Need(need.until, lr)))
            starts = [steps_of("SequentialLR", start) for start, _ in parts]
            schedulers = [scheduler for _, scheduler in parts]
            return {"lr": lr, "schedulers": schedulers, "milestones": starts[1:]}
        except NoEquivalent as reason:
            reasons.append(reason)
    raise reasons[0]


def _rates(schedule: Any) -> set[float]:
    rates = set()
    for name, value in vars(schedule).items():
        for item in value if isinstance(value, tuple) else [value]:
            if isinstance(item, Schedule):
                rates |= _rates(item)
            elif item is not None and (name.endswith("_lr") or name == "values"):
                rates.add(item)
    return rates | {schedule(0)}


def _parts(schedule: Schedule, start: float, need: Need) -> Iterator[tuple[float, Call]]:
    """The schedulers of a sequence, flat, each with its first step."""
    reasons = []
    for form in forms(schedule, need.until):
        if isinstance(form, Sequence) and len(form.schedules) > 1:
            begins = [0, *form.boundaries]
            ends = [*form.boundaries, need.until]
            for part, begin, end in zip(form.schedules, begins, ends, strict=True):
                if begin < need.until:
                    until = min(end, need.until) - begin
                    yield from _parts(part, start + begin, Need(until, need.lr))
            return
        for row in SINGLE:
            if row.write and is_ours(type(form)) and type(form).__name__ in row.ours:
                try:
                    given = row.write(form, need)
                    if given["lr"] not in (None, need.lr):
                        raise NoEquivalent("its parts have different base rates")
                    if row.name.endswith("OneCycleLR") and start > 0:
                        raise NoEquivalent("OneCycleLR changes the base rate of the others")
                except NoEquivalent as found:
                    reasons.append(str(found))
                else:
                    yield start, call(row, given)
                    return
    reasons.append(f"it has none for {type(schedule).__name__}")
    raise NoEquivalent(next(filter(None, reasons)))


def _write_product(s: Product, need: Need) -> dict[str, Any]:
    lr, schedulers = 1.0, []
    for factor in _factors(s):
        row, given = _factor(factor)
        lr *= given["lr"]
        schedulers.append(call(row, given))
    return {"lr": lr, "schedulers": schedulers}


def _factors(schedule: Schedule) -> list[Schedule]:
    if isinstance(schedule, Product):
        return _factors(schedule.schedule) + _factors(schedule.other)
    return [schedule]


def _factor(schedule: Schedule) -> tuple[Row, dict[str, Any]]:
    for form in forms(schedule):
        for row in SINGLE:
            if row.write and type(form).__name__ in row.ours and row.key[1] in FACTORS:
                try:
                    return row, row.write(form, Need())
                except NoEquivalent:
                    pass
    raise NoEquivalent(f"ChainedScheduler multiplies by no {type(schedule).__name__}")


SEQUENCES = (
    "Cosine", "Factor", "OneCycle", "PiecewiseConstant", "Warmup", "WarmupStableDecay"
)  # fmt: skip
ROWS = [
    *SINGLE,
    Row("pytorch", f"{MODULE}.SequentialLR", ("Sequence",), _sequential, _write_sequence,
        "nested in another its clock runs ahead there", also=SEQUENCES),
    Row("pytorch", f"{MODULE}.ChainedScheduler", ("Product",), _chained, _write_product,
        "only factors multiply there; what sets the rate overrides those before it"),
]  # fmt: skip
