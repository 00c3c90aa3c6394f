"""Trainings for the tests of checkpoints: four runs in three groups, which may be stopped."""

import numpy as np
import pytest
from torch import nn

import lrsched as L
from killed import Epochs, Stopped
from lrsched.lab import Run, digits, train

RUNS = [
    Run("constant", L.Constant(0.01)),
    Run("cosine", L.Cosine(0.02, 80)),
    Run("warmup", L.Constant(0.01).warmup(30)),
    Run("constant", L.Constant(0.01), 1),
]
DATA = digits()


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def normalised():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16, momentum=0.05), nn.ReLU(),
        nn.Linear(16, 10),
    )  # fmt: skip


ARGUMENTS = {
    "epochs": 3,
    "batch_size": 300,
    "network": mlp,
    "group": 2,
    "chunk": 300,
    "checkpoint_seconds": 0,
}


def half_trained(file, epochs, runs=RUNS, /, **more):
    """Leave a checkpoint of so many epochs, of all groups together."""
    with pytest.raises(Stopped):
        train(runs, DATA, checkpoint=file, after_epoch=Epochs(epochs), **ARGUMENTS | more)


def trained(**said):
    """A short training, with other arguments."""
    said = {"runs": RUNS[:2], "data": DATA} | ARGUMENTS | {"epochs": 1} | said
    return train(said.pop("runs"), said.pop("data"), **said)


def same(left, right):
    """To the bit."""
    assert left.runs == right.runs
    assert left.settings == right.settings
    assert left.surroundings == right.surroundings
    left, right = (
        {
            "rates": each.rates,
            "losses": each.losses,
            "diverged": each.diverged,
            "steps": each.distance_steps,
            **each.metrics,
            **each.distances,
        }
        for each in (left, right)
    )
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
