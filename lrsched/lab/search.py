"""Searches that many workers share, by Optuna.

    python -m lrsched.lab.search --study decay-epoch-grid --trials 4

starts a worker. The same line starts another one, on this machine or on any that reaches the
storage; together they run so many trials, and what one has finished the others see. A worker
that is killed loses the trial it was in and nothing else: the others, or one started later, run
that trial again.

Optuna keeps the study, draws the values and prunes. What is here is what it leaves open: which
trials count, so that any number of workers end with exactly the trials that were asked for;
samplers whose draws do not depend on who draws; and the signs of life that Optuna's journal
does not give.
"""

import argparse
import functools
import importlib
import json
import math
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import numpy as np
import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution
from optuna.exceptions import (
    ExperimentalWarning,
    StorageInternalError,
    UpdateFinishedTrialError,
)
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, Trial, TrialState

from ..arguments import Whole
from ..schedules import MultiStep
from .data import DataError
from .editions import Plan, edition, plan
from .history import Run
from .models import perceptron
from .training import train

__all__ = ["STUDIES", "SearchError", "Study", "grid", "open_storage", "random", "tpe", "work"]

JOURNAL = "studies.journal"
RETRIES = 3

Objective = Callable[[Trial], float]


class SearchError(RuntimeError):
    """A search that cannot begin, or cannot be completed."""


@dataclass(frozen=True)
class Study:
    """A search, as each of its workers must know it.

    Attributes:
        objective: called with an Optuna trial; suggests values and returns what to minimise.
        sampler: gives the sampler for the trial of this index, counted from 0; see
            :func:`grid`, :func:`random` and :func:`tpe`.
        pruner: stops trials early; None: every trial goes to its end.
        most: the number of trials that the search can have; None: any.
        settings: plain values that make it this search. They are kept with the study; a worker
            with others is refused.
        heartbeat: seconds from one sign of life to the next. A worker that has given none for
            ``3 * heartbeat`` is taken for dead.
    """

    objective: Objective
    sampler: Callable[[int], BaseSampler]
    pruner: optuna.pruners.BasePruner | None = None
    most: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    heartbeat: float = 20.0


# Samplers. A study that all workers sample with the same seed would draw the same values in each
# of them, and one without a seed cannot be repeated. So each trial has a sampler of its own.


def grid(name: str, values: Sequence[Any]) -> Callable[[int], BaseSampler]:
    """The values of one parameter in their order, one for each trial.

    Unlike ``optuna.samplers.GridSampler`` no value is drawn twice when workers ask at once.
    """

    def sampler(index: int) -> BaseSampler:
        return PartialFixedSampler({name: values[index]}, RandomSampler())

    return sampler


def random(seed: int) -> Callable[[int], BaseSampler]:
    """``optuna.samplers.RandomSampler``: the same draws with any number of workers."""
    return lambda index: RandomSampler(seed=_seed(seed, index))


def tpe(seed: int, **settings: Any) -> Callable[[int], BaseSampler]:
    """``optuna.samplers.TPESampler``: with one worker, the same draws each time.

    With more the draws depend on which trials have been finished by then, and so do those of a
    trial that is run again.
    """
    return lambda index: TPESampler(seed=_seed(seed, index), **settings)


def _seed(seed: int, index: int) -> int:
    return int(np.random.default_rng([seed, index]).integers(2**32))


class _EachItsOwn(BaseSampler):
    """Samples every trial with the sampler that its index has."""

    def __init__(self, samplers: Callable[[int], BaseSampler]) -> None:
        self._samplers = samplers
        self._present: BaseSampler = RandomSampler()

    def before_trial(self, study: OptunaStudy, trial: FrozenTrial) -> None:
        index = _index(study.get_trials(deepcopy=False), trial)
        try:
            self._present = self._samplers(index)
        except IndexError:  # a grid has come to its end: the trial does not count
            self._present = RandomSampler()
        self._present.before_trial(study, trial)

    def after_trial(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._present.after_trial(study, trial, state, values)

    def infer_relative_search_space(
        self, study: OptunaStudy, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._present.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._present.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._present.sample_independent(study, trial, param_name, param_distribution)


# Which trials count. Storages number trials as they are made, one after the other, whoever makes
# them. So every worker can tell from the numbers alone, and at any time, which trials count.


def _counted(trials: Sequence[FrozenTrial], wanted: int) -> list[FrozenTrial]:
    """The first so many trials, and of each that failed the first retry."""
    counted: dict[int, FrozenTrial] = {}
    retried: set[int] = set()
    first = 0
    for trial in trials:
        before = _before(trial)
        if not before:
            counts = first < wanted
            first += 1
        else:
            counts = before[-1] in counted and before[-1] not in retried
            retried.add(before[-1])
        if counts:
            counted[trial.number] = trial
    return list(counted.values())


def _before(trial: FrozenTrial) -> list[int]:
    """The numbers of the failed trials that this one repeats."""
    numbers: list[int] = trial.system_attrs.get("retry_history", [])
    return numbers


def _index(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> int:
    """The place of a trial among those that are no retries; of a retry, that of its first try."""
    number = (_before(trial) or [trial.number])[0]
    return sum(not _before(other) for other in trials[:number])


class _Surplus(Exception):
    """The trial that was begun does not count: another worker was quicker."""


def work(
    study: Study,
    name: str,
    storage: BaseStorage,
    trials: int,
    say: Callable[[str], object] | None = None,
) -> OptunaStudy:
    """Take part in a study until it has so many finished trials.

    Stays while other workers are at the last trials, to run them again should one die. A trial
    is finished if it is complete or pruned; one that fails is begun again at most three times.

    Args:
        study: the search.
        name: its name in the storage. The first worker makes it there.
        storage: where it is kept, from :func:`open_storage`.
        trials: the finished trials that the study shall have in the end, at least 1.
        say: called with a line for each trial and each wait; None: silence.

    Returns:
        The study as Optuna knows it.

    Raises:
        TypeError or ValueError: an argument of another kind or out of its range.
        SearchError: a study of this name with other settings; trials that failed too often.
    """
    trials = _checked("trials", trials, study)
    if not isinstance(storage, _SignsOfLife):
        raise TypeError(f"storage must be one that open_storage returned, got {storage!r}")
    storage.watch(study.heartbeat)
    with _quiet():
        shared = _join(study, name, storage)
        worker = _Worker(study, shared, trials, say or (lambda line: None))
        while not worker.done():
            worker.run_one()
    return shared


def _checked(name: str, trials: Any, study: Study) -> int:
    wanted = Whole(low=1)(name, trials)
    if study.most is not None and wanted > study.most:
        raise ValueError(f"{name} must be at most {study.most} in this study, got {wanted}")
    return wanted


def _join(study: Study, name: str, storage: BaseStorage) -> OptunaStudy:
    """The study in the storage, made there if need be."""
    settings = json.loads(json.dumps({**study.settings, "heartbeat": study.heartbeat}))
    shared = optuna.create_study(
        study_name=name,
        storage=storage,
        sampler=_EachItsOwn(study.sampler),
        pruner=study.pruner or optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    kept = shared.user_attrs.get("settings")
    if kept is None:
        shared.set_user_attr("settings", settings)
    elif kept != settings:
        different = "; ".join(
            f"{key}: {kept.get(key)!r} there, {settings.get(key)!r} here"
            for key in dict.fromkeys([*kept, *settings])
            if kept.get(key) != settings.get(key)
        )
        raise SearchError(
            f"study {name!r} in this storage has other settings ({different}): name another storage"
        )
    return shared


class _Worker:
    """One of those who work at a study."""

    def __init__(
        self, study: Study, shared: OptunaStudy, wanted: int, say: Callable[[str], object]
    ) -> None:
        self.study = study
        self.shared = shared
        self.wanted = wanted
        self.say = say
        self.waits_for: list[int] = []

    def counted(self) -> list[FrozenTrial]:
        return _counted(self.shared.get_trials(deepcopy=False), self.wanted)

    def done(self) -> bool:
        """Whether all is done. Comes back, if not, as soon as there is a trial to run."""
        while True:
            optuna.storages.fail_stale_trials(self.shared)
            counted = self.counted()
            repeated = {number for trial in counted for number in _before(trial)}
            failed = [
                trial
                for trial in counted
                if trial.state == TrialState.FAIL and trial.number not in repeated
            ]
            again = [trial for trial in failed if len(_before(trial)) < RETRIES]
            for trial in again:
                self.begin_again(trial)
            if again:
                continue
            left = [trial for trial in counted if not trial.state.is_finished()]
            if sum(not _before(trial) for trial in counted) < self.wanted:
                return False
            if any(trial.state == TrialState.WAITING for trial in left):
                return False
            if not left:
                break
            self.wait([trial.number for trial in left])
        if failed:
            numbers = ", ".join(str(trial.number) for trial in failed)
            raise SearchError(f"given up after {RETRIES} retries: trial {numbers}")
        return True

    def begin_again(self, trial: FrozenTrial) -> None:
        """Put a trial in the queue that repeats a failed one, with Optuna's own marks of it.

        All is drawn again: had it been stopped between two draws, the second would get what was
        the first.
        """
        numbers = [*_before(trial), trial.number]
        marks = {"failed_trial": numbers[0], "retry_history": numbers}
        waiting = optuna.create_trial(
            state=TrialState.WAITING, user_attrs=trial.user_attrs, system_attrs=marks
        )
        self.shared.add_trial(waiting)

    def wait(self, numbers: list[int]) -> None:
        """Others run these trials: see a little later whether they still live."""
        if numbers != self.waits_for:
            self.waits_for = numbers
            self.say("waiting for the workers at trial " + ", ".join(map(str, numbers)))
        time.sleep(min(1.0, self.study.heartbeat))

    def run_one(self) -> None:
        """Run one trial, if it counts."""
        begun: int | None = None
        error: BaseException | None = None

        def objective(trial: Trial) -> float:
            nonlocal begun, error
            begun = trial.number
            try:
                if begun not in {one.number for one in self.counted()}:
                    raise _Surplus
                return self.study.objective(trial)
            except BaseException as caught:
                error = caught
                raise

        try:
            self.shared.optimize(objective, 1, catch=(_Surplus,), callbacks=[self.report])
        except Exception as raised:
            # An error while Optuna tells a result is hidden by one of its own.
            hidden: BaseException | None = raised
            while hidden and not error:
                if isinstance(hidden, (_Stopped, OSError, StorageInternalError)):
                    raise hidden from None
                hidden = hidden.__context__
            # Optuna says in several ways that a trial cannot be told because it has failed.
            told = error is None or isinstance(error, (_Surplus, UpdateFinishedTrialError))
            if begun is None or not told:
                raise
            if self.shared.get_trials(deepcopy=False)[begun].state != TrialState.FAIL:
                raise
            if not isinstance(error, _Surplus):
                self.say("this worker was silent for too long: its trial is run by another")

    def report(self, _: OptunaStudy, trial: FrozenTrial) -> None:
        if trial.state == TrialState.FAIL:
            return
        result = "pruned" if trial.state == TrialState.PRUNED else f"{trial.value:.6g}"
        seconds = trial.duration.total_seconds() if trial.duration else math.nan
        self.say(f"trial {trial.number}: {_values(trial)}: {result} ({seconds:.0f} s)")


def _values(trial: FrozenTrial) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in trial.params.items())


# Storages


class _SignsOfLife(BaseHeartbeat):
    """Signs of life as attributes of the trials.

    Optuna's journal has none, and its databases do not notice a worker that dies before the
    first. A trial is stale when its sign has not changed for a time by the clock of the one who
    looks: clocks of different machines are never compared.
    """

    _interval: float | None = None

    def watch(self, seconds: float) -> None:
        self._interval = seconds
        self._seen: dict[int, tuple[Any, float]] = {}

    def record_heartbeat(self: Any, trial_id: int) -> None:
        if not threading.main_thread().is_alive():
            raise SystemExit  # stopped by a signal before Optuna could end this thread
        # Others may take this worker for dead, or the storage be out of reach: the worker learns
        # of it at the end of its trial.
        with suppress(UpdateFinishedTrialError, StorageInternalError, OSError):
            self.set_trial_system_attr(trial_id, "sign_of_life", time.time())

    def _get_stale_trial_ids(self: Any, study_id: int) -> list[int]:
        now = time.monotonic()
        running = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
        seen = {}
        for trial in running:
            sign = trial.system_attrs.get("sign_of_life")
            before = self._seen.get(trial._trial_id)
            seen[trial._trial_id] = before if before and before[0] == sign else (sign, now)
        self._seen = seen
        return [key for key, (_, since) in seen.items() if now - since > 3 * self._interval]

    def get_heartbeat_interval(self) -> Any:
        return self._interval

    def get_heartbeat_stale_trial_callback(self) -> None:
        return None  # the worker retries what has failed, for whatever reason


class _JournalFile(JournalFileBackend):
    """Optuna's journal, which a worker that dies while it writes leaves as it was.

    The lock ends with its process; Optuna's own would hold all others up for 30 seconds. A line
    that is left half-written is cut off: the next would be written behind it, and the journal
    could not be read again.
    """

    def __init__(self, path: str) -> None:
        self._file_lock = FileLock(f"{path}.lock", poll_interval=0.002)
        super().__init__(path, cast(Any, self._file_lock))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._file_lock:
            with open(self._file_path, "r+b") as file:
                end = file.seek(0, os.SEEK_END)
                if end and file.seek(end - 1) and file.read() != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            super().append_logs(logs)


class _Journal(_SignsOfLife, JournalStorage):
    pass


class _Database(_SignsOfLife, RDBStorage):
    pass


def open_storage(address: str) -> BaseStorage:
    """Where studies are kept.

    Args:
        address: the path of a file for Optuna's journal, or with ``://`` the address of a
            database as SQLAlchemy has it, such as ``postgresql://user@host/studies``.

    Raises:
        SearchError: if it cannot be reached or is not of this kind.
    """
    with _quiet():
        return _database(address) if "://" in address else _journal(address)


def _journal(path: str) -> BaseStorage:
    file = os.path.abspath(path)
    try:
        if os.path.exists(file):
            with open(file, "rb") as opened:
                if (line := opened.readline()) and not _is_entry(line):
                    raise SearchError(f"storage {path!r} is a file, but not a journal of Optuna")
        return _Journal(_JournalFile(file))
    except OSError as error:
        raise SearchError(f"storage {path!r} cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise SearchError(f"storage {path!r} is damaged: {error}") from error


def _is_entry(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False


def _database(address: str) -> BaseStorage:
    import sqlalchemy
    import sqlalchemy.exc

    try:
        url = sqlalchemy.engine.make_url(address)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        hidden = re.sub("//.*@", "//***@", address)
        raise SearchError(f"storage {hidden!r} is no address of a database") from error
    shown = url.render_as_string(hide_password=True)
    sqlite = url.get_backend_name() == "sqlite"
    settings = {"timeout": 60} if sqlite else {"connect_timeout": 10}
    try:
        engine = sqlalchemy.create_engine(url, connect_args=settings)
        engine.connect().close()
        engine.dispose()
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise SearchError(f"storage {shown!r} is of no kind that SQLAlchemy knows") from error
    except ImportError as error:
        raise SearchError(
            f"storage {shown!r} needs a driver for {url.drivername}: "
            "pip install psycopg[binary] for postgresql, pymysql for mysql+pymysql"
        ) from error
    except sqlalchemy.exc.DBAPIError as error:
        raise SearchError(f"storage {shown!r} cannot be reached: {_reason(error)}") from error
    # A server that was started again has closed the connections: each is tried before its use.
    engine_settings = {"connect_args": settings, "pool_pre_ping": True}
    for attempt in range(5):
        try:
            storage = _Database(address, engine_kwargs=engine_settings)
            if sqlite:
                _one_at_a_time(storage.engine)
            return storage
        except sqlalchemy.exc.DBAPIError as error:  # others make the tables at this moment
            if attempt == 4:
                raise SearchError(f"storage {shown!r} cannot be used: {_reason(error)}") from error
            time.sleep(0.2 * 2**attempt)
    raise AssertionError


def _one_at_a_time(engine: Any) -> None:
    """Transactions of SQLite lock the database before they read, not only when they write.

    It has no locks on rows. Two workers would both find a trial waiting, and both take it.
    """
    import sqlalchemy

    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else Python begins transactions in its own way

    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connect)
    sqlalchemy.event.listen(engine, "begin", begin)
    engine.dispose()  # the connections that were made before


def _reason(error: Any) -> str:
    """The first line of what the database's driver says."""
    return str(error.orig).strip().splitlines()[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's log and its warnings that parts of it are new."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


# The searches of the book


RATE, FACTOR = 0.5, 0.1


def _loss_by_decay_epoch(trial: Trial) -> float:
    """Train with one drop of the rate at an epoch to be chosen; the validation loss."""
    size = _plan()
    epoch = trial.suggest_int("decay_epoch", 2, size.epochs - 2, step=2)
    schedule = MultiStep(RATE, (epoch,), FACTOR).per_epoch(size.steps_per_epoch)

    def report(runs: Sequence[Run], epochs: int, metrics: Mapping[str, Any]) -> None:
        trial.report(float(metrics["validation_loss"][0]), epochs)
        if trial.should_prune():
            raise optuna.TrialPruned

    data = size.data
    history = train(
        [Run(f"{epoch}", schedule)],
        data,
        epochs=size.epochs,
        batch_size=size.batch_size,
        network=functools.partial(perceptron, data.side, len(data.classes)),
        group=1,
        chunk=size.batch_size,
        after_epoch=report,
    )
    history.check_rates()
    loss = float(history.metrics["validation_loss"][-1, 0])
    return loss if math.isfinite(loss) else math.inf


def _plan() -> Plan:
    size = plan("decay-epochs")
    assert isinstance(size, Plan)
    return size


def _decay_epoch(
    sampler: str, samplers: Callable[[int], BaseSampler], **settings: Any
) -> Callable[[], Study]:
    """What makes a study of the decay epoch in the edition at hand."""

    def study() -> Study:
        size = _plan()
        described = {
            "sampler": sampler,
            "edition": edition(),
            "data": size.data.checksum,
            "epochs": size.epochs,
            "batch_size": size.batch_size,
            "rate": RATE,
            "factor": FACTOR,
        }
        return Study(_loss_by_decay_epoch, samplers, settings=described, **settings)

    return study


GRID = (10, 20, 30, 50)

# By name, what makes the study: an edition is chosen when a worker starts, and not before.
STUDIES: dict[str, Callable[[], Study]] = {
    "decay-epoch-grid": _decay_epoch("grid", grid("decay_epoch", GRID), most=len(GRID)),
    "decay-epoch-random": _decay_epoch("random", random(seed=0)),
    "decay-epoch-tpe": _decay_epoch("TPE", tpe(seed=0, n_startup_trials=4)),
    "decay-epoch-pruned": _decay_epoch(
        "TPE, pruned",
        tpe(seed=0, n_startup_trials=4),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=10),
    ),
}


# The command


def named(name: str) -> Study:
    """The study of the book of this name, or for ``module:name`` one's own.

    Raises SearchError if there is none.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in STUDIES:
            raise SearchError(
                f"--study must be one of {', '.join(STUDIES)}, or module:name of your own, "
                f"got {name!r}"
            )
        return STUDIES[name]()
    try:
        found = getattr(importlib.import_module(module), attribute)
        found = found if isinstance(found, Study) or not callable(found) else found()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SearchError(f"--study {name!r} gives no Study: {error}") from error
    if not isinstance(found, Study):
        raise SearchError(f"--study {name!r} must be a lrsched.lab.search.Study, got {found!r}")
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line: what is wrong, without the usage."""
        self.exit(2, f"{self.prog}: {message}\n")


class _Stopped(KeyboardInterrupt):
    """Asked to stop by a signal."""


def _stop(number: int, _: Any) -> NoReturn:
    raise _Stopped(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start a worker.

    Returns 0 when the study has its trials, 1 if it cannot have them, 2 for bad arguments, and
    128 and the number of the signal when it was asked to stop.
    """
    parser = _Parser(
        prog="lrsched.lab.search",
        description="Start a worker for a search. Any number of workers share a study: the same "
        "line starts each of them, on any machine that reaches the storage.",
    )
    parser.add_argument(
        "--study",
        required=True,
        metavar="NAME",
        help=f"{', '.join(STUDIES)}; or module:name for a Study of your own",
    )
    parser.add_argument(
        "--storage",
        default=JOURNAL,
        metavar="URL",
        help="the file of an Optuna journal (default: %(default)s in this folder), or the address "
        "of a database, such as postgresql://user@host/studies or mysql+pymysql://...",
    )
    parser.add_argument(
        "--trials",
        required=True,
        type=int,
        metavar="N",
        help="the finished trials that the study shall have in the end, of all workers together",
    )
    given = parser.parse_args(arguments)
    before = {each: signal.signal(each, _stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _run(parser, given)
    except _Stopped as stopped:
        _say("stopped: the trial is run again by another worker, or by the next")
        return 128 + int(stopped.args[0])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    try:
        study = named(given.study)
        wanted = _checked("--trials", given.trials, study)
    except (SearchError, ValueError) as error:
        parser.error(str(error))
    except DataError as error:
        return _failed(parser, error)
    try:
        shared = work(study, given.study, open_storage(given.storage), wanted, _say)
    except (SearchError, StorageInternalError, OSError) as error:
        return _failed(parser, error)
    _say(f"{wanted} trials are finished")
    with suppress(ValueError):  # all of them pruned
        best = shared.best_trial
        _say(f"the best is trial {best.number}: {_values(best)}: {best.value:.6g}")
    return 0


def _failed(parser: argparse.ArgumentParser, error: Exception) -> int:
    line = " ".join(str(error).split())
    print(f"{parser.prog}: {line}", file=sys.stderr)
    return 1


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    # The one that a study of one's own imports: this module is a second copy of it.
    from lrsched.lab import search

    sys.exit(search.main())
