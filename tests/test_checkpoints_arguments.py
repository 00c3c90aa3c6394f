"""Checkpoints and arguments: what is started with an argument is resumed with it, or refused."""

import collections
import dataclasses
import enum
import fractions
import os
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import lrsched as L
from checkpointed import DATA, mlp, normalised, same, trained
from lrsched.lab import SGD, Adam, Run, Split, polynomial, sweep
from lrsched.lab import mlp as small
from lrsched.lab.checkpoints import CheckpointError


class Label(enum.StrEnum):
    A = "a"
    B = "b"


class OldLabel(str, enum.Enum):  # noqa: UP042
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


class Giving(L.Schedule):
    odd: object

    def rate(self, xp, t):
        return self.odd + 0 * t


class Given(os.PathLike):
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


def labelled(label):
    return {"runs": [Run(label, L.Constant(0.01)), Run("z", L.Constant(0.01))]}


def scheduled(schedule):
    return {"runs": [Run("a", schedule), Run("z", L.Constant(0.01))]}


ODD = [
    np.float64(0.1), np.float32(0.1), np.int64(3), np.bool_(True), np.str_("a"), float("nan"),
    float("inf"), fractions.Fraction(1, 3), Label.A, OldLabel.A, Steps.ONE, Text("a"), None, -0.0,
    2**3000, (1, (np.int8(2), "a")), torch.Size([1, 2]), L.Constant(0.1), (L.Cosine(0.1, 5),),
]  # fmt: skip
TRAINED = [
    *(labelled(label) for label in (np.str_("a"), Label.A, OldLabel.A, Text("a"), "", "é\n\0")),
    *({"runs": [Run("a", L.Constant(0.01), seed)]} for seed in (np.int64(3), np.uint8(3), Steps.ONE,
                                                              2**63 - 1)),
    *(scheduled(Odd(odd)) for odd in ODD),
    scheduled(L.Constant(np.float32(0.1))),
    scheduled(L.Constant(0.1).warmup(np.int64(3), shape=np.str_("linear"))),
    scheduled(L.Plateau(np.float64(0.1), mode=np.str_("min"), patience=np.int64(1))),
    scheduled(L.MultiStep(0.1, np.array([3, 5]))),
    {"epochs": np.int64(2)},
    {"epochs": Steps.ONE},
    {"batch_size": np.int32(300)},
    {"group": np.int64(1), "chunk": np.uint16(300)},
    {"distances_every": np.int64(2)},
    {"optimizer": SGD(np.float32(0.5), np.float64(0.1), np.bool_(True))},
    {"optimizer": Adam(eps=fractions.Fraction(1, 1000))},
    {"watch": np.str_("test_loss"), **scheduled(L.Plateau(0.1))},
    {"watch": Text("test_loss"), **scheduled(L.Plateau(0.1))},
    {"checkpoint_seconds": np.float32(0)},
    {"checkpoint_seconds": fractions.Fraction(1, 2)},
    {"device": torch.device("cpu")},
    {"device": np.str_("cpu")},
    {"name": Text("a")},
    {"data": dataclasses.replace(DATA, name=np.str_("mine"))},
    {"data": dataclasses.replace(DATA, name=Label.A)},
]  # fmt: skip
ROWS = polynomial(samples=320)
SWEPT = [
    *({"networks": {label: small}} for label in (np.str_("a"), Label.A, OldLabel.A, "")),
    *({"schedules": {label: 0.1}} for label in (np.str_("a"), Label.A, OldLabel.A, Text("a"))),
    *({"schedules": {"a": Odd(odd)}} for odd in ODD),
    {"schedules": {"a": np.float32(0.1), "b": np.int64(1), "c": fractions.Fraction(1, 3)}},
    {"schedules": np.array([0.1, 0.2], np.float32)},
    {"schedules": pd.Series([0.1, 0.2])},
    {"schedules": collections.OrderedDict(a=0.1)},
    {"schedules": {"a": L.Plateau(0.1)}, "watch": np.str_("train_loss")},
    {"seeds": np.int64(2)},
    {"seeds": np.array([3, 1])},
    {"seeds": [0, 2**63 - 1]},
    {"epochs": np.int64(2), "batch_size": np.int64(10), "group": np.int64(1)},
    {"optimizer": Adam(np.float32(0.5))},
    {"data": dataclasses.replace(ROWS, name=np.str_("mine"))},
]


def swept(**said):
    fine = {"networks": {"a": small}, "schedules": [0.1], "seeds": 1, "data": ROWS}
    return sweep(**fine | {"epochs": 1} | said).table()


def plain_types(value):
    if isinstance(value, dict):
        return all(type(key) is str and plain_types(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(plain_types, value))
    return type(value) in (str, int, float, bool, type(None))


@pytest.mark.parametrize("said", TRAINED)
def test_a_training_goes_on_with_any_argument(tmp_path, said):
    first = trained(checkpoint=Given(tmp_path / "c"), **said)
    assert plain_types(first.settings)
    assert plain_types(first.surroundings)
    assert {(type(run.label), type(run.seed)) for run in first.runs} == {(str, int)}
    same(first, trained(checkpoint=Given(tmp_path / "c"), after_epoch=pytest.fail, **said))


@pytest.mark.parametrize("said", SWEPT)
def test_a_sweep_goes_on_with_any_argument(tmp_path, said):
    first = swept(checkpoint=tmp_path / "c", **said)
    assert plain_types(first.attrs)
    for name in ("network", "schedule"):
        assert set(map(type, first[name].tolist())) <= {str, float}
    second = swept(checkpoint=tmp_path / "c", **said)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert first.attrs == second.attrs  # the seconds too: nothing is trained again


# Refused before anything is trained or written


def failing():
    raise KeyError("network")


IMAGES = DATA.train


def training_on(**parts):
    return {"data": dataclasses.replace(DATA, train=Split(**vars(IMAGES) | parts))}


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (labelled(np.nan), ValueError, r"runs\[0\].label must be a finite number, got nan"),
        (labelled(None), TypeError, r"runs\[0\].label must be a string, got None"),
        (labelled(pathlib.Path("a")), TypeError, r"runs\[0\].label must be a string, got .*Path"),
        (labelled("\udc80"), ValueError, r"runs\[0\].label must be .* got '.udc80'"),
        ({"runs": [Run("a", L.Constant(1), 2**63)]}, ValueError, r"\].seed must be below 2\*\*63"),
        (scheduled(Odd(len)), TypeError, "the run 'a' must be made of numbers.* got .*built-in"),
        (scheduled(Odd(torch.tensor(0.1))), TypeError, "the run 'a' must be made of numbers"),
        (scheduled(Odd(pathlib.Path("a"))), TypeError, "the run 'a' must be made of numbers"),
        (scheduled(Odd("\udc80")), ValueError, "the run 'a' must be made of numbers"),
        (scheduled(Odd([1])), TypeError, r"runs\[0\].schedule must have arguments that can be ha"),
        (scheduled(Giving(-1)), ValueError, r"runs\[0\].schedule must give a finite rate of at le"),
        (scheduled(Giving(np.nan)), ValueError, r"runs\[0\].schedule must give a finite rate .*na"),
        ({"checkpoint_seconds": "1"}, TypeError, "checkpoint_seconds must be a finite number"),
        ({"checkpoint_seconds": -1}, ValueError, "checkpoint_seconds must be a finite number"),
        ({"checkpoint_seconds": None}, TypeError, "checkpoint_seconds must be a finite number"),
        ({"name": 5}, TypeError, "name must be a string, got 5"),
        ({"after_epoch": "print"}, TypeError, "after_epoch must be a function or None, got "),
        ({"network": mlp()}, TypeError, "network must be a function that makes a network, got Seq"),
        ({"network": nn.Sequential()}, TypeError, "network must be a function that makes a netw"),
        ({"network": nn.Flatten}, TypeError, "network must make a torch.nn.Sequential, got Flat"),
        ({"network": lambda: nn.Sequential(nn.Flatten())}, ValueError, "network must make .* w"),
        ({"network": small}, ValueError, r"network must take inputs of .*\[1, 1, 8"),
        (
            {"network": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9))},
            ValueError,
            r"network must give outputs of shape \[1, 10\] .* got \[1, 9\]",
        ),
        ({"network": lambda: mlp().double()}, ValueError, "network must take inputs of .*Double"),
        ({"network": failing}, KeyError, "network"),
        ({"network": normalised, "batch_size": 1296, "chunk": None}, ValueError, "batch_size must"),
        ({"data": ROWS, "network": None}, TypeError, "network must be a function .*, got None"),
        ({"data": [ROWS]}, TypeError, "data must be a lab.Data or a lab.Regression, got "),
        (training_on(images=IMAGES.images[:0], labels=IMAGES.labels[:0]), ValueError, "data must"),
        (training_on(labels=IMAGES.labels.int()), ValueError, "data.train.labels must be int64"),
        (training_on(labels=IMAGES.labels - 1), ValueError, "data.train.labels must be .* least 0"),
        ({"checkpoint": 5}, TypeError, "checkpoint must be a path or None, got 5"),
        ({"checkpoint": b"c"}, TypeError, "checkpoint must be a path or None, got b'c'"),
        ({"checkpoint": ""}, ValueError, "checkpoint must be the path of a file, got ''"),
        ({"checkpoint": "a\0b"}, ValueError, "checkpoint must be the path of a file, got 'a"),
        ({"checkpoint": "~nobody at all/c"}, ValueError, "checkpoint must be the path of a file"),
        ({"checkpoint": "."}, CheckpointError, "is a folder: name another file"),
        ({"checkpoint": "n" * 300}, ValueError, "checkpoint must be the path .* too long"),
        ({"checkpoint": os.devnull}, CheckpointError, "is no ordinary file: name another file"),
        ({"checkpoint": f"{__file__}/c"}, CheckpointError, "cannot be written, for .* no folder"),
        ({"checkpoint": f"{__file__}/b/c"}, CheckpointError, "cannot be written, for .* no folder"),
    ],
)  # fmt: skip
def test_refused_at_the_start(monkeypatch, tmp_path, said, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        trained(**{"checkpoint": "c", "after_epoch": pytest.fail} | said)
    assert "delete" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_names_of_data():
    for data in (DATA, ROWS):
        with pytest.raises(TypeError, match="name must be a string, got 5"):
            dataclasses.replace(data, name=5)
