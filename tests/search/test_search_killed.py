"""Searches by many workers, some of which are killed: no trial is lost, and none counts twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from optuna.trial import TrialState

from killed import ONE_THREAD, PLACES, ended, kill
from lrsched.lab.search.trials import repeats
from searched import BEAT, VALUES
from team import begun, by_index, drawn, finished, on, results, same, trials_of, until

COMPLETE, FAIL = TrialState.COMPLETE, TrialState.FAIL
BOTH = on("journal", "postgresql")


def test_three_commands_one_of_them_killed(folder, alone):
    """As a reader starts them, beginning at once."""
    (folder / "hold middle").touch()
    line = [sys.executable, "-m", "lrsched.lab.search", "--study", "searched:GRID"]
    settings = {
        "env": os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(map(str, PLACES))},
        "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(3):
            process = subprocess.Popen([*line, "--storage", "j", "--trials", "12"], **settings)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        dies = processes[0]
        numbers = {each.pid for each in processes}
        held = until(lambda: set((now := begun(folder)).values()) == numbers and now)
        dies.kill()
        (folder / "hold middle").unlink()
        output = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0]
    assert [errors for _, errors in output] == [""] * 3
    trials = trials_of("j", "searched:GRID")
    (lost,) = (number for number, process in held.items() if process == dies.pid)
    assert trials[lost].state == FAIL
    same(trials, alone("GRID"))
    assert set(drawn(trials)) == set(VALUES)
    # What they print: each trial once, and the best.
    lines = "".join(out for out, _ in output).splitlines()
    said = [int(line.split()[1][:-1]) for line in lines if line.startswith("trial ")]
    assert sorted(said) == [trial.number for trial in finished(trials)]
    best = min(finished(trials), key=lambda trial: trial.value)
    for out, _ in output[1:]:
        assert out.endswith(f"\nthe best is trial {best.number}: x=35: 20.25\n")


@pytest.mark.parametrize(
    ("storage", "study", "kills", "place"),
    [
        ("journal", "GRID", 1, "middle"),
        ("journal", "RANDOM", 1, "middle"),
        ("postgresql", "GRID", 1, "middle"),
        ("journal", "GRID", 2, "middle"),
        ("journal", "RANDOM", 3, "between"),  # the draws of two parameters
        ("journal", "RANDOM", 3, "middle"),
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
    team.finish(*live or [team.start()])
    trials = team.trials()
    same(trials, alone(study))
    for number, process in held.items():
        if process in {child.pid for child in die}:
            assert trials[number].state == FAIL
            assert place == "between" or trials[number].params in [
                t.params for t in finished(trials)
            ]


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
    assert results(trials) == [(x, (x - 30.5) ** 2, COMPLETE) for x in range(30)]
    assert by_index(trials) == {index: {"x": index} for index in range(30)}


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
        ("journal", signal.SIGTERM, 143),
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


def test_asked_to_stop_while_it_waits(workers):
    team = workers("j", "PATIENT", 2)
    (first,) = team.started(1, "middle")
    team.hold("middle 0")
    team.release()
    waits = team.start()
    until(lambda: "waiting" in team.said(waits))
    os.kill(waits.pid, signal.SIGTERM)
    assert ended(waits) == 143
    team.release("middle 0")
    team.finish(first)
    assert len(finished(team.trials())) == 2


# Suspended, and slow


def test_suspended_while_others_finish(workers, alone):
    team = workers("j", "GRID")
    sleeps, lives = team.started(2)
    os.kill(sleeps.pid, signal.SIGSTOP)
    team.release()
    team.finish(lives)
    os.kill(sleeps.pid, signal.SIGCONT)
    team.finish(sleeps)
    assert "silent for too long" in team.said(sleeps)
    assert not team.said(sleeps).startswith("trial")
    assert "\ntrial " not in team.said(sleeps)
    same(team.trials(), alone("GRID"))


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
    team.release("middle 2")
    team.finish(sleeps, other)
    trials = team.trials()
    assert [trial.state for trial in trials] == [FAIL, COMPLETE, COMPLETE]
    assert repeats(trials[2]) == [0]
    assert trials[0].params == trials[2].params


@BOTH
def test_a_healthy_worker_is_waited_for(storage, workers):
    """However long its trial takes: its signs of life are seen."""
    team = workers(storage, "GRID", 2)
    team.hold("middle 0")
    slow = team.start()
    until(lambda: 0 in team.begun())
    waits = team.start()
    until(lambda: "waiting for the workers at trial 0" in team.said(waits))
    time.sleep(9 * BEAT)
    team.release("middle 0")
    team.finish(slow, waits)
    assert [trial.state for trial in team.trials()] == [COMPLETE] * 2


@BOTH
def test_beginning_at_once(storage, workers):
    """The tables, the study and its settings are made by whoever is first."""
    team = workers(storage, "GRID")
    team.finish(*[team.start() for _ in range(5)])
    assert sorted(drawn(team.trials())) == sorted(VALUES)
