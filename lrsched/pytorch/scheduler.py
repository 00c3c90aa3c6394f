"""Schedules for PyTorch optimizers."""

import functools
import inspect
from collections.abc import Sequence
from math import inf
from operator import mul
from typing import Any, cast
from weakref import WeakMethod, WeakValueDictionary

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..arguments import OrNone, Several, Whole
from ..compositions import Scaled
from ..namespaces import LAST_STEP, NUMBERS
from ..schedule import Schedule, is_schedule
from ..value import from_dict
from .rates import RATE, check_tensors, checked, current, separate, write

__all__ = ["ScheduleLR", "scheduler"]


def scheduler(
    optimizer: Optimizer,
    schedule: Schedule | Sequence[Schedule],
    last_epoch: int = -1,
) -> "ScheduleLR":
    """A PyTorch scheduler that sets the optimizer's rates by a schedule.

    It sets the rate of step 0 at once. Call ``step()`` after each ``optimizer.step()`` for
    a schedule over steps, or after each epoch for one over epochs. The schedule gives the
    rate itself, not a factor: the ``lr`` with which the optimizer was made is not used, but
    kept as ``initial_lr``, where PyTorch's own schedulers look for it.

    Args:
        optimizer: any ``torch.optim.Optimizer``. Rates held as tensors stay those tensors;
            only where groups of different schedules share one, each is given its own.
        schedule: one schedule for all parameter groups, also for those added later, which
            get its rate as they are added; or a list with one schedule per group.
        last_epoch: the last step that was done, -1 for none: with 99 the training goes on
            at the rate of step 100. Not needed with ``load_state_dict``.

    Raises:
        TypeError: an argument of the wrong kind, or a rate held as a tensor that is not of
            floating-point numbers, has several, or has no memory.
        ValueError: a list whose length is not the number of groups, a ``last_epoch`` below
            -1, or a rate beyond the largest number of the tensor that is to hold it.

        Later calls raise the same, and for a schedule of your own also where its rate is not
        a finite number of at least 0. A call that fails changes nothing.

    >>> import lrsched, lrsched.pytorch, torch
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> scheduler = lrsched.pytorch.scheduler(optimizer, lrsched.StepDecay(0.5, 2))
    >>> for step in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.05]
    """
    return ScheduleLR(optimizer, schedule, last_epoch)


class ScheduleLR(LRScheduler):
    """What :func:`scheduler` returns: a ``torch.optim.lr_scheduler.LRScheduler``.

    Each rate is computed from the step alone, so nothing drifts and resuming is exact.
    ``state_dict()`` holds plain values: the steps done and the schedules, as a check.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {optimizer!r}")
        last_epoch = Whole(-1, LAST_STEP - 1)("last_epoch", last_epoch)
        if isinstance(schedule, Schedule):
            self.schedule: Schedules = schedule
        elif isinstance(schedule, list | tuple) and all(isinstance(s, Schedule) for s in schedule):
            self.schedule = tuple(schedule)
        else:
            raise TypeError(
                "schedule must be a schedule or a list with one for each parameter group, "
                f"got {schedule!r}"
            )
        self._shared = _shared(self.schedule)
        self.optimizer = optimizer
        check_tensors(optimizer.param_groups, self._rates(last_epoch + 1))
        new = [group for group in optimizer.param_groups if "initial_lr" not in group]
        try:
            for group in new:
                group["initial_lr"] = current(group["lr"])
            super().__init__(optimizer, last_epoch)
        except BaseException:
            for group in new:
                group.pop("initial_lr", None)
            raise
        _follow(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies, and what is unpickled, follow their own optimizer."""
        self.__dict__.update(state)
        _follow(self)

    def _rates(self, step: int) -> list[float]:
        """The rate of each parameter group at a step."""
        groups = len(self.optimizer.param_groups)
        distinct, which, factors = self._shared
        if which is not None and len(which) != groups:
            raise ValueError(
                f"schedule must be one schedule or a list of {groups}, one for each parameter "
                f"group of the optimizer, got {len(which)}"
            )
        t = float(step) if step > 0 else 0.0  # SequentialLR has one wait at step -1
        each = [schedule.rate(NUMBERS, t) for schedule in distinct]
        for rate in each:
            if type(rate) is not float or not 0.0 <= rate < inf:
                names = (f"the rate of {schedule!r} at step {step}" for schedule in distinct)
                each = list(map(checked, names, each))
                break
        if which is None:
            return each * groups
        rates = each * groups if len(each) == 1 else [each[index] for index in which]
        products = list(map(mul, rates, factors))
        if inf in products:
            return [item.rate(NUMBERS, t) for item in cast(tuple[Schedule, ...], self.schedule)]
        return products

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group at the present step."""
        return [*self._rates(self.last_epoch)]

    def get_last_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group that this scheduler set last, as a float.

        As with PyTorch's schedulers it is not read from the optimizer, where other code may
        have changed it since.
        """
        return [float(rate) for rate in self._last_lr]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step and set its rates. ``epoch`` is PyTorch's own, deprecated."""
        if epoch is None and self._step_count > 1:
            self._go_to(self.last_epoch + 1)
            self._step_count += 1
            return
        if epoch is not None:
            epoch = Whole(high=LAST_STEP)("epoch", epoch)
        groups = self.optimizer.param_groups
        check_tensors(groups, self._rates(self.last_epoch + 1 if epoch is None else epoch))
        if self._shared[1] is not None:
            separate(groups)
        counts = self.last_epoch, self._step_count
        try:
            with torch.inference_mode():  # as in write()
                super().step(epoch)  # checks that optimizer.step() came first
        except BaseException:  # a warning that is an error
            self.last_epoch, self._step_count = counts
            raise
        self._last_lr = [current(group["lr"]) for group in groups]

    def _go_to(self, step: int) -> None:
        """Set the rates of a step, faster than PyTorch's own ``step()``."""
        rates: list[Any] = self._rates(step)
        groups = self.optimizer.param_groups
        for group in groups:
            if type(group["lr"]) is not float:
                write(groups, rates, apart=self._shared[1] is not None)
                rates = [current(group["lr"]) for group in groups]
                break
        else:
            for group, rate in zip(groups, rates):  # noqa: B905 they are as many
                group["lr"] = rate
        self._last_lr = rates
        self.last_epoch = step

    def _join(self) -> None:
        """Give the group that was added last its rate. A list of schedules has none for it."""
        if isinstance(self.schedule, Schedule) and self.last_epoch >= 0:
            group = self.optimizer.param_groups[-1]
            initial = current(group["lr"])
            write([group], self._rates(self.last_epoch)[-1:])
            group.setdefault("initial_lr", initial)
            self._last_lr = [*self._last_lr, current(group["lr"])]

    def state_dict(self) -> dict[str, Any]:
        """The steps done and the schedules, as plain values.

        ``held`` is None, or the rates that the optimizer has where they are not this
        scheduler's: inside ``SequentialLR`` while it is another's turn, or set by hand.
        """
        held = [current(group["lr"]) for group in self.optimizer.param_groups]
        return {
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "_last_lr": self.get_last_lr(),
            "held": None if held == self._last_lr else [float(lr) for lr in held],
            "schedule": _described(self.schedule),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned, and set its rates at once.

        Raises TypeError or ValueError, and changes nothing, if the state is none of this
        class or of other schedules.
        """
        wanted = self.state_dict().keys()
        if not isinstance(state_dict, dict) or state_dict.keys() != wanted:
            raise ValueError(
                f"state_dict must be the state of an lrsched scheduler, with {sorted(wanted)}, "
                f"got {state_dict!r}"
            )
        # SequentialLR has a scheduler whose turn is yet to come wait at step -1.
        step = Whole(-1, LAST_STEP)("state_dict['last_epoch']", state_dict["last_epoch"])
        count = Whole()("state_dict['_step_count']", state_dict["_step_count"])
        held = OrNone(Several(RATE))("state_dict['held']", state_dict["held"])
        try:
            saved = _restored(state_dict["schedule"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"state_dict['schedule']: {error}") from error
        if _described(saved) != _described(self.schedule):
            raise ValueError(
                f"state_dict is of the schedule {saved!r}, but this scheduler has "
                f"{self.schedule!r}; to go on with another schedule, make the scheduler with "
                f"last_epoch={step - 1}"
            )
        groups = self.optimizer.param_groups
        if held is not None:
            if len(held) != len(groups):
                raise ValueError(
                    f"state_dict['held'] must be None or {len(groups)} rates, one for each "
                    f"parameter group of the optimizer, got {len(held)}"
                )
            check_tensors(groups, held)
        self._go_to(step)
        if held is not None:
            write(groups, held)
        self._step_count = count


def _follow(scheduler: ScheduleLR) -> None:
    """Have a scheduler give each group that is added to its optimizer its rate.

    For this the method is wrapped, once, as PyTorch's schedulers wrap ``optimizer.step``. As
    there, neither keeps the other alive.
    """
    optimizer = scheduler.optimizer
    method = optimizer.add_param_group
    followers = getattr(method, "followers", None)
    if followers is None:
        followers = WeakValueDictionary[int, ScheduleLR]()
        original: Any = WeakMethod(method) if inspect.ismethod(method) else lambda: method

        @functools.wraps(type(optimizer).add_param_group)
        def add_param_group(param_group: dict[str, Any]) -> None:
            original()(param_group)
            for follower in [*followers.values()]:
                try:
                    follower._join()
                except BaseException:
                    del follower.optimizer.param_groups[-1]
                    raise

        add_param_group.followers = followers  # type: ignore[attr-defined]
        optimizer.add_param_group = add_param_group  # type: ignore[method-assign]
    followers[id(scheduler)] = scheduler


Schedules = Schedule | tuple[Schedule, ...]


def _described(schedule: Schedules) -> Any:
    if isinstance(schedule, Schedule):
        return schedule.to_dict()
    return [item.to_dict() for item in schedule]


def _restored(described: Any) -> Schedules:
    if isinstance(described, list | tuple):
        return tuple(is_schedule("schedule", from_dict(item)) for item in described)
    return is_schedule("schedule", from_dict(described))


Shared = tuple[list[Schedule], list[int] | None, list[float]]


def _shared(schedule: Schedules) -> Shared:
    """The distinct schedules to compute, and for each group which of them and times what.

    Groups whose schedules are equal, or the same but for ``* factor``, share one computation.
    """
    if isinstance(schedule, Schedule):
        return [schedule], None, []
    distinct: list[Schedule] = []
    index: dict[Any, int] = {}
    which, factors = [], []
    for item in schedule:
        inner, factor = (item.schedule, item.factor) if isinstance(item, Scaled) else (item, 1.0)
        key = _key(inner)
        if key not in index:
            index[key] = len(distinct)
            distinct.append(inner)
        which.append(index[key])
        factors.append(factor)
    return distinct, which, factors


def _key(schedule: Schedule) -> Any:
    try:
        hash(schedule)
    except TypeError:  # a schedule of one's own that holds an array
        return id(schedule)
    return schedule
