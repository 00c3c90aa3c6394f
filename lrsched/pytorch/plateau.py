"""Plateaus over the parameter groups of a PyTorch optimizer."""

import copy
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..arguments import Several, Whole
from ..plateau import Plateau
from .rates import RATE, check_tensors, checked, held, write

__all__ = ["PlateauLR", "Plateaus", "plateau"]


class Plateaus:
    """One plateau for all parameter groups, or one for each, copied: they have a state.

    Attributes:
        of: the plateaus, or the one.
        shared: whether it is one for all groups, also for those added later.
    """

    def __init__(self, plateau: Any) -> None:
        self.shared = isinstance(plateau, Plateau)
        items = [plateau] if self.shared else plateau
        if not isinstance(items, list | tuple) or not all(isinstance(p, Plateau) for p in items):
            raise TypeError(
                "plateau must be a Plateau or a list with one for each parameter group, "
                f"got {plateau!r}"
            )
        self.of = tuple(map(copy.copy, items))

    def each(self, groups: int) -> tuple[Plateau, ...]:
        """The plateau of each of so many groups."""
        if self.shared:
            return self.of * groups
        if len(self.of) != groups:
            raise ValueError(
                f"plateau must be one Plateau or a list of {groups}, one for each parameter "
                f"group of the optimizer, got {len(self.of)}"
            )
        return self.of

    def shares_of(self, rates: list[float]) -> list[float]:
        """What the falls so far have left of the rates of the groups."""
        pairs = zip(rates, self.each(len(rates)), strict=True)
        return [rate * plateau.share for rate, plateau in pairs]

    def update(self, metric: Any) -> None:
        """Tell each the newest value of the metric."""
        for plateau in self.of:
            plateau.update(metric)

    def lowered(self, metric: Any, rates: list[float]) -> list[float]:
        """The rates of the groups from now on, given the newest value of the metric."""
        each = self.each(len(rates))
        falls = {id(plateau) for plateau in self.of if plateau.falls(metric)}
        return [
            plateau.lowered(rate) if id(plateau) in falls else rate
            for rate, plateau in zip(rates, each, strict=True)
        ]

    def state_dict(self) -> Any:
        """Settings and state of each, as plain values."""
        states = [{"settings": p.to_dict(), "state": p.state_dict()} for p in self.of]
        return states[0] if self.shared else states

    @staticmethod
    def restored(plateaus: "Plateaus | None", state: Any) -> "Plateaus | None":
        """The plateaus in a state of :meth:`state_dict`, which must be of the same settings."""
        again = copy.deepcopy(plateaus)
        of = again.of if again else ()
        items = [] if state is None else state if isinstance(state, list | tuple) else [state]
        settings = [item.get("settings") if isinstance(item, dict) else item for item in items]
        same = isinstance(state, dict) == (again is not None and again.shared)
        if not same or settings != [plateau.to_dict() for plateau in of]:
            raise ValueError(
                f"state_dict['plateau'] must be of the plateau of this scheduler, "
                f"{again and list(again.of)}, got {state!r}"
            )
        for plateau, item in zip(of, items, strict=True):
            plateau.load_state_dict(item.get("state"))
        return again


def plateau(optimizer: Optimizer, plateau: Plateau | Sequence[Plateau]) -> "PlateauLR":
    """A PyTorch scheduler that lowers the rate of each group as a metric gets no better.

    As PyTorch's ``ReduceLROnPlateau``: call ``step(metric)`` with each new value of the metric,
    usually once an epoch. Each fall multiplies the rate that a group has then, whoever set it;
    groups added later have their own, too. On top of a schedule of ours, which sets its rates
    anew, give the plateau to :func:`scheduler`.

    Args:
        optimizer: any ``torch.optim.Optimizer``. Rates held as tensors stay those tensors.
        plateau: when rates fall, by which factor, and to which ``min_lr``; its ``base_lr`` is
            not used. One for all parameter groups, or a list with one for each. The scheduler
            goes on from the state that it has, and leaves it as it is.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: a list whose length is not the number of groups.

    ``step`` raises the same; TypeError for a metric that is no number (a tensor of one
    element is one), and for a rate that is none; a call that fails changes nothing.

    >>> import lrsched, lrsched.pytorch, torch
    >>> layers = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    >>> groups = [{"params": layers[0].parameters()}, {"params": layers[1].parameters(), "lr": 0.2}]
    >>> optimizer = torch.optim.SGD(groups, lr=0.1)
    >>> halves = lrsched.Plateau(factor=0.5, patience=0)
    >>> scheduler = lrsched.pytorch.plateau(optimizer, halves)
    >>> for loss in (1.0, 0.9, 0.9):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.05, 0.1]
    """
    return PlateauLR(optimizer, plateau)


class PlateauLR(LRScheduler):
    """What :func:`plateau` returns: a ``torch.optim.lr_scheduler.LRScheduler``.

    ``state_dict()`` holds plain values: the state of the plateau, its settings as a check, and
    the rates.
    """

    def __init__(self, optimizer: Optimizer, plateau: Plateau | Sequence[Plateau]) -> None:
        # What LRScheduler sets up, rates of a first step, has no place here.
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {optimizer!r}")
        self._plateaus = Plateaus(plateau)
        self._plateaus.each(len(optimizer.param_groups))
        self.optimizer = optimizer
        self.last_epoch = 0
        self._last_lr = held(optimizer.param_groups)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """The plateaus as they are now: one for all groups, or one for each."""
        return self._plateaus.of

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Lower the rates if it is time to, given the newest value of the metric."""
        groups = self.optimizer.param_groups
        rates = [
            checked(f"optimizer: the rate of parameter group {k}", rate)
            for k, rate in enumerate(held(groups))
        ]
        after = copy.deepcopy(self._plateaus)
        lowered = after.lowered(metrics, rates)
        if lowered != rates:
            write(groups, lowered, not after.shared)
        self._plateaus = after
        self._last_lr = held(groups)
        self.last_epoch += 1

    def get_last_lr(self) -> list[Any]:
        """The rate that each parameter group had after the last step, as a float."""
        return [float(rate) for rate in self._last_lr]

    def state_dict(self) -> dict[str, Any]:
        """The steps done, the plateau and the rates, as plain values."""
        return {
            "last_epoch": self.last_epoch,
            "rates": [float(rate) for rate in held(self.optimizer.param_groups)],
            "plateau": self._plateaus.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned, and set its rates at once.

        Raises TypeError or ValueError, and changes nothing, if the state is none of this
        class or of another plateau.
        """
        wanted = self.state_dict().keys()
        if not isinstance(state_dict, dict) or state_dict.keys() != wanted:
            raise ValueError(
                f"state_dict must be the state of an lrsched plateau, with {sorted(wanted)}, "
                f"got {state_dict!r}"
            )
        groups = self.optimizer.param_groups
        step = Whole()("state_dict['last_epoch']", state_dict["last_epoch"])
        rates: Any = Several(RATE)("state_dict['rates']", state_dict["rates"])
        if len(rates) != len(groups):
            raise ValueError(
                f"state_dict['rates'] must hold {len(groups)} rates, one for each parameter group "
                f"of the optimizer, got {len(rates)}"
            )
        plateaus: Any = Plateaus.restored(self._plateaus, state_dict["plateau"])
        check_tensors(groups, rates)
        write(groups, list(map(float, rates)), not plateaus.shared)
        self._plateaus, self.last_epoch, self._last_lr = plateaus, step, held(groups)
