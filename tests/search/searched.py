"""Studies for the tests of searches: cheap ones, which files in the working folder hold.

A trial that comes to a place leaves the file ``PLACE NUMBER PROCESS`` in the folder ``marks`` and
waits while there is a file ``hold PLACE`` or ``hold PLACE NUMBER``. So a worker is surely in the
middle of a trial when it is killed.
"""

import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path

import optuna

from lrsched.lab.search import Study, grid, random, tpe
from lrsched.lab.search.__main__ import main

BEAT = 0.3  # seconds
VALUES = (3, 1, 4, 15, 9, 2, 6, 5, 35, 8, 97, 93)
TRIALS = len(VALUES)


def worker(name, *arguments):
    """What a child does: the command, with an output of its own."""
    for stream, ending in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}.{ending}", os.O_WRONLY | os.O_CREAT), stream)
    sys.exit(main(arguments))


def reach(trial, place):
    marks = Path("marks")
    marks.mkdir(exist_ok=True)
    (marks / f"{place} {trial.number} {os.getpid()}").touch()
    while Path(f"hold {place}").exists() or Path(f"hold {place} {trial.number}").exists():
        time.sleep(0.005)


def plain(trial):
    return trial.suggest_int("x", 0, 100)


def one(trial):
    x = trial.suggest_int("x", 0, 100)
    reach(trial, "middle")
    return (x - 30.5) ** 2


def two(trial):
    x = trial.suggest_float("x", -1, 1)
    reach(trial, "between")
    y = trial.suggest_float("y", 1e-4, 1, log=True)
    reach(trial, "middle")
    return x**2 + y


def long(trial):
    time.sleep(0.03)
    return trial.suggest_int("x", 0, 100)


def pruned(trial):
    """Odd values are pruned after their second step."""
    x = trial.suggest_int("x", 0, 100)
    for step in range(4):
        trial.report(x / (step + 1), step)
        if x % 2 and step == 1:
            raise optuna.TrialPruned
    return x / 4


def leaves(trial):
    """Asked to stop right before it would end the thread of its signs of life."""

    def join(thread):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)  # a signal is heard when the next line begins

    threading.Thread.join = join
    return float(trial.suggest_int("x", 0, 100))


GRID = Study(one, grid("x", VALUES), most=TRIALS, settings={"of": "one"}, heartbeat=BEAT)
RANDOM = Study(two, random(3), heartbeat=BEAT)
TPE = Study(two, tpe(3, n_startup_trials=4), heartbeat=BEAT)
LONG = Study(long, grid("x", range(30)), most=30, heartbeat=BEAT)
PRUNED = dataclasses.replace(GRID, objective=pruned)
LEAVES = dataclasses.replace(GRID, objective=leaves)
RAISES = dataclasses.replace(GRID, objective=lambda trial: 1 / trial.number)
NOTHING = dataclasses.replace(GRID, objective=lambda trial: None)
PATIENT = dataclasses.replace(GRID, heartbeat=60.0)  # longer than a test may take
OTHER = dataclasses.replace(GRID, settings={"of": "another", "more": [1]})


def makes_grid():
    """A study that is made when it is asked for."""
    return GRID


def makes_none():
    """One that cannot be made."""
    return dataclasses.replace(GRID, heartbeat=0)
