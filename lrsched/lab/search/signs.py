"""Signs of life: how the workers of a study learn that one of them has died."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from .storage import TROUBLE
from .trials import REPEATS, SIGN

__all__ = ["Watch", "signs_of_life"]


@contextmanager
def signs_of_life(trial: Trial, seconds: float) -> Iterator[None]:
    """Leave one in the trial from time to time. None is needed once it has been finished."""
    done = threading.Event()

    def sign() -> None:
        trial.set_user_attr(SIGN, time.time())

    def go_on() -> None:
        while not done.wait(seconds):
            try:
                sign()
            except UpdateFinishedTrialError:
                return  # taken for dead, which the worker learns at the end of its trial
            except TROUBLE:
                pass  # out of reach for now

    sign()
    thread = threading.Thread(target=go_on, daemon=True)
    try:
        thread.start()
        yield
    finally:
        done.set()
        thread.join()


class Watch:
    """Finds the trials whose workers have given no new sign of life for so many seconds.

    They count by the clock of the one who looks: clocks of different machines are never compared.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._signs: dict[int, tuple[Any, float]] = {}  # the last one, and when it was new

    def silent(self, trials: Iterable[FrozenTrial]) -> list[int]:
        """Look once more: the numbers of the trials that are to be taken for dead.

        Plain Optuna gives no signs, so its trials are none of them.
        """
        now, signs = self._clock(), {}
        for trial in trials:
            marks = trial.user_attrs
            if trial.state == TrialState.RUNNING and (REPEATS in marks or SIGN in marks):
                sign, before = marks.get(SIGN), self._signs.get(trial.number)
                signs[trial.number] = before if before and before[0] == sign else (sign, now)
        self._signs = signs
        return [number for number, (_, since) in signs.items() if now - since > self._seconds]
