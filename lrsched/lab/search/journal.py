"""Optuna's journal, which a worker that dies while it writes leaves as it was.

Plain Optuna can share it: a writer holds Optuna's own lock, the file ``NAME.lock``.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileOpenLock,
)

from .address import shown
from .study import SearchError

__all__ = ["Journal", "StorageError"]

if sys.platform != "win32":
    import fcntl

GRACE = 30.0  # seconds after which Optuna takes the holder of a lock for dead
POLL = 0.002


class StorageError(SearchError):
    """A storage that cannot be read or written."""


class Journal(BaseJournalBackend):
    """The file of a journal.

    Writers exclude each other twice. A lock on the file itself, which ends with its process, is
    among workers; with it in hand one takes Optuna's, which is for plain Optuna. A worker's is a
    second name of the journal, so one that a dead worker left is told from plain Optuna's, and
    is not waited for.

    A line that is left half-written is cut off: the next would be written behind it, and the
    journal could not be read again.
    """

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name
        self._lock = f"{path}.lock"
        self._reader: JournalFileBackend | None = None  # until there is a file

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        try:
            if self._reader is None:
                if not os.path.exists(self._path):
                    return
                self._reader = JournalFileBackend(self._path)
            for log in self._reader.read_logs(log_number_from):
                if not isinstance(log, dict) or not _known(log.get("op_code")):
                    raise self._error(
                        f"has an entry that Optuna {optuna.__version__} does not know: "
                        "a newer Optuna has written it, and is needed here"
                    )
                yield log
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise self._error(f"is damaged: {error}") from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        left = memoryview(lines.encode())
        try:
            with self._locked() as file:
                try:
                    _cut(file)
                    while left:
                        left = left[file.write(left) :]
                    os.fsync(file.fileno())
                except BaseException:
                    _cut(file)  # and no more: others may have read a whole line
                    raise
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror}") from None

    def _error(self, what: str) -> StorageError:
        return StorageError(f"storage {shown(self._name)!r} {what}")

    @contextmanager
    def _locked(self) -> Iterator[FileIO]:
        """The file, to be written by no other process."""
        with open(self._path, "r+b", buffering=0, opener=self._opener) as file:
            if sys.platform == "win32":  # has no lock that ends with its process
                lock = JournalFileOpenLock(self._path)
                lock.acquire()
                try:
                    yield file
                finally:
                    lock.release()
                return
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                self._take(file)
                yield file
            finally:
                if self._is_ours(file):
                    os.unlink(self._lock)
                fcntl.flock(file, fcntl.LOCK_UN)  # a fork may hold the file open

    def _opener(self, path: str, flags: int) -> int:
        """The first to write makes the file; what has been read and is gone stays so."""
        return os.open(path, flags if self._reader else flags | os.O_CREAT, 0o666)

    def _take(self, file: FileIO) -> None:
        """Take Optuna's lock, if need be from the dead."""
        seen, since = None, time.monotonic()
        while True:
            with suppress(FileExistsError):
                os.link(self._path, self._lock)
                return
            with suppress(FileNotFoundError):  # it has just been released
                lock = os.lstat(self._lock)
                if (lock.st_ino, lock.st_mtime_ns) != seen:
                    seen, since = (lock.st_ino, lock.st_mtime_ns), time.monotonic()
                if self._is_ours(file) or time.monotonic() - since > GRACE:
                    os.unlink(self._lock)
                else:
                    time.sleep(POLL)

    def _is_ours(self, file: FileIO) -> bool:
        """Whether Optuna's lock is a worker's: none but this one and the dead can have it."""
        try:
            return os.path.samestat(os.lstat(self._lock), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False


def _cut(file: FileIO) -> None:
    """Go to the end, and cut off what is no whole line there."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - 1, 0))
    if file.read() not in (b"", b"\n"):
        file.seek(0)
        end = file.seek(file.read().rfind(b"\n") + 1)
        file.truncate(end)


def _known(code: Any) -> bool:
    return isinstance(code, int) and _known_to_optuna(code)


@functools.cache
def _known_to_optuna(code: int) -> bool:
    """Whether this Optuna has such an operation: it is tried on one that lacks all the rest."""
    try:
        JournalStorage(_One({"op_code": code}))
    except AssertionError:
        return False
    except Exception:
        return True
    return True


class _One(BaseJournalBackend):
    """A journal of a single entry."""

    def __init__(self, log: dict[str, Any]) -> None:
        self._log = log

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        yield self._log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise NotImplementedError
