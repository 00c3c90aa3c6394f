"""Trainings for the tests of checkpoints, which may be stopped: on images, and on rows."""

import numpy as np
import pytest
from torch import nn

import lrsched as L
from killed import Epochs, Stopped
from lrsched import lab
from lrsched.lab import Run, train

DATA = lab.digits()


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def normalised():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16, momentum=0.05), nn.ReLU(),
        nn.Linear(16, 10),
    )  # fmt: skip


PLATEAU = L.Plateau(0.1, factor=0.5, patience=0, threshold=0.9)
SCHEDULES = {
    "steps": L.StepDecay(0.1, 5, gamma=0.5),
    "plateau": PLATEAU,
    "broken": L.PiecewiseConstant([3.5], [0.01, 1e30]),
}
RUNS = [
    Run("constant", L.Constant(0.01)),
    Run("cosine", L.Cosine(0.02, 80)),
    Run("plateau", PLATEAU),
    Run("constant", L.Constant(0.01), 1),
]
EACH = {"epochs": 3, "checkpoint_seconds": 0}
# Three groups, and four: each is of one network and one seed.
IMAGES = EACH | {"runs": RUNS, "data": DATA, "network": mlp}
IMAGES |= {"batch_size": 300, "group": 2, "chunk": 300}
ROWS = EACH | {
    "runs": [
        Run(*each, seed, network=network)
        for network in ("plain", "normal")
        for seed in (0, 1)
        for each in SCHEDULES.items()
    ],
    "data": lab.polynomial(samples=60, validation=12, test=8),
    "network": {"plain": lab.mlp, "normal": lambda: lab.mlp(norm="before")},
}
ROWS |= {"batch_size": 8, "group": 3}
SHORT = IMAGES | {"runs": RUNS[:2], "epochs": 1}


def half_trained(file, epochs, said=IMAGES):
    """Leave a checkpoint of so many epochs, of all groups together."""
    with pytest.raises(Stopped):
        train(**said, checkpoint=file, after_epoch=Epochs(epochs))


def same(left, right):
    """To the bit."""
    for name in ("runs", "settings", "surroundings"):
        assert getattr(left, name) == getattr(right, name)
    for name in ("rate", "rates", "losses", "diverged", "distance_steps"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    for one, two in ((left.metrics, right.metrics), (left.distances, right.distances)):
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    assert left.states.keys() == right.states.keys()
    for epoch, state in left.states.items():
        same_states(state, right.states[epoch])


def same_states(left, right):
    """To the bit."""
    assert (left.epoch, left.runs, left.steps) == (right.epoch, right.runs, right.steps)
    assert left.tensors.keys() == right.tensors.keys()
    for network, tensors in left.tensors.items():
        assert tensors.keys() == right.tensors[network].keys()
        for name, tensor in tensors.items():
            other = right.tensors[network][name]
            assert tensor.dtype == other.dtype
            np.testing.assert_array_equal(tensor.numpy(), other.numpy(), err_msg=name)
    assert left.fingerprint() == right.fingerprint()
