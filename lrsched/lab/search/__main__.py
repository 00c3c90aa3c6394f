"""The command: start a worker."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ..fashion import DataError
from .storage import TROUBLE, open_storage
from .study import SearchError, named
from .worker import values, work

JOURNAL = "studies.journal"
VARIABLE = "OPTUNA_STORAGE"  # as of Optuna's own command


class _Parser(argparse.ArgumentParser):
    arguments: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """One line: what is wrong, without the usage, and no address in a wrong place."""
        for argument in self.arguments:
            value = argument.partition("=")[2] if argument.startswith("-") else argument
            if re.search("[@=?&;]|://", value):
                message = message.replace(value, "***").replace(repr(value)[1:-1], "***")
        self.exit(2, f"{self.prog}: {message}\n")


class _Stopped(KeyboardInterrupt):
    """Asked to stop by a signal."""


def _stop(number: int, _: Any) -> NoReturn:
    raise _Stopped(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start a worker.

    Returns 0 when the study has its trials, 1 if it cannot have them, 2 for bad arguments, and
    128 and the number of the signal when it was asked to stop.
    """
    parser = _Parser(
        prog="lrsched.lab.search",
        description="Start a worker for a search. Any number of workers share a study: the same "
        "line starts each of them, on any machine that reaches the storage.",
    )
    parser.add_argument(
        "--study",
        required=True,
        metavar="MODULE:NAME",
        help="module:attribute, where to find the Study, or a function that makes it",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="the file of an Optuna journal, or the address of a database, such as "
        "postgresql://user@host/studies or mysql+pymysql://... (default: what the environment "
        f"has as {VARIABLE}, where an address with a password is not seen in the list of "
        f"processes; else the journal {JOURNAL} in this folder)",
    )
    parser.add_argument(
        "--trials",
        required=True,
        type=int,
        metavar="N",
        help="the finished trials that the study shall have in the end, of all workers together",
    )
    parser.arguments = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(arguments)
    before = {each: signal.signal(each, _stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _run(parser, given)
    except _Stopped as stopped:
        _say("stopped: the trial is run again by another worker, or by the next")
        return 128 + int(stopped.args[0])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    try:
        study = named(given.study)
        wanted = study.trials("--trials", given.trials)
    except (SearchError, ValueError) as error:
        parser.error(str(error))
    except DataError as error:
        return _failed(parser, error)
    address = given.storage
    if address is None:
        address = os.environ.get(VARIABLE) or JOURNAL
    try:
        shared = work(study, given.study, open_storage(address), wanted, _say)
    except SearchError as error:
        return _failed(parser, error)
    _say(f"{wanted} trials are finished")
    with suppress(ValueError, *TROUBLE):  # all of them pruned
        best = shared.best_trial
        _say(f"the best is trial {best.number}: {values(best)}: {best.value:.6g}")
    return 0


def _failed(parser: argparse.ArgumentParser, error: Exception) -> int:
    line = " ".join(str(error).split())
    print(f"{parser.prog}: {line}", file=sys.stderr)
    return 1


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
