"""Schedules for Keras optimizers."""

from .. import triton_first  # noqa: F401  # before Keras

# isort: split
from .plateau import PlateauCallback, plateau
from .reading import read
from .recorder import Recorder
from .schedules import KerasSchedule, ScheduleCallback, callback, schedule

__all__ = [
    "KerasSchedule",
    "PlateauCallback",
    "Recorder",
    "ScheduleCallback",
    "callback",
    "plateau",
    "read",
    "schedule",
]
