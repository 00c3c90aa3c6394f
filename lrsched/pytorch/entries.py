"""The other numbers of a PyTorch optimizer on a schedule: momentum, weight decay and the rest."""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from ..arguments import OrNone, Real, Several
from ..reals import is_real
from .rates import RATE, Entry, check_tensors, held, write
from .schedules import PerGroup

__all__ = ["Others", "Plan", "carry_out", "held_in"]

Groups = list[dict[str, Any]]

# What PyTorch's optimizers themselves ask for, beyond a finite number of at least 0.
_BETA = Real(low=0, high=1)
_RANGES = {"rho": Real(low=0, largest=1)}
_APART = ("params", "lr", "initial_lr")


class Scheduled:
    """An entry of the parameter groups, the schedules that it follows, and what was set last."""

    def __init__(self, optimizer: Optimizer, name: str, schedule: Any) -> None:
        self.entry = _found(optimizer, name)
        ranged = _BETA if self.entry.key == "betas" else _RANGES.get(name, RATE)
        self.schedules = PerGroup(name, schedule, name, ranged)
        self.last: list[Any] = []


class Plan(NamedTuple):
    """Values for some groups, which have been checked: setting them cannot fail."""

    each: Scheduled
    values: list[float]
    held: list[float] | None = None


class Others:
    """All entries but the rate that follow a schedule, by the names they were given under."""

    def __init__(self, optimizer: Optimizer, schedules: dict[str, Any]) -> None:
        self.of = {name: Scheduled(optimizer, name, each) for name, each in schedules.items()}
        names: dict[Entry, str] = {}
        for name, each in self.of.items():
            other = names.setdefault(each.entry, name)
            if other != name:
                raise TypeError(
                    f"{other} and {name} are one entry of the optimizer's parameter groups, "
                    f"'{each.entry}': give one of them"
                )

    def plans(self, step: int, groups: Groups) -> list[Plan]:
        """The values of all groups at a step."""
        return [_plan(each, step, groups) for each in self.of.values()]

    def plans_of_last(self, step: int, groups: Groups) -> list[Plan]:
        """Those of the last group. A list of schedules has none for one that was added."""
        shared = [each for each in self.of.values() if each.schedules.shared]
        return [_plan(each, step, groups[-1:]) for each in shared]

    def state_dict(self, groups: Groups) -> dict[str, Any]:
        """The schedules as plain values, and what is held where it is not theirs."""
        state = {}
        for name, each in self.of.items():
            now = held(groups, each.entry)
            state[name] = {
                "schedule": each.schedules.described(),
                "held": None if now == each.last else [float(value) for value in now],
            }
        return state

    def plans_in(self, state: Any, step: int, groups: Groups) -> list[Plan]:
        """What a state of :meth:`state_dict` stands for, at its step."""
        return list(self._plans_in(state, step, groups))

    def _plans_in(self, state: Any, step: int, groups: Groups) -> Iterator[Plan]:
        where = "state_dict['others']"
        if not isinstance(state, dict) or state.keys() != self.of.keys():
            raise ValueError(f"{where} must be a dict with {sorted(self.of)}, got {state!r}")
        for name, each in self.of.items():
            item, place = state[name], f"{where}[{name!r}]"
            if not isinstance(item, dict) or item.keys() != {"schedule", "held"}:
                raise ValueError(f"{place} must be a dict of schedule and held, got {item!r}")
            each.schedules.expect(f"{place}['schedule']", item["schedule"], step)
            yield _plan(each, step, groups, held_in(item, place, len(groups)))


def _plan(each: Scheduled, step: int, groups: Groups, other: list[float] | None = None) -> Plan:
    values = each.schedules.at(step, len(groups))
    for group in groups:
        if each.entry.key not in group:
            raise ValueError(f"optimizer: each parameter group must have a '{each.entry}'")
    for numbers in (values, other):
        if numbers is not None:
            check_tensors(groups, numbers, each.entry)
    return Plan(each, values, other)


def carry_out(plans: list[Plan], groups: Groups, added: bool = False) -> None:
    """Set what was planned for these groups: all of them, or those that were added."""
    for each, values, other in plans:
        now = write(groups, values, not each.schedules.shared, each.entry)
        each.last = [*each.last, *now] if added else now
        if other is not None:
            write(groups, other, False, each.entry)


def held_in(state: dict[str, Any], place: str, groups: int) -> list[float] | None:
    """What a state says that the optimizer holds where it is not the scheduler's."""
    values: Any = OrNone(Several(RATE))(f"{place}['held']", state["held"])
    if values is not None and len(values) != groups:
        raise ValueError(
            f"{place}['held'] must be None or {groups} numbers, one for each parameter group of "
            f"the optimizer, got {len(values)}"
        )
    return values  # type: ignore[no-any-return]


def _found(optimizer: Optimizer, name: str) -> Entry:
    names = _names(optimizer)
    if name not in names:
        raise TypeError(
            f"the optimizer's parameter groups have no number {name!r}; those that may follow a "
            f"schedule are {', '.join(names) or 'none'}"
        )
    return names[name]


def _names(optimizer: Optimizer) -> dict[str, Entry]:
    """The numbers that all parameter groups have, by the names that they may be given under."""
    first, *others = groups = optimizer.param_groups
    keys = [key for key in first if all(key in group for group in others)]
    counts = [p.name for p in inspect.signature(type(optimizer)).parameters.values() if _counts(p)]
    names = {
        key: Entry(key)
        for key in keys
        if key not in (*_APART, *counts) and all(_is_number(group[key]) for group in groups)
    }
    betas: Any = [group["betas"] for group in groups] if "betas" in keys else [None]
    if all(isinstance(each, tuple | list) and each for each in betas):
        items = {f"beta{k + 1}": Entry("betas", k) for k in range(min(map(len, betas)))}
        names = {"momentum": items["beta1"]} | items | names
    return names


def _counts(parameter: inspect.Parameter) -> bool:
    """Whether an optimizer asks for a whole number, which a schedule does not give."""
    return parameter.annotation in (int, int | None, "int", "int | None")


def _is_number(value: Any) -> bool:
    return is_real(value) or isinstance(value, Tensor)
