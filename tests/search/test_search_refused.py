"""Searches that cannot begin, or cannot go on: they say why, and train no more."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import GridSampler, RandomSampler
from optuna.trial import TrialState

import searched
from lrsched.lab.search import SearchError, Study, grid, open_storage, random, tpe, work
from lrsched.lab.search.trials import FAILED
from team import trials_of

NAN, INF = float("nan"), float("inf")


def searching(objective, sampler=None, wanted=3, **arguments):
    """Work at a study of this objective; returns how often it was called, and what was raised."""
    calls = []

    def counting(trial):
        calls.append(trial.number)
        return objective(trial)

    sampler = sampler or grid("x", [1, 2, 3])
    error = None
    try:
        work(Study(counting, sampler, **arguments), "s", open_storage(Path("j")), wanted)
    except Exception as raised:
        error = raised
    return len(calls), error


# What the objective does


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (2, 2), (np.float32(2), 2), (np.array(2), 2), (np.array([2.5]), 2.5), (INF, INF),
        (-INF, -INF), (torch.tensor(2.0, requires_grad=True), 2), (torch.tensor(2), 2),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers(result, value):
    calls, error = searching(lambda t: t.suggest_int("x", 0, 9) * 0 + result)
    assert (calls, error) == (3, None)
    assert [t.value for t in trials_of()] == [value] * 3


@pytest.mark.parametrize(
    "result",
    [
        NAN, None, "3", "", b"3", True, 1j, (1.0,), (1.0, 2.0), [1.0], [], {}, np.ones(2),
        np.float64(NAN), np.array("3"), torch.tensor(NAN), torch.ones(2), torch.tensor(True),
    ],
    ids=repr,
)  # fmt: skip
def test_no_numbers(result):
    """It is called once, and not again: no worker gets another number."""

    def objective(trial):
        trial.suggest_int("x", 0, 9)
        return result

    calls, error = searching(objective)
    assert calls == 1
    assert isinstance(error, SearchError)
    said = str(error)
    assert said.startswith("trial 0 (x=1): what the objective returns must be one number that is")
    assert said.endswith(f"got {result!r}")
    (trial,) = trials_of()
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs[FAILED] in said


@pytest.mark.parametrize("error", [ZeroDivisionError("boo"), OSError(28, "full"), KeyError("x")])
def test_an_objective_that_raises(error):
    """It is the user's own error, raised as it is. Another start begins the trial again."""

    def objective(trial):
        trial.suggest_int("x", 0, 9)
        raise error

    for attempt in range(6):
        assert searching(objective) == (1, error)
        assert error.__notes__[-1].startswith(f"trial {attempt} (x=1): ")
    assert [t.user_attrs[FAILED] for t in trials_of()] == [f"{type(error).__name__}: {error}"] * 6
    # When it has been mended, all trials are had, and the first of them is not given up.
    assert searching(searched.plain) == (3, None)
    assert [t.value for t in trials_of() if t.state == TrialState.COMPLETE] == [1, 2, 3]


def test_an_objective_that_ends_the_program():
    calls, error = searching(lambda trial: sys.exit("all done"))
    assert calls == 1
    assert str(error) == "trial 0: the objective has ended the program: SystemExit: all done"


def test_an_objective_that_fails_in_another_worker():
    """This one ends before it trains again."""

    def objective(trial):
        if trial.number == 0:
            searching(lambda trial: NAN)
        return trial.suggest_int("x", 0, 9)

    calls, error = searching(objective)
    assert calls == 1
    assert isinstance(error, SearchError)
    assert str(error).startswith("trial 1 has failed in another worker: what the objective returns")
    assert searching(searched.plain) == (2, None)


def test_an_interrupt_is_no_failure():
    def objective(trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searching(objective)
    (trial,) = trials_of()
    assert trial.state == TrialState.FAIL
    assert FAILED not in trial.user_attrs


# What a grid has

CHOICES = ["a", None, NAN]


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (lambda t: t.suggest_categorical("y", [1, 2, 3]), ["'x'", "'y'"]),
        (lambda t: t.suggest_int("x", 0, 9) + t.suggest_float("y", 0, 1), ["'x'", "'y'"]),
        (lambda t: 1.0, ["x=1", "not suggested 'x'"]),
        (lambda t: t.suggest_int("x", 2, 9), ["x=1", "low=2"]),
        (lambda t: t.suggest_int("x", 0, 8, step=2), ["x=1", "step=2"]),
        (lambda t: t.suggest_float("x", 2, 3), ["x=1", "low=2"]),
        (lambda t: t.suggest_categorical("x", [2, 3]), ["x=1", "(2, 3)"]),
        (lambda t: t.suggest_int("x", 3, 3), ["x=1", "from 3 alone"]),
    ],
)
def test_a_parameter_that_the_grid_does_not_have(objective, words):
    calls, error = searching(objective)
    assert calls == 1
    assert isinstance(error, SearchError)
    assert str(error).startswith("trial 0")
    for word in words:
        assert word in str(error)
    assert [t.state for t in trials_of()] == [TrialState.FAIL]


@pytest.mark.parametrize(
    ("values", "objective", "drawn"),
    [
        ([0.5], searched.plain, None),
        (["3"], lambda t: t.suggest_float("x", 0, 9), None),
        (["a"], lambda t: t.suggest_float("x", 0, 9), None),
        ([[1]], searched.plain, None),
        ([3.0], searched.plain, [3]),
        (np.arange(2), searched.plain, [0, 1]),
        (np.linspace(0, 1, 3), lambda t: t.suggest_float("x", 0, 1), [0, 0.5, 1]),
        (torch.arange(2), lambda t: t.suggest_categorical("x", [0, 1]), [0, 1]),
        (range(2), lambda t: t.suggest_int("x", 0, 9) + t.suggest_int("c", 4, 4), [0, 1]),
        ((v for v in (1, 2)), lambda t: t.suggest_float("x", 0, 9), [1, 2]),
        (CHOICES, lambda t: len(f"{t.suggest_categorical('x', CHOICES)}"), CHOICES),
    ],
)  # fmt: skip
def test_values_of_a_grid(values, objective, drawn):
    sampler = grid("x", values)
    calls, error = searching(objective, sampler, wanted=len(sampler))
    if drawn is None:
        assert (calls, type(error)) == (1, SearchError)
    else:
        assert error is None
        values = [trial.params["x"] for trial in trials_of()]
        assert repr(values) == repr(drawn) or values == drawn


def test_a_grid_ends():
    """Also where nothing says how many trials there may be."""
    study = Study(searched.one, grid("x", [1, 2, 3]))
    assert study.most == 3
    with pytest.raises(ValueError, match="trials must be at most 3 in this study, got 4"):
        work(study, "s", open_storage("j"), 4)
    assert len(work(dataclasses.replace(study, most=2), "s", open_storage("j"), 2).trials) == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: grid("x", []), ValueError, "values must have at least one"),
        (lambda: grid("x", [1, 2, 1.0]), ValueError, "values .* once, got 1.0 twice"),
        (lambda: grid("x", "abc"), TypeError, "values must be a list, got 'abc'"),
        (lambda: grid("x", {"a": 1}), TypeError, "values must be a list, got {'a': 1}"),
        (lambda: grid("x", 3), TypeError, "values must be a list, got 3"),
        (lambda: grid("x", np.ones((2, 2))), TypeError, "values must hold no arrays"),
        (lambda: grid("", [1]), TypeError, "name must be the name of a parameter, got ''"),
        (lambda: grid(3, [1]), TypeError, "name must be .* got 3"),
        (lambda: random(-1), ValueError, "seed must be .* at least 0, got -1"),
        (lambda: random("a"), TypeError, "seed must be .* got 'a'"),
        (lambda: tpe(0.5), TypeError, "seed must be .* got 0.5"),
        (lambda: tpe(0, startup=3), TypeError, "'startup'"),
    ],
)
def test_wrong_samplers(make, error, message):
    with pytest.raises(error, match=message):
        make()


# What a study is


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("objective", 3, TypeError, "a function of a trial, got 3"),
        ("sampler", 3, TypeError, "function that gives the sampler for an index.* got 3"),
        ("sampler", RandomSampler(), TypeError, "function that gives the sampler.* got <optuna"),
        ("pruner", "median", TypeError, "got 'median'"),
        ("pruner", optuna.pruners.MedianPruner, TypeError, "got <class"),
        ("most", 0, ValueError, "at least 1, got 0"),
        ("most", 1.5, TypeError, "got 1.5"),
        ("most", 13, ValueError, "at most 12, as the grid has, got 13"),
        ("heartbeat", 0, ValueError, "above 0, got 0"),
        ("heartbeat", -1, ValueError, "above 0, got -1"),
        ("heartbeat", NAN, ValueError, "above 0, got nan"),
        ("heartbeat", INF, ValueError, "above 0, got inf"),
        ("heartbeat", 1e9, ValueError, "at most 1e\\+06"),
        ("heartbeat", "1", TypeError, "got '1'"),
        ("heartbeat", None, TypeError, "got None"),
        ("heartbeat", True, TypeError, "got True"),
        ("settings", 3, TypeError, "a dict, got 3"),
        ("settings", {"a": {1}}, TypeError, r"got {'a': \{1\}}"),
        ("settings", {"a": Path("b")}, TypeError, "Path"),
        ("settings", {"heartbeat": 1}, ValueError, "not have 'heartbeat'"),
    ],
)
def test_wrong_studies(name, value, error, message):
    with pytest.raises(error, match=f"^{name} must .*{message}"):
        dataclasses.replace(searched.GRID, **{name: value})


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"study": 3}, TypeError, "study must be a Study, got 3"),
        ({"name": ""}, ValueError, "name must not be empty, got ''"),
        ({"name": " "}, ValueError, "name must not be empty"),
        ({"name": 3}, TypeError, "name must be a string, got 3"),
        ({"trials": 0}, ValueError, "trials must be an integer of at least 1, got 0"),
        ({"trials": -1}, ValueError, "trials must be an integer of at least 1, got -1"),
        ({"trials": True}, TypeError, "trials must be an integer of at least 1, got True"),
        ({"trials": 1.5}, TypeError, "trials must be an integer of at least 1, got 1.5"),
        ({"trials": 13}, ValueError, "trials must be at most 12 in this study, got 13"),
        ({"say": "x"}, TypeError, "say must be a function or None, got 'x'"),
        ({"storage": "j"}, TypeError, "storage must be .* open_storage returned, got 'j'"),
        ({"storage": "pg://u:secret@h/d"}, TypeError, "storage must be .*, got 'pg://h/d'$"),
        ({"storage": optuna.storages.InMemoryStorage()}, TypeError, "storage must be .*InMemory"),
    ],
)
def test_wrong_arguments(folder, wrong, error, message):
    """And nothing is made."""
    right = {"study": searched.GRID, "name": "s", "trials": 2, "storage": open_storage("j")}
    with pytest.raises(error, match=f"^{message}"):
        work(**right | wrong)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("address", [None, 3, b"j"])
def test_no_address(folder, address):
    with pytest.raises(TypeError):
        open_storage(address)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("sampler", [lambda index: None, lambda index: RandomSampler])
def test_a_sampler_that_is_none(folder, sampler):
    calls, error = searching(searched.one, sampler)
    assert calls == 0
    assert isinstance(error, SearchError)
    assert str(error).startswith("sampler must give one of Optuna's, got ")
    assert list(folder.iterdir()) == []


def test_a_sampler_that_raises():
    """At once if it does so for the first trial; else with the trial for which it does."""

    def sampler(index, first):
        if index >= first:
            raise ZeroDivisionError(f"index {index}")
        return RandomSampler()

    calls, error = searching(searched.one, lambda index: sampler(index, 0))
    assert (calls, str(error)) == (0, "index 0")
    calls, error = searching(searched.one, lambda index: sampler(index, 2))
    assert (calls, str(error)) == (2, "index 2")
    assert [t.state.name for t in trials_of()] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert trials_of()[2].user_attrs[FAILED] == "ZeroDivisionError: index 2"


@pytest.mark.parametrize(
    "sampler", [lambda index: GridSampler({"x": [1, 2, 3]}, seed=index), lambda index: STEPS[index]]
)
def test_optuna_samplers(sampler):
    """They may want to stop the study, or have an end: it is the trials that say when."""
    assert searching(searched.plain, sampler) == (3, None)


STEPS = [RandomSampler(seed) for seed in range(3)]


# What is there already


def test_a_study_that_is_deleted():
    def objective(trial):
        optuna.delete_study(study_name="s", storage=open_storage("j"))
        return trial.suggest_int("x", 0, 9)

    calls, error = searching(objective)
    assert calls == 1
    assert str(error) == "the study has been deleted from its storage"


@pytest.mark.parametrize(
    "settings",
    [
        {"a": (1, 2), "b": {"c": None}, "d": 0.1},
        {"a": np.float32(0.1), "b": np.arange(3), "c": np.int64(3), "d": np.bool_(True)},
        {"a": NAN, "b": INF, "c": [-INF]},
        {1: "a", "ü": "\U0001f600"},
    ],
)
def test_settings_that_are_found_again(settings):
    for trials in (1, 2):
        study = dataclasses.replace(searched.GRID, settings=settings)
        whole = work(study, "s", open_storage("j"), trials)
    assert len(whole.trials) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ({"direction": "maximize"}, "is to MAXIMIZE, and a worker minimises"),
        ({"directions": ["minimize"] * 2}, "is to MINIMIZE, MINIMIZE, and a worker minimises"),
        ({}, "was made by plain Optuna"),
    ],
)
@pytest.mark.parametrize("settings", [None, "mine"])
def test_a_study_of_plain_optuna(folder, make, words, settings):
    storage = open_storage("j")
    study = optuna.create_study(study_name="s", storage=storage, **make)
    study.ask()
    if settings:
        study.set_user_attr("settings", settings)
    before = (folder / "j").read_bytes()
    calls, error = searching(searched.one)
    assert calls == 0
    assert isinstance(error, SearchError)
    assert f"study 's' in this storage {words}" in str(error)
    assert "name another storage" in str(error)
    assert (folder / "j").read_bytes() == before


def test_an_empty_study_of_plain_optuna():
    """Such as `optuna create-study` makes, or a worker that died at once: it is said."""
    optuna.create_study(study_name="s", storage=open_storage("j"))
    said = []
    work(searched.GRID, "s", open_storage("j"), 1, said.append)
    assert (
        said[0]
        == "study 's' in this storage has neither settings nor trials: it is made this search"
    )
    assert [t.params for t in trials_of()] == [{"x": 3}]
    calls, error = searching(searched.one)
    assert calls == 0
    assert "other settings" in str(error)
