"""Checkpoints and arguments: what is started with an argument is resumed with it, or refused."""

import dataclasses
import enum
import fractions
import os

import numpy as np
import pytest
import torch

import lrsched as L
from checkpointed import DATA, SHORT, mlp, same
from lrsched import lab
from lrsched.lab import SGD, Adam, Run
from lrsched.lab.checkpoints import CheckpointError


class Label(enum.StrEnum):
    A = "a"


class Steps(enum.IntEnum):
    ONE = 1


class Text(str):
    def __str__(self):
        return "another"


class Odd(L.Schedule):
    """Of one's own, with an argument that nothing has checked."""

    odd: object

    def rate(self, xp, t):
        return 0.01 + 0 * t


def run(label="a", schedule=L.Constant(0.01), seed=0):  # noqa: B008
    return {"runs": [Run(label, schedule, seed), Run("z", L.Constant(0.01))]}


ODD = [
    np.float32(0.1), np.int64(3), np.bool_(True), np.str_("a"), float("nan"), float("inf"),
    fractions.Fraction(1, 3), Label.A, Steps.ONE, Text("a"), None, -0.0, 2**3000,
    (1, (np.int8(2), "a")), torch.Size([1, 2]), (L.Cosine(0.1, 5),),
]  # fmt: skip
TRAINED = [
    *(run(label) for label in (np.str_("a"), Label.A, Text("a"), "", "é\n\0")),
    *(run(seed=seed) for seed in (np.uint8(3), Steps.ONE, 2**63 - 1)),
    *(run(schedule=Odd(odd)) for odd in ODD),
    run(schedule=L.Constant(np.float32(0.1)).warmup(np.int64(3), shape=np.str_("linear"))),
    run(schedule=L.Plateau(np.float64(0.1), mode=np.str_("min"), patience=np.int64(1))),
    run(schedule=L.MultiStep(0.1, np.array([3, 5]))),
    {"epochs": np.int64(2), "batch_size": np.int32(300), "group": Steps.ONE,
     "chunk": np.uint16(300), "distances_every": np.int64(2), "name": Text("a"),
     "optimizer": SGD(np.float32(0.5), np.float64(0.1), np.bool_(True)),
     "checkpoint_seconds": fractions.Fraction(1, 2), "device": np.str_("cpu"),
     "data": dataclasses.replace(DATA, name=Label.A)},
    {"optimizer": Adam(eps=fractions.Fraction(1, 1000)), "device": torch.device("cpu")},
    {"watch": Text("test_loss"), **run(schedule=L.Plateau(0.1))},
]  # fmt: skip
ROWS = lab.polynomial(samples=320)
SWEPT = [
    {"networks": dict.fromkeys((np.str_("a"), Text("b")), lab.mlp)},
    {"schedules": {Label.A: np.float32(0.1), "b": np.int64(1), "c": fractions.Fraction(1, 3)}},
    {"schedules": np.array([0.1, 0.2], np.float32)},
    {"schedules": {"a": L.Plateau(0.1)}, "watch": np.str_("train_loss")},
    *({"seeds": seeds} for seeds in (np.int64(2), np.array([3, 1]), [0, 2**63 - 1])),
    {"epochs": np.int64(2), "data": dataclasses.replace(ROWS, name=np.str_("mine"))},
]
FINE = {"networks": {"a": lab.mlp}, "schedules": [0.1], "seeds": 1, "data": ROWS, "epochs": 1}


def plain_types(value):
    if isinstance(value, dict):
        return all(type(key) is str and plain_types(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(plain_types, value))
    return type(value) in (str, int, float, bool, type(None))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        *((lab.train, SHORT | said) for said in TRAINED),
        *((lab.sweep, FINE | said) for said in SWEPT),
    ],
)
def test_goes_on_with_any_argument(tmp_path, function, said):
    first = function(checkpoint=tmp_path / "c", **said)
    assert plain_types(first.table().attrs)  # settings and surroundings
    for each in first.runs:
        assert type(each.label) in (str, float)
        assert (type(each.seed), type(each.network)) == (int, str)
    same(first, function(checkpoint=tmp_path / "c", after_epoch=pytest.fail, **said))


# Refused before anything is trained or written


def failing():
    raise KeyError("network")


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (run(np.nan), ValueError, r"runs\[0\].label must be a finite number, got nan"),
        (run("\udc80"), ValueError, r"runs\[0\].label must be .* got '.udc80'"),
        (run(schedule=Odd(len)), TypeError, "run 'a' must be made of numbers.* got .*built-in"),
        (run(schedule=Odd("\udc80")), ValueError, "the run 'a' must be made of numbers"),
        ({"network": lambda: mlp().double()}, ValueError, "network must take inputs of .*Double"),
        ({"network": failing}, KeyError, "network"),
        ({"checkpoint": b"c"}, TypeError, "checkpoint must be a path or None, got b'c'"),
        ({"checkpoint": ""}, ValueError, "checkpoint must be the path of a file, got ''"),
        ({"checkpoint": "a\0b"}, ValueError, "checkpoint must be the path of a file, got 'a"),
        ({"checkpoint": "~nobody at all/c"}, ValueError, "checkpoint must be the path of a file"),
        ({"checkpoint": "."}, CheckpointError, "is a folder: name another file"),
        ({"checkpoint": "n" * 300}, ValueError, "checkpoint must be the path .* too long"),
        ({"checkpoint": os.devnull}, CheckpointError, "is no ordinary file: name another file"),
        ({"checkpoint": f"{__file__}/b/c"}, CheckpointError, "cannot be written, for .* no folder"),
    ],
)
def test_refused_at_the_start(monkeypatch, tmp_path, said, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        lab.train(**SHORT | {"checkpoint": "c", "after_epoch": pytest.fail} | said)
    assert "delete" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [DATA, ROWS])
def test_names_of_data(data):
    with pytest.raises(TypeError, match="name must be a string, got 5"):
        dataclasses.replace(data, name=5)
