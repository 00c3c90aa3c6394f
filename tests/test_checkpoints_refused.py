"""Checkpoints that are of something else, damaged, or cannot be written; each is left as it was."""

import dataclasses
import os
import random

import pytest
import torch
from torch import nn

import lrsched as L
from checkpointed import ARGUMENTS, DATA, RUNS, half_trained, mlp, same, trained
from lrsched.lab import SGD, Adam, digits, train
from lrsched.lab.checkpoints import CheckpointError, write_whole


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """The bytes of a checkpoint in the middle of a training."""
    file = tmp_path_factory.mktemp("half") / "c"
    half_trained(file, 4)
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
        ({"group": 3}, "asked: .*'group': 2, .* there, .*'group': 3,"),
        ({"chunk": None}, "asked: .*'chunk': 300, .* there, .*'chunk': None,"),
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


def flipped(content, place):
    """With a single bit altered, which ``torch.load`` would not notice in a tensor."""
    place = int(place * len(content))
    return b"".join([content[:place], bytes([content[place] ^ 1]), content[place + 1 :]])


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda whole, share=share: whole[: int(share * len(whole))]
          for share in (0.01, 0.3, 0.5, 0.9, 0.99)),
        lambda whole: whole[:-1],
        *(lambda whole, place=place: flipped(whole, place) for place in (0.05, 0.3, 0.7, 0.999)),
    ],
)  # fmt: skip
def test_cut_short_or_altered(half_done, tmp_path, damage):
    (tmp_path / "c").write_bytes(damage(half_done))
    refused(tmp_path / "c", "is cut short or altered: name another file, or delete it to start")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"lrsched check", b"\0" * 10_000, b"not a checkpoint\n" * 100,
        random.Random(0).randbytes(10_000),
        # Files of PyTorch's.
        torch.zeros(3), [1, 2], {"weight": torch.zeros(3)}, {"settings": 5, "state": {}},
        {"settings": {}, "state": {}}, {"settings": {}, "state": None},
    ],
    ids=lambda content: repr(content)[:30],
)  # fmt: skip
def test_no_checkpoint(tmp_path, content):
    """Whose file it is we do not know: it may be the only copy of something."""
    if isinstance(content, bytes):
        (tmp_path / "c").write_bytes(content)
    else:
        torch.save(content, tmp_path / "c")
    refused(tmp_path / "c", "is not a checkpoint of lrsched: name another file")


def refused(file, message):
    before = file.read_bytes()
    with pytest.raises(CheckpointError, match=message) as caught:
        train(RUNS, DATA, checkpoint=file, **ARGUMENTS)
    assert str(file) in str(caught.value)
    assert ("delete" in str(caught.value)) == ("delete" in message)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_other_weights_are_another_training(tmp_path):
    """Though the layers are the same."""

    def other():
        network = mlp()
        nn.init.zeros_(network[3].bias)
        return network

    trained(checkpoint=tmp_path / "c")
    with pytest.raises(CheckpointError, match="weights: "):
        trained(checkpoint=tmp_path / "c", network=other)


# Where a checkpoint is


def test_links_are_followed(tmp_path):
    link, file = tmp_path / "link", tmp_path / "far" / "c"
    link.symlink_to(file)  # which is not there yet
    first = trained(checkpoint=link)
    assert link.is_symlink()
    same(first, trained(checkpoint=file, after_epoch=pytest.fail))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="checkpoint must be the path of a file"):
        trained(checkpoint=tmp_path / "loop")


def test_the_home_and_the_longest_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    trained(checkpoint=f"~/{'n' * 255}")
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_another_working_directory_meanwhile(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    trained(checkpoint="c", epochs=2, after_epoch=lambda *told: os.chdir("/"))
    assert (tmp_path / "c").is_file()


def test_no_permission(monkeypatch, tmp_path):
    """Seen before the first epoch; what is done can be read all the same."""
    whole = trained(checkpoint=tmp_path / "done")
    half_trained(tmp_path / "half", 1, RUNS[:2], epochs=2)
    monkeypatch.setattr(os, "access", lambda *_: False)
    for name in ("new", "half"):
        with pytest.raises(CheckpointError, match=f"{name} cannot be written: no permission in"):
            trained(checkpoint=tmp_path / name, epochs=2, after_epoch=pytest.fail)
    same(whole, trained(checkpoint=tmp_path / "done", after_epoch=pytest.fail))
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
