"""Checkpoints: a training killed at any moment and started again gives the same bits."""

import itertools
import time

import numpy as np
import pytest

import lrsched as L
import trained
from checkpointed import ARGUMENTS, DATA, RUNS, Epochs, Stopped, half_trained, normalised, same
from killed import ended, killed_until_done, start, version
from lrsched.lab import SGD, Adam, Run, train
from lrsched.lab.checkpoints import CheckpointError


@pytest.mark.parametrize("kind", trained.KINDS)
def test_killed_at_any_moment(tmp_path, kind):
    assert ended(start(trained.train, None, kind, tmp_path / "whole.npz")) == 0
    (tmp_path / "kept").mkdir()
    file, resumed = tmp_path / "kept" / "run.checkpoint", tmp_path / "resumed.npz"
    killed_until_done(trained.train, file, kind, resumed)
    with np.load(tmp_path / "whole.npz") as whole, np.load(resumed) as resumed:
        assert set(whole) == set(resumed)
        assert len(whole["losses"]) == 39
        assert whole["rates"][-1, 2] < 0.02  # the plateau has fallen
        for name in whole:
            np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam(weight_decay=0.01)], ids=repr)
def test_stopped_after_every_number_of_epochs(tmp_path, optimizer):
    """Three groups of three epochs each: of them not one more is trained than is missing."""
    arguments = {"optimizer": optimizer, "distances_every": 2}
    whole = train(RUNS, DATA, **ARGUMENTS | arguments)
    for epochs in range(10):
        file = tmp_path / "new" / f"{epochs}.checkpoint"
        if epochs < 9:
            half_trained(file, epochs, **arguments)
        else:
            train(RUNS, DATA, checkpoint=file, **ARGUMENTS | arguments)
        rest = Epochs()
        resumed = train(RUNS, DATA, checkpoint=str(file), after_epoch=rest, **ARGUMENTS | arguments)
        assert rest.count == 9 - epochs
        same(whole, resumed)
        assert (resumed.seconds > 0).all()


@pytest.mark.parametrize("watch", ["validation_loss", "validation_accuracy"])
def test_stopped_with_normalisation_and_plateaus(tmp_path, watch):
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
    arguments = {
        "network": normalised, "epochs": 4, "group": 4, "watch": watch, "distances_every": 3,
    }  # fmt: skip
    whole = train(runs, DATA, **ARGUMENTS | arguments)
    assert (whole.rates[-1, 2:4] < 0.2).all()
    whole.check_rates()
    for epochs in range(8):
        file, rest = tmp_path / f"{epochs}.checkpoint", Epochs()
        half_trained(file, epochs, runs, **arguments)
        resumed = train(runs, DATA, checkpoint=file, after_epoch=rest, **ARGUMENTS | arguments)
        assert rest.count == 8 - epochs
        same(whole, resumed)
        resumed.check_rates()


def test_plateaus_of_another_training(tmp_path):
    runs, file = [RUNS[0], Run("plateau", L.Plateau(0.1, factor=0.5, patience=1))], tmp_path / "c"
    half_trained(file, 1, runs)
    other = [RUNS[0], Run("plateau", L.Plateau(0.1, factor=0.5, patience=2))]
    for refused, more, message in [
        (other, {}, "runs: "),
        (runs, {"watch": "test_loss"}, "watch: 'validation_loss' there, 'test_loss' here"),
        (RUNS, {}, "watch: 'validation_loss' there, None here"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            train(refused, DATA, checkpoint=file, **ARGUMENTS | more)
    train(runs, DATA, checkpoint=file, **ARGUMENTS).check_rates()


def test_resumed_with_a_diverged_run(tmp_path):
    runs = [*RUNS[:1], Run("huge", L.Constant(1e30)), RUNS[1]]
    whole = train(runs, DATA, **ARGUMENTS | {"group": 3})
    assert whole.diverged[1] >= 0
    half_trained(tmp_path / "c", 2, runs, group=3)
    same(whole, train(runs, DATA, checkpoint=tmp_path / "c", **ARGUMENTS | {"group": 3}))


def test_seconds_add_up(monkeypatch, tmp_path):
    """By a clock that ticks when it is read: an epoch takes 1."""
    ticks = map(float, itertools.count())
    monkeypatch.setattr(time, "perf_counter", ticks.__next__)
    half_trained(tmp_path / "c", 2)
    results = train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    assert results.seconds.tolist() == [1.5, 1.5, 3, 3]  # three epochs, by runs at once


def test_a_finished_checkpoint_trains_no_more(tmp_path):
    first = train(RUNS, DATA, checkpoint=tmp_path / "c", **ARGUMENTS)
    content = (tmp_path / "c").read_bytes()
    second = train(RUNS, DATA, checkpoint=tmp_path / "c", after_epoch=pytest.fail, **ARGUMENTS)
    same(first, second)
    assert (first.seconds == second.seconds).all()
    assert (tmp_path / "c").read_bytes() == content


def test_sizes_once_measured_stay(tmp_path):
    """Else the second start might choose others, and other last digits."""
    sizes, calls = {"group": None, "chunk": None}, []

    def network():
        calls.append(1)
        return trained.small()

    arguments = ARGUMENTS | sizes | {"network": network, "checkpoint": tmp_path / "c"}
    with pytest.raises(Stopped):
        train(RUNS, DATA, after_epoch=Epochs(1), **arguments)
    measured, at_once = len(calls), []
    calls.clear()
    resumed = train(RUNS, DATA, after_epoch=lambda runs, *_: at_once.append(len(runs)), **arguments)
    assert len(calls) < measured  # nothing is measured again
    sizes = {size: resumed.surroundings[size] for size in sizes}
    assert at_once[0] == min(sizes["group"], 3)
    same(train(RUNS, DATA, **ARGUMENTS | sizes | {"network": network}), resumed)


def test_seldom(tmp_path):
    """At the start and when a group is done, but in between not before the time is up."""
    file, versions = tmp_path / "c", []
    train(
        RUNS, DATA, checkpoint=file, after_epoch=lambda *_: versions.append(version(file)),
        **ARGUMENTS | {"checkpoint_seconds": 3600},
    )  # fmt: skip
    versions.append(version(file))
    groups = [versions[:3], versions[3:6], versions[6:9], versions[9:]]
    assert [len(set(group)) for group in groups] == [1] * 4
    assert len({group[0] for group in groups}) == 4
    assert None not in versions
