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
from experiments import KINDS, arrays, same
from lrsched.lab import Run, train
from lrsched.lab.classification import Classification
from lrsched.lab.regression import RegressionTask

METRICS = {"images": Classification.metrics, "rows": RegressionTask.metrics}


def plateaus(mode="min"):
    return {
        "often": L.Plateau(0.5, factor=0.5, patience=0, threshold=0.02, mode=mode),
        "rests": L.Plateau(0.08, factor=0.3, patience=0, threshold=0.2, cooldown=2, mode=mode),
        "patient": L.Plateau(
            0.05, factor=0.1, patience=1, threshold=0.2, min_lr=0.005, threshold_mode="abs",
            mode=mode,
        ),
    }  # fmt: skip


def replayed(plateau, metric, steps):
    """The rates that PyTorch's scheduler has if the metric goes so."""
    names = (f.name for f in dataclasses.fields(plateau) if f.init and f.name != "base_lr")
    optimizer = torch.optim.SGD([torch.zeros(1)], plateau.base_lr)
    scheduler = ReduceLROnPlateau(optimizer, **{name: getattr(plateau, name) for name in names})
    rates = []
    for value in metric:
        rates += [optimizer.param_groups[0]["lr"]] * steps
        scheduler.step(float(value))
    return np.float32(rates)


@pytest.mark.parametrize("group", [1, 2, 9])
def test_a_plateau_follows_any_metric(kind, group):
    """Exactly, also where it diverges: NaN is never better. What was given stays as it was.

    Two runs of one plateau have a state each, and a schedule may be beside them.
    """
    data, networks = KINDS[kind]
    differ = False
    for watch in METRICS.get(kind, METRICS["rows"]):
        rules = plateaus("max" if watch.endswith("accuracy") else "min")
        rules |= {"huge": L.Plateau(1e30, factor=0.5, patience=0), "other": L.Cosine(0.1, 32)}
        runs = [Run(label, rule, seed) for label, rule in rules.items() for seed in (0, 1)]
        before = [dataclasses.astuple(run.schedule) for run in runs]
        said = {"network": next(iter(networks.values())), "epochs": 6, "watch": watch}
        parts = {"chunk": 50} if kind == "images" else {}
        results = train(runs, data, batch_size=15, group=group, **said, **parts)
        steps = results.steps_per_epoch
        for place, run in enumerate(runs):
            if run.label != "other":
                expected = replayed(run.schedule, results.metrics[watch][:, place], steps)
                np.testing.assert_array_equal(results.rates[:, place], expected)
        assert len(np.unique(results.rates[:, :-2])) > 6
        differ |= (results.rates[:, ::2] != results.rates[:, 1::2]).any()
        assert results.settings["watch"] == watch
        assert results.check_rates()
        assert [dataclasses.astuple(run.schedule) for run in results.runs] == before
    assert differ


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
    assert dataclasses.astuple(used) == before
    assert Run.from_dict(Run("a", used).to_dict()) == Run("a", plateau)


# A run as plain values


@given(
    schedule=drawn.SCHEDULES | st.builds(L.Plateau, st.floats(0.1, 1), factor=st.floats(0, 0.9)),
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
