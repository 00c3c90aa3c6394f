"""Writing to a journal: workers and plain Optuna in turn, and nobody waits for the dead."""

import functools
import os
import signal
import threading
import time
import types

import optuna
import pytest
from optuna.storages.journal import JournalFileOpenLock, JournalFileSymlinkLock

from lrsched.lab.search import SearchError, journal, open_storage
from team import finished, plain, search


def ours():
    return optuna.load_study(study_name="s", storage=open_storage("j"))


def waits(call):
    """Begins the call in a thread, where it must wait; returns what waits for its end."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    return functools.partial(thread.join, 20)


LOCKS = [JournalFileSymlinkLock, JournalFileOpenLock]  # plain Optuna's


@pytest.mark.parametrize("other", [ours, *(functools.partial(plain, lock) for lock in LOCKS)])
def test_others_wait_for_a_worker(monkeypatch, other):
    search()
    study, writes, goes_on = other(), threading.Event(), threading.Event()

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
    assert not os.path.lexists("j.lock")
    for study in (ours(), plain()):
        assert (study.user_attrs["ours"], study.user_attrs["note"]) == (1, 1)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_worker_waits_for_plain_optuna(lock):
    """The line that is being written is left alone."""
    search()
    study, held = ours(), lock("j")
    held.acquire()
    with open("j", "ab", buffering=0) as file:
        file.write(b'{"op_code":2,"worker_id":"a",')
        end = waits(lambda: study.set_user_attr("note", 1))
        file.write(b'"study_id":0,"user_attr":{"half":1}}\n')
    held.release()
    end()
    attributes = plain(lock).user_attrs
    assert (attributes["note"], attributes["half"]) == (1, 1)


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


def test_a_signal_while_it_waits(folder, sleeps):
    """It leaves the lock to its holder, and the next one can write."""
    search()

    def ring(count):
        raise TimeoutError("rung")

    sleeps.do = ring
    (folder / "j.lock").touch()
    with pytest.raises(SearchError, match="cannot be written"):
        ours().set_user_attr("note", 1)
    (folder / "j.lock").unlink()
    ours().set_user_attr("note", 2)
    assert plain().user_attrs["note"] == 2


@pytest.mark.parametrize("left", ["file", "link"])
def test_a_lock_that_plain_optuna_left(folder, sleeps, left):
    """It is waited for as long as Optuna does, 30 seconds."""
    search()
    if left == "file":
        (folder / "j.lock").touch()
    else:
        os.symlink("j", "j.lock")
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
