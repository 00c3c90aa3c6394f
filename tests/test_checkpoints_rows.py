"""Checkpoints of sweeps on rows: killed or stopped at any moment, they end with the same bits."""

import itertools
import time

import pandas as pd
import pytest

import lrsched as L
import trained
from killed import Epochs, Stopped, ended, killed_until_done, start
from lrsched.lab import SGD, Adam, mlp, polynomial, sweep

# Two groups of three runs for each of two networks, three epochs: twelve epochs of groups.
SWEPT = {
    "networks": {"plain": mlp, "normal": lambda: mlp(norm="before")},
    "schedules": {
        "steps": L.StepDecay(0.1, 5, gamma=0.5),
        "plateau": L.Plateau(0.1, factor=0.5, patience=0, threshold=0.3),
        "broken": L.PiecewiseConstant([3.5], [0.01, 1e30]),
    },
    "seeds": 2,
    "data": polynomial(samples=60, validation=12, test=8),
    "epochs": 3,
    "batch_size": 8,
    "group": 3,
    "checkpoint_seconds": 0,
}


def same(whole, resumed):
    """To the bit, but for the time that it took."""
    pd.testing.assert_frame_equal(whole, resumed, check_exact=True)
    for part in ("settings", "surroundings"):
        assert whole.attrs[part] == resumed.attrs[part]


def stopped(file, epochs, **more):
    """Leave a checkpoint of so many epochs, of all groups together."""
    with pytest.raises(Stopped):
        sweep(**SWEPT | more, checkpoint=file, after_epoch=Epochs(epochs))


def test_killed_at_any_moment(tmp_path):
    assert ended(start(trained.sweep, None, tmp_path / "whole")) == 0
    (tmp_path / "kept").mkdir()
    file, result = tmp_path / "kept" / "run.checkpoint", tmp_path / "resumed"
    killed_until_done(trained.sweep, file, result, pause=0.02, states=3)
    whole, resumed = (pd.read_pickle(path) for path in (tmp_path / "whole", result))
    assert len(whole) == 3 * 4 * 3 * 6
    diverged = whole.groupby("schedule").diverged.any()
    assert diverged[diverged].index.tolist() == ["huge"]
    assert whole[whole.schedule == "plateau"].rate.nunique() > 1
    same(whole, resumed)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam(weight_decay=0.01)], ids=repr)
def test_stopped_after_every_number_of_epochs(tmp_path, engine, optimizer):
    whole = sweep(**SWEPT, optimizer=optimizer).table()
    assert whole[whole.schedule == "plateau"].rate.nunique() > 1
    for epochs in range(12):
        file, rest = tmp_path / "new" / f"{epochs}.checkpoint", Epochs()
        stopped(file, epochs, optimizer=optimizer)
        resumed = sweep(**SWEPT, optimizer=optimizer, checkpoint=file, after_epoch=rest)
        assert rest.count == 12 - epochs  # not one more than are missing
        same(whole, resumed.table())


def test_finished_groups_alone_are_kept_between(tmp_path):
    """Without time for a state within a group, its epochs are trained again, but no others."""
    seldom, rest = {"checkpoint_seconds": 3600}, Epochs()
    stopped(tmp_path / "c", 8, **seldom)  # two groups and two epochs
    resumed = sweep(**SWEPT | seldom, checkpoint=tmp_path / "c", after_epoch=rest)
    assert rest.count == 6
    same(sweep(**SWEPT).table(), resumed.table())


def test_the_seconds_are_those_of_all_starts(monkeypatch, tmp_path):
    """By a clock that ticks when it is read: an epoch takes 1."""
    monkeypatch.setattr(time, "perf_counter", map(float, itertools.count()).__next__)
    stopped(tmp_path / "c", 5)
    assert sweep(**SWEPT, checkpoint=tmp_path / "c").seconds.sum() == pytest.approx(12)
