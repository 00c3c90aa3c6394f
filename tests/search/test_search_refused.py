"""Searches that cannot begin, or cannot go on: they say why, and train no more."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from optuna.pruners import MedianPruner
from optuna.samplers import GridSampler, RandomSampler
from optuna.trial import TrialState

import searched
from lrsched.lab.search import SearchError, Study, grid, open_storage, random, tpe, work
from lrsched.lab.search.trials import FAILED
from team import search, trials_of

NAN, INF = float("nan"), float("inf")


def searching(objective, sampler=None, wanted=3):
    """Work at a study of this objective; returns how often it was called, and what was raised."""
    calls = []

    def counting(trial):
        calls.append(trial.number)
        return objective(trial)

    sampler, error = sampler or grid("x", [1, 2, 3]), None
    try:
        work(Study(counting, sampler), "s", open_storage(Path("j")), wanted)
    except Exception as raised:
        error = raised
    return len(calls), error


def refused(objective, *words, calls=1, sampler=None):
    """Our error with these words, after so many calls of the objective."""
    called, error = searching(objective, sampler)
    assert (called, type(error)) == (calls, SearchError)
    for word in words:
        assert word in str(error)
    return str(error)


# What the objective does


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (2, 2), (np.float32(2), 2), (np.array([2.5]), 2.5), (INF, INF), (-INF, -INF),
        (torch.tensor(2.0, requires_grad=True), 2),
    ],
    ids=repr,
)  # fmt: skip
def test_numbers(result, value):
    calls, error = searching(lambda t: t.suggest_int("x", 0, 9) * 0 + result)
    assert (calls, error) == (3, None)
    assert [t.value for t in trials_of()] == [value] * 3


@pytest.mark.parametrize(
    "result",
    [NAN, None, "3", True, 1j, (1.0,), {}, np.ones(2), np.array("3"), torch.tensor(NAN)],
    ids=repr,
)
def test_no_numbers(result):
    """It is called once, and not again: no worker gets another number."""

    def objective(trial):
        trial.suggest_int("x", 0, 9)
        return result

    said = refused(objective)
    assert said.startswith("trial 0 (x=1): what the objective returns must be one number that is")
    assert said.endswith(f"got {result!r}")
    (trial,) = trials_of()
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs[FAILED] in said


def test_an_objective_that_raises():
    """It is the user's own error, raised as it is. Another start begins the trial again."""
    error = OSError(28, "full")

    def objective(trial):
        trial.suggest_int("x", 0, 9)
        raise error

    for attempt in range(6):
        assert searching(objective) == (1, error)
        assert error.__notes__[-1].startswith(f"trial {attempt} (x=1): ")
    assert [t.user_attrs[FAILED] for t in trials_of()] == ["OSError: [Errno 28] full"] * 6
    # When it has been mended, all trials are had, and the first of them is not given up.
    assert searching(searched.plain) == (3, None)
    assert [t.value for t in trials_of() if t.state == TrialState.COMPLETE] == [1, 2, 3]


def test_an_objective_that_ends_the_program():
    said = refused(lambda trial: sys.exit("all done"))
    assert said == "trial 0: the objective has ended the program: SystemExit: all done"


def test_an_objective_that_fails_in_another_worker():
    """This one ends before it trains again."""

    def objective(trial):
        if trial.number == 0:
            searching(lambda trial: NAN)
        return trial.suggest_int("x", 0, 9)

    refused(objective, "trial 1 has failed in another worker: what the objective returns")
    assert searching(searched.plain) == (2, None)


# What a grid has

CHOICES = ["a", None, NAN]


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (lambda t: t.suggest_int("x", 0, 9) + t.suggest_float("y", 0, 1), ["'x'", "'y'"]),
        (lambda t: 1.0, ["x=1", "not suggested 'x'"]),
        (lambda t: t.suggest_int("x", 2, 9), ["x=1", "low=2"]),
        (lambda t: t.suggest_categorical("x", [2, 3]), ["x=1", "(2, 3)"]),
        (lambda t: t.suggest_int("x", 3, 3), ["x=1", "from 3 alone"]),
    ],
)
def test_a_parameter_that_the_grid_does_not_have(objective, words):
    assert refused(objective, *words).startswith("trial 0")
    assert [t.state for t in trials_of()] == [TrialState.FAIL]


@pytest.mark.parametrize("value", [0.5, "3", [1]])
def test_a_value_of_another_kind(value):
    refused(searched.plain, f"x={value!r}", sampler=grid("x", [value, 1, 2]))


@pytest.mark.parametrize(
    ("values", "objective", "drawn"),
    [
        ([3.0], searched.plain, [3]),
        (np.linspace(0, 1, 3), lambda t: t.suggest_float("x", 0, 1), [0, 0.5, 1]),
        (torch.arange(2), lambda t: t.suggest_categorical("x", [0, 1]), [0, 1]),
        (range(2), lambda t: t.suggest_int("x", 0, 9) + t.suggest_int("c", 4, 4), [0, 1]),
        ((v for v in (1, 2)), lambda t: t.suggest_float("x", 0, 9), [1, 2]),
        (CHOICES, lambda t: len(f"{t.suggest_categorical('x', CHOICES)}"), CHOICES),
    ],
)
def test_values_of_a_grid(values, objective, drawn):
    sampler = grid("x", values)
    assert searching(objective, sampler, len(sampler)) == (len(drawn), None)
    values = [trial.params["x"] for trial in trials_of()]
    assert repr(values) == repr(drawn) or values == drawn


# What is given


def changed(**wrong):
    return lambda: dataclasses.replace(searched.GRID, **wrong)


def begun(**wrong):
    fine = {"study": searched.GRID, "name": "s", "trials": 2}
    return lambda: work(**{**fine, "storage": open_storage("j"), **wrong})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grid("x", []), ValueError, "values must have at least one"),
        (lambda: grid("x", [1, 2, 1.0]), ValueError, "values .* once, got 1.0 twice"),
        (lambda: grid("x", "abc"), TypeError, "values must be a list, got 'abc'"),
        (lambda: grid("x", np.ones((2, 2))), TypeError, "values must hold no arrays"),
        (lambda: grid("", [1]), TypeError, "name must be the name of a parameter, got ''"),
        (lambda: random(-1), ValueError, "seed must be .* at least 0, got -1"),
        (lambda: tpe(0.5), TypeError, "seed must be .* got 0.5"),
        (lambda: tpe(0, startup=3), TypeError, ".*'startup'"),
        (changed(objective=3), TypeError, "objective must be a function of a trial, got 3"),
        (changed(sampler=RandomSampler()), TypeError, "sampler must be a function .* got <optuna"),
        (changed(pruner=MedianPruner), TypeError, "pruner must be .* got <class"),
        (changed(most=0), ValueError, "most must be .* at least 1, got 0"),
        (changed(most=13), ValueError, "most must be at most 12, as the grid has, got 13"),
        (changed(heartbeat=0), ValueError, "heartbeat must be .* above 0.* got 0"),
        (changed(heartbeat=1e9), ValueError, "heartbeat must be .*at most 1e\\+06"),
        (changed(heartbeat="1"), TypeError, "heartbeat must be .* got '1'"),
        (changed(settings=3), TypeError, "settings must be a dict, got 3"),
        (changed(settings={"a": Path("b")}), TypeError, "settings must be made of .*Path"),
        (changed(settings={"heartbeat": 1}), ValueError, "settings must not have 'heartbeat'"),
        (begun(study=3), TypeError, "study must be a Study, got 3"),
        (begun(name=" "), ValueError, "name must not be empty, got ' '"),
        (begun(name=3), TypeError, "name must be a string, got 3"),
        (begun(trials=0), ValueError, "trials must be an integer of at least 1, got 0"),
        (begun(trials=1.5), TypeError, "trials must be an integer of at least 1, got 1.5"),
        (begun(say="x"), TypeError, "say must be a function or None, got 'x'"),
        (begun(storage="pg://u:secret@h/d"), TypeError, "storage must be .*, got 'pg://h/d'$"),
        (begun(storage=optuna.storages.InMemoryStorage()), TypeError, "storage must .*InMemory"),
        (lambda: open_storage(b"j"), TypeError, "address must be a string, got a value of type by"),
    ],
)
def test_wrong_arguments(folder, call, error, message):
    """And nothing is made."""
    with pytest.raises(error, match=f"^{message}"):
        call()
    assert list(folder.iterdir()) == []


def test_a_grid_ends():
    """Also where nothing says how many trials there may be."""
    study = Study(searched.one, grid("x", [1, 2, 3]))
    with pytest.raises(ValueError, match="trials must be at most 3 in this study, got 4"):
        search(4, study)
    assert len(search(2, dataclasses.replace(study, most=2)).trials) == 2


def test_a_sampler_that_is_none(folder):
    said = refused(searched.one, sampler=lambda index: RandomSampler, calls=0)
    assert said.startswith("sampler must give one of Optuna's, got <class")
    assert list(folder.iterdir()) == []


def test_a_sampler_that_raises():
    """At once if it does so for the first trial; else with the trial for which it does."""

    def sampler(first):
        return lambda index: RandomSampler() if index < first else 1 / 0

    for first in (0, 2):
        calls, error = searching(searched.one, sampler(first))
        assert (calls, type(error)) == (first, ZeroDivisionError)
    assert [t.state.name for t in trials_of()] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert trials_of()[2].user_attrs[FAILED] == "ZeroDivisionError: division by zero"


def test_a_sampler_that_wants_to_stop_the_study():
    """It is the trials that say when."""
    sampler = GridSampler({"x": [1, 2, 3]})
    assert searching(searched.plain, lambda index: sampler) == (3, None)


# What is there already


def test_a_study_that_is_deleted():
    def objective(trial):
        optuna.delete_study(study_name="s", storage=open_storage("j"))
        return trial.suggest_int("x", 0, 9)

    assert refused(objective) == "the study has been deleted from its storage"


@pytest.mark.parametrize(
    "settings",
    [
        {"a": (1, 2), "b": {"c": None}, "d": 0.1, 1: "a", "ü": "\U0001f600"},
        {"a": np.float32(0.1), "b": np.arange(3), "c": np.int64(3), "d": np.bool_(True)},
        {"a": NAN, "b": INF, "c": [-INF]},
    ],
)
def test_settings_that_are_found_again(settings):
    for trials in (1, 2):
        whole = search(trials, dataclasses.replace(searched.GRID, settings=settings))
    assert len(whole.trials) == 2


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (
            {"directions": ["minimize", "maximize"]},
            None,
            "is to MINIMIZE, MAXIMIZE, and a",
        ),
        ({}, None, "was made by plain Optuna"),
        ({}, "mine", "was made by plain Optuna"),
    ],
)
def test_a_study_of_plain_optuna(folder, make, settings, words):
    study = optuna.create_study(study_name="s", storage=open_storage("j"), **make)
    study.ask()
    if settings:
        study.set_user_attr("settings", settings)
    before = (folder / "j").read_bytes()
    words = [f"study 's' in this storage {words}", "name another storage"]
    refused(searched.one, *words, calls=0)
    assert (folder / "j").read_bytes() == before


def test_an_empty_study_of_plain_optuna():
    """Such as `optuna create-study` makes, or a worker that died at once: it is said."""
    optuna.create_study(study_name="s", storage=open_storage("j"))
    said, there = [], "study 's' in this storage has neither settings nor trials"
    search(say=said.append)
    assert said[0] == f"{there}: it is made this search"
    assert [t.params for t in trials_of()] == [{"x": 3}]
    refused(searched.one, "other settings", calls=0)
