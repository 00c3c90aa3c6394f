"""Schedules read from PyTorch's schedulers."""

from typing import Any

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from .. import natives

__all__ = ["read"]


def read(scheduler: Any) -> Any:
    """The schedule of a PyTorch scheduler, whole, however far it has run.

    It is what the scheduler does when it is stepped from its start: before or during training,
    after ``load_state_dict``, or made with ``last_epoch``. The base rate is the one that the
    scheduler has kept (``initial_lr`` of the parameter groups).

    ``OneCycleLR`` raises an error after its last step, where the schedule stays at its end.
    ``SWALR`` starts from the rate that it finds, and is read as from the base rate. Of
    ``CyclicLR`` and ``OneCycleLR`` the momentum is not read.

    Args:
        scheduler: any of ``torch.optim.lr_scheduler`` that holds no function,
            ``torch.optim.swa_utils.SWALR``, or one of :func:`scheduler`. A ``SequentialLR`` and
            a ``ChainedScheduler`` are read as what they really do, which is not always what
            their members do alone.

    Returns:
        A schedule; for ``ReduceLROnPlateau`` a :class:`lrsched.Plateau` in its present state;
        for an optimizer with several parameter groups that differ a list, one for each.

    Raises:
        TypeError: no scheduler, one that holds a function (``LambdaLR``, ``MultiplicativeLR``,
            a ``scale_fn``), or one of another library or your own.
        ValueError: arguments, or members of a composition, for which no schedule has the same
            rates; the message says why.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    >>> scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
    >>> read(scheduler)
    CosineAnnealing(base_lr=0.1, t_max=100)
    """
    if not isinstance(scheduler, LRScheduler | ReduceLROnPlateau):
        raise TypeError(
            f"scheduler must be a torch.optim.lr_scheduler.LRScheduler, got {scheduler!r}"
        )
    return natives.read(scheduler)
