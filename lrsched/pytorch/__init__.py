"""Schedules for PyTorch optimizers."""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .rates import set_rate
from .scheduler import ScheduleLR, scheduler

__all__ = ["ScheduleLR", "scheduler", "set_rate"]
