"""The searches of the book: each trial is the training that it stands for."""

import dataclasses
import types

import numpy as np
import optuna
import pytest

import lrsched as L
from lrsched.book import editions, studies
from lrsched.lab import Run, digits, perceptron, train
from lrsched.lab.search import open_storage, work
from team import on, search


@pytest.fixture
def small(monkeypatch):
    """Makes trainings of so many epochs."""
    return lambda epochs: monkeypatch.setitem(editions.QUICK, "decay-epochs", (epochs, 1, 200))


def direct(epochs, decay_epoch):
    """The validation losses of a training with one drop of the rate, by the lab alone."""
    plan = editions.plan("decay-epochs")
    schedule = L.MultiStep(0.5, [decay_epoch * plan.steps_per_epoch], gamma=0.1)
    results = train(
        [Run("a", schedule)], plan.data, epochs=epochs, batch_size=plan.batch_size,
        network=lambda: perceptron(8, 10), group=1, chunk=plan.batch_size,
    )  # fmt: skip
    return results.metrics["validation_loss"][:, 0]


def test_the_random_search(small):
    small(6)
    for trial in search(2, studies.random()).get_trials():
        assert trial.params["decay_epoch"] in (2, 4)
        losses = direct(6, trial.params["decay_epoch"])
        assert trial.value == losses[-1]
        assert trial.intermediate_values == {k + 1: loss for k, loss in enumerate(losses)}


def test_the_pruned_search(small):
    """With the pruner set to begin soon."""
    small(4)
    study, calls = studies.pruned(), []
    assert isinstance(study.pruner, optuna.pruners.MedianPruner)

    class Pruner(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            calls.append(trial.last_step)
            return trial.number == 1 and trial.last_step == 3

    whole = search(3, dataclasses.replace(study, pruner=Pruner()))
    assert [t.state.name for t in whole.get_trials()] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert calls == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4]


def test_the_grid(monkeypatch):
    """The four epochs of the tutorial, each with the training that it stands for."""
    calls = []

    def untrained(runs, data, **settings):
        calls.append((runs[0].schedule, settings["epochs"], settings["batch_size"]))
        metrics = {"validation_loss": np.array([[9.0], [len(calls)]])}
        return types.SimpleNamespace(metrics=metrics)

    monkeypatch.setattr(studies, "train", untrained)
    plan, study = editions.plan("decay-epochs"), studies.grid()
    assert study.most == 4
    trials = search(4, study).get_trials()
    epochs = [10, 20, 30, 50]
    assert [t.params["decay_epoch"] for t in trials] == epochs
    assert [t.value for t in trials] == [1, 2, 3, 4]
    schedules = [L.MultiStep(0.5, [each], gamma=0.1) for each in epochs]
    assert calls == [
        (each.per_epoch(plan.steps_per_epoch), plan.epochs, plan.batch_size) for each in schedules
    ]


def test_they_differ_in_what_they_say():
    all_settings = [getattr(studies, name)().settings for name in studies.__all__]
    assert len({str(settings) for settings in all_settings}) == 4
    for settings in all_settings:
        assert settings["data"] == digits(200).checksum
        assert (settings["epochs"], settings["edition"]) == (60, "quick")
        assert (settings["rate"], settings["factor"]) == (0.5, 0.1)


@on("journal", "postgresql")
def test_a_diverged_training_is_the_worst(storage, small, monkeypatch):
    small(4)
    monkeypatch.setattr(studies, "RATE", 1e30)
    opened = open_storage(storage)
    whole = work(studies.random(), "s", opened, 1)
    assert [t.value for t in whole.get_trials()] == [float("inf")]
    if hasattr(opened, "engine"):
        opened.engine.dispose()
