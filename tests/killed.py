"""Children that are killed at any moment, and trainings that end after some epochs."""

import collections
import contextlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}

# For each line of its input it starts a child that calls ``work`` with the words of the line,
# writes its id, waits for it and writes how it ended. A fork takes milliseconds where a fresh
# process would take seconds to import PyTorch.
FORKING = """
import os, sys

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        work(*line.split())
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextlib.contextmanager
def forking(program):
    """A process that starts children; the program defines what they do: ``work``."""
    with subprocess.Popen(
        [sys.executable, "-c", program + FORKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=os.environ | ONE_THREAD,
        cwd=ROOT,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def start(parent, *words):
    """Start a child; the id of its process."""
    print(*words, file=parent.stdin, flush=True)
    return int(parent.stdout.readline())


def ended(parent):
    """The exit code of the child, negative if it was killed."""
    return int(parent.stdout.readline())


def alive(child):
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return False
    return True


def number(file):
    """Another one for each file of this name."""
    return file.stat().st_ino if file.exists() else None


class Stopped(Exception):
    pass


def stop_after(monkeypatch, group_class, epochs, error=Stopped):
    """From the call after so many epochs on, training fails. Returns a counter of the calls."""
    go, counted = group_class.train_epoch, collections.Counter()

    def train_epoch(self):
        if counted["epochs"] == epochs:
            raise error
        counted["epochs"] += 1
        go(self)

    monkeypatch.setattr(group_class, "train_epoch", train_epoch)
    return counted
