"""Schedules for PyTorch optimizers."""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .scheduler import ScheduleLR, scheduler, set_rate

__all__ = ["ScheduleLR", "scheduler", "set_rate"]
