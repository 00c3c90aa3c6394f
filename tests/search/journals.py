"""The journal of the tests, as plain Optuna has it and as workers have it."""

import threading

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

import searched
from lrsched.lab.search import open_storage, work


def plain(lock=JournalFileSymlinkLock):
    """The study "s" of the journal "j" as plain Optuna has it."""
    storage = JournalStorage(JournalFileBackend("j", lock_obj=lock("j")))
    return optuna.load_study(study_name="s", storage=storage)


def ours():
    return optuna.load_study(study_name="s", storage=open_storage("j"))


def search(trials=1):
    return work(searched.GRID, "s", open_storage("j"), trials)


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
