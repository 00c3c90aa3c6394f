"""Native schedules: those of PyTorch, Keras, TensorFlow 1 and optax, read and written.

All follows from one table of equivalents, :func:`table`. No framework is imported: native
objects are known by the names of their classes. The table itself is loaded on first use.
"""

from typing import TYPE_CHECKING, Any

from ..value import Value, writes

if TYPE_CHECKING:
    from .rows import Row

__all__ = ["read", "table"]


def table() -> "list[Row]":
    """The equivalents: a ``Row`` for each schedule of another library.

    >>> row = table()[0]
    >>> row.framework, row.name, row.ours
    ('pytorch', 'torch.optim.lr_scheduler.StepLR', ('StepDecay',))
    """
    from .reading import ROWS

    return [*ROWS]


def read(native: Any) -> Any:
    """The schedule of ours that equals a native one, whole, however far it has run.

    Args:
        native: a scheduler of PyTorch; a schedule of Keras, or its ``ReduceLROnPlateau``; what
            a decay of ``tf.compat.v1.train`` returns, called eagerly; a schedule of optax; or
            one of our own adapters. What each is read as stands in :func:`table`.

    Returns:
        A schedule, or a ``Plateau``; for an optimizer with several parameter groups whose
        schedules differ a list of them, one for each group.

    Raises:
        TypeError: what is none of these, or holds a function, as ``LambdaLR`` does.
        ValueError: arguments for which no schedule of ours has the same rates at all whole
            steps; the message says why.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    >>> read(torch.optim.lr_scheduler.StepLR(optimizer, step_size=30))
    StepDecay(base_lr=0.1, step_size=30)
    """
    from .reading import read

    return read(native)


@writes
def _code(value: Value, framework: str) -> str:
    """What ``Schedule.code`` and ``Plateau.code`` return."""
    from .writing import code

    return code(value, framework)
