"""Rates that follow a metric: the decisions of PyTorch's ReduceLROnPlateau."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

import drawn
import lrsched as L
from experiments import IMAGES, KINDS, NORMS, ROWS, agrees, alone, arrays, flat, same
from lrsched.lab import SGD, Run, train
from lrsched.lab.classification import Classification
from lrsched.lab.regression import RegressionTask

ALL = {"images": Classification.metrics, **dict.fromkeys(("compiled", "batched"),
                                                         RegressionTask.metrics)}  # fmt: skip
# What can be measured after an epoch.
WATCHED = [("images", "validation_loss"), ("images", "validation_accuracy")] + [
    (kind, f"{part}_loss")
    for kind in ("compiled", "batched")
    for part in ("train", "precise", "validation", "test")
]


def plateaus(mode="min"):
    return {
        "often": L.Plateau(0.1, factor=0.5, patience=0, threshold=0.1, mode=mode),
        "rests": L.Plateau(0.08, factor=0.3, patience=0, threshold=0.2, cooldown=2, mode=mode),
        "patient": L.Plateau(
            0.05, factor=0.1, patience=1, threshold=0.2, min_lr=0.005, threshold_mode="abs",
            mode=mode,
        ),
        "never": L.Plateau(0.05, mode=mode),
    }  # fmt: skip


def native(plateau):
    """Makes PyTorch's scheduler with the same settings."""
    names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr")
    settings = {name: getattr(plateau, name) for name in (*names, "eps")}
    return lambda optimizer: ReduceLROnPlateau(optimizer, **settings)


def replayed(plateau, metric, steps):
    """The rates that PyTorch has if the metric goes so."""
    optimizer = torch.optim.SGD([torch.zeros(1)], plateau.base_lr)
    scheduler, rates = native(plateau)(optimizer), []
    for value in metric:
        rates += [optimizer.param_groups[0]["lr"]] * steps
        scheduler.step(float(value))
    return np.float32(rates)


@pytest.mark.parametrize(("kind", "watch"), WATCHED, indirect=["kind"])
def test_equals_a_plain_loop(kind, watch):
    """Beside a schedule in the same group."""
    data, networks = KINDS[kind]
    mode = "max" if watch.endswith("accuracy") else "min"
    rules = plateaus(mode) | {"cosine": L.Cosine(0.1, 32)}
    runs = [Run(label, rule, 1, name) for label, rule in rules.items() for name in networks]
    said = {"epochs": 6, "batch_size": -(-len(data.train) // 2), "optimizer": SGD(0.5)}
    results = train(runs, data, network=networks, watch=watch, group=3, **said)
    assert results.settings["watch"] == watch
    fell = 0
    for place, run in enumerate(runs):
        theirs = {}
        if run.label != "cosine":
            theirs = {"lr": run.schedule.base_lr, "scheduler": native(run.schedule)}
            fell += results.rates[0, place] != results.rates[-1, place]
        expected = alone(run, data, networks[run.network], watch=watch, **said, **theirs)
        agrees(results, run, expected, rtol=5e-3, atol=1e-4)
    assert fell >= 4


@pytest.mark.parametrize("group", [1, 2, 9])
def test_a_plateau_follows_any_metric(kind, group):
    """Exactly, also where it diverges: NaN is never better. What was given stays as it was."""
    data, networks = KINDS[kind]
    for watch in ALL[kind]:
        rules = plateaus("max" if watch.endswith("accuracy") else "min")
        rules["huge"] = L.Plateau(1e30, factor=0.5, patience=0)
        runs = [Run(label, rule, seed) for label, rule in rules.items() for seed in (0, 1)]
        before = [dataclasses.astuple(run.schedule) for run in runs]
        said = {"network": next(iter(networks.values())), "epochs": 6, "watch": watch}
        parts = {"chunk": 50} if kind == "images" else {}
        results = train(runs, data, batch_size=15, group=group, **said, **parts)
        steps = results.steps_per_epoch
        for place, run in enumerate(runs):
            expected = replayed(run.schedule, results.metrics[watch][:, place], steps)
            np.testing.assert_array_equal(results.rates[:, place], expected)
        assert len(np.unique(results.rates)) > 6
        assert results.check_rates()
        assert [dataclasses.astuple(run.schedule) for run in results.runs] == before


def test_a_plateau_that_was_used_starts_anew(kind):
    plateau = plateaus()["often"]
    used = dataclasses.replace(plateau)
    for metric in (0.1, 1, 1, 1):
        used.update(metric)
    before = dataclasses.astuple(used)
    data, networks = KINDS[kind]
    said = {"network": next(iter(networks.values())), "epochs": 4, "group": 1}
    said |= {"chunk": 32} if kind == "images" else {}
    found, fresh = (train([Run("a", rule)], data, **said) for rule in (used, plateau))
    same(arrays(found), arrays(fresh))
    assert found.rates[0, 0] == np.float32(0.1)
    assert dataclasses.astuple(used) == before
    assert plateau.lr == plateau.base_lr


def test_one_plateau_for_many_runs(kind):
    """Each has a state of its own."""
    data, networks = KINDS[kind]
    rule = L.Plateau(0.5, factor=0.5, patience=0, threshold=0.02)
    runs = [Run(label, rule, seed) for seed in (0, 1) for label in ("a", "b")]
    results = train(runs, data, network=next(iter(networks.values())), epochs=8, batch_size=30)
    for place in range(4):
        metric = results.metrics["validation_loss"][:, place]
        expected = replayed(rule, metric, results.steps_per_epoch)
        np.testing.assert_array_equal(results.rates[:, place], expected)
    assert (results.rates[:, 0] != results.rates[:, 2]).any()


@pytest.mark.parametrize(
    ("data", "make", "another"),
    [(IMAGES, flat, "train_accuracy"), (ROWS, NORMS["before"], "train_loss")],
)
def test_watch_is_the_validation_loss_unless_told(data, make, another):
    runs = [Run("a", L.Plateau(0.5, factor=0.5, patience=0, threshold=0))]
    said = {"network": make, "epochs": 8, "group": 1} | ({"chunk": 32} if data is IMAGES else {})
    found = train(runs, data, **said)
    assert found.settings["watch"] == "validation_loss"
    same(arrays(found), arrays(train(runs, data, watch="validation_loss", **said)))
    other = train(runs, data, watch=another, **said)
    assert (found.rates != other.rates).any()
    assert "watch" not in train([Run("a", L.Constant(0.1))], data, **said).settings


# A run as plain values


@given(
    schedule=drawn.SCHEDULES
    | st.builds(
        L.Plateau,
        st.floats(0.1, 1),
        factor=st.floats(0, 0.9),
        patience=st.integers(0, 20),
        threshold=st.floats(0, 1),
        cooldown=st.integers(0, 5),
        min_lr=st.floats(0, 0.1),
        mode=st.sampled_from(["min", "max"]),
        threshold_mode=st.sampled_from(["rel", "abs"]),
        eps=st.floats(0, 1),
    ),
    label=st.text() | st.floats(0, 1),
    seed=st.integers(0, 2**40),
    network=st.text(),
)
def test_a_run_as_plain_values(schedule, label, seed, network):
    run = Run(label, schedule, seed, network)
    written = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    again = Run.from_dict(written)
    assert again == run
    assert type(again.schedule) is type(schedule)
    assert again.to_dict() == written == run.to_dict()
    assert ("network" in written) == bool(network)


def test_a_run_with_a_plateau_that_was_used_as_plain_values():
    used = L.Plateau(0.1, factor=0.5, patience=0)
    used.update(1.0)
    used.update(1.0)
    fresh = Run("a", L.Plateau(0.1, factor=0.5, patience=0))
    assert Run.from_dict(Run("a", used).to_dict()) == fresh
