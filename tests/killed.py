"""Children that are killed at any moment, and trainings that end after some epochs."""

import collections
import contextlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}

# For each line "start WORDS" of its input it starts a child that calls ``work`` with the words,
# and writes its id; for a line "ended ID" it waits for that child and writes how it ended. A fork
# takes milliseconds where a fresh process would take seconds to import PyTorch.
FORKING = """
import contextlib, os, signal, sys, time

codes = {}

def reap(*_):
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            codes[found[0]] = os.waitstatus_to_exitcode(found[1])

signal.signal(signal.SIGCHLD, reap)
print("ready", flush=True)
for line in sys.stdin:
    command, *words = line.split()
    if command == "ended":
        while int(*words) not in codes:
            time.sleep(0.0005)
        print(codes.pop(int(*words)), flush=True)
        continue
    child = os.fork()
    if not child:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        work(*words)
        os._exit(0)
    print(child, flush=True)
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
    print("start", *words, file=parent.stdin, flush=True)
    return int(parent.stdout.readline())


def ended(parent, child):
    """Wait for a child; its exit code, negative if it was killed."""
    print("ended", child, file=parent.stdin, flush=True)
    return int(parent.stdout.readline())


def alive(child):
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return False
    return True


def number(file):
    """Another one for each file of this name: what was the number of one is used again."""
    if not file.exists():
        return None
    found = file.stat()
    return found.st_ino, found.st_mtime_ns


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
