"""Writing to a journal: workers and plain Optuna in turn, and nobody waits for the dead."""

import os
import signal
import threading
import time
import types

import pytest
from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock

from journals import ours, plain, search, waits
from lrsched.lab.search import SearchError, journal
from team import finished


@pytest.fixture(params=[JournalFileSymlinkLock, JournalFileOpenLock])
def lock(request):
    """Each of plain Optuna's locks."""
    return request.param


def test_a_worker_leaves_nothing_that_plain_optuna_waits_for(folder, lock):
    search(2)
    assert {path.name for path in folder.iterdir()} == {"j", "marks"}
    begun = time.monotonic()
    plain(lock).set_user_attr("note", 1)
    assert time.monotonic() - begun < 5
    whole = search(3)
    assert whole.user_attrs["note"] == 1


def test_a_worker_waits_for_plain_optuna(lock):
    search()
    study, before = ours(), os.stat("j").st_size
    held = lock("j")
    held.acquire()
    end = waits(lambda: study.set_user_attr("note", 1))
    assert os.stat("j").st_size == before
    held.release()
    end()
    assert plain(lock).user_attrs["note"] == 1


def test_plain_optuna_waits_for_a_worker(lock, monkeypatch):
    search()
    study, writes, goes_on = plain(lock), threading.Event(), threading.Event()

    def slow(*_):
        writes.set()
        assert goes_on.wait(20)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        write = waits(lambda: ours().set_user_attr("ours", 1))
        assert writes.is_set()
    end = waits(lambda: study.set_user_attr("note", 1))
    goes_on.set()
    write()
    end()
    assert (ours().user_attrs["ours"], ours().user_attrs["note"]) == (1, 1)


def test_all_at_once():
    """No line is lost, and none is written into another."""
    search()
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


def test_a_line_that_is_being_written_is_left_alone(folder, lock):
    search()
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


def test_a_signal_while_it_waits(lock):
    """It leaves the lock to its holder, and the next one can write."""
    search()
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


def test_a_lock_that_a_dead_worker_left(folder):
    """As by a kill between any two system calls: nobody among workers waits for it."""
    search()
    child = os.fork()
    if not child:

        def die(*_):
            with open("j", "ab") as file:
                file.write(b'{"op_code":2')
            os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = die
        ours().set_user_attr("note", 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert os.path.samefile("j", "j.lock")
    begun = time.monotonic()
    search(2)
    assert time.monotonic() - begun < 10
    assert not os.path.lexists("j.lock")
    assert plain().user_attrs["note"] == 1  # its line was whole


@pytest.fixture
def sleeps(monkeypatch):
    """While one waits for a lock each nap takes 8 seconds; what is done in each, and a count."""
    naps = types.SimpleNamespace(now=0.0, count=0, do=lambda count: None)

    def sleep(_):
        naps.now += 8
        naps.count += 1
        naps.do(naps.count)

    clock = types.SimpleNamespace(monotonic=lambda: naps.now, sleep=sleep)
    monkeypatch.setattr(journal, "time", clock)
    return naps


@pytest.mark.parametrize("left", ["file", "link", "dangling link"])
def test_a_lock_that_plain_optuna_left(folder, sleeps, left):
    """It is waited for as long as Optuna does, 30 seconds."""
    search()
    if left == "file":
        (folder / "j.lock").touch()
    else:
        os.symlink("j" if left == "link" else "nowhere", "j.lock")
    search(2)
    assert sleeps.count == 4
    assert not os.path.lexists("j.lock")
    assert len(finished(plain().get_trials())) == 2


def test_a_lock_that_is_held_in_turn(folder, sleeps):
    """Others who write, one after the other, are not taken for a dead one."""
    search()

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
