"""What a PyTorch optimizer did: the rates that its updates used."""

from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.optim import Optimizer

__all__ = ["Recorder", "record"]


def record(optimizer: Optimizer) -> "Recorder":
    """Record the rates that the updates of an optimizer use, from now on.

    An update is a call of ``optimizer.step()`` that ends without an exception. Its rates are
    read right after it, before anything else can set the next ones; so it does not matter who
    set them, a scheduler, a hook or you, nor when. A ``GradScaler`` that skips a step makes no
    update.

    The recorder can be used in a ``with`` block, at whose end it stops. Copies of the optimizer
    and its ``state_dict()`` know nothing of it. What runs outside of Python, as a CUDA graph
    does when it is replayed, is not seen.

    Args:
        optimizer: any ``torch.optim.Optimizer``. It may have several recorders.

    Raises:
        TypeError: an ``optimizer`` that is none.

    >>> import lrsched, lrsched.pytorch, torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    >>> scheduler = lrsched.pytorch.scheduler(optimizer, lrsched.StepDecay(0.5, 2))
    >>> with lrsched.pytorch.record(optimizer) as recorder:
    ...     for _ in range(3):
    ...         optimizer.step()
    ...         scheduler.step()
    >>> recorder.rates
    array([0.5 , 0.5 , 0.05])
    """
    return Recorder(optimizer)


class Recorder:
    """What :func:`record` returns."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {optimizer!r}")
        self._groups = len(optimizer.param_groups)
        self._updates: list[tuple[list[Any], Any]] = []
        self._begun = False
        before = optimizer.register_step_pre_hook(self._begin)
        after = optimizer.register_step_post_hook(self._end)
        # The first of its kind, as PyTorch's own hooks with prepend=True: another may well
        # step a scheduler.
        hooks: Any = after.hooks_dict_ref()
        hooks.move_to_end(after.id, last=False)
        self._handles = before, after

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """The rates of the updates so far: [updates], or [updates, groups] if there are several.

        NaN for a group that was not there yet, or has no rate.
        """
        updates = [rates for rates, skipped in self._updates if not skipped]
        groups = max([self._groups, *map(len, updates)])
        table = np.full((len(updates), groups), np.nan)
        for row, rates in zip(table, updates, strict=True):
            row[: len(rates)] = [np.nan if rate is None else float(rate) for rate in rates]
        return table[:, 0] if groups == 1 else table

    def remove(self) -> None:
        """Stop. The rates so far stay."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def _begin(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._begun = True

    def _end(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        # A subclass whose step() calls that of its parent ends twice, but made one update.
        if self._begun:
            self._begun = False
            # A GradScaler lets a fused optimizer skip the update by itself.
            skipped = getattr(optimizer, "found_inf", None)
            rates = [_now(group.get("lr")) for group in optimizer.param_groups]
            self._updates.append((rates, _now(skipped)))


def _now(value: Any) -> Any:
    """A value as it is now. A tensor stays on its device: reading it would wait for that."""
    return value.detach().clone() if isinstance(value, Tensor) else value
