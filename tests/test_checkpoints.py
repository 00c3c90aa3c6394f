"""Checkpoints: a training killed at any moment and started again gives the same bits."""

import itertools
import pickle
import time

import pytest

import lrsched as L
import trained
from checkpointed import IMAGES, ROWS, Epochs, half_trained, normalised, same
from killed import ended, killed_until_done, start
from lrsched.lab import SGD, Adam, AdamW, Run, train
from lrsched.lab.machine import least_seconds


@pytest.fixture
def said(kind):
    """A training on images, and on rows in each of the two ways."""
    return IMAGES if kind == "images" else ROWS


def groups(said):
    return 3 if said["data"] is IMAGES["data"] else 4


@pytest.mark.parametrize("name", [*trained.IMAGES, "rows"])
def test_killed_at_any_moment(tmp_path, name):
    assert ended(start(trained.train, None, name, tmp_path / "whole")) == 0
    (tmp_path / "kept").mkdir()
    killed_until_done(trained.train, tmp_path / "kept" / "c", name, tmp_path / "resumed")
    whole, resumed = (pickle.loads((tmp_path / each).read_bytes()) for each in ("whole", "resumed"))
    for run, rate, diverged in zip(whole.runs, whole.rate.T, whole.diverged, strict=True):
        assert (diverged >= 0) == (run.label == "huge")
        assert run.label != "plateau" or rate[-1] < 0.1  # it has fallen
    same(whole, resumed)


def stopped_everywhere(folder, said, groups):
    """After every number of epochs: of those of all groups not one more is trained than misses."""
    whole, total = train(**said), groups * said["epochs"]
    plateaus = [k for k, run in enumerate(whole.runs) if isinstance(run.schedule, L.Plateau)]
    assert (whole.rates[-1, plateaus] < whole.rates[0, plateaus]).all()
    for epochs in range(total):
        file, rest = folder / "new" / f"{epochs}.checkpoint", Epochs()
        half_trained(file, epochs, said)
        resumed = train(**said, checkpoint=str(file), after_epoch=rest)
        assert rest.count == total - epochs
        same(whole, resumed)
        assert (resumed.seconds > 0).all()
    content = file.read_bytes()
    finished = train(**said, checkpoint=file, after_epoch=pytest.fail)
    same(whole, finished)
    assert (finished.seconds == resumed.seconds).all()
    assert file.read_bytes() == content
    return whole


@pytest.mark.parametrize(
    "optimizer", [SGD(), SGD(0.9, 0.01), Adam(weight_decay=0.01), AdamW()], ids=repr
)
def test_stopped_after_every_number_of_epochs(tmp_path, said, optimizer):
    more = {"optimizer": optimizer, "distances_every": 2}
    stopped_everywhere(tmp_path, said | more, groups(said))


@pytest.mark.parametrize("watch", ["validation_loss", "validation_accuracy"])
def test_stopped_with_normalisation_and_plateaus(tmp_path, watch):
    """Statistics and counters go on, beside a run that diverges: a group of five, and one."""
    watched = {"mode": "min" if watch.endswith("loss") else "max"}
    never = watched | {"threshold": 9, "threshold_mode": "abs"}
    at_once = L.Plateau(0.3, factor=0.5, patience=0, threshold=0.3, **watched)
    schedules = {
        "cosine": L.Cosine(0.02, 80),
        "huge": L.Constant(1e30),
        "at once": at_once,
        "patient": L.Plateau(0.2, factor=0.1, patience=1, **never),
        "at rest": L.Plateau(0.2, factor=0.5, patience=0, cooldown=1, **never),
    }
    runs = [*(Run(*each) for each in schedules.items()), Run("at once", at_once, 1)]
    more = {
        "runs": runs, "network": normalised, "epochs": 4, "group": 5, "watch": watch,
        "distances_every": 3,
    }  # fmt: skip
    whole = stopped_everywhere(tmp_path, IMAGES | more, 2)
    whole.check_rates()
    assert (whole.rates[-1, 3:5] < 0.2).all()
    assert whole.diverged[1] >= 0


def test_the_seconds_are_those_of_all_starts(monkeypatch, tmp_path, said):
    """By a clock that ticks when it is read: an epoch takes 1."""
    monkeypatch.setattr(time, "perf_counter", map(float, itertools.count()).__next__)
    half_trained(tmp_path / "c", 5, said)
    seconds = train(**said, checkpoint=tmp_path / "c").seconds
    assert seconds.sum() == pytest.approx(3 * groups(said))
    assert seconds[-1] == pytest.approx(3 if said is IMAGES else 1)  # by runs at once


def test_finished_groups_alone_are_kept_between(tmp_path, said):
    """Without time for a state within a group, its epochs are trained again, but no others."""
    seldom, rest = said | {"checkpoint_seconds": 3600}, Epochs()
    half_trained(tmp_path / "c", 0, seldom)
    assert (tmp_path / "c").exists()
    half_trained(tmp_path / "c", 5, seldom)
    same(train(**said), train(**seldom, checkpoint=tmp_path / "c", after_epoch=rest))
    assert rest.count == 3 * groups(said) - 3


def test_sizes_once_measured_stay(tmp_path, monkeypatch):
    """Else the second start might choose others, and other last digits."""
    sizes, measured, at_once = {"group": None, "chunk": None}, [], []

    def seconds(update, device):
        measured.append(1)
        return least_seconds(update, device)

    monkeypatch.setattr("lrsched.lab.classification.least_seconds", seconds)
    said = IMAGES | sizes
    half_trained(tmp_path / "c", 1, said)
    assert measured
    measured.clear()
    resumed = train(
        **said, checkpoint=tmp_path / "c", after_epoch=lambda runs, *_: at_once.append(len(runs))
    )
    assert not measured
    sizes = {size: resumed.surroundings[size] for size in sizes}
    assert at_once[0] == min(sizes["group"], 3)
    same(train(**said | sizes), resumed)
