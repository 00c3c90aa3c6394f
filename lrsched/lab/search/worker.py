"""One of those who work at a study."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, Trial, TrialState

from ...arguments import number
from .address import shown
from .joining import Say, join
from .samplers import ByIndex, sampler_of
from .signs import Watch, signs_of_life
from .storage import TROUBLE, Storage, StorageError, quiet
from .study import SearchError, Study
from .trials import FAILED, SIGN, begin, counted, repeats

__all__ = ["values", "work"]

RETRIES = 3


def work(
    study: Study, name: str, storage: BaseStorage, trials: int, say: Say | None = None
) -> OptunaStudy:
    """Take part in a study until it has so many finished trials.

    Stays while other workers are at the last trials, to run them again should one die. A trial
    is finished if it is complete or pruned. One whose worker has died or was stopped is begun
    again at most three times.

    An objective that raises or returns no number would do so again. It ends all workers, each
    before its next trial, and the reason is kept with the trial, as ``lrsched.failed``. Workers
    that are started later begin that trial again.

    Trials that plain Optuna has put into the study, such as by ``enqueue_trial``, are run and
    kept, and do not count.

    Args:
        study: the search.
        name: its name in the storage. The first worker makes it there.
        storage: where it is kept, from :func:`open_storage`.
        trials: the trials that the workers shall have finished in the end, at least 1.
        say: called with a line for each trial and each wait; None: silence.

    Returns:
        The study as Optuna knows it.

    Raises:
        TypeError or ValueError: an argument of another kind or out of its range.
        SearchError: a study of this name with other settings or not of workers; a storage that
            cannot be read or written; an objective that returns no number, or does not suggest
            what the grid has; an objective that failed in another worker; trials whose workers
            died too often.
        Exception: what the objective or the sampler has raised, as it is.
    """
    if not isinstance(study, Study):
        raise TypeError(f"study must be a Study, got {study!r}")
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    if not name.strip():
        raise ValueError(f"name must not be empty, got {name!r}")
    if not isinstance(storage, Storage):
        given = shown(storage) if isinstance(storage, str) else type(storage).__name__
        raise TypeError(f"storage must be what open_storage returned, got {given!r}")
    if say is not None and not callable(say):
        raise TypeError(f"say must be a function or None, got {say!r}")
    wanted = study.trials("trials", trials)
    sampler_of(study.sampler, 0)
    storage = storage.again()
    try:
        with quiet():
            worker = _Worker(study, name, storage, wanted, say or (lambda line: None))
            while worker.ready():
                worker.run()
            return worker.shared
    except StorageError:
        raise
    except TROUBLE:
        reason = storage.trouble()
    # Not from where the error is being handled: it may repeat the storage's address.
    raise StorageError(f"storage {shown(storage.address)!r} cannot be used: {reason}")


def values(trial: FrozenTrial | Trial) -> str:
    """The parameters of a trial, in words."""
    return ", ".join(f"{name}={value!r}" for name, value in trial.params.items())


class _Worker:
    """One of those who work at a study."""

    def __init__(self, study: Study, name: str, storage: Storage, wanted: int, say: Say) -> None:
        self.study, self.storage, self.wanted, self.say = study, storage, wanted, say
        self.shared = join(study, name, storage, say)
        self.shared.sampler = self.sampler = ByIndex(study.sampler, self.index)
        self.shared.pruner = study.pruner or optuna.pruners.NopPruner()
        # What has failed before, and may have been mended since, is begun again.
        self.before = {t.number for t in self.trials() if t.state == TrialState.FAIL}
        self.watch = Watch(3 * study.heartbeat)
        self.enqueued: set[int] = set()
        self.waits_for: list[int] = []

    def trials(self) -> list[FrozenTrial]:
        try:
            return self.shared.get_trials(deepcopy=False)
        except KeyError:
            raise SearchError("the study has been deleted from its storage") from None

    def index(self, trial: int) -> int | None:
        return counted(self.trials(), self.wanted).get(trial)

    def ready(self) -> bool:
        """Whether there is a trial to run, in the queue. Waits until it is known."""
        while True:
            for dead in self.watch.silent(self.trials()):
                self.fail(dead)
            trials = self.trials()
            indices = counted(trials, self.wanted)
            own = [trial for trial in trials if trial.number in indices]
            repeated = {before for trial in own for before in repeats(trial) or ()}
            given_up, again = [], False
            for trial in own:
                if trial.state == TrialState.FAIL and trial.number not in repeated:
                    if self.can_repeat(trial, trials):
                        begin(self.shared, [*(repeats(trial) or ()), trial.number])
                        again = True
                    else:
                        given_up.append(trial.number)
            if again:
                return True
            waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
            self.enqueued = {trial.number for trial in waiting if repeats(trial) is None}
            if len(set(indices.values())) < self.wanted:
                begin(self.shared)
                return True
            if waiting:
                return True
            left = [trial.number for trial in own if not trial.state.is_finished()]
            if not left:
                break
            self.wait(left)
        if given_up:
            numbers = ", ".join(map(str, given_up))
            raise SearchError(f"given up after {RETRIES} retries: trial {numbers}")
        return False

    def can_repeat(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
        """Whether a trial that failed is to be begun again, which is asked before the next."""
        reason = trial.user_attrs.get(FAILED)
        if reason is not None and trial.number not in self.before:
            raise SearchError(
                f"{_called(trial)} has failed in another worker: {reason}. Start the workers "
                "again when this is mended"
            )
        marks = [trials[each].user_attrs for each in (*(repeats(trial) or ()), trial.number)]
        deaths = [each for each in marks if SIGN in each and FAILED not in each]
        return len(deaths) <= RETRIES

    def fail(self, trial: int) -> None:
        """Mark a trial as failed, if it is not finished."""
        with suppress(UpdateFinishedTrialError):
            self.shared.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def wait(self, numbers: list[int]) -> None:
        """Others run these trials: see a little later whether they still live."""
        if numbers != self.waits_for:
            self.waits_for = numbers
            self.say("waiting for the workers at trial " + ", ".join(map(str, numbers)))
        time.sleep(min(1.0, self.study.heartbeat))

    def run(self) -> None:
        """Run one trial, if it counts."""
        self.sampler.number = None
        told: FrozenTrial | None = None
        try:
            trial = self.shared.ask()
            if self.sampler.index is None and trial.number not in self.enqueued:
                self.fail(trial.number)  # one too many: another worker was quicker
                return
            with signs_of_life(trial, self.study.heartbeat):
                value = self.value(trial)
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            told = self.shared.tell(trial.number, value, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            pass
        except BaseException:
            self.drop()
            raise
        if told is None or told.state == TrialState.FAIL:
            self.say("this worker was silent for too long: its trial is run by another")
            return
        result = "pruned" if told.state == TrialState.PRUNED else f"{told.value:.6g}"
        seconds = told.duration.total_seconds() if told.duration else math.nan
        self.say(f"trial {told.number}: {values(told)}: {result} ({seconds:.0f} s)")

    def value(self, trial: Trial) -> float | None:
        """What the objective returns, None if the trial is pruned."""
        value = None
        try:
            if self.sampler.error:
                raise self.sampler.error
            with suppress(optuna.TrialPruned):
                value = _number(self.study.objective(trial))
            self.sampler.check(trial.params)
            return value
        except (UpdateFinishedTrialError, *TROUBLE):
            raise
        except (SearchError, SystemExit) as error:
            exits = "the objective has ended the program: SystemExit: "
            reason = (exits if isinstance(error, SystemExit) else "") + str(error)
            raised: Exception = SearchError(f"{_called(trial)}: {reason}")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            error.add_note(f"{_called(trial)}: its objective or sampler has raised this")
            raised = error
        with suppress(UpdateFinishedTrialError, *TROUBLE):
            trial.set_user_attr(FAILED, reason[:2000])
        raise raised

    def drop(self) -> None:
        """The trial that was begun is not to be finished: it is another's at once."""
        if self.sampler.number is not None:
            with suppress(KeyError, SearchError, *TROUBLE):
                name, storage = self.shared.study_name, self.storage.again()
                self.shared = optuna.load_study(study_name=name, storage=storage)
                self.fail(self.sampler.number)


def _called(trial: FrozenTrial | Trial) -> str:
    return f"trial {trial.number} ({values(trial)})" if trial.params else f"trial {trial.number}"


def _number(result: Any) -> float:
    try:
        value = number("what the objective returns", result, "one number that is not NaN")
    except TypeError as error:
        raise SearchError(str(error)) from None
    if math.isnan(value):
        raise SearchError(
            f"what the objective returns must be one number that is not NaN, got {result!r}"
        )
    return value
