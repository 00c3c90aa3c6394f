"""Workers in processes of their own, and what the trials of a study must be in the end."""

import time

import optuna
import pytest
from optuna.trial import TrialState

import searched
from killed import ended, kill, start
from lrsched.lab.search import open_storage
from lrsched.lab.search.trials import counted
from searched import TRIALS

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


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
        return begun(self.folder, place)

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

    def end(self):
        for child in self.children:
            kill(child)


def begun(folder, place="middle"):
    """The process in each trial that has come to the place, by its number."""
    words = (path.name.split() for path in folder.glob(f"marks/{place} *"))
    return {int(number): int(process) for _, number, process in words}


def on(*kinds):
    """Run the test on storages of these kinds."""
    return pytest.mark.parametrize("storage", kinds, indirect=True)


def address_of(database, user="tester"):
    return f"postgresql+psycopg://{user}@{database.host}:{database.port}/{database.dbname}"


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return result


def trials_of(address="j", name="s"):
    storage = open_storage(address)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    if hasattr(storage, "engine"):
        storage.engine.dispose()
    return trials


def finished(trials):
    return [trial for trial in trials if trial.state in FINISHED]


def drawn(trials, name="x"):
    """The values of a parameter in the finished trials."""
    return [trial.params[name] for trial in finished(trials)]


def results(trials):
    """Parameters and values, in order."""
    return sorted((*t.params.values(), t.value, t.state) for t in finished(trials))


def by_index(trials):
    """What each of the finished trials drew, by its index."""
    indices = counted(trials, len(trials))
    return {indices[t.number]: t.params for t in finished(trials)}


def same(trials, expected):
    """The same results, and the same best trial; no trial is left."""
    assert len(finished(expected)) == TRIALS
    assert results(trials) == results(expected)
    assert by_index(trials) == by_index(expected)
    best, wanted = (min(finished(each), key=lambda t: t.value) for each in (trials, expected))
    assert best.params == wanted.params
    assert all(trial.state.is_finished() for trial in trials)
