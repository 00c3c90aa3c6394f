"""Checkpoints: a training killed at any moment and started again gives the same bits."""

import collections
import contextlib
import dataclasses
import enum
import fractions
import itertools
import os
import pathlib
import random
import signal
import time
import types

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import lrsched as L
from killed import Stopped, alive, ended, forking, number, start, stop_after
from lrsched.lab import (
    SGD,
    Adam,
    Run,
    Split,
    digits,
    groups,
    polynomial,
    sweep,
    sweeps,
    train,
    training,
)
from lrsched.lab import models as networks
from lrsched.lab.checkpoints import CheckpointError, write_whole

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


# Killed

# What a child does; the checkpoint "-": none.
PARENT = """
import numpy as np
import lrsched as L
from lrsched.lab import SGD, Adam, Run, digits, lenet, train
from torch import nn

data = digits()
runs = [
    Run(label, schedule, seed)
    for seed in (0, 1)
    for label, schedule in [
        ("a", L.Constant(0.01)), ("b", L.Cosine(0.02, 100)),
        ("c", L.Plateau(0.02, factor=0.5, patience=0, threshold=0.9)),
    ]
]
kinds = {
    "SGD": {"optimizer": SGD(momentum=0.9, nesterov=True), "network": lambda: lenet(8)},
    "Adam": {"optimizer": Adam(), "network": lambda: lenet(8)},
    "normalised": {
        "chunk": 100,
        "network": lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 200), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, 10)
        ),
    },
}

def work(kind, checkpoint, result):
    history = train(
        runs, data, epochs=3, batch_size=100, group=2, distances_every=4,
        checkpoint=None if checkpoint == "-" else checkpoint, checkpoint_seconds=0,
        **{"chunk": 50} | kinds[kind],
    )
    history.check_rates()
    np.savez(
        result, rates=history.rates, losses=history.losses, diverged=history.diverged,
        **history.metrics, **{"at " + name: d for name, d in history.distances.items()},
    )
"""


@pytest.fixture(scope="module")
def parent():
    with forking(PARENT) as process:
        yield process


def writing(folder, file):
    """Whether a draft is there."""
    return any(path != file for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["SGD", "Adam", "normalised"])
def test_killed_at_any_moment(parent, tmp_path, kind):
    """At random, in the middle of writing, and soon after a file is written, in turn."""
    assert ended(parent, start(parent, kind, "-", tmp_path / "whole.npz")) == 0

    folder = tmp_path / "kept"
    folder.mkdir()
    file, result = folder / "run.checkpoint", tmp_path / "resumed.npz"
    kills = states = 0
    for attempt in itertools.count():
        assert attempt < 200
        before = number(file)
        child = start(parent, kind, file, result)
        while attempt % 3 and alive(child):
            if writing(folder, file) if attempt % 3 == 1 else number(file) != before:
                break
            time.sleep(0.0002)
        if attempt % 3 != 1:
            time.sleep(random.uniform(0, 0.1))
        with contextlib.suppress(ProcessLookupError):  # it came to its end
            os.kill(child, signal.SIGKILL)
        code = ended(parent, child)
        for path in folder.iterdir():
            if path != file:
                path.unlink()
        if code == 0:
            if kills >= 3 and states >= 2:
                break
            file.unlink()  # too quick for us: from the beginning
            kills = states = 0
            continue
        assert code == -signal.SIGKILL
        kills += 1
        states += number(file) != before  # it goes on from states, not from the start alone
    with np.load(tmp_path / "whole.npz") as whole, np.load(result) as resumed:
        assert set(whole) == set(resumed)
        assert len(whole["losses"]) == 39
        assert whole["rates"][-1, 2] < 0.02  # the plateau has fallen
        for name in whole:
            np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def results(history):
    return {
        "rates": history.rates,
        "losses": history.losses,
        "diverged": history.diverged,
        "steps": history.distance_steps,
        **history.metrics,
        **history.distances,
    }


def same(left, right):
    assert left.runs == right.runs
    assert left.settings == right.settings
    assert left.surroundings == right.surroundings
    left, right = results(left), results(right)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


ARGUMENTS = {
    "epochs": 3,
    "batch_size": 300,
    "network": mlp,
    "group": 2,
    "chunk": 300,
    "checkpoint_seconds": 0,
}


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam(weight_decay=0.01)], ids=repr)
def test_stopped_after_every_number_of_epochs(monkeypatch, tmp_path, optimizer):
    """Three groups of three epochs each."""
    arguments = ARGUMENTS | {"optimizer": optimizer, "distances_every": 2}
    whole = train(RUNS, DATA, **arguments)
    for epochs in range(10):
        file = tmp_path / "new" / f"{epochs}.checkpoint"
        with monkeypatch.context() as patch:
            stop_after(patch, training._Group, epochs)
            if epochs < 9:
                with pytest.raises(Stopped):
                    train(RUNS, DATA, checkpoint=file, **arguments)
            else:
                train(RUNS, DATA, checkpoint=file, **arguments)
        with monkeypatch.context() as patch:
            stop_after(patch, training._Group, 9 - epochs)  # not one epoch more than are missing
            resumed = train(RUNS, DATA, checkpoint=str(file), **arguments)
        same(whole, resumed)
        assert (resumed.seconds > 0).all()


@pytest.mark.parametrize("watch", ["validation_loss", "validation_accuracy"])
def test_stopped_with_normalisation_and_plateaus(monkeypatch, tmp_path, watch):
    """Statistics and counters go on, wherever it was stopped: a group of four epochs, and one."""
    mode = "min" if watch.endswith("loss") else "max"
    runs = [
        RUNS[1],
        Run("at once", L.Plateau(0.3, factor=0.5, patience=0, threshold=0.3, mode=mode)),
        Run(
            "patient",
            L.Plateau(0.2, factor=0.1, patience=1, threshold=9, mode=mode, threshold_mode="abs"),
        ),
        Run(
            "at rest",
            L.Plateau(
                0.2,
                factor=0.5,
                patience=0,
                threshold=9,
                cooldown=1,
                mode=mode,
                threshold_mode="abs",
            ),
        ),
        Run("at once", L.Plateau(0.3, factor=0.5, patience=0, threshold=0.3, mode=mode), 1),
    ]
    arguments = ARGUMENTS | {
        "network": normalised, "epochs": 4, "group": 4, "watch": watch, "distances_every": 3
    }  # fmt: skip
    whole = train(runs, DATA, **arguments)
    assert (whole.rates[-1, 2:4] < 0.2).all()
    whole.check_rates()
    for epochs in range(9):
        file = tmp_path / f"{epochs}.checkpoint"
        with monkeypatch.context() as patch, contextlib.suppress(Stopped):
            stop_after(patch, training._Group, epochs)
            train(runs, DATA, checkpoint=file, **arguments)
        with monkeypatch.context() as patch:
            stop_after(patch, training._Group, 8 - epochs)
            resumed = train(runs, DATA, checkpoint=file, **arguments)
        same(whole, resumed)
        resumed.check_rates()


def test_the_state_of_a_group():
    """All of it is back: another group that has loaded it has the same."""
    runs = [
        Run("a", L.Plateau(0.3, factor=0.5, patience=0, threshold=0.9)),
        Run("b", L.Constant(0.1)),
    ]
    settings = {
        "batch_size": 300, "distances_every": None, "epochs": 4, "steps_per_epoch": 5,
        "watch": "train_loss",
    }  # fmt: skip

    def group():
        device = torch.device("cpu")
        return training._Group(runs, DATA, normalised, SGD(0.9), settings, 300, device)

    first, second = group(), group()
    for _ in range(3):
        first.train_epoch()
    second.load_state_dict(first.state_dict())
    assert second.epoch == 3
    assert list(second.stack.buffers) == list(first.stack.buffers)
    for name, buffer in first.stack.buffers.items():
        assert torch.equal(second.stack.buffers[name], buffer)
    assert second.stack.buffers["2.num_batches_tracked"].tolist() == [15, 15]
    assert torch.equal(second.planned, first.planned)
    assert second.plateaus == first.plateaus
    assert not torch.equal(second.planned[0], second.planned[-1])
    for one, other in zip(first.optimizer.state["velocity"], second.optimizer.state["velocity"],
                          strict=True):  # fmt: skip
        assert torch.equal(one, other)
    for left, right in ((first, second), (second, first)):
        left.train_epoch()
        if left is second:
            for name, p in left.stack.parameters.items():
                assert torch.equal(p, right.stack.parameters[name])


def test_plateaus_of_another_training(monkeypatch, tmp_path):
    runs = [RUNS[0], Run("plateau", L.Plateau(0.1, factor=0.5, patience=1))]
    with monkeypatch.context() as patch:
        stop_after(patch, training._Group, 1)
        with pytest.raises(Stopped):
            train(runs, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    other = [RUNS[0], Run("plateau", L.Plateau(0.1, factor=0.5, patience=2))]
    with pytest.raises(CheckpointError, match="runs: "):
        train(other, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    with pytest.raises(CheckpointError, match="watch: 'validation_loss' there, 'test_loss' here"):
        train(runs, DATA, checkpoint=tmp_path / "c", watch="test_loss", **ARGUMENTS)
    with pytest.raises(CheckpointError, match="watch: 'validation_loss' there, None here"):
        train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    train(runs, DATA, checkpoint=tmp_path / "c", **ARGUMENTS).check_rates()


def test_resumed_with_a_diverged_run(monkeypatch, tmp_path):
    runs = [*RUNS[:1], Run("huge", L.Constant(1e30)), RUNS[1]]
    arguments = ARGUMENTS | {"group": 3}
    whole = train(runs, DATA, **arguments)
    assert whole.diverged[1] >= 0
    with monkeypatch.context() as patch:
        stop_after(patch, training._Group, 2)
        with pytest.raises(Stopped):
            train(runs, DATA, checkpoint=tmp_path / "c", **arguments)
    same(whole, train(runs, DATA, checkpoint=tmp_path / "c", **arguments))


def test_seconds_add_up(monkeypatch, tmp_path):
    """By a clock that ticks when it is read: an epoch takes 1."""
    ticks = map(float, itertools.count())
    clock = types.SimpleNamespace(perf_counter=ticks.__next__, monotonic=time.monotonic)
    monkeypatch.setattr(training, "time", clock)
    with monkeypatch.context() as patch:
        stop_after(patch, training._Group, 2)
        with pytest.raises(Stopped):
            train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    history = train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    assert history.seconds.tolist() == [1.5, 1.5, 3, 3]  # three epochs, by runs at once


def test_a_finished_checkpoint_trains_no_more(monkeypatch, tmp_path):
    first = train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    kept = (tmp_path / "c").read_bytes()
    stop_after(monkeypatch, training._Group, 0)
    second = train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    same(first, second)
    assert (first.seconds == second.seconds).all()
    assert (tmp_path / "c").read_bytes() == kept


def test_sizes_once_measured_stay(monkeypatch, tmp_path):
    """Else the second start might choose others, and other last digits."""
    arguments = ARGUMENTS | {"group": None, "chunk": None, "checkpoint": tmp_path / "c"}
    with monkeypatch.context() as patch:
        patch.setattr(training, "fastest", lambda *_, **__: (2, 70))
        stop_after(patch, training._Group, 4)
        with pytest.raises(Stopped):
            train(RUNS, DATA, **arguments)
    monkeypatch.setattr(training, "fastest", None)
    history = train(RUNS, DATA, **arguments)
    assert (history.surroundings["group"], history.surroundings["chunk"]) == (2, 70)
    whole = train(RUNS, DATA, **ARGUMENTS | {"chunk": 70})
    same(whole, history)


def test_seldom(monkeypatch, tmp_path):
    """At the start and when a group is done, but in between not before the time is up."""
    saved = []
    monkeypatch.setattr(groups.checkpoints, "save", lambda *a: saved.append(len(a[2]["done"])))
    train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS | {"checkpoint_seconds": 3600})
    assert saved == [0, 1, 2, 3]


# Refused


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """The bytes of a checkpoint in the middle of a training."""
    file = tmp_path_factory.mktemp("half") / "c"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, training._Group, 4)
        with pytest.raises(Stopped):
            train(RUNS, DATA, checkpoint=file, **ARGUMENTS)
    return file.read_bytes()


def relabelled():
    return [dataclasses.replace(run, label=f"{run.label}!") for run in RUNS]


def wider():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 17), nn.ReLU(), nn.Linear(17, 10))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"epochs": 4}, "epochs: 3 there, 4 here"),
        ({"batch_size": 299}, "batch_size: 300 there, 299 here"),
        ({"group": 3}, r"asked: \[2, 300\] there, \[3, 300\] here"),
        ({"chunk": None}, r"asked: \[2, 300\] there, \[2, None\] here"),
        ({"optimizer": SGD(0.5)}, "optimizer: "),
        ({"optimizer": Adam()}, "optimizer: "),
        ({"distances_every": 1}, "distances_every: None there, 1 here"),
        ({"network": wider}, "network: "),
        ({"data": digits(seed=1)}, "checksum: "),
        ({"data": digits(validation=100)}, "checksum: .*samples: 1297 there, 1397 here"),
        ({"data": dataclasses.replace(DATA, name="others")}, "data: 'digits' there, 'others' here"),
        ({"runs": RUNS[:3]}, "runs: "),
        ({"runs": RUNS[::-1]}, "runs: "),
        ({"runs": relabelled()}, "runs: "),
        ({"runs": [*RUNS[:3], dataclasses.replace(RUNS[3], seed=2)]}, "runs: "),
        (
            {"runs": [*RUNS[:3], dataclasses.replace(RUNS[3], schedule=L.Constant(0.02))]},
            "runs: ",
        ),
    ],
)
def test_of_another_training(half_done, tmp_path, other, message):
    file = tmp_path / "my.checkpoint"
    file.write_bytes(half_done)
    arguments = {"runs": RUNS, "data": DATA} | ARGUMENTS | other
    with pytest.raises(CheckpointError, match=message) as caught:
        train(arguments.pop("runs"), arguments.pop("data"), checkpoint=file, **arguments)
    assert str(file) in str(caught.value)
    assert "delete it to start anew" in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(file))
    assert file.read_bytes() == half_done
    assert list(tmp_path.iterdir()) == [file]


def test_of_another_version(half_done, tmp_path, monkeypatch):
    """Another PyTorch may round otherwise: the results would be of neither."""
    file = tmp_path / "c"
    file.write_bytes(half_done)
    monkeypatch.setattr(torch, "__version__", "0.0")
    with pytest.raises(CheckpointError, match="surroundings: "):
        train(RUNS, DATA, checkpoint=file, **ARGUMENTS)
    assert file.read_bytes() == half_done


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.9, 0.99, -1])
def test_cut_short(half_done, tmp_path, share):
    file = tmp_path / "c"
    file.write_bytes(half_done[: share if share < 0 else int(share * len(half_done))])
    refused(file, "is cut short or altered: name another file, or delete it to start anew")


@pytest.mark.parametrize("place", [0.05, 0.3, 0.7, 0.999])
def test_altered(half_done, tmp_path, place):
    """A single bit, which ``torch.load`` would not notice in a tensor."""
    file, content = tmp_path / "c", bytearray(half_done)
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)
    refused(file, "is cut short or altered")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"lrsched check",
        b"\0" * 10_000,
        b"not a checkpoint\n" * 100,
        random.Random(0).randbytes(10_000),
    ],
    ids=["empty", "begun", "zeros", "text", "random"],
)
def test_no_checkpoint(tmp_path, content):
    """Whose file it is we do not know: it may be the only copy of something."""
    file = tmp_path / "c"
    file.write_bytes(content)
    refused(file, "is not a checkpoint of lrsched: name another file")


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        [1, 2],
        {"weight": torch.zeros(3)},
        {"settings": 5, "state": {}},
        {"settings": {}, "state": {}},
        {"settings": {}, "state": None},
    ],
    ids=repr,
)
def test_another_file_of_pytorch(tmp_path, content):
    file = tmp_path / "c"
    torch.save(content, file)
    refused(file, "is not a checkpoint of lrsched: name another file")


def refused(file, message):
    before = file.read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        train(RUNS, DATA, checkpoint=file, **ARGUMENTS)
    assert str(file) in str(caught.value)
    assert ("delete" in str(caught.value)) == ("delete" in message or "cut short" in message)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


# What was started with an argument is resumed with it


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
    *({"networks": {label: networks.mlp}} for label in (np.str_("a"), Label.A, OldLabel.A, "")),
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


def of_train(**said):
    said = {"runs": RUNS[:2], "data": DATA} | ARGUMENTS | {"epochs": 1} | said
    return train(said.pop("runs"), said.pop("data"), **said)


def of_sweep(**said):
    fine = {"networks": {"a": networks.mlp}, "schedules": [0.1], "seeds": 1, "data": ROWS}
    return sweep(**fine | {"epochs": 1} | said)


def plain_types(value):
    if isinstance(value, dict):
        return all(type(key) is str and plain_types(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(plain_types, value))
    return type(value) in (str, int, float, bool, type(None))


def only_loads(patch):
    for group_class in (training._Group, sweeps._Group):
        stop_after(patch, group_class, 0)


@pytest.mark.parametrize("said", TRAINED)
def test_a_training_goes_on_with_any_argument(monkeypatch, tmp_path, said):
    first = of_train(checkpoint=Given(tmp_path / "c"), **said)
    assert plain_types(first.settings)
    assert plain_types(first.surroundings)
    assert {(type(run.label), type(run.seed)) for run in first.runs} == {(str, int)}
    only_loads(monkeypatch)
    same(first, of_train(checkpoint=Given(tmp_path / "c"), **said))


@pytest.mark.parametrize("said", SWEPT)
def test_a_sweep_goes_on_with_any_argument(monkeypatch, tmp_path, said):
    first = of_sweep(checkpoint=tmp_path / "c", **said)
    assert plain_types(first.attrs)
    for name in ("network", "schedule"):
        assert set(map(type, first[name].tolist())) <= {str, float}
    only_loads(monkeypatch)
    second = of_sweep(checkpoint=tmp_path / "c", **said)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


# Refused before anything is trained or written


def failing():
    raise KeyError("network")


IMAGES = DATA.train


def training_on(**parts):
    return {"data": dataclasses.replace(DATA, train=Split(**vars(IMAGES) | parts))}


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (labelled(0.1), TypeError, r"runs\[0\].label must be a string, got 0.1"),
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
        ({"network": networks.mlp}, ValueError, r"network must take inputs of .*\[1, 1, 8"),
        (
            {"network": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9))},
            ValueError,
            r"network must give outputs of shape \[1, 10\] .* got \[1, 9\]",
        ),
        ({"network": lambda: mlp().double()}, ValueError, "network must take inputs of .*dtype"),
        ({"network": failing}, KeyError, "network"),
        ({"network": normalised, "batch_size": 1296, "chunk": None}, ValueError, "batch_size must"),
        ({"data": ROWS}, TypeError, "data must be a lab.Data, got Regression"),
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
    only_loads(monkeypatch)
    with pytest.raises(error, match=message) as caught:
        of_train(**{"checkpoint": "c"} | said)
    assert "delete" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_names_of_data():
    for data in (DATA, ROWS):
        with pytest.raises(TypeError, match="name must be a string, got 5"):
            dataclasses.replace(data, name=5)


def test_other_weights_are_another_training(tmp_path):
    """Though the layers are the same."""

    def other():
        network = mlp()
        nn.init.zeros_(network[3].bias)
        return network

    of_train(checkpoint=tmp_path / "c")
    with pytest.raises(CheckpointError, match="weights: "):
        of_train(checkpoint=tmp_path / "c", network=other)


# Where a checkpoint is


def test_links_are_followed(monkeypatch, tmp_path):
    link, file = tmp_path / "link", tmp_path / "far" / "c"
    link.symlink_to(file)  # which is not there yet
    first = of_train(checkpoint=link)
    assert link.is_symlink()
    only_loads(monkeypatch)
    same(first, of_train(checkpoint=file))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="checkpoint must be the path of a file"):
        of_train(checkpoint=tmp_path / "loop")


def test_the_home_and_the_longest_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    of_train(checkpoint=f"~/{'n' * 255}")
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_another_working_directory_meanwhile(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    of_train(checkpoint="c", epochs=2, after_epoch=lambda *told: os.chdir("/"))
    assert (tmp_path / "c").is_file()


def test_no_permission(monkeypatch, tmp_path):
    """Seen before the first epoch; what is done can be read all the same."""
    whole = of_train(checkpoint=tmp_path / "done")
    with monkeypatch.context() as patch:
        stop_after(patch, training._Group, 1)
        with pytest.raises(Stopped):
            of_train(checkpoint=tmp_path / "half", epochs=2)
    monkeypatch.setattr(os, "access", lambda *_: False)
    only_loads(monkeypatch)
    for name in ("new", "half"):
        with pytest.raises(CheckpointError, match=f"{name} cannot be written: no permission in"):
            of_train(checkpoint=tmp_path / name, epochs=2)
    same(whole, of_train(checkpoint=tmp_path / "done"))
    assert {path.name for path in tmp_path.iterdir()} == {"done", "half"}


def test_a_checkpoint_that_may_not_be_read(half_done, monkeypatch, tmp_path):
    (tmp_path / "c").write_bytes(half_done)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(CheckpointError, match=r"c cannot be read: Permission denied$"):
        train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)


def test_a_full_disk(half_done, monkeypatch, tmp_path):
    file = tmp_path / "c"
    file.write_bytes(half_done)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for path in (file, tmp_path / "new"):
        with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
            train(RUNS, DATA, checkpoint=path, **ARGUMENTS)
    assert file.read_bytes() == half_done
    assert list(tmp_path.iterdir()) == [file]


# Whole or not at all


def test_write_whole(tmp_path):
    file = tmp_path / "a" / "b" / "file"
    for content in (b"old", b"new and longer", b""):
        write_whole(file, lambda f, content=content: f.write(content))
        assert file.read_bytes() == content
        assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [b"old", None])
def test_an_error_while_writing(tmp_path, error, old):
    file = tmp_path / "file"
    if old:
        file.write_bytes(old)

    def write(f):
        f.write(b"half of the n")
        f.flush()
        assert len(list(tmp_path.iterdir())) == (2 if old else 1)
        raise error

    with pytest.raises(error):
        write_whole(file, write)
    assert list(tmp_path.iterdir()) == ([file] if old else [])
    assert not old or file.read_bytes() == old


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_at_the_end(tmp_path, monkeypatch, step):
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_whole(file, lambda f: f.write(b"new"))
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_mode(tmp_path, umask):
    before = os.umask(umask)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "umask", None)  # other threads would see a change
            write_whole(tmp_path / "file", lambda f: f.write(b"new"))
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask
