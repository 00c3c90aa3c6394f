"""Workers here and in processes of their own, and what the trials of a study must be in the end."""

import time

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

import searched
from killed import ended, start
from lrsched.lab.search import open_storage, work
from lrsched.lab.search.trials import counted
from searched import TRIALS

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def search(trials=1, study=searched.GRID, name="s", say=None):
    """Work here, at a study in the journal "j"."""
    return work(study, name, open_storage("j"), trials, say)


def plain(lock=JournalFileSymlinkLock):
    """The study "s" of the journal "j" as plain Optuna has it."""
    storage = JournalStorage(JournalFileBackend("j", lock_obj=lock("j")))
    return optuna.load_study(study_name="s", storage=storage)


class Team:
    """Workers at one study, in a folder."""

    def __init__(self, folder, address, study, trials=TRIALS):
        self.folder, self.address, self.study, self.wanted = folder, address, study, trials
        self.children = []

    def start(self):
        arguments = ("--study", f"searched:{self.study}", "--storage", self.address)
        arguments += ("--trials", f"{self.wanted}")
        child = start(searched.worker, f"worker{len(self.children)}", *arguments)
        self.children.append(child)
        return child

    def started(self, count, place="middle"):
        """So many new workers, when each of them has come to the place; their trials are held."""
        self.hold(place)
        children = [self.start() for _ in range(count)]

        def come():
            assert all(child.is_alive() for child in children), self.said(children[-1], "err")
            return set(self.begun(place).values()) >= {child.pid for child in children}

        until(come)
        return children

    def hold(self, place="middle"):
        (self.folder / f"hold {place}").touch()

    def release(self, place="middle"):
        (self.folder / f"hold {place}").unlink()

    def begun(self, place="middle"):
        """The process in each trial that has come to the place, by its number."""
        words = (path.name.split() for path in self.folder.glob(f"marks/{place} *"))
        return {int(number): int(process) for _, number, process in words}

    def said(self, child, ending="out"):
        file = self.folder / f"worker{self.children.index(child)}.{ending}"
        return file.read_text() if file.exists() else ""

    def finish(self, *children):
        """Wait for workers, which must end well and silently."""
        for child in children:
            code = ended(child)
            assert (code, self.said(child, "err")) == (0, ""), self.said(child)
            assert f"{self.wanted} trials are finished\n" in self.said(child)

    def trials(self):
        return trials_of(self.address, f"searched:{self.study}")


def on(*kinds):
    """Run the test on storages of these kinds."""
    return pytest.mark.parametrize("storage", kinds, indirect=True)


def address_of(database, user="tester"):
    return f"postgresql+psycopg://{user}@{database.host}:{database.port}/{database.dbname}"


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def trials_of(address="j", name="s"):
    storage = open_storage(address)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    if hasattr(storage, "engine"):
        storage.engine.dispose()
    return trials


def finished(trials):
    return [trial for trial in trials if trial.state in FINISHED]


def drawn(trials):
    """The values of x in the finished trials."""
    return [trial.params["x"] for trial in finished(trials)]


def by_index(trials):
    """What each of the finished trials drew and what came of it, by its index."""
    indices = counted(trials, len(trials))
    return {indices[t.number]: (t.params, t.value, t.state) for t in finished(trials)}


def same(trials, expected):
    """The same results, and so the same best trial; no trial is left, and none is there twice."""
    assert len(finished(trials)) == len(finished(expected)) == TRIALS
    assert by_index(trials) == by_index(expected)
    assert all(trial.state.is_finished() for trial in trials)
