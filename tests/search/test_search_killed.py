"""Searches by many workers, some of which are killed: no trial is lost, and none counts twice."""

import os
import random
import signal
import time

import pytest
from optuna.trial import TrialState

from killed import ended, kill
from lrsched.lab.search.trials import repeats
from searched import BEAT, VALUES
from team import by_index, drawn, finished, on, same, trials_of, until

COMPLETE, FAIL = TrialState.COMPLETE, TrialState.FAIL
BOTH = on("journal", "postgresql")


@pytest.mark.parametrize(
    ("storage", "study", "kills", "place"),
    [
        ("journal", "GRID", 1, "middle"),
        ("postgresql", "GRID", 1, "middle"),
        ("journal", "GRID", 2, "middle"),
        ("journal", "RANDOM", 3, "between"),  # the draws of two parameters
        ("postgresql", "RANDOM", 3, "between"),
    ],
    indirect=["storage"],
)
def test_some_of_three_are_killed(storage, study, kills, place, workers, alone):
    """On a storage that is empty when all three begin. If all die, one comes later."""
    team = workers(storage, study)
    children = team.started(3, place)
    held, (die, live) = team.begun(place), (children[:kills], children[kills:])
    for child in die:
        assert kill(child) == -signal.SIGKILL
    assert not finished(team.trials())
    team.release(place)
    live = live or [team.start()]
    team.finish(*live)
    trials = team.trials()
    same(trials, alone(study))
    dead = {child.pid for child in die}
    assert {trials[n].state for n, process in held.items() if process in dead} == {FAIL}
    # What they print: each trial once, and the best.
    lines = [line for child in live for line in team.said(child).splitlines()]
    said = [int(line.split()[1][:-1]) for line in lines if line.startswith("trial ")]
    assert sorted(said) == [trial.number for trial in finished(trials)]
    best = min(finished(trials), key=lambda trial: trial.value)
    assert all(f"\nthe best is trial {best.number}: x=" in team.said(child) for child in live)


@pytest.mark.parametrize(
    ("storage", "number"),
    [
        ("journal", signal.SIGKILL),
        ("journal", signal.SIGTERM),
        ("postgresql", signal.SIGKILL),
    ],
    indirect=["storage"],
)
def test_ended_at_random_moments(storage, number, workers):
    """One after the other, each time replaced by a new worker."""
    team = workers(storage, "LONG", 30)
    live, codes = [team.start() for _ in range(3)], []
    for _ in range(8):
        time.sleep(random.uniform(0, 0.25))
        child = live.pop(random.randrange(3))
        if child.is_alive():
            os.kill(child.pid, number)
        codes.append(ended(child))
        assert team.said(child, "err") == ""
        live.append(team.start())
    team.finish(*live)
    # A worker that has just been started does not listen yet, and one at its end no more.
    assert set(codes) <= {0, -number} | ({143} if number == signal.SIGTERM else set())
    trials = team.trials()
    assert len(finished(trials)) == 30
    assert by_index(trials) == {index: ({"x": index}, index, COMPLETE) for index in range(30)}


@pytest.mark.parametrize("kills", [3, 4])
def test_a_trial_that_is_killed_again_and_again(workers, kills):
    """Three times can be borne; the fourth time it is given up, and this is said."""
    team = workers("j", "GRID", 1)
    for _ in range(kills):
        kill(*team.started(1))
    team.release()
    last = team.start()
    if kills == 3:
        team.finish(last)
    else:
        assert ended(last) == 1
        said = team.said(last, "err")
        assert said == "lrsched.lab.search: given up after 3 retries: trial 3\n"
    trials = team.trials()
    assert [repeats(trial) for trial in trials] == [[], [0], [0, 1], [0, 1, 2]]
    assert {trial.params["x"] for trial in trials} == {VALUES[0]}
    assert [trial.number for trial in finished(trials)] == ([3] if kills == 3 else [])


# Asked to stop


@pytest.mark.parametrize(
    ("storage", "number", "code"),
    [
        ("journal", signal.SIGINT, 130),
        ("postgresql", signal.SIGTERM, 143),
    ],
    indirect=["storage"],
)
def test_asked_to_stop(storage, number, code, workers, alone):
    """Its trial is run again at once: no sign of life is missed for a minute."""
    team = workers(storage, "PATIENT")
    stops, lives = team.started(2)
    os.kill(stops.pid, number)
    assert (ended(stops), team.said(stops, "err")) == (code, "")
    assert "stopped" in team.said(stops)
    team.release()
    begin = time.monotonic()
    team.finish(lives)
    assert time.monotonic() - begin < 20
    same(team.trials(), alone("GRID"))


@pytest.mark.parametrize("after", [False, True])
def test_asked_to_stop_while_it_tells(command, once, after):
    """Between the end of a trial and the next one."""
    told = []

    def second_result(log):
        told.extend(1 for _ in [log] if log.get("state") == COMPLETE.value)
        return len(told) == 2

    once(second_result, lambda: os.kill(os.getpid(), signal.SIGTERM), after=after)
    arguments = ["--study", "searched:GRID", "--storage", "j", "--trials", 3]
    code, out, err = command(*arguments)
    assert (code, err) == (143, "")
    assert "stopped" in out
    assert command(*arguments)[0] == 0
    trials = trials_of("j", "searched:GRID")
    assert drawn(trials) == [3, 1, 4]
    assert len(trials) == (3 if after else 4)


def test_asked_to_stop_while_a_sign_of_life_is_due(workers):
    """The thread that gives them ends with the worker."""
    team = workers("j", "LEAVES", 1)
    child = team.start()
    assert (ended(child), team.said(child, "err")) == (143, "")


# Suspended, and slow


@BOTH
def test_suspended_while_its_trial_is_run_again(storage, workers):
    """It comes to the end of its trial before the other that has it now."""
    team = workers(storage, "GRID", 2)
    for number in range(3):
        team.hold(f"middle {number}")
    sleeps = team.start()
    until(lambda: 0 in team.begun())
    other = team.start()
    until(lambda: 1 in team.begun())
    os.kill(sleeps.pid, signal.SIGSTOP)
    team.release("middle 1")
    until(lambda: 2 in team.begun())
    os.kill(sleeps.pid, signal.SIGCONT)
    team.release("middle 0")
    until(lambda: "waiting for the workers at trial 2" in team.said(sleeps))
    assert team.said(sleeps).startswith("this worker was silent for too long")
    team.release("middle 2")
    team.finish(sleeps, other)
    trials = team.trials()
    assert [trial.state for trial in trials] == [FAIL, COMPLETE, COMPLETE]
    assert repeats(trials[2]) == [0]
    assert trials[0].params == trials[2].params


@BOTH
def test_a_healthy_worker_is_waited_for(storage, workers):
    """However long its trial takes: its signs of life are seen. Who waits may be stopped."""
    team = workers(storage, "GRID", 1)
    (slow,) = team.started(1)
    waiting = [team.start(), team.start()]
    line = "waiting for the workers at trial 0"
    until(lambda: all(line in team.said(child) for child in waiting))
    stops, waits = waiting
    os.kill(stops.pid, signal.SIGTERM)
    assert ended(stops) == 143
    time.sleep(9 * BEAT)
    team.release()
    team.finish(slow, waits)
    assert [trial.state for trial in team.trials()] == [COMPLETE]


@BOTH
def test_beginning_at_once(storage, workers):
    """The tables, the study and its settings are made by whoever is first."""
    team = workers(storage, "GRID")
    team.finish(*[team.start() for _ in range(5)])
    assert sorted(drawn(team.trials())) == sorted(VALUES)
