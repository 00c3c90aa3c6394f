"""Schedules for PyTorch optimizers."""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .recorder import Recorder, record
from .scheduler import ScheduleLR, scheduler, set_rate

__all__ = ["Recorder", "ScheduleLR", "record", "scheduler", "set_rate"]
