"""Schedules for PyTorch optimizers."""

import math
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import mul
from typing import Any, cast

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .arguments import Whole
from .composition import Scaled
from .namespaces import NUMBERS
from .schedule import Schedule

__all__ = ["ScheduleLR", "scheduler", "set_rate"]


def scheduler(
    optimizer: Optimizer,
    schedule: Schedule | Sequence[Schedule],
    last_epoch: int = -1,
) -> "ScheduleLR":
    """A PyTorch scheduler that sets the optimizer's rates by a schedule.

    It sets the rate of step 0 at once. Call ``step()`` after each ``optimizer.step()`` for
    a schedule over steps, or after each epoch for one over epochs. The schedule gives the
    rate itself, not a factor: the ``lr`` with which the optimizer was made is not used.

    Args:
        optimizer: any ``torch.optim.Optimizer``. Rates held as tensors stay those tensors.
        schedule: one schedule for all parameter groups, also for those added later, or a
            list with one schedule per group.
        last_epoch: the last step that was done, -1 for none: with 99 the training goes on
            at the rate of step 100. Not needed with ``load_state_dict``.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: a list whose length is not the number of groups, or a ``last_epoch``
            below -1.

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


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of all parameter groups, in place where it is held as a tensor.

    For rates that are no function of the step:
    ``set_rate(optimizer, plateau.update(validation_loss))``.
    """
    for group in optimizer.param_groups:
        _set_group_rate(group, rate)


def _set_group_rate(group: dict[str, Any], rate: float) -> None:
    lr = group["lr"]
    if isinstance(lr, Tensor):
        lr.fill_(rate)
    else:
        group["lr"] = rate


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
        last_epoch = Whole(low=-1)("last_epoch", last_epoch)
        if isinstance(schedule, Schedule):
            self.schedule: Schedule | tuple[Schedule, ...] = schedule
        elif isinstance(schedule, list | tuple) and all(isinstance(s, Schedule) for s in schedule):
            self.schedule = tuple(schedule)
        else:
            raise TypeError(
                "schedule must be a schedule or a list with one for each parameter group, "
                f"got {schedule!r}"
            )
        self._plan = _plan(self.schedule)
        self.optimizer = optimizer
        for group, rate in zip(optimizer.param_groups, self._rates(0), strict=True):
            group["initial_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def _rates(self, step: int) -> Iterable[float]:
        """The rate of each parameter group at a step."""
        groups = len(self.optimizer.param_groups)
        distinct, which, factors = self._plan
        t = float(step)
        if which is None:  # one schedule for all: the usual case, kept fast
            return repeat(distinct[0].rate(NUMBERS, t), groups)
        if len(which) != groups:
            raise ValueError(
                f"schedule must be one schedule or a list of {groups}, one for each parameter "
                f"group of the optimizer, got {len(which)}"
            )
        if len(distinct) == 1:
            rates: Iterable[float] = repeat(distinct[0].rate(NUMBERS, t), groups)
        else:
            each = [schedule.rate(NUMBERS, t) for schedule in distinct]
            rates = [each[index] for index in which]
        products = list(map(mul, rates, factors))
        if math.inf in products:
            return [item.rate(NUMBERS, t) for item in cast(tuple[Schedule, ...], self.schedule)]
        return products

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group at the present step."""
        return [*self._rates(self.last_epoch)]

    _get_closed_form_lr = get_lr

    def get_last_lr(self) -> list[float | Tensor]:
        """The rate that each parameter group of the optimizer holds now, as a float."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step and set its rates. ``epoch`` is PyTorch's own, deprecated."""
        if epoch is not None or self._step_count <= 1:
            super().step(epoch)  # checks that optimizer.step() came first
            return
        self._step_count += 1
        self.last_epoch += 1
        self._set_rates()

    def _set_rates(self) -> None:
        rates = self._rates(self.last_epoch)
        for group, rate in zip(self.optimizer.param_groups, rates):  # noqa: B905 as long by now
            if type(group["lr"]) is float:
                group["lr"] = rate
            else:
                _set_group_rate(group, rate)

    def state_dict(self) -> dict[str, Any]:
        """The steps done and the schedules, as plain values."""
        return {
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
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
        for name in ("last_epoch", "_step_count"):
            Whole()(f"state_dict[{name!r}]", state_dict[name])
        saved, own = state_dict["schedule"], _described(self.schedule)
        if saved != own:
            raise ValueError(
                f"state_dict is of the schedule {saved}, but this scheduler has {own}; to go on "
                f"with another schedule, make the scheduler with "
                f"last_epoch={state_dict['last_epoch'] - 1}"
            )
        self.last_epoch = state_dict["last_epoch"]
        self._step_count = state_dict["_step_count"]
        self._set_rates()


def _described(schedule: Schedule | tuple[Schedule, ...]) -> Any:
    if isinstance(schedule, Schedule):
        return schedule.to_dict()
    return [item.to_dict() for item in schedule]


Plan = tuple[list[Schedule], list[int] | None, list[float]]


def _plan(schedule: Schedule | tuple[Schedule, ...]) -> Plan:
    """The distinct schedules to compute, and for each group which of them and times what.

    Groups whose schedules are equal, or the same but for ``* factor``, share one computation.
    """
    if isinstance(schedule, Schedule):
        return [schedule], None, []
    distinct: dict[Schedule, int] = {}
    which, factors = [], []
    for item in schedule:
        inner, factor = (item.schedule, item.factor) if isinstance(item, Scaled) else (item, 1.0)
        which.append(distinct.setdefault(inner, len(distinct)))
        factors.append(factor)
    return list(distinct), which, factors
