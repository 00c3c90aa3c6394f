"""Arguments of ``train`` and ``sweep``: wrong ones are refused before anything is done."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import lrsched as L
from experiments import FLAT, IMAGES, NORMS, ROWS, flat, images, mlp, normalised, rows
from lrsched import lab
from lrsched.lab import Run

RUN = Run("a", L.Constant(0.1))
PLATEAU = {"runs": [RUN, Run("b", L.Plateau(0.1))]}


class Falling(L.Schedule):
    """Below 0 from step 3 on."""

    def rate(self, xp, t):
        return 0.25 - 0.1 * t


class Listed(L.Schedule):
    rates: list

    def rate(self, xp, t):
        return t * 0 + self.rates[0]


def replaced(part, *labels):
    """Images of these labels for one part."""
    split = lab.Split(torch.zeros(len(labels), 1, 8, 8), torch.tensor(labels))
    return {"data": dataclasses.replace(IMAGES, **{part: split})}


def layers(*made):
    return {"network": lambda: nn.Sequential(*made)}


EMPTY = lab.Rows(torch.zeros(0, 3), torch.zeros(0, 2))
NO_ROWS = lab.Regression("none", EMPTY, ROWS.validation, ROWS.test)
VALUE, TYPE = ValueError, TypeError

# Of train on rows, and of a sweep.
BOTH = [
    ({"data": None}, TYPE, "data must be a lab.Data or a lab.Regression, got None"),
    ({"data": NO_ROWS}, VALUE, "data must have rows to train on, got none"),
    ({"epochs": 0}, VALUE, "epochs must be an integer of at least 1, got 0"),
    ({"epochs": 1.0}, TYPE, r"epochs must be an integer of at least 1, got 1\.0"),
    ({"batch_size": 0}, VALUE, "batch_size must be an integer of at least 1, got 0"),
    ({"batch_size": "32"}, TYPE, "batch_size must be .*got '32'"),
    ({"group": 0}, VALUE, "group must be .*at least 1.*got 0"),
    ({"group": True}, TYPE, "group must be .*got True"),
    ({"chunk": -1}, VALUE, "chunk must be .*got -1"),
    ({"chunk": 8.5}, TYPE, r"chunk must be .*got 8\.5"),
    ({"chunk": 8}, VALUE, "chunk must be None: it is for images, got 8"),
    ({"distances_every": 0}, VALUE, "distances_every must be .*got 0"),
    ({"distances_every": "1"}, TYPE, "distances_every must be .*got '1'"),
    ({"optimizer": "sgd"}, TYPE, r"optimizer must be lab.SGD\(...\) or .*got 'sgd'"),
    ({"watch": "loss"}, VALUE, "watch must be one of 'batch_loss', .*got 'loss'"),
    ({"watch": None}, TYPE, "watch must be one of .*got None"),
    ({"each_update": 1}, TYPE, "each_update must be .*got 1"),
    ({"name": 3}, TYPE, "name must be a string, got 3"),
    ({"after_epoch": 3}, TYPE, "after_epoch must be a function or None, got 3"),
    ({"checkpoint_seconds": -1}, VALUE, "checkpoint_seconds must be .*got -1"),
    ({"checkpoint_seconds": "1"}, TYPE, "checkpoint_seconds must be .*got '1'"),
]  # fmt: skip
RUNS = [
    ({"runs": []}, VALUE, "runs must hold at least one run, got none"),
    ({"runs": [RUN, "b"]}, TYPE, r"runs\[1\] must be a lab.Run, got 'b'"),
    ({"runs": [Run("a", 0.1)]}, TYPE, r"runs\[0\].schedule must be a schedule or .*got 0\.1"),
    ({"runs": [Run("a", Falling())]}, VALUE,
     r"runs\[0\].schedule must give a finite rate of at least 0 for each of 4 steps, .*Falling"),
    ({"runs": [Run(3, L.Constant(0.1))]}, TYPE, r"runs\[0\].label must be a string, got 3"),
    ({"runs": [Run("a", L.Constant(0.1), -1)]}, VALUE, r"runs\[0\].seed must be .*got -1"),
    ({"runs": [Run("a", L.Constant(0.1), 2**63)]}, VALUE, r"runs\[0\].seed must be below 2\*\*63"),
    ({"runs": [RUN, Run("a", L.Constant(0.2))]}, VALUE, "runs must .*'a' with seed 0 twice"),
    ({"runs": [RUN, Run("a", L.Constant(0.1), network="b")]}, VALUE,
     r"runs\[1\].network must be one of '', got 'b'"),
    ({"network": {"a": mlp(), "b": mlp()}}, VALUE,
     r"runs\[0\].network must be one of 'a', 'b', got ''"),
    (PLATEAU | {"data": rows(validation=0)}, VALUE, "data must have validation samples for a Plat"),
    (PLATEAU | {"data": rows(test=0), "watch": "test_loss"}, VALUE,
     "data must have test samples for a Plateau to follow, got none"),
]  # fmt: skip
NETWORKS = [
    ({"network": {}}, VALUE, "network must hold at least one network, got none"),
    ({"network": {"": mlp(), "b": mlp()}}, VALUE, "network must have a label for .*got '' for one"),
    ({"network": {1: mlp()}}, TYPE, "network must have strings for labels, got 1"),
    ({"network": None}, TYPE, "network must be a function that makes a network, got None"),
    ({"network": lab.mlp(3)}, TYPE, "network must be a function .*got Sequential"),
    ({"network": lambda: nn.Linear(3, 1)}, TYPE, "network must make a .*Sequential, got Linear"),
    (layers(nn.Tanh()), VALUE, "network must make a network with weights to train"),
    ({"network": mlp(outputs=1)}, VALUE,
     r"network must give outputs of shape \[1, 2\] for one row, got \[1, 1\]"),
    ({"network": mlp(features=5)}, VALUE,
     r"network must take inputs of shape \[1, 3\], got: .*5.*3"),
    ({"network": {"fine": mlp(), "n": mlp(features=5)}, "runs": [Run("a", L.Constant(1), 0, "n")]},
     VALUE, r"network\['n'\] must take inputs of shape \[1, 3\]"),
    *(
        ({"network": NORMS["before"], "batch_size": size}, VALUE,
         f"batch_size must leave no batch of one sample, .*got {size} for 30 samples")
        for size in (1, 29)
    ),
]  # fmt: skip
ON_IMAGES = [
    (replaced("train"), VALUE, "data must have images to train on, got none"),
    (replaced("test", 0, -1), VALUE, "data.test.labels must be int64 of at least 0, got"),
    (replaced("validation", 0.0), VALUE, "data.validation.labels must be int64"),
    (replaced("test", 10), VALUE,
     r"network must give outputs of shape \[1, 11\] for one image, or more, got \[1, 10\]"),
    (layers(nn.Conv2d(1, 10, 8)), VALUE, r"outputs of shape \[1, 10\] .*got \[1, 10, 1, 1\]"),
    (layers(nn.Linear(8, 10)), VALUE, "must take inputs of .*must have a Flatten layer"),
    ({"watch": "precise_loss"}, VALUE, "watch must be one of 'train_loss', .*got 'precise_loss'"),
    *(
        ({"network": network, "chunk": 7}, VALUE,
         "chunk must be None or at least batch_size=8 with .*got 7")
        for network in (normalised, lambda: normalised(norm={"track_running_stats": False}))
    ),
    ({"network": normalised, "batch_size": 33}, VALUE, "batch_size must leave no .*got 33 for 100"),
    ({"network": FLAT, "runs": [Run("a", L.Constant(1), network="plain")], "batch_size": 1}, VALUE,
     "batch_size must leave no batch of one .*of network 'normalised'"),
    (PLATEAU | {"data": images(test=0), "watch": "test_accuracy"}, VALUE,
     "data must have test samples for a Plateau to follow, got none"),
]  # fmt: skip
SWEPT = [
    ({"networks": [mlp]}, TYPE, r"networks must be a dict .*got \[<function mlp"),
    ({"network": mlp()}, TYPE, "multiple values for keyword argument 'network'"),
    ({"schedules": "0.1"}, TYPE, "schedules must be a list of rates, or .*got '0.1'"),
    ({"schedules": L.Constant(0.1)}, TYPE, "schedules must be a list .*got Constant"),
    ({"schedules": []}, VALUE, "schedules must hold at least one schedule, got none"),
    ({"schedules": [1, 1.0]}, VALUE, r"schedules must have each rate once, .*\[1.0, 1.0"),
    ({"schedules": [0.1, -1]}, VALUE, r"schedules\[1\] must be .*at least 0, got -1"),
    ({"schedules": [float("nan")]}, VALUE, r"schedules\[0\] must be a finite .*got nan"),
    ({"schedules": [L.Constant(1)]}, TYPE, r"schedules\[0\] must be a .*got Constant"),
    ({"schedules": {"a": -1}}, VALUE, r"schedules\['a'\] must be .*at least 0, got -1"),
    ({"schedules": {"a": None}}, TYPE, r"schedules\['a'\] must be a rate, .*got None"),
    ({"schedules": {0.1: 0.1}}, TYPE, "schedules must have strings for .*got 0.1"),
    ({"seeds": 0}, VALUE, "seeds must be an integer of at least 1, got 0"),
    ({"seeds": 1.0}, TYPE, "seeds must be an integer of at least 1, got 1.0"),
    ({"seeds": []}, VALUE, r"seeds must hold at least one .*once, got \[\]"),
    ({"seeds": [2, 1, 2]}, VALUE, r"seeds must hold .*each once, got \[2, 1, 2\]"),
    ({"seeds": [0, -1]}, VALUE, r"seeds\[1\] must be .*at least 0, got -1"),
    ({"seeds": [0.5]}, TYPE, r"seeds\[0\] must be an integer .*got 0.5"),
]  # fmt: skip
CASES = [
    *(("rows", *case) for case in [*BOTH, *RUNS, *NETWORKS]),
    *(("sweep", *case) for case in [*BOTH, *SWEPT]),
    *(("images", *case) for case in ON_IMAGES),
]
SAID = {
    "rows": (lab.train, {"runs": [RUN], "data": ROWS, "network": mlp()}),
    "images": (lab.train, {"runs": [RUN], "data": IMAGES, "network": flat}),
    "sweep": (lab.sweep, {"networks": NORMS, "schedules": [0.1], "seeds": 1, "data": ROWS}),
}


@pytest.mark.parametrize(("call", "wrong", "error", "message"), CASES)
def test_wrong(tmp_path, call, wrong, error, message):
    """Nothing is trained or written."""
    function, said = SAID[call]
    told = []
    said = {"epochs": 1, "batch_size": 8, "after_epoch": lambda *_: told.append(1)} | said
    with pytest.raises(error, match=f"(?s){message}"):
        function(**said | wrong, checkpoint=tmp_path / "c")
    assert not told
    assert not list(tmp_path.iterdir())


def test_a_schedule_that_cannot_be_hashed():
    with pytest.raises(TypeError, match="must have arguments that can be hashed, such as tuples"):
        lab.train([Run("a", Listed([0.1]))], ROWS, epochs=1, network=mlp())


@pytest.mark.parametrize(
    ("call", "fine"),
    [
        ("rows", {"data": rows(train=1)}),
        ("rows", PLATEAU | {"data": rows(validation=0), "watch": "train_loss"}),
        ("rows", {"data": rows(test=0), "watch": "test_loss"}),  # no Plateau is there to follow it
        ("rows", {"network": {"": mlp()}}),
        ("rows", {"runs": iter([Run("a", L.Constant(0.1), np.int64(1))])}),
        ("images", PLATEAU | {"data": images(validation=0), "watch": "train_accuracy"}),
        ("images", {"network": lambda: normalised(norm={"track_running_stats": False})}),
        ("images", {"network": lambda: lab.perceptron(8, 20)}),  # more outputs than classes
    ],
)
def test_right(call, fine):
    function, said = SAID[call]
    results = function(**{"epochs": 1, "batch_size": 8} | said | fine)
    assert (results.diverged == -1).all()
    assert type(results.runs[0].seed) is int
    assert np.isfinite(results.metrics["train_loss"]).all()
