"""The compiled loop for stacks of small fully connected networks, behind one function.

For networks of a few units the time of a :class:`Stack` goes into starting operations and into
moving their results through memory. Here one loop does all of an epoch for 16 networks, whose
weights, gradients and activations of a batch stay in the cache.

``pip install 'lrsched[fast]'``. Without it :func:`loop` returns None, and stacks compute by
batched products. Nothing here imports numba before a loop is asked for: that takes a second.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from ...schedule import Schedule
from ..optimizers import SGD, Adam, AdamW, Optimizer
from ..stack import Stack

if TYPE_CHECKING:
    from .host import Loop

__all__ = ["loop"]

RULES = (SGD, Adam, AdamW, type(None))
LAYERS = (nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.ReLU, nn.Flatten)
WIDEST = 64  # units: the matrices of wider layers are faster as batched products


def loop(stack: Stack, rule: Optimizer | None = None) -> "Loop | None":
    """What trains the networks of a stack, compiled; None where they must train otherwise.

    None if the optimizer, ``rule``, is none of SGD, Adam and AdamW (None: the networks are
    evaluated only); if numba is not installed; if the networks are not on the CPU or not float32;
    if they have other layers than ``Linear``, ``Tanh``, ``ReLU``, ``Flatten`` and ``BatchNorm1d``
    with running statistics; or if one is wider than 64 units.
    """
    moving = isinstance(getattr(rule, "momentum", None), Schedule)
    if type(rule) not in RULES or moving or not _supported(stack):
        return None
    try:
        import llvmlite  # noqa: F401
        import numba  # noqa: F401
    except ImportError:  # also of a numba that this NumPy is too new for
        return None
    from .host import Loop

    return Loop(stack)


def _supported(stack: Stack) -> bool:
    numbers = [*stack.parameters.values(), *stack.buffers.values()]
    return (
        all(
            type(layer) in LAYERS and getattr(layer, "track_running_stats", True)
            for _, layer in stack.layers()
        )
        and all(t.dtype == torch.float32 for t in numbers if t.is_floating_point())
        and all(t.device.type == "cpu" for t in numbers)
        and all(max(p.shape[1:]) <= WIDEST for p in stack.parameters.values())
    )
