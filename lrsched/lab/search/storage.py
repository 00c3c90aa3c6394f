"""Where studies are kept: a journal, or a database."""

import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from .address import is_database, shown, why
from .journal import Journal, StorageError
from .study import SearchError

__all__ = ["TROUBLE", "Storage", "StorageError", "open_storage", "quiet"]

# What Optuna raises where a storage is the cause.
TROUBLE = (StorageError, StorageInternalError)


class Storage(BaseStorage):
    """What :func:`open_storage` returns."""

    address: str

    def again(self) -> "Storage":
        """The same, as it is now: an interrupt may have left a journal half-read."""
        return self

    def trouble(self) -> str:
        """What went wrong last, where Optuna says no more than that something did."""
        return "it gives no reason"


class _JournalStorage(Storage, JournalStorage):
    def __init__(self, path: str, address: str) -> None:
        super().__init__(Journal(path, address))
        self.path, self.address = path, address

    def again(self) -> Storage:
        return _journal(self.path, self.address)


class _Database(Storage, RDBStorage):
    def __init__(self, address: str, settings: dict[str, Any]) -> None:
        template = address.replace("{", "{{").replace("}", "}}")  # Optuna formats it
        super().__init__(template, settings, skip_compatibility_check=True)
        self.address = address
        self._raised: BaseException | None = None  # by the driver, the last time
        sqlalchemy.event.listen(self.engine, "handle_error", self._keep)

    def _keep(self, context: ExceptionContext) -> None:
        self._raised = context.original_exception

    def trouble(self) -> str:
        return why(self._raised) if self._raised else super().trouble()


def open_storage(address: str | os.PathLike[str]) -> BaseStorage:
    """Where studies are kept.

    Args:
        address: the path of a file for Optuna's journal, or with ``://`` the address of a
            database as SQLAlchemy has it, such as ``postgresql://user@host/studies``. A file
            is made when something is written.

    Raises:
        SearchError: if it cannot be reached or is not of this kind. No more is said of an
            address than scheme, host and database.
    """
    path = os.fspath(address)
    if not isinstance(path, str):
        raise TypeError(f"address must be a string, got a value of type {type(path).__name__}")
    if not path.strip():
        raise SearchError(f"storage must be the path of a file or an address, got {path!r}")
    with quiet():
        return _database(path) if is_database(path) else _journal(os.path.abspath(path), path)


def _journal(path: str, address: str) -> Storage:
    error = f"storage {shown(address)!r}"
    try:
        if os.path.exists(path):
            with open(path, "rb") as file:
                if (line := file.readline(2**20)) and not _is_entry(line):
                    raise SearchError(f"{error} is a file, but not a journal of Optuna")
        elif re.search("[@=]", os.path.basename(path)):
            raise SearchError(
                f"{error} is no address, for it has no ://, and shall not be the name of a new "
                "file, for it has @ or ="
            )
        else:
            os.scandir(os.path.dirname(path)).close()  # is there
        return _JournalStorage(path, address)
    except OSError as reason:
        raise SearchError(f"{error} cannot be opened: {reason.strerror}") from None
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as reason:
        raise SearchError(
            f"{error} is damaged, or of a newer Optuna than {optuna.__version__}: "
            f"{type(reason).__name__}: {reason}"
        ) from None


def _is_entry(line: bytes) -> bool:
    """Whether it is the first of a journal, which may be half-written."""
    begin = b'{"op_code":'
    if not line.endswith(b"\n"):
        return line.startswith(begin) or begin.startswith(line)
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False


def _database(address: str) -> Storage:
    try:
        return _open_database(address)
    except SearchError as error:
        reason = str(error)
    # Not from where the driver's own error is being handled, which may repeat the address.
    raise SearchError(f"storage {shown(address)!r} {reason}")


def _open_database(address: str) -> Storage:
    """Raises SearchError with what is wrong with the storage."""
    try:
        url = sqlalchemy.engine.make_url(address)
        kind = url.get_backend_name()
        url.get_dialect()
    except NoSuchModuleError as error:
        raise SearchError("is of no kind that SQLAlchemy knows") from error
    except Exception as error:
        raise SearchError("is no address of a database") from error
    if kind == "sqlite":
        raise SearchError("is SQLite, which is not made for many workers: use PostgreSQL, or the "
                          "path of a file for a journal")  # fmt: skip
    slow = {"connect_timeout": 10} if kind in ("postgresql", "mysql", "mariadb") else {}
    # A server that was started again has closed the connections: each is tried before its use.
    settings: dict[str, Any] = {"connect_args": slow, "pool_pre_ping": True}
    try:
        engine = sqlalchemy.create_engine(url, **settings)
        engine.connect().close()
        engine.dispose()
    except ImportError as error:
        raise SearchError(
            f"needs a driver for {kind}: pip install psycopg[binary] for postgresql, "
            "pymysql for mysql+pymysql"
        ) from error
    except Exception as error:
        raise SearchError(f"cannot be reached: {why(error)}") from error
    storage = _with_tables(address, settings)
    version, wanted = storage.get_current_version(), storage.get_head_version()
    if version != wanted:
        storage.engine.dispose()
        raise SearchError(
            f"has tables of version {version}, and Optuna {optuna.__version__} has {wanted}: "
            "use the newer Optuna, after `optuna storage upgrade` if the tables are older"
        )
    return storage


def _with_tables(address: str, settings: dict[str, Any]) -> _Database:
    for pause in (0.2, 0.4, 0.8, 1.6):
        with suppress(DBAPIError, StorageInternalError):  # others make the tables right now
            return _Database(address, settings)
        time.sleep(pause)
    try:
        return _Database(address, settings)
    except (DBAPIError, StorageInternalError) as error:
        raise SearchError(f"cannot be used: {why(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log and its warnings that parts of it are new."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
