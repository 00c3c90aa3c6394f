"""Schedules for PyTorch optimizers."""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .plateau import PlateauLR, plateau
from .rates import set_rate
from .reading import read
from .recorder import Recorder, record
from .scheduler import ScheduleLR, scheduler

__all__ = [
    "PlateauLR",
    "Recorder",
    "ScheduleLR",
    "plateau",
    "read",
    "record",
    "scheduler",
    "set_rate",
]
