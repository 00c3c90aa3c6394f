"""Checkpoints that are of something else, damaged, or cannot be written; each is left as it was."""

import dataclasses
import os
import random

import pytest
import torch
from torch import nn

import lrsched as L
from checkpointed import DATA, IMAGES, RUNS, SHORT, half_trained, mlp, same
from lrsched.lab import SGD, digits, train
from lrsched.lab.checkpoints import CheckpointError, write_whole


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """The bytes of a checkpoint in the middle of a training."""
    file = tmp_path_factory.mktemp("half") / "c"
    half_trained(file, 4)
    return file.read_bytes()


def wider():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 17), nn.ReLU(), nn.Linear(17, 10))


def biased():
    """The same layers with other weights."""
    network = mlp()
    nn.init.zeros_(network[3].bias)
    return network


def with_last(**other):
    return {"runs": [*RUNS[:3], dataclasses.replace(RUNS[3], **other)]}


def refused(file, message, **other):
    before = file.read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        train(**IMAGES | other, checkpoint=file, after_epoch=pytest.fail)
    said = str(caught.value)
    assert str(file) in said
    assert ("delete it to start anew" in said) == ("not a checkpoint" not in said)
    assert len(said) < 600 + len(str(file))
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"epochs": 4}, "epochs: 3 there, 4 here"),
        ({"batch_size": 299}, "batch_size: 300 there, 299 here"),
        ({"group": 3}, "asked: .*'group': 2, .* there, .*'group': 3,"),
        ({"chunk": None}, "asked: .*'chunk': 300, .* there, .*'chunk': None,"),
        ({"optimizer": SGD(0.5)}, "optimizer: "),
        ({"distances_every": 1}, "distances_every: None there, 1 here"),
        ({"watch": "test_loss"}, "watch: 'validation_loss' there, 'test_loss' here"),
        ({"network": wider}, "network: "),
        ({"network": biased}, "weights: "),
        ({"data": digits(validation=100)}, "checksum: .*samples: 1297 there, 1397 here"),
        ({"data": dataclasses.replace(DATA, name="others")}, "data: 'digits' there, 'others' here"),
        ({"runs": RUNS[:2]}, "watch: 'validation_loss' there, None here"),
        (with_last(label="another"), "runs: "),
        (with_last(seed=2), "runs: "),
        (with_last(schedule=L.Constant(0.02)), "runs: "),
    ],
)
def test_of_another_training(half_done, tmp_path, other, message):
    (tmp_path / "my.checkpoint").write_bytes(half_done)
    refused(tmp_path / "my.checkpoint", f"is of another training .*{message}", **other)


def test_of_another_version(half_done, tmp_path, monkeypatch):
    """Another PyTorch may round otherwise: the results would be of neither."""
    (tmp_path / "c").write_bytes(half_done)
    monkeypatch.setattr(torch, "__version__", "0.0")
    refused(tmp_path / "c", "surroundings: ")


@pytest.mark.parametrize("place", [0.01, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("flipped", [False, True])
def test_cut_short_or_altered(half_done, tmp_path, place, flipped):
    """By a single bit, which ``torch.load`` would not notice in a tensor."""
    place = int(place * len(half_done))
    rest = bytes([half_done[place] ^ 1]) + half_done[place + 1 :] if flipped else b""
    (tmp_path / "c").write_bytes(half_done[:place] + rest)
    refused(tmp_path / "c", "is cut short or altered: name another file, or delete it to start")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"lrsched check", random.Random(0).randbytes(10_000),
        # Files of PyTorch's.
        torch.zeros(3), {"settings": {}, "state": {}},
    ],
    ids=lambda content: repr(content)[:30],
)  # fmt: skip
def test_no_checkpoint(tmp_path, content):
    """Whose file it is we do not know: it may be the only copy of something."""
    if isinstance(content, bytes):
        (tmp_path / "c").write_bytes(content)
    else:
        torch.save(content, tmp_path / "c")
    refused(tmp_path / "c", "is not a checkpoint of lrsched: name another file$")


# Where a checkpoint is


def test_links_are_followed(tmp_path):
    link, file = tmp_path / "link", tmp_path / "far" / "c"
    link.symlink_to(file)  # which is not there yet
    first = train(**SHORT, checkpoint=link)
    assert link.is_symlink()
    same(first, train(**SHORT, checkpoint=file, after_epoch=pytest.fail))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="checkpoint must be the path of a file"):
        train(**SHORT, checkpoint=tmp_path / "loop")


def test_the_home_the_longest_name_and_another_working_directory(monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    train(**SHORT | {"epochs": 2}, checkpoint="c", after_epoch=lambda *told: os.chdir("/"))
    train(**SHORT, checkpoint=f"~/{'n' * 255}")
    assert {path.name for path in tmp_path.iterdir()} == {"c", "n" * 255}


def test_no_permission(monkeypatch, tmp_path):
    """Seen before the first epoch; what is done can be read all the same."""
    whole = train(**SHORT, checkpoint=tmp_path / "done")
    half_trained(tmp_path / "half", 1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    for name in ("new", "half"):
        with pytest.raises(CheckpointError, match=f"{name} cannot be written: no permission in"):
            train(**IMAGES, checkpoint=tmp_path / name, after_epoch=pytest.fail)
    same(whole, train(**SHORT, checkpoint=tmp_path / "done", after_epoch=pytest.fail))
    assert {path.name for path in tmp_path.iterdir()} == {"done", "half"}


def fail(monkeypatch, step, error):
    def failing(*_):
        raise error

    monkeypatch.setattr(step, failing)


def test_a_checkpoint_that_may_not_be_read(half_done, monkeypatch, tmp_path):
    (tmp_path / "c").write_bytes(half_done)
    fail(monkeypatch, "builtins.open", PermissionError(13, "Permission denied"))
    with pytest.raises(CheckpointError, match=r"c cannot be read: Permission denied$"):
        train(**IMAGES, checkpoint=tmp_path / "c")


# Whole or not at all


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_while_writing(half_done, monkeypatch, tmp_path, step, error):
    file = tmp_path / "c"
    file.write_bytes(half_done)
    fail(monkeypatch, f"os.{step}", error)
    full = isinstance(error, OSError)
    for path in (file, tmp_path / "new"):
        with pytest.raises(CheckpointError if full else KeyboardInterrupt) as caught:
            train(**IMAGES, checkpoint=path)
        assert not full or "cannot be written: No space left on device" in str(caught.value)
    assert file.read_bytes() == half_done
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
