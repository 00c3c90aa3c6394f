"""Schedules for PyTorch optimizers."""

import copy
import functools
import inspect
from collections.abc import Sequence
from typing import Any
from weakref import WeakMethod, WeakValueDictionary

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..arguments import Whole
from ..namespaces import LAST_STEP
from ..plateau import Plateau
from ..schedule import Schedule
from .entries import Others, Plan, carry_out, held_in
from .plateau import Plateaus
from .rates import check_tensors, current, held, separate, write
from .schedules import PerGroup

__all__ = ["ScheduleLR", "scheduler"]


def scheduler(
    optimizer: Optimizer,
    schedule: Schedule | Sequence[Schedule],
    last_epoch: int = -1,
    *,
    plateau: Plateau | Sequence[Plateau] | None = None,
    **others: Schedule | Sequence[Schedule],
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
        plateau: what lowers the rates where a metric gets no better: they are those of the
            schedule times its ``share``. Give each new value of the metric to ``update()``. A
            list has one for each group, say with a ``min_lr`` of its own. The scheduler goes
            on from the state that a plateau has, and leaves it as it is.
        others: schedules for other numbers of the parameter groups, by name:
            ``weight_decay=``, ``momentum=``, ``eps=``, ``alpha=`` or whatever the optimizer
            has; ``beta1=`` and ``beta2=`` for the items of Adam's ``betas``, of which
            ``momentum=`` means the first, as in PyTorch's ``OneCycleLR``. Each is one
            schedule or a list with one per group, as the rate's. (``RMSprop`` decides at its
            first update whether it has a momentum: let that not begin at 0.)

    Raises:
        TypeError: an argument of the wrong kind, a name that is none of the optimizer's
            numbers, or a rate held as a tensor that is not of floating-point numbers, has
            several, or has no memory.
        ValueError: a list whose length is not the number of groups, a ``last_epoch`` below
            -1, a rate beyond the largest number of the tensor that is to hold it, or another
            number out of the range that PyTorch's optimizers ask for: a beta of 1 and more.

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

    One cycle of the rate and of the momentum against it, as ``OneCycleLR``:

    >>> cycle = lrsched.OneCycle(0.3, total_steps=25)
    >>> optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    >>> scheduler = lrsched.pytorch.scheduler(optimizer, cycle, momentum=cycle.momentum())
    >>> optimizer.param_groups[0]["momentum"]
    0.95

    A plateau on top of a schedule:

    >>> halves = lrsched.Plateau(factor=0.5, patience=0)
    >>> scheduler = lrsched.pytorch.scheduler(optimizer, lrsched.Constant(0.1), plateau=halves)
    >>> for loss in (1.0, 0.9, 0.9):
    ...     scheduler.update(loss)
    >>> scheduler.get_last_lr()
    [0.05]
    """
    return ScheduleLR(optimizer, schedule, last_epoch, plateau=plateau, **others)


class ScheduleLR(LRScheduler):
    """What :func:`scheduler` returns: a ``torch.optim.lr_scheduler.LRScheduler``.

    Each rate is computed from the step alone (and from the plateau, if there is one), so
    nothing drifts and resuming is exact. ``state_dict()`` holds plain values: the steps done,
    the state of the plateau, and the schedules, as a check.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        last_epoch: int = -1,
        *,
        plateau: Plateau | Sequence[Plateau] | None = None,
        **others: Schedule | Sequence[Schedule],
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {optimizer!r}")
        last_epoch = Whole(-1, LAST_STEP - 1)("last_epoch", last_epoch)
        self._schedules = PerGroup("schedule", schedule)
        self._plateaus = None if plateau is None else Plateaus(plateau)
        self._others = Others(optimizer, others)
        self.schedule = self._schedules.schedule
        self._more = plateau is not None or bool(others)
        #: Whether one rate is that of all groups, also of those added later.
        self._shared = self._schedules.shared and not (self._plateaus and not self._plateaus.shared)
        self.optimizer = optimizer
        self._check(last_epoch + 1)
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

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The plateaus as they are now: none, one for all groups, or one for each."""
        return () if self._plateaus is None else self._plateaus.of

    def _rates(self, step: int) -> list[float]:
        """The rate of each parameter group at a step."""
        return self._lowered(self._schedules.at(step, len(self.optimizer.param_groups)))

    def _lowered(self, rates: list[float]) -> list[float]:
        return rates if self._plateaus is None else self._plateaus.shares_of(rates)

    def _check(self, step: int) -> list[Plan]:
        """What there is to set beside the rates at a step, if all of it can be set."""
        groups = self.optimizer.param_groups
        check_tensors(groups, self._rates(step))
        return self._others.plans(step, groups)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group at the present step.

        As with PyTorch's schedulers that cycle the momentum, this sets the other numbers that
        are on a schedule.
        """
        rates = self._rates(self.last_epoch)
        groups = self.optimizer.param_groups
        carry_out(self._others.plans(self.last_epoch, groups), groups)
        return [*rates]

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
        self._check(self.last_epoch + 1 if epoch is None else epoch)
        if not self._shared:
            separate(groups)
        counts = self.last_epoch, self._step_count
        try:
            with torch.inference_mode():  # as in write()
                super().step(epoch)  # checks that optimizer.step() came first
        except BaseException:  # a warning that is an error
            self.last_epoch, self._step_count = counts
            raise
        self._last_lr = held(groups)

    def update(self, metric: Any) -> None:
        """Tell the plateau the newest value of its metric, and set the rates by its share.

        They are set at once where they are this scheduler's; where another has set the rates
        since, as inside ``SequentialLR`` when it is another's turn, from the next step on.

        Raises TypeError for a scheduler without a plateau, or a metric that is no number (a
        tensor of one element is one).
        """
        if self._plateaus is None:
            raise TypeError("update() needs a scheduler that was made with plateau=Plateau(...)")
        groups = self.optimizer.param_groups
        before, self._plateaus = self._plateaus, copy.deepcopy(self._plateaus)
        try:
            self._plateaus.update(metric)
            if self.last_epoch >= 0 and held(groups) == self._last_lr:
                self._last_lr = write(groups, self._rates(self.last_epoch), not self._shared)
        except BaseException:
            self._plateaus = before
            raise

    def _go_to(self, step: int, planned: list[Plan] | None = None) -> None:
        """Set the rates of a step, faster than PyTorch's own ``step()``."""
        groups = self.optimizer.param_groups
        rates: list[Any] = self._schedules.at(step, len(groups))
        if self._more:
            rates = self._lowered(rates)
            planned = planned or self._others.plans(step, groups)
        for group in groups:
            if type(group["lr"]) is not float:
                rates = write(groups, rates, not self._shared)
                break
        else:
            for group, rate in zip(groups, rates):  # noqa: B905 they are as many
                group["lr"] = rate
        if planned:
            carry_out(planned, groups)
        self._last_lr = rates
        self.last_epoch = step

    def _join(self) -> None:
        """Give the group that was added last its rate. A list of schedules has none for it."""
        if self.last_epoch < 0:
            return
        groups = self.optimizer.param_groups
        planned = self._others.plans_of_last(self.last_epoch, groups)
        if self._shared:
            group = groups[-1]
            initial = current(group["lr"])
            now = write([group], self._rates(self.last_epoch)[-1:])
            group.setdefault("initial_lr", initial)
            self._last_lr = [*self._last_lr, *now]
        carry_out(planned, groups[-1:], added=True)

    def state_dict(self) -> dict[str, Any]:
        """The steps done, the schedules and the plateau, as plain values.

        ``held`` is None, or the rates that the optimizer has where they are not this
        scheduler's: inside ``SequentialLR`` while it is another's turn, or set by hand. So it
        is for each of the ``others``.
        """
        groups = self.optimizer.param_groups
        now = held(groups)
        return {
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "_last_lr": self.get_last_lr(),
            "held": None if now == self._last_lr else [float(lr) for lr in now],
            "schedule": self._schedules.described(),
            "plateau": None if self._plateaus is None else self._plateaus.state_dict(),
            "others": self._others.state_dict(groups),
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
        groups = self.optimizer.param_groups
        other = held_in(state_dict, "state_dict", len(groups))
        self._schedules.expect("state_dict['schedule']", state_dict["schedule"], step)
        plateaus = Plateaus.restored(self._plateaus, state_dict["plateau"])
        planned = self._others.plans_in(state_dict["others"], step, groups)
        if other is not None:
            check_tensors(groups, other)
        before, self._plateaus = self._plateaus, plateaus
        try:
            self._go_to(step, planned)
        except BaseException:
            self._plateaus = before
            raise
        if other is not None:
            write(groups, other)
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
