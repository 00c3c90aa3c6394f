"""What a journal holds: it is shared with plain Optuna, and whole whoever dies while writing."""

import errno
import json
import os
import resource
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

import searched
from journals import plain, search
from lrsched.lab.search import SearchError, Study, grid, open_storage, random, work
from searched import TRIALS, VALUES
from team import drawn, finished


def test_plain_trials_in_a_search():
    """They are run and kept, and the search has all its own beside them."""
    search(2)
    study = plain()
    study.enqueue_trial({"x": 50})
    by_hand = study.ask()  # pops what it has put into the queue
    by_hand.suggest_int("x", 0, 100)
    study.tell(by_hand, 7.0)
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.optimize(searched.plain, 2)
    running = study.ask()  # and is never told
    study.enqueue_trial({"x": 77})
    said = []
    work(searched.GRID, "s", open_storage("j"), TRIALS, said.append)
    trials = plain().get_trials()
    values = drawn(trials)
    assert values[:3] == [3, 1, 50]
    assert set(values) >= {*VALUES, 50, 77}
    assert len(values) == TRIALS + 4
    assert trials[running.number].state == TrialState.RUNNING
    assert not any("waiting" in line for line in said)
    # Another one for the queue is run though the search has its trials.
    plain().enqueue_trial({"x": 78})
    search(TRIALS)
    assert drawn(plain().get_trials())[-1] == 78
    assert len(plain().get_trials()) == len(trials) + 1


def test_what_a_plain_trial_leaves_open_is_drawn_alike():
    study, params = Study(searched.two, random(1)), []
    for name in ("a", "b"):
        work(study, name, open_storage("j"), 1).enqueue_trial({"x": 0.5})
        params.append(work(study, name, open_storage("j"), 1).get_trials()[1].params)
    assert params[0] == params[1]
    assert params[0]["x"] == 0.5


def test_plain_optuna_reads_all(folder):
    """So do those who read a journal line by line: it is JSON as others have it."""
    study = Study(searched.pruned, grid("x", [1, 2]), settings={"at": float("nan")})
    work(study, "s", open_storage("j"), 2)
    (first, second) = plain().get_trials()
    assert (first.state, first.value, second.value) == (TrialState.PRUNED, 0.5, 0.5)
    assert first.user_attrs.keys() == {"lrsched.repeats", "lrsched.sign_of_life"}

    def no_constants(text):
        raise AssertionError(text)

    for line in (folder / "j").read_text().splitlines():
        json.loads(line, parse_constant=no_constants)


# Lines that are not whole


@pytest.mark.parametrize(
    "torn", [b'{"op_code":4', b"{", b'{"op_code":9,"worker_id":"a"}', b"\xff\x00"]
)
def test_a_line_that_a_dead_worker_left(folder, torn):
    """Half-written at the end of the journal: it is cut off, and nothing else."""
    search(3)
    before = (folder / "j").read_bytes()
    with open("j", "ab") as file:
        file.write(torn)
    search(5)
    after = (folder / "j").read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].startswith(b'{"op_code":')
    assert len(finished(plain().get_trials())) == 5


@pytest.mark.parametrize("torn", [b"{", b'{"op_code":0,"worker_id', b"\n"])
def test_a_first_line_that_a_dead_worker_left(folder, torn):
    (folder / "j").write_bytes(torn)
    if torn == b"\n":
        with pytest.raises(SearchError, match="not a journal"):
            open_storage("j")
        assert (folder / "j").read_bytes() == torn
    else:
        search()
        assert len(finished(plain().get_trials())) == 1


def test_a_full_disk(folder):
    """It is said before the next training, and the journal is as it was."""
    before, calls = [], []

    def objective(trial):
        calls.append(trial.suggest_int("x", 0, 100))
        before.append((folder / "j").read_bytes())
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[0]) + 9, hard))
        return 1.0

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(SearchError, match="'j' cannot be written: File too large") as caught:
            work(Study(objective, grid("x", [1, 2])), "s", open_storage("j"), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.__cause__ is None
    assert calls == [1]
    assert (folder / "j").read_bytes() == before[0]
    assert not os.path.lexists("j.lock")


@pytest.mark.parametrize("broken", ["link", "fsync"])
def test_a_journal_that_cannot_be_written(monkeypatch, broken):
    """Such as one that is read-only: nothing is trained."""

    def refuse(*_, **__):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, broken, refuse)
    with pytest.raises(SearchError, match="'j' cannot be written: Permission denied"):
        work(Study(pytest.fail, grid("x", [1, 2])), "s", open_storage("j"), 2)


def test_a_journal_that_is_taken_away(folder):
    def objective(trial):
        (folder / "j").unlink()
        return trial.suggest_int("x", 0, 100)

    with pytest.raises(SearchError, match="'j' cannot be written: No such file"):
        work(Study(objective, grid("x", [1, 2])), "s", open_storage("j"), 2)
    assert not (folder / "j").exists()


def test_a_journal_is_made_when_it_is_written(folder):
    with pytest.raises(KeyError):
        optuna.load_study(study_name="s", storage=open_storage("j"))
    assert list(folder.iterdir()) == []


# Newer ones

NEWER = [
    '{"op_code":99,"worker_id":"a","study_id":0}',
    '{"op_code":"x"}',
    '{"op_code":[1]}',
    '{"worker_id":"a"}',
    "3",
    '{"op_code":6,"worker_id":"a","trial_id":1,"state":77,"values":null}',
    '{"op_code":4,"worker_id":"a","study_id":0}',
]


@pytest.mark.parametrize("line", NEWER)
def test_a_journal_of_a_newer_optuna(line):
    search()
    assert plain().ask().number == 1
    with open("j", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(SearchError, match=r"'j' .*newer Optuna"):
        open_storage("j")


def test_an_optuna_that_becomes_newer():
    """Another worker's, in the middle of the search: this one says so before it trains again."""
    calls = []

    def objective(trial):
        calls.append(trial.suggest_int("x", 0, 100))
        if len(calls) == 2:
            with open("j", "a") as file:
                file.write(f"{NEWER[0]}\n")
        return 1.0

    with pytest.raises(SearchError, match=f"Optuna {optuna.__version__} does not know"):
        work(Study(objective, grid("x", [1, 2, 3])), "s", open_storage("j"), 3)
    assert calls == [1, 2]


def test_all_of_this_optuna_is_known():
    """Whatever plain Optuna writes of studies and trials can be read."""
    own = JournalStorage(JournalFileBackend("own"))
    study, gone = (own.create_new_study([StudyDirection.MINIMIZE], name) for name in "ab")
    own.delete_study(gone)
    own.set_study_user_attr(study, "a", 1)
    own.set_study_system_attr(study, "a", 1)
    trial = own.create_new_trial(study)
    own.set_trial_param(trial, "x", 0.5, FloatDistribution(0, 1))
    own.set_trial_intermediate_value(trial, 0, 1.0)
    own.set_trial_user_attr(trial, "a", 1)
    own.set_trial_system_attr(trial, "a", 1)
    own.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
    lines = Path("own").read_text().splitlines()
    assert {json.loads(line)["op_code"] for line in lines} == set(range(10))
    with open("own", "a") as file:  # by another program that writes journals
        file.write('{"op_code":10,"worker_id":"a"}\n')
    (read,) = optuna.load_study(study_name="a", storage=open_storage("own")).get_trials()
    assert (read.params, read.value) == ({"x": 0.5}, 1.0)
