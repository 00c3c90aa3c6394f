"""Children that are killed at any moment, and trainings that end after some epochs.

A child is forked from a server of multiprocessing's that has imported all once. So it starts in
milliseconds, where a fresh process would take seconds to import PyTorch.
"""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
PLACES = (ROOT, ROOT / "tests", ROOT / "tests" / "search")

_SERVER = multiprocessing.get_context("forkserver")
# What children run, and what takes long to import.
_SERVER.set_forkserver_preload(["searched", "trained", "psycopg"])


def start(function, *arguments):
    """Call a function of a module in a child: a ``multiprocessing.Process``."""
    child = _SERVER.Process(target=function, args=arguments, daemon=True)
    with pytest.MonkeyPatch.context() as patch:  # the first child starts the server
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, PLACES)))
        for name, value in ONE_THREAD.items():
            patch.setenv(name, value)
        child.start()
    return child


def ended(child):
    """Wait for a child; its exit code, negative if it was killed."""
    child.join(120)
    return child.exitcode


def kill(child):
    """Kill a child if it still lives; how it ended."""
    child.kill()
    return ended(child)


def killed_until_done(function, file, *arguments):
    """Call a function in children that are killed, until one comes to its end.

    The function keeps its state in the file, its first argument. A child is killed at random,
    while it writes, and soon after, in turn.
    """
    kills = resumed = 0
    for attempt in range(200):
        before = version(file)
        child = start(function, file, *arguments)
        for _ in range(2 * (attempt % 3)):  # until it has kept so many states
            last = version(file)
            while child.is_alive() and version(file) == last:
                time.sleep(0.0002)
        if attempt % 3 == 1:
            while child.is_alive() and list(file.parent.iterdir()) == [file]:
                time.sleep(0.0002)
        else:
            time.sleep(random.uniform(0, 0.05))
        code = kill(child)
        for path in set(file.parent.iterdir()) - {file}:
            path.unlink()
        if code == 0 and kills >= 3 and resumed >= 2:
            return
        if code == 0:  # too quick for us: from the beginning
            file.unlink()
            kills = resumed = 0
            continue
        assert code == -signal.SIGKILL
        kills += 1
        resumed += version(file) != before  # the next goes on from a state, not from the start
    pytest.fail("none has come to its end")


def version(file):
    """Another one for each file of this name: what was the number of one is used again."""
    if not file.exists():
        return None
    status = file.stat()
    return status.st_ino, status.st_mtime_ns


class Stopped(Exception):
    pass


class Epochs:
    """Counts the epochs of groups; the one after the last ends the training. An ``after_epoch``."""

    def __init__(self, last=None):
        self.last, self.count = last, 0

    def __call__(self, *_):
        if self.count == self.last:
            raise Stopped
        self.count += 1
