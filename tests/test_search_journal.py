"""The file of a journal: shared with plain Optuna, and whole whoever dies while writing to it."""

import errno
import json
import os
import resource
import signal
import threading
import time
import types

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)
from optuna.trial import TrialState, create_trial

import searched
from lrsched.lab.search import SearchError, Study, grid, journal, open_storage, random, work
from searched import VALUES

TRIALS = len(VALUES)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain(lock=JournalFileSymlinkLock):
    """The study "s" of the journal "j" as plain Optuna has it."""
    storage = JournalStorage(JournalFileBackend("j", lock_obj=lock("j")))
    return optuna.load_study(study_name="s", storage=storage)


def ours():
    return optuna.load_study(study_name="s", storage=open_storage("j"))


def finished(trials):
    return [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def waits(call):
    """Begins the call in a thread, where it must wait; returns what waits for its end."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()

    def end():
        thread.join(20)
        assert not thread.is_alive()

    return end


@pytest.fixture(params=[JournalFileSymlinkLock, JournalFileOpenLock])
def lock(request):
    """Each of plain Optuna's locks."""
    return request.param


# With plain Optuna


def test_a_worker_leaves_nothing_that_plain_optuna_waits_for(folder, lock):
    work(searched.GRID, "s", open_storage("j"), 2)
    assert {path.name for path in folder.iterdir()} == {"j", "marks"}
    begun = time.monotonic()
    plain(lock).set_user_attr("note", 1)
    assert time.monotonic() - begun < 5
    whole = work(searched.GRID, "s", open_storage("j"), 3)
    assert whole.user_attrs["note"] == 1


def test_a_worker_waits_for_plain_optuna(lock):
    work(searched.GRID, "s", open_storage("j"), 1)
    study, before = ours(), os.stat("j").st_size
    held = lock("j")
    held.acquire()
    end = waits(lambda: study.set_user_attr("note", 1))
    assert os.stat("j").st_size == before
    held.release()
    end()
    assert plain(lock).user_attrs["note"] == 1


def test_plain_optuna_waits_for_a_worker(lock):
    work(searched.GRID, "s", open_storage("j"), 1)
    study = plain(lock)
    with journal.Journal("j", "j")._locked():
        end = waits(lambda: study.set_user_attr("note", 1))
    end()
    assert ours().user_attrs["note"] == 1


def test_all_at_once():
    """No line is lost, and none is written into another."""
    work(searched.GRID, "s", open_storage("j"), 1)
    studies = [plain(), plain(JournalFileOpenLock), ours(), ours()]

    def write(who):
        for k in range(40):
            studies[who].set_user_attr(f"{who} {k}", k)

    threads = [threading.Thread(target=write, args=[who]) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for study in (plain(), ours()):
        assert len(study.user_attrs) == 160 + 1
    assert not os.path.lexists("j.lock")


def test_plain_trials_in_a_search():
    """They are run and kept, and the search has all its own beside them."""
    work(searched.GRID, "s", open_storage("j"), 2)
    study = plain()
    study.enqueue_trial({"x": 50})
    by_hand = study.ask()  # pops what it has put into the queue
    by_hand.suggest_int("x", 0, 100)
    study.tell(by_hand, 7.0)
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.optimize(lambda t: t.suggest_int("x", 0, 100), 2)
    running = study.ask()  # and is never told
    study.enqueue_trial({"x": 77})
    said = []
    work(searched.GRID, "s", open_storage("j"), TRIALS, said.append)
    trials = plain().get_trials()
    values = [t.params["x"] for t in finished(trials)]
    assert values[:3] == [3, 1, 50]
    assert set(values) >= {*VALUES, 50, 77}
    assert len(values) == TRIALS + 4
    assert trials[running.number].state == TrialState.RUNNING
    assert not any("waiting" in line for line in said)
    # Another one for the queue is run though the search has its trials.
    plain().enqueue_trial({"x": 78})
    work(searched.GRID, "s", open_storage("j"), TRIALS)
    assert finished(plain().get_trials())[-1].params["x"] == 78
    assert len(plain().get_trials()) == len(trials) + 1


def test_what_a_plain_trial_leaves_open_is_drawn_alike():
    study = Study(searched.two, random(1))
    found = []
    for name in ("a", "b"):
        work(study, name, open_storage("j"), 1)
        optuna.load_study(study_name=name, storage=open_storage("j")).enqueue_trial({"x": 0.5})
        found.append(work(study, name, open_storage("j"), 1).get_trials()[1].params)
    assert found[0] == found[1]
    assert found[0]["x"] == 0.5


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


# Locks of the dead


def test_a_lock_that_a_dead_worker_left(folder):
    """As by a kill between any two system calls: nobody among workers waits for it."""
    work(searched.GRID, "s", open_storage("j"), 1)
    child = os.fork()
    if not child:

        def die(*_):
            with open("j", "ab") as file:
                file.write(b'{"op_code":2')
            os.kill(os.getpid(), signal.SIGKILL)

        journal.os.fsync = die
        ours().set_user_attr("note", 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert os.path.samefile("j", "j.lock")
    begun = time.monotonic()
    work(searched.GRID, "s", open_storage("j"), 2)
    assert time.monotonic() - begun < 10
    assert not os.path.lexists("j.lock")
    assert plain().user_attrs["note"] == 1  # its line was whole


@pytest.fixture
def sleeps(monkeypatch):
    """While one waits for a lock each nap takes 8 seconds; what is done in each, and a count."""
    found = types.SimpleNamespace(now=0.0, count=0, do=lambda count: None)

    def sleep(_):
        found.now += 8
        found.count += 1
        found.do(found.count)

    clock = types.SimpleNamespace(monotonic=lambda: found.now, sleep=sleep)
    monkeypatch.setattr(journal, "time", clock)
    return found


@pytest.mark.parametrize("left", ["file", "link", "dangling link"])
def test_a_lock_that_plain_optuna_left(folder, sleeps, left):
    """It is waited for as long as Optuna does, 30 seconds."""
    work(searched.GRID, "s", open_storage("j"), 1)
    if left == "file":
        (folder / "j.lock").touch()
    else:
        os.symlink("j" if left == "link" else "nowhere", "j.lock")
    work(searched.GRID, "s", open_storage("j"), 2)
    assert sleeps.count == 4
    assert not os.path.lexists("j.lock")
    assert len(finished(plain().get_trials())) == 2


def test_a_lock_that_is_held_in_turn(folder, sleeps):
    """Others who write, one after the other, are not taken for a dead one."""
    work(searched.GRID, "s", open_storage("j"), 1)

    def others(count):
        assert os.path.lexists("j.lock")
        os.unlink("j.lock")
        if count < 9:
            os.symlink("j", "j.lock")
            os.utime("j.lock", (count, count), follow_symlinks=False)

    sleeps.do = others
    (folder / "j.lock").touch()
    ours().set_user_attr("note", 1)
    assert sleeps.count == 9


def test_a_signal_while_it_waits(lock):
    """It leaves the lock to its holder, and the next one can write."""
    work(searched.GRID, "s", open_storage("j"), 1)
    study, held = ours(), lock("j")

    def ring(*_):
        raise TimeoutError("rung")

    before = signal.signal(signal.SIGALRM, ring)
    held.acquire()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(SearchError, match="cannot be written"):
            study.set_user_attr("note", 1)
        assert os.path.lexists("j.lock")
    finally:
        signal.signal(signal.SIGALRM, before)
        held.release()
    ours().set_user_attr("note", 2)
    assert plain().user_attrs["note"] == 2


# Lines that are not whole


@pytest.mark.parametrize(
    "torn", [b'{"op_code":4', b"{", b'{"op_code":9,"worker_id":"a"}', b"\xff\x00"]
)
def test_a_line_that_a_dead_worker_left(folder, torn):
    """Half-written at the end of the journal: it is cut off, and nothing else."""
    work(searched.GRID, "s", open_storage("j"), 3)
    before = (folder / "j").read_bytes()
    with open("j", "ab") as file:
        file.write(torn)
    work(searched.GRID, "s", open_storage("j"), 5)
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
        work(searched.GRID, "s", open_storage("j"), 1)
        assert len(finished(plain().get_trials())) == 1


def test_a_line_that_is_being_written_is_left_alone(folder, lock):
    work(searched.GRID, "s", open_storage("j"), 1)
    study, held = ours(), lock("j")
    held.acquire()
    with open("j", "ab") as file:
        file.write(b'{"op_code":2,"worker_id":"a",')
    end = waits(lambda: study.set_user_attr("note", 1))
    with open("j", "ab") as file:
        file.write(b'"study_id":0,"user_attr":{"half":1}}\n')
    held.release()
    end()
    attributes = plain().user_attrs
    assert (attributes["note"], attributes["half"]) == (1, 1)


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

    monkeypatch.setattr(journal.os, broken, refuse)
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
    work(searched.GRID, "s", open_storage("j"), 1)
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
    known = [code for code in range(100) if journal._known(code)]
    assert known == list(range(len(known)))
    assert len(known) >= 11
