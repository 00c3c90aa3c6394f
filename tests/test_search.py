"""Searches by many workers, some of which are killed: no trial is lost, and none counts twice."""

import contextlib
import dataclasses
import itertools
import logging
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import types
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lrsched.lab.search.studies import named
from optuna.samplers import GridSampler, RandomSampler
from optuna.trial import TrialState, create_trial

import lrsched as L
import searched
from killed import ONE_THREAD, ROOT, alive, ended, forking, start
from lrsched.lab import Run, SweepPlan, digits, editions, perceptron, search, train
from lrsched.lab.search import SearchError, Study, open_storage, studies, work, worker
from lrsched.lab.search import trials as counting
from lrsched.lab.search.__main__ import JOURNAL, main
from lrsched.lab.search.samplers import _seed
from lrsched.lab.search.trials import SIGN, repeats
from searched import BEAT, VALUES

GRACE = 3 * BEAT
TRIALS = len(VALUES)
TESTS = Path(__file__).parent
COMMAND = [sys.executable, "-m", "lrsched.lab.search"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Studies, marks and holds are in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.delenv("LRSCHED_EDITION", raising=False)
    return tmp_path


# Workers

# A child is a worker in a folder, with an output of its own.
PARENT = """
import contextlib, os, sys
sys.path.insert(0, "tests")
import searched
from lrsched.lab.search.__main__ import main

with contextlib.suppress(ImportError):  # imported once for all workers
    import psycopg

def work(folder, name, *arguments):
    os.chdir(folder)
    for stream, ending in ((1, "out"), (2, "err")):
        file = os.open(f"{name}.{ending}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream)
    sys.exit(main(arguments))
"""


@pytest.fixture(scope="module")
def parent():
    with forking(PARENT) as process:
        yield process


class Workers:
    """Workers at one study, forked from a parent."""

    def __init__(self, parent, folder, address, study, trials=TRIALS):
        self.parent, self.folder, self.address, self.study = parent, folder, address, study
        self.arguments = ("--study", f"searched:{study}", "--storage", address)
        self.arguments += ("--trials", trials)
        self.children = []

    def start(self):
        name = f"worker{len(self.children)}"
        self.children.append(start(self.parent, self.folder, name, *self.arguments))
        return self.children[-1]

    def code(self, child):
        """How the worker ended."""
        return ended(self.parent, child)

    def said(self, child, ending="out"):
        file = self.folder / f"worker{self.children.index(child)}.{ending}"
        return file.read_text() if file.exists() else ""

    def finish(self, *children):
        """Wait for workers, which must end well and silently."""
        for child in children:
            code = self.code(child)
            assert (code, self.said(child, "err")) == (0, ""), self.said(child)
            assert f"{self.arguments[-1]} trials are finished\n" in self.said(child)

    def trials(self):
        return trials_of(self.address, f"searched:{self.study}")

    def begun(self, place="middle"):
        """The process in each trial that has come to the place, by its number."""
        return begun(self.folder, place)


@pytest.fixture
def workers(parent, folder):
    """Makes workers; those that are left at the end of the test are killed."""
    made = []

    def make(address, study, trials=TRIALS):
        made.append(Workers(parent, folder, address, study, trials))
        return made[-1]

    yield make
    for child in itertools.chain.from_iterable(each.children for each in made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def begun(folder, place="middle"):
    found = (path.name.split() for path in folder.glob(f"marks/{place} *"))
    return {int(number): int(process) for _, number, process in found}


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


@contextlib.contextmanager
def opened(address):
    storage = open_storage(str(address))
    try:
        yield storage
    finally:
        if hasattr(storage, "engine"):
            storage.engine.dispose()


def trials_of(address, name):
    with opened(address) as storage:
        return optuna.load_study(study_name=name, storage=storage).get_trials()


def finished(trials):
    return [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def results(trials):
    """Parameters and values, in order."""
    return sorted((*t.params.values(), t.value, t.state) for t in finished(trials))


def by_index(trials):
    """What each of the finished trials drew, by its index."""
    indices = counting.counted(trials, len(trials))
    return {indices[t.number]: t.params for t in finished(trials)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The trials of one worker alone, by the name of the study."""
    made = {}

    def trials(study):
        if study not in made:
            with contextlib.chdir(tmp_path_factory.mktemp("alone")):
                whole = work(getattr(searched, study), study, open_storage("journal"), TRIALS)
            made[study] = whole.get_trials()
        return made[study]

    return trials


def as_alone(trials, expected):
    """The same results, and the same best trial, as of one worker; no trial is left."""
    assert len(finished(expected)) == TRIALS
    assert results(trials) == results(expected)
    assert by_index(trials) == by_index(expected)
    best = [min(finished(each), key=lambda t: t.value) for each in (trials, expected)]
    assert best[0].params == best[1].params
    assert all(t.state.is_finished() for t in trials)


# Storages


def postgres(program):
    """Where PostgreSQL has this program, None if there is none."""
    found = shutil.which(program)
    places = [Path(found).resolve()] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), reverse=True)
    places = [place for place in places if (place.parent / "postgres").exists()]
    return places[0] if places else None


@pytest.fixture(scope="module")
def server():
    """The address of a PostgreSQL server without a name of a database."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    initdb = postgres("initdb")
    if not initdb:
        pytest.skip("no PostgreSQL server is installed: neither initdb in the path nor in "
                    "/usr/lib/postgresql/*/bin")  # fmt: skip
    other = {}
    if os.geteuid() == 0:  # as root the server refuses to run
        nobody = pwd.getpwnam("nobody")
        other = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="pg") as place:
        if other:
            os.chown(place, nobody.pw_uid, nobody.pw_gid)
        data, log = f"{place}/data", open(f"{place}/log", "w+")  # noqa: SIM115
        settings = {"cwd": place, "stdout": log, "stderr": log, **other}
        line = [initdb, "--no-sync", "-A", "trust", "-U", "tester", "-E", "UTF8", "-D", data]
        subprocess.run(line, check=True, **settings)
        line = [initdb.parent / "postgres", "-D", data, "-k", place, "-c", "listen_addresses="]
        with subprocess.Popen([*line, "-F"], **settings) as process:
            try:

                def ready():
                    assert process.poll() is None, Path(f"{place}/log").read_text()
                    with contextlib.suppress(psycopg.OperationalError):
                        return psycopg.connect(f"host={place} user=tester dbname=postgres")

                until(ready).close()
                yield place
            finally:
                process.send_signal(signal.SIGINT)  # ends all connections
                process.wait()
                log.close()


@pytest.fixture
def database(server):
    """The address of an empty database."""
    import psycopg

    name = f"studies{next(NUMBERS)}"
    with psycopg.connect(f"host={server} user=tester dbname=postgres", autocommit=True) as c:
        c.execute(f"create database {name}")
    return f"postgresql+psycopg://tester@/{name}?host={server}"


NUMBERS = itertools.count()


@pytest.fixture
def storage(request):
    """An address of the kind that the parameter says."""
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    return request.param


def on(*kinds):
    return pytest.mark.parametrize("storage", kinds, indirect=True)


# Killed


def test_three_commands_one_of_them_killed(folder, alone):
    """As a reader starts them, beginning at once."""
    (folder / "hold middle").touch()
    line = [*COMMAND, "--study", "searched:GRID", "--storage", "studies", "--trials", f"{TRIALS}"]
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": f"{ROOT}:{TESTS}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(line, env=environment, cwd=folder, **pipes))
            for _ in range(3)
        ]
        for process in processes:
            stack.callback(process.kill)
        held = until(lambda: len(found := begun(folder)) == 3 and found)
        assert set(held.values()) == {process.pid for process in processes}
        processes[0].kill()
        assert processes[0].wait() == -signal.SIGKILL
        (folder / "hold middle").unlink()
        output = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0]
    assert [errors for _, errors in output] == [""] * 3
    trials = trials_of("studies", "searched:GRID")
    (lost,) = (number for number, process in held.items() if process == processes[0].pid)
    assert trials[lost].state == TrialState.FAIL
    as_alone(trials, alone("GRID"))
    assert {t.params["x"] for t in finished(trials)} == set(VALUES)
    # What they print: each trial once, and the best.
    lines = "".join(out for out, _ in output).splitlines()
    said = {int(line.split()[1][:-1]) for line in lines if line.startswith("trial ")}
    assert said == {t.number for t in finished(trials)}
    best = min(finished(trials), key=lambda t: t.value)
    for out, _ in output[1:]:
        assert out.endswith(f"\nthe best is trial {best.number}: x=35: 20.25\n")


@pytest.mark.parametrize(
    ("storage", "study"),
    [
        ("journal", "GRID"), ("journal", "RANDOM"), ("postgresql", "GRID"),
    ],
    indirect=["storage"],
)  # fmt: skip
def test_one_of_three_is_killed(storage, study, workers, folder, alone, record_property):
    """On a storage that is empty when all three begin."""
    (folder / "hold middle").touch()
    begin = time.monotonic()
    team = workers(storage, study)
    dies, *live = (team.start() for _ in range(3))
    held = until(lambda: len(found := team.begun()) == 3 and found)
    assert set(held.values()) == {dies, *live}
    os.kill(dies, signal.SIGKILL)
    assert team.code(dies) == -signal.SIGKILL
    (folder / "hold middle").unlink()
    team.finish(*live)
    seconds = time.monotonic() - begin
    trials = team.trials()
    as_alone(trials, alone(study))
    (lost,) = (number for number, process in held.items() if process == dies)
    assert trials[lost].state == TrialState.FAIL
    assert any(trials[lost].params == t.params for t in finished(trials))
    record_property("seconds", seconds)


@on("journal")
def test_two_of_three_are_killed(storage, workers, folder, alone):
    (folder / "hold middle").touch()
    team = workers(storage, "GRID")
    lives, *die = (team.start() for _ in range(3))
    until(lambda: len(team.begun()) == 3)
    for child in die:
        os.kill(child, signal.SIGKILL)
        team.code(child)
    (folder / "hold middle").unlink()
    team.finish(lives)
    trials = team.trials()
    as_alone(trials, alone("GRID"))
    assert sum(t.state == TrialState.FAIL for t in trials) >= 2


@pytest.mark.parametrize(
    ("storage", "place"),
    [("journal", "between"), ("journal", "middle"), ("postgresql", "between")],
    indirect=["storage"],
)
def test_all_are_killed_and_one_comes_later(storage, place, workers, folder, alone):
    """Also between the draws of two parameters of one trial."""
    (folder / f"hold {place}").touch()
    team = workers(storage, "RANDOM")
    die = [team.start() for _ in range(3)]
    until(lambda: len(team.begun(place)) == 3)
    for child in die:
        os.kill(child, signal.SIGKILL)
        team.code(child)
    (folder / f"hold {place}").unlink()
    assert not finished(team.trials())
    team.finish(team.start())
    as_alone(team.trials(), alone("RANDOM"))


@pytest.mark.parametrize(
    ("storage", "number"),
    [
        ("journal", signal.SIGKILL), ("journal", signal.SIGTERM), ("postgresql", signal.SIGKILL),
    ],
    indirect=["storage"],
)  # fmt: skip
def test_ended_at_random_moments(storage, number, workers):
    """One after the other, each time replaced by a new worker."""
    team = workers(storage, "LONG", 30)
    live = [team.start() for _ in range(3)]
    codes = []
    for _ in range(8):
        time.sleep(random.uniform(0, 0.25))
        child = live.pop(random.randrange(3))
        if alive(child):
            os.kill(child, number)
        codes.append(team.code(child))
        assert team.said(child, "err") == ""
        live.append(team.start())
    team.finish(*live)
    # A worker that has just been started does not listen yet, and one at its end no more.
    assert set(codes) <= {0, -number} | ({143} if number == signal.SIGTERM else set())
    trials = team.trials()
    assert results(trials) == [(x, (x - 30.5) ** 2, TrialState.COMPLETE) for x in range(30)]
    assert by_index(trials) == {index: {"x": index} for index in range(30)}


@pytest.mark.parametrize("kills", [3, 4])
def test_a_trial_that_is_killed_again_and_again(workers, folder, kills):
    """Three times can be borne; the fourth time it is given up, and this is said."""
    (folder / "hold middle").touch()
    team = workers("journal", "GRID", 1)
    for number in range(kills):
        child = team.start()
        until(lambda number=number: number in team.begun())
        os.kill(child, signal.SIGKILL)
        team.code(child)
    (folder / "hold middle").unlink()
    last = team.start()
    if kills == 3:
        team.finish(last)
    else:
        assert team.code(last) == 1
        assert "given up after 3 retries: trial 3" in team.said(last, "err")
        assert "Traceback" not in team.said(last, "err")
    trials = team.trials()
    assert [repeats(t) for t in trials] == [[], [0], [0, 1], [0, 1, 2]]
    assert {t.params["x"] for t in trials} == {VALUES[0]}
    assert [t.number for t in finished(trials)] == ([3] if kills == 3 else [])


@pytest.mark.parametrize(
    ("storage", "number", "code"),
    [
        ("journal", signal.SIGTERM, 143), ("journal", signal.SIGINT, 130),
        ("postgresql", signal.SIGTERM, 143),
    ],
    indirect=["storage"],
)  # fmt: skip
def test_asked_to_stop(storage, number, code, workers, folder, alone):
    """Its trial is run again at once: no sign of life is missed for a minute."""
    (folder / "hold middle").touch()
    team = workers(storage, "PATIENT")
    stops, lives = team.start(), team.start()
    until(lambda: len(team.begun()) == 2)
    os.kill(stops, number)
    assert team.code(stops) == code
    assert team.said(stops, "err") == ""
    assert "stopped" in team.said(stops)
    (folder / "hold middle").unlink()
    begin = time.monotonic()
    team.finish(lives)
    assert time.monotonic() - begin < 20
    as_alone(team.trials(), alone("GRID"))


@pytest.mark.parametrize("before", [True, False])
def test_asked_to_stop_while_it_tells(command, monkeypatch, before):
    """Between the end of a trial and the next one."""
    real = optuna.study.Study.tell

    def tell(study, number, *arguments, **more):
        stops = number == 1 and TrialState.COMPLETE in arguments
        if stops and before:
            os.kill(os.getpid(), signal.SIGTERM)
        told = real(study, number, *arguments, **more)
        if stops:
            os.kill(os.getpid(), signal.SIGTERM)
        return told

    arguments = ["--study", "searched:GRID", "--storage", "j", "--trials", 3]
    with monkeypatch.context() as patch:
        patch.setattr(optuna.study.Study, "tell", tell)
        code, out, err = command(*arguments)
    assert (code, err) == (143, "")
    assert "stopped" in out
    assert command(*arguments)[0] == 0
    trials = trials_of("j", "searched:GRID")
    assert [t.params["x"] for t in finished(trials)] == [3, 1, 4]
    assert len(trials) == (4 if before else 3)


def test_asked_to_stop_while_a_sign_of_life_is_due(workers):
    """The thread that gives them ends with the worker."""
    team = workers("journal", "LEAVES", 1)
    child = team.start()
    until(lambda: not alive(child), 20)
    assert team.code(child) == 143
    assert team.said(child, "err") == ""


def test_asked_to_stop_while_it_waits(workers, folder):
    (folder / "hold middle 0").touch()
    team = workers("journal", "PATIENT", 2)
    first = team.start()
    until(lambda: team.begun())
    waits = team.start()
    until(lambda: "waiting" in team.said(waits))
    os.kill(waits, signal.SIGTERM)
    assert team.code(waits) == 143
    (folder / "hold middle 0").unlink()
    team.finish(first)
    assert len(finished(team.trials())) == 2


@on("journal")
def test_suspended_while_others_finish(storage, workers, folder, alone):
    (folder / "hold middle").touch()
    team = workers(storage, "GRID")
    sleeps, lives = team.start(), team.start()
    until(lambda: len(team.begun()) == 2)
    os.kill(sleeps, signal.SIGSTOP)
    (folder / "hold middle").unlink()
    team.finish(lives)
    os.kill(sleeps, signal.SIGCONT)
    team.finish(sleeps)
    assert "silent for too long" in team.said(sleeps)
    assert "trial " not in team.said(sleeps).partition("\nthe best is")[0].replace("its trial ", "")
    as_alone(team.trials(), alone("GRID"))


@on("journal", "postgresql")
def test_suspended_while_its_trial_is_run_again(storage, workers, folder):
    """It comes to the end of its trial before the other that has it now."""
    for number in range(3):
        (folder / f"hold middle {number}").touch()
    team = workers(storage, "GRID", 2)
    sleeps = team.start()
    until(lambda: 0 in team.begun())
    other = team.start()
    until(lambda: 1 in team.begun())
    os.kill(sleeps, signal.SIGSTOP)
    (folder / "hold middle 1").unlink()
    until(lambda: 2 in team.begun())
    os.kill(sleeps, signal.SIGCONT)
    (folder / "hold middle 0").unlink()
    until(lambda: "waiting for the workers at trial 2" in team.said(sleeps))
    (folder / "hold middle 2").unlink()
    team.finish(sleeps, other)
    trials = team.trials()
    assert [t.number for t in finished(trials)] == [1, 2]
    assert [t.state for t in trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert repeats(trials[2]) == [0]
    assert trials[0].params == trials[2].params


@on("journal", "postgresql")
def test_a_healthy_worker_is_waited_for(storage, workers, folder):
    """However long its trial takes: its signs of life are seen."""
    (folder / "hold middle 0").touch()
    team = workers(storage, "GRID", 2)
    slow = team.start()
    until(lambda: 0 in team.begun())
    waits = team.start()
    until(lambda: "waiting for the workers at trial 0" in team.said(waits))
    time.sleep(3 * GRACE)
    (folder / "hold middle 0").unlink()
    team.finish(slow, waits)
    assert [t.state for t in team.trials()] == [TrialState.COMPLETE] * 2


def test_connections_that_are_cut(database, server, workers, folder, alone):
    """As by a server that is restarted in the middle of trials: the workers connect again."""
    import psycopg

    (folder / "hold middle").touch()
    team = workers(database, "GRID")
    both = [team.start() for _ in range(2)]
    until(lambda: len(team.begun()) == 2)
    with psycopg.connect(f"host={server} user=tester dbname=postgres", autocommit=True) as c:
        name = database.rpartition("/studies")[2].partition("?")[0]
        line = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        assert c.execute(line, [f"studies{name}"]).fetchall()
    (folder / "hold middle").unlink()
    team.finish(*both)
    as_alone(team.trials(), alone("GRID"))


def test_signs_of_life(monkeypatch):
    """After three beats without a new sign, by the clock of the one who looks."""
    now = [1000.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], time=time.time, sleep=time.sleep)
    monkeypatch.setattr(worker, "time", clock)
    looks = worker._Worker(
        dataclasses.replace(searched.GRID, heartbeat=10), "s", open_storage("j"), 3, print
    )
    study = optuna.load_study(study_name="s", storage=open_storage("j"))
    by_hand = study.ask()  # by plain Optuna, which gives no signs
    for _ in range(2):
        counting.begin(study)
    dies, lives = study.ask(), study.ask()

    def stale(seconds):
        """Those that are taken for dead when so much time has passed."""
        now[0] += seconds
        before = {t.number for t in study.get_trials() if t.state == TrialState.FAIL}
        looks.end_the_dead()
        return {t.number for t in study.get_trials() if t.state == TrialState.FAIL} - before

    assert stale(100) == set()  # seen for the first time
    assert stale(29) == set()
    lives.set_user_attr(SIGN, 1)
    assert stale(2) == {dies.number}  # which has never given a sign
    assert stale(28) == set()
    lives.set_user_attr(SIGN, 2)
    assert stale(29) == set()
    assert stale(29) == set()
    assert stale(2) == {lives.number}
    assert study.get_trials()[by_hand.number].state == TrialState.RUNNING


@on("journal", "postgresql")
def test_beginning_at_once(storage, workers):
    """The tables, the study and its settings are made by whoever is first."""
    team = workers(storage, "GRID")
    team.finish(*[team.start() for _ in range(5)])
    trials = team.trials()
    assert {t.params["x"] for t in finished(trials)} == set(VALUES)
    assert len(finished(trials)) == TRIALS


def test_a_surplus_trial_that_others_took_for_dead(monkeypatch):
    """It is nobody's loss, and no word is said of it."""
    real, said, taken = counting.counted, [], []

    def counted(trials, wanted):
        running = [t.number for t in trials if t.state == TrialState.RUNNING]
        if not running or taken:
            return real(trials, wanted)
        taken.extend(running)
        study = optuna.load_study(study_name="s", storage=open_storage("j"))
        study.tell(running[0], state=TrialState.FAIL)
        return {}

    monkeypatch.setattr(worker, "counted", counted)
    whole = work(searched.GRID, "s", open_storage("j"), 2, said.append)
    assert taken == [0]
    assert [t.params.get("x") for t in finished(whole.get_trials())] == [3, 1]
    assert [line.split(":")[0] for line in said] == ["trial 1", "trial 2"]


def test_a_trial_too_many_is_no_death():
    """However often a worker that wants fewer trials has taken it out of the queue."""
    work(searched.GRID, "s", open_storage("j"), 1)
    study = optuna.load_study(study_name="s", storage=open_storage("j"))
    for number in range(1, 6):
        counting.begin(study, range(1, number))
        work(searched.GRID, "s", open_storage("j"), 1)
    whole = work(searched.GRID, "s", open_storage("j"), 2)
    assert [t.state.name for t in whole.trials] == ["COMPLETE", *["FAIL"] * 5, "COMPLETE"]


# Which trials count


@st.composite
def histories(draw):
    """Trials as storages number them, made by workers who know no more than the storage.

    Any trial that failed may be begun again, also twice, and whether it counts or not.
    """
    trials = []
    for number in range(draw(st.integers(1, 25))):
        failed = [t for t in trials if t.state == TrialState.FAIL and repeats(t) is not None]
        before = []
        if failed and draw(st.booleans()):
            again = draw(st.sampled_from(failed))
            before = [*repeats(again), again.number]
        state = draw(st.sampled_from([TrialState.FAIL, TrialState.COMPLETE, TrialState.RUNNING]))
        value = 1.0 if state == TrialState.COMPLETE else None
        attrs = {counting.REPEATS: before}
        trials.append(create_trial(state=state, value=value, user_attrs=attrs))
        trials[-1].number = number
    return trials


HISTORIES = histories()


@given(trials=HISTORIES, wanted=st.integers(1, 12))
def test_counted(trials, wanted):
    counted = counting.counted(trials, wanted)
    numbers = list(counted)
    assert numbers == sorted(set(numbers))
    # The first tries that count are the first of all, by their indices.
    first = [t.number for t in trials if not repeats(t)]
    assert {n: counted[n] for n in numbers if n in first} == {
        n: index for index, n in enumerate(first[:wanted])
    }
    # Each of them and what repeats it is one line, in which all but the last have failed.
    for number in first:
        line = [trials[n] for n in numbers if number in (n, *repeats(trials[n]))]
        if number not in numbers:
            assert line == []
            continue
        assert {counted[t.number] for t in line} == {counted[number]}
        for k, t in enumerate(line):
            assert repeats(t) == [other.number for other in line[:k]]
        assert all(t.state == TrialState.FAIL for t in line[:-1])
        # And no retry of the last one was passed over.
        assert not any(line[-1].number in repeats(t) for t in trials)
        # Of several retries the first counts.
        for one, two in itertools.pairwise(line):
            again = [t.number for t in trials if repeats(t)[-1:] == [one.number]]
            assert again[0] == two.number


@given(trials=HISTORIES, wanted=st.integers(1, 12), more=st.integers(0, 5))
def test_what_counts_stays(trials, wanted, more):
    """Whatever is begun later, and if more trials are asked for."""
    counted = counting.counted(trials, wanted).items()
    for end in range(len(trials)):
        earlier = counting.counted(trials[:end], wanted).items()
        assert list(earlier) == [pair for pair in counted if pair[0] < end]
    assert counted <= counting.counted(trials, wanted + more).items()


@given(trials=HISTORIES, wanted=st.integers(1, 12), place=st.integers(0, 25))
def test_plain_trials_do_not_count(trials, wanted, place):
    """Wherever they stand, the others are those that they were, with their indices."""
    counted = counting.counted(trials, wanted)
    marks = {counting.REPEATS: "garbage"} if place % 2 else {}
    plain = create_trial(value=1.0, user_attrs=marks)
    plain.number = 100
    assert counting.counted([*trials[:place], plain, *trials[place:]], wanted) == counted


# Samplers


def test_grid(alone):
    """Beside Optuna's own: the same values once each, and the same best one."""
    found = alone("GRID")
    assert [t.params["x"] for t in found] == list(VALUES)
    own = optuna.create_study(sampler=GridSampler({"x": VALUES}))
    own.optimize(searched.one)
    assert results(found) == results(own.get_trials())
    best = min(found, key=lambda t: t.value)
    assert (best.params, best.value) == (own.best_params, own.best_value)


def test_random(alone):
    """Each index has its draws; another seed has others."""
    found = [t.params for t in alone("RANDOM")]
    assert len({p["x"] for p in found}) == TRIALS
    again = work(searched.RANDOM, "s", open_storage("j"), 5).get_trials()
    assert [t.params for t in again] == found[:5]
    other = dataclasses.replace(searched.RANDOM, sampler=search.random(4))
    different = work(other, "o", open_storage("j"), 5).get_trials()
    assert not {t.params["x"] for t in different} & {p["x"] for p in found}
    # They are RandomSampler's: spread over the whole range.
    many = [RandomSampler(seed=_seed(3, k))._rng.rng.uniform() for k in range(400)]
    assert np.histogram(many, 4, (0, 1))[0].min() > 60


def test_tpe(alone):
    """The same draws with one worker, which depend on the results."""
    found = [t.params for t in alone("TPE")]
    again = work(searched.TPE, "s", open_storage("j"), TRIALS).get_trials()
    assert [t.params for t in again] == found
    assert len({p["x"] for p in found}) == TRIALS

    def upside_down(trial):
        return -searched.two(trial)

    other = dataclasses.replace(searched.TPE, objective=upside_down)
    different = [t.params for t in work(other, "o", open_storage("j"), TRIALS).get_trials()]
    assert different[:4] == found[:4]  # before TPE begins
    assert different[4:] != found[4:]


def test_one_seed_for_all_draws_the_same():
    """What Optuna's samplers do in two workers, and ours do not."""
    own = []
    for _ in range(2):
        with opened("own") as storage:
            study = optuna.create_study(
                study_name="s", storage=storage, sampler=RandomSampler(0), load_if_exists=True
            )
            study.optimize(searched.two, 3)
            own = [t.params["x"] for t in study.get_trials()]
    assert own[:3] == own[3:]
    for trials in (3, 6):
        ours = work(searched.RANDOM, "s", open_storage("ours"), trials).get_trials()
    assert len({t.params["x"] for t in ours}) == 6


# Trials that end otherwise


def test_pruned_trials_are_finished():
    said = []
    whole = work(searched.PRUNED, "s", open_storage("j"), TRIALS, said.append)
    assert len(whole.get_trials()) == TRIALS
    for t in whole.get_trials():
        x = t.params["x"]
        assert t.state == (TrialState.PRUNED if x % 2 else TrialState.COMPLETE)
        assert t.intermediate_values == {k: x / (k + 1) for k in range(2 if x % 2 else 4)}
    assert whole.best_params == {"x": 2}
    assert said[0] == "trial 0: x=3: pruned (0 s)"
    assert len(said) == TRIALS


def test_the_pruner_is_used():
    study = Study(
        lambda trial: reported(trial, trial.suggest_int("x", 0, 9)),
        search.grid("x", [1, 2, 9, 0]),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
    )
    whole = work(study, "s", open_storage("j"), 4)
    assert [t.state for t in whole.get_trials()] == [
        TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE,
    ]  # fmt: skip
    assert max(whole.get_trials()[2].intermediate_values) == 1


def reported(trial, x):
    for step in range(4):
        trial.report(x, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


# More trials later


def test_more_trials_later(alone):
    for trials in (1, 5, 5, 3, TRIALS):
        whole = work(searched.RANDOM, "s", open_storage("j"), trials)
    as_alone(whole.get_trials(), alone("RANDOM"))
    assert len(whole.get_trials()) == TRIALS


@on("journal", "postgresql")
def test_two_studies_in_one_storage(storage, alone):
    """Trials are numbered in each by itself."""
    with opened(storage) as both:
        for trials in (5, TRIALS):
            for study in ("GRID", "RANDOM"):
                work(getattr(searched, study), study, both, trials)
    for study in ("GRID", "RANDOM"):
        as_alone(trials_of(storage, study), alone(study))


# The studies of the book


def small(monkeypatch, epochs):
    monkeypatch.setitem(editions.QUICK, "decay-epochs", (epochs, 1, 200))


def untrained(monkeypatch):
    """Trainings that are only asked for, whose losses are 1, 2, ..."""
    asked = []

    def train(runs, data, **settings):
        asked.append((runs[0].schedule, settings["epochs"], settings["batch_size"]))
        metrics = {"validation_loss": np.array([[9.0], [len(asked)]])}
        return types.SimpleNamespace(metrics=metrics, check_rates=lambda: None)

    monkeypatch.setattr(studies, "train", train)
    return asked


def direct(epochs, decay_epoch):
    """The validation losses of a training with one drop of the rate, by the lab alone."""
    planned = editions.plan("decay-epochs")
    assert not isinstance(planned, SweepPlan)
    schedule = L.MultiStep(0.5, [decay_epoch * planned.steps_per_epoch], gamma=0.1)
    history = train(
        [Run("a", schedule)], planned.data, epochs=epochs, batch_size=planned.batch_size,
        network=lambda: perceptron(8, 10), group=1, chunk=planned.batch_size,
    )  # fmt: skip
    return history.metrics["validation_loss"][:, 0]


def test_the_random_search_of_the_book(monkeypatch):
    small(monkeypatch, 6)
    whole = work(named("decay-epoch-random"), "s", open_storage("j"), 2)
    assert whole.user_attrs["settings"]["edition"] == "quick"
    for t in whole.get_trials():
        assert t.params["decay_epoch"] in (2, 4)
        losses = direct(6, t.params["decay_epoch"])
        assert t.value == losses[-1]
        assert t.intermediate_values == {k + 1: loss for k, loss in enumerate(losses)}


def test_the_pruned_search_of_the_book(monkeypatch):
    """With the pruner set to begin soon."""
    small(monkeypatch, 4)
    study = named("decay-epoch-pruned")
    assert isinstance(study.pruner, optuna.pruners.MedianPruner)
    calls = []

    class Pruner(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            calls.append(trial.last_step)
            return trial.number == 1 and trial.last_step == 3

    whole = work(dataclasses.replace(study, pruner=Pruner()), "s", open_storage("j"), 3)
    assert [t.state.name for t in whole.get_trials()] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert calls == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4]


def test_the_grid_of_the_book(monkeypatch):
    """The four epochs of the tutorial, each with the training that it stands for."""
    plan, asked = editions.plan("decay-epochs"), untrained(monkeypatch)
    whole = work(named("decay-epoch-grid"), "s", open_storage("j"), 4)
    assert [t.params["decay_epoch"] for t in whole.get_trials()] == [10, 20, 30, 50]
    assert [t.value for t in whole.get_trials()] == [1, 2, 3, 4]
    steps = plan.steps_per_epoch
    assert asked == [
        (L.MultiStep(0.5, [epoch], gamma=0.1).per_epoch(steps), plan.epochs, plan.batch_size)
        for epoch in (10, 20, 30, 50)
    ]


def test_the_studies_differ_in_what_they_say():
    made = {name: named(name) for name in search.STUDIES}
    assert list(made) == [f"decay-epoch-{kind}" for kind in ("grid", "random", "tpe", "pruned")]
    assert len({str(study.settings) for study in made.values()}) == 4
    for study in made.values():
        assert study.settings["data"] == digits(200).checksum
        assert (study.settings["epochs"], study.settings["edition"]) == (60, "quick")
        assert (study.settings["rate"], study.settings["factor"]) == (0.5, 0.1)


@on("journal", "postgresql")
def test_a_diverged_training_is_the_worst(storage, monkeypatch):
    small(monkeypatch, 4)
    monkeypatch.setattr(studies, "RATE", 1e30)
    with opened(storage) as at:
        whole = work(named("decay-epoch-random"), "s", at, 1)
        assert [t.value for t in whole.get_trials()] == [float("inf")]


# The command


@pytest.fixture
def command(capsys):
    """Runs the command here; its exit code, output and errors."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments):
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    yield run
    for each, handler in before.items():
        signal.signal(each, handler)


def test_command(command, folder):
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    code, out, err = command("--study", "searched:made", "--trials", 3)
    assert (code, err) == (0, "")
    # A signal in the last moments, when nothing is left to stop, is not answered by a traceback.
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert out.splitlines() == [
        "trial 0: x=3: 756.25 (0 s)", "trial 1: x=1: 870.25 (0 s)", "trial 2: x=4: 702.25 (0 s)",
        "3 trials are finished", "the best is trial 2: x=4: 702.25",
    ]  # fmt: skip
    assert (folder / JOURNAL).exists()
    code, out, err = command("--study", "searched:made", "--trials", 2)
    assert (code, err) == (0, "")
    assert out.startswith("2 trials are finished\n")


def test_command_with_all_trials_pruned(command):
    line = ["--study", "searched:PRUNED", "--storage", "j", "--trials"]
    code, out, err = command(*line, 2)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "2 trials are finished"


def test_command_help(command, folder):
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    shown = "".join(out.split())  # without the breaks of lines
    for word in (
        *search.STUDIES, "--storage", "--trials", "postgresql://", "module:name", "OPTUNA_STORAGE",
    ):  # fmt: skip
        assert word in shown
    assert list(folder.iterdir()) == []


def refused(command, folder, code, arguments, *words):
    """One line with these words; nothing is made, and no trial is begun."""

    def there():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = there()
    found, out, err = command(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("lrsched.lab.search: ")
    assert err.count("\n") == 1, err
    assert len(err) < 600
    for word in words:
        assert str(word) in err, err
    for never in ("Traceback", "secret", "usage:"):
        assert never not in err
    assert there() == before


FINE = ("--trials", 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trials", 2], ["--study"]),
        (["--study", "searched:GRID"], ["--trials"]),
        ([], ["--study", "--trials"]),
        (["--study", "decay", *FINE], ["--study", "'decay'", "decay-epoch-grid", "module:name"]),
        (["--study", "", *FINE], ["--study", "''", "decay-epoch-grid"]),
        (["--study", "no.such:GRID", *FINE], ["--study", "'no.such:GRID'", "No module named"]),
        (["--study", "searched:NO", *FINE], ["--study", "'searched:NO'", "NO"]),
        (["--study", "searched:", *FINE], ["--study", "'searched:'"]),
        (["--study", ":GRID", *FINE], ["--study", "':GRID'"]),
        (["--study", ".searched:GRID", *FINE], ["--study", "'.searched:GRID'"]),
        (["--study", "searched:NONE", *FINE], ["--study", "'searched:NONE'", "Study", "got 3"]),
        (["--study", "searched:reach", *FINE], ["--study", "'searched:reach'", "Study"]),
        (["--study", "searched:GRID", "--trials", 0], ["--trials", "at least 1", "got 0"]),
        (["--study", "searched:GRID", "--trials", -3], ["--trials", "at least 1", "got -3"]),
        (["--study", "searched:GRID", "--trials", "x"], ["--trials", "'x'"]),
        (["--study", "searched:GRID", "--trials", "1.5"], ["--trials", "'1.5'"]),
        (["--study", "searched:GRID", "--trials", 13], ["--trials", "at most 12", "got 13"]),
        (["--study", "decay-epoch-grid", "--trials", 5], ["--trials", "at most 4", "got 5"]),
        (["--study", "searched:GRID", *FINE, "--workers", 3], ["--workers"]),
        (["--study", "searched:GRID", *FINE, "more"], ["more"]),
        (["--study", "searched:HEARTBEAT", *FINE], ["heartbeat", "above 0", "got 0"]),
        # An address in a wrong place.
        (["--study", "searched:GRID", *FINE, "pg://u:secret@h/d"], ["unrecognized"]),
        (["--study", "searched:GRID", *FINE, "--storge=pg://u:secret@h/d"], ["--storge"]),
        (["--study", "searched:GRID", *FINE, "--st=pg://u:secret@h/d"], ["--st"]),
        (["--study", "searched:GRID", *FINE, "host=h password=secret"], ["unrecognized"]),
        (["--study", "searched:GRID", "--trials", "pg://u:secret@h/d"], ["--trials"]),
        (["--study", "pg://u:sec\'ret@h/secret", *FINE], ["--study"]),
        (["--study", "searched://u:secret@h/d", *FINE], ["--study", "module:name"]),
    ],
    ids=str,
)  # fmt: skip
def test_bad_arguments(command, folder, arguments, words):
    refused(command, folder, 2, arguments, *words)


def test_unknown_edition(command, folder, monkeypatch):
    monkeypatch.setenv("LRSCHED_EDITION", "some")
    refused(command, folder, 2, ["--study", "decay-epoch-tpe", *FINE], "LRSCHED_EDITION", "'some'")


@pytest.fixture
def nobody_listens():
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


PG = "postgresql+psycopg://someone:secret@127.0.0.1"


@pytest.mark.parametrize("how", ["argument", "environment"])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("no/such/journal", ["'no/such/journal'", "No such file"]),
        ("some", ["'some'", "directory"]),
        ("text", ["'text'", "not a journal"]),
        ("zeros", ["'zeros'", "not a journal"]),
        ("other", ["'other'", "not a journal"]),
        ("note", ["'note'", "not a journal"]),
        ("text/journal", ["'text/journal'", "Not a directory"]),
        ("sqlite:///studies.db", ["SQLite", "many workers", "PostgreSQL", "journal"]),
        ("nosuch://someone:secret@host/a", ["'nosuch://host/a'", "no kind"]),
        ("redis://:secret@host/a", ["'redis://host/a'", "no kind"]),
        ("mysql+pymysql://someone:secret@host/a", ["mysql+pymysql://host/a", "driver"]),
        # What no address is, and where a password may stand in one.
        ("://", ["'://***'"]),
        ("post-gres://someone:secret@host/a", ["'post-gres://host/a'"]),
        (f"{PG}:port/a", ["postgresql+psycopg://***", "no address"]),
        (f"{PG}:99999999/a", ["postgresql+psycopg://"]),
        ("postgresql://someone:1?secret@host/a", ["postgresql://***"]),
        ("postgresql://someone:1/secret@host/a", ["postgresql://***"]),
        ("postgresql://someone:x@secret@nohost.invalid/a", ["postgresql://***"]),
        ("postgresql://:secret@nohost.invalid:5/a", ["'postgresql://nohost.invalid/a'"]),
        ("postgresql://secret@nohost.invalid", ["'postgresql://nohost.invalid/'", "host"]),
        ("postgresql:///a?host=127.0.0.1&port=1&password=secret", ["'postgresql:///a'"]),
        ("postgresql:///a?host=127.0.0.1&port=1&sslpassword=secret", ["postgresql:///a"]),
        ("postgresql:///a?secret", ["postgresql:///a"]),
        ("postgresql:///a?secret=1", ["postgresql:///a"]),
        ("postgresql:///a?host=127.0.0.1&port=secret", ["postgresql:///a"]),
        ("postgresql:///a?host=127.0.0.1&port=1&options=secret", ["postgresql:///a"]),
        ("postgresql:///a?host=127.0.0.1&port=1&x='secret", ["postgresql:///a"]),
        ("postgresql:///a?password=se@secret", ["postgresql://***"]),
        ("postgresql:///a;password=secret", ["postgresql://***"]),
        ("postgresql:///host=127.0.0.1 port=1 password=secret", ["postgresql://***"]),
        ("postgresql://a:%73ecret@127.0.0.1:1/b", ["'postgresql://127.0.0.1/b'", "refused"]),
        ("postgresql://a:{secret}@127.0.0.1:1/b{secret}", ["postgresql://***", "refused"]),
        ("someone:secret@host/a", ["'***'", "No such file"]),
        ("someone:secret@host", ["'***'", "no address"]),
        ("host=localhost password=secret", ["'***'", "no address"]),
    ],
    ids=str,
)  # fmt: skip
def test_bad_storages(command, folder, monkeypatch, address, words, how):
    if address.startswith("postgres"):
        pytest.importorskip("psycopg", reason="psycopg is not installed")
    (folder / "some").mkdir()
    (folder / "text").write_text("This is no journal.\n" * 100)
    (folder / "zeros").write_bytes(b"\0" * 1000)
    (folder / "other").write_text('{"version": 2}\n')
    (folder / "note").write_text("no end of a line")
    monkeypatch.setitem(sys.modules, "pymysql", None)
    arguments = ["--study", "searched:GRID", *FINE]
    if how == "argument":
        monkeypatch.setenv("OPTUNA_STORAGE", "elsewhere")
        arguments += ["--storage", address]
    else:
        monkeypatch.setenv("OPTUNA_STORAGE", address)
    refused(command, folder, 1, arguments, "storage", *words)


def test_an_empty_storage(command, folder):
    refused(command, folder, 1, ["--study", "searched:GRID", *FINE, "--storage", ""], "got ''")


@pytest.mark.parametrize(("variable", "file"), [("there", "there"), ("", JOURNAL)])
def test_the_storage_from_the_environment(command, folder, monkeypatch, variable, file):
    monkeypatch.setenv("OPTUNA_STORAGE", variable)
    assert command("--study", "searched:GRID", *FINE)[::2] == (0, "")
    assert [path.name for path in folder.iterdir() if path.is_file()] == [file]
    assert command("--study", "searched:GRID", *FINE, "--storage", "j")[0] == 0
    assert (folder / "j").exists()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("connection to server failed: FATAL: password authentication failed for user", "password"),
        ('FATAL:  database "secret" does not exist', "the database does not exist"),
        ("(1049, \"Unknown database 'secret'\")", "the database does not exist"),
        ("(2003, \"Can't connect to MySQL server on 'secret' (timed out)\")", "no answer in time"),
        ("invalid dsn: host=h password=secret", "its driver raised Odd"),
    ],
)
def test_what_a_driver_says_is_not_repeated(monkeypatch, said, reason):
    """Nor in what the error comes from."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")

    class Odd(Exception):
        pass

    def connect(*_, **__):
        raise Odd(f"{said} secret")

    monkeypatch.setattr("psycopg.connect", connect)
    address = f"{PG}/a?password=secret"
    with pytest.raises(SearchError, match=reason) as caught:
        open_storage(address)
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_not_there(command, folder, nobody_listens):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    address = f"{PG}:{nobody_listens}/a"
    arguments = ["--study", "searched:GRID", *FINE, "--storage", address]
    refused(command, folder, 1, arguments, "'postgresql+psycopg://127.0.0.1/a'", "refused")


def test_a_database_that_is_not_there(command, folder, server):
    address = f"postgresql+psycopg://tester:secret@/nowhere?host={server}"
    arguments = ["--study", "searched:GRID", *FINE, "--storage", address]
    refused(command, folder, 1, arguments, "psycopg:///nowhere'", "database does not exist")


def test_a_password_that_looks_odd(database):
    """Braces and percents are none of Optuna's business."""
    address = database.replace("tester@", "tester:%7B0%7D{x}%25@")
    with opened(address) as storage:
        assert len(work(searched.GRID, "s", storage, 1).get_trials()) == 1


def test_a_database_that_goes_away(database, server, monkeypatch):
    """In the middle of a trial: it is said in our words, and from nothing that has others."""
    import psycopg

    def objective(trial):
        with psycopg.connect(f"host={server} user=tester dbname=postgres", autocommit=True) as c:
            name = database.partition("?")[0].rpartition("/")[2]
            c.execute(f"drop database {name} with (force)")
        return 1.0

    study = dataclasses.replace(searched.RANDOM, objective=objective)
    with opened(database) as storage, pytest.raises(SearchError, match="does not exist") as caught:
        work(study, "s", storage, 1)
    assert "///studies" in str(caught.value)
    assert caught.value.__context__ is None


def test_tables_of_a_newer_optuna(database):
    import sqlalchemy

    with opened(database) as storage, storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("update alembic_version set version_num = 'v9.9.9.a'"))
    with pytest.raises(SearchError, match=r"version v9\.9\.9\.a, and Optuna 5"):
        open_storage(database)


def test_a_damaged_journal(command, folder):
    """In its middle, where no dying worker leaves a half-written line."""
    work(searched.GRID, "searched:GRID", open_storage("j"), 3)
    lines = (folder / "j").read_bytes().splitlines(keepends=True)
    (folder / "j").write_bytes(b"".join([*lines[:5], b"{half\n", *lines[5:]]))
    arguments = ["--study", "searched:GRID", *FINE, "--storage", "j"]
    refused(command, folder, 1, arguments, "storage", "'j'", "damaged")


def test_a_study_with_other_settings(command, folder):
    work(searched.GRID, "searched:OTHER", open_storage("j"), 1)
    refused(
        command, folder, 1, ["--study", "searched:OTHER", "--storage", "j", *FINE],
        "'searched:OTHER'", "of: 'one' there, 'another' here", "more: None there, [1] here",
        "name another storage",
    )  # fmt: skip


def test_a_study_of_another_edition(command, folder, monkeypatch):
    untrained(monkeypatch)
    small(monkeypatch, 4)
    arguments = ["--study", "decay-epoch-random", "--storage", "j", "--trials", 1]
    assert command(*arguments)[0] == 0
    small(monkeypatch, 6)
    refused(command, folder, 1, arguments, "epochs: 4 there, 6 here")


def test_another_heartbeat(command, folder):
    """Workers must agree on when one of them is dead."""
    work(searched.GRID, "searched:PATIENT", open_storage("j"), 1)
    arguments = ["--study", "searched:PATIENT", "--storage", "j", *FINE]
    refused(command, folder, 1, arguments, "heartbeat: 0.3 there, 60.0 here")


def test_quiet():
    """Optuna's own log is silent during the work, and afterwards as loud as before."""
    level, lines = optuna.logging.get_verbosity(), []
    log, handler = logging.getLogger("optuna"), logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log.addHandler(handler)
    try:
        work(searched.GRID, "s", open_storage("j"), 2)
        assert lines == []
        assert optuna.logging.get_verbosity() == level
        optuna.create_study()
        assert len(lines) == 1
    finally:
        log.removeHandler(handler)
