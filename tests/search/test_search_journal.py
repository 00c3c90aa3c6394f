"""What a journal holds: it is shared with plain Optuna, and whole whoever dies while writing."""

import json
import os
import resource
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

import searched
from lrsched.lab.search import SearchError, Study, grid, open_storage, random
from searched import TRIALS, VALUES
from team import drawn, finished, plain, search, trials_of

ONE_TWO = grid("x", [1, 2])


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
    search(TRIALS, say=said.append)
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
        search(1, study, name).enqueue_trial({"x": 0.5})
        params.append(search(1, study, name).get_trials()[1].params)
    assert params[0] == params[1]
    assert params[0]["x"] == 0.5


def test_plain_optuna_reads_all(folder):
    """So do those who read a journal line by line: it is JSON as others have it."""
    search(2, Study(searched.pruned, ONE_TWO, settings={"at": float("nan")}))
    (first, second) = plain().get_trials()
    assert (first.state, first.value, second.value) == (TrialState.PRUNED, 0.5, 0.5)
    assert first.user_attrs.keys() == {"lrsched.repeats", "lrsched.sign_of_life"}
    for line in (folder / "j").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


# Lines that are not whole


@pytest.mark.parametrize("trials", [0, 3])
@pytest.mark.parametrize("torn", [b"{", b'{"op_code":4', b'{"op_code":9,"worker_id":"a"}'])
def test_a_line_that_a_dead_worker_left(folder, torn, trials):
    """Half-written at the end of the journal: it is cut off, and nothing else."""
    before = b""
    if trials:
        search(trials)
        before = (folder / "j").read_bytes()
    (folder / "j").write_bytes(before + torn)
    search(5)
    after = (folder / "j").read_bytes()
    assert after.startswith(before + b'{"op_code":')
    assert len(finished(plain().get_trials())) == 5


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
            search(2, Study(objective, ONE_TWO))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.__cause__ is None
    assert calls == [1]
    assert (folder / "j").read_bytes() == before[0]
    assert not os.path.lexists("j.lock")


def test_a_journal_that_is_taken_away(folder):
    def objective(trial):
        (folder / "j").unlink()
        return trial.suggest_int("x", 0, 100)

    with pytest.raises(SearchError, match="'j' cannot be written: No such file"):
        search(2, Study(objective, ONE_TWO))
    assert not (folder / "j").exists()


# Newer ones

NEWER = [
    '{"op_code":99,"worker_id":"a","study_id":0}',
    '{"op_code":[1]}',
    '{"worker_id":"a"}',
    "3",
    '{"op_code":6,"worker_id":"a","trial_id":1,"state":77,"values":null}',
]


@pytest.mark.parametrize("line", NEWER)
def test_a_journal_of_a_newer_optuna(line):
    search()
    plain().ask()
    with open("j", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(SearchError, match=r"'j' .*newer Optuna"):
        open_storage("j")


def test_an_optuna_that_becomes_newer():
    """Another worker's, in the middle of the search: this one says so before it trains again."""
    calls = []

    def objective(trial):
        calls.append(trial.suggest_int("x", 0, 100))
        with open("j", "a") as file:
            file.write(f"{NEWER[0]}\n")
        return 1.0

    with pytest.raises(SearchError, match=f"Optuna {optuna.__version__} does not know"):
        search(2, Study(objective, ONE_TWO))
    assert calls == [1]


def test_all_of_this_optuna_is_known():
    """Whatever plain Optuna writes of studies and trials can be read."""
    own = JournalStorage(JournalFileBackend("j"))
    for name in ("s", "gone"):
        optuna.create_study(study_name=name, storage=own)
    optuna.delete_study(study_name="gone", storage=own)
    plain().optimize(searched.pruned, 1)
    study = own.get_study_id_from_name("s")
    trial = own.create_new_trial(study)
    for give in (own.set_study_user_attr, own.set_study_system_attr):
        give(study, "a", 1)
    for give in (own.set_trial_user_attr, own.set_trial_system_attr):
        give(trial, "a", 1)
    lines = Path("j").read_text().splitlines()
    assert {json.loads(line)["op_code"] for line in lines} == set(range(10))
    assert [repr(each) for each in trials_of()] == [repr(each) for each in plain().get_trials()]
