"""Fashion-MNIST: from a folder, downloaded once, and how files and downloads go wrong.

No test uses the network: small files in its format come from a local server.
"""

import contextlib
import dataclasses
import errno
import functools
import gzip
import hashlib
import io
import os
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

from lrsched.lab import digits
from lrsched.lab.fashion import OFFICIAL, DataError, Source, fashion_mnist

NAMES = list(OFFICIAL.sha256)
VARIABLE = "LRSCHED_DATA_DIR"
CLOSED = "http://127.0.0.1:1/"  # where no server is
REAL = os.environ.get(VARIABLE)


def small_arrays():
    """40 images to train on and 10 for the test, with their labels."""
    rng = np.random.default_rng(0)
    shapes = {(40, 28, 28): 255, (40,): 9, (10, 28, 28): 255, (10,): 9}
    return [rng.integers(0, top, shape, np.uint8, True) for shape, top in shapes.items()]


@contextlib.contextmanager
def served(source, folder, share=1.0):
    """The source with the address of a server of the files, and the list of files asked for.

    It sends only a share of each file if ``share`` is below 1.
    """
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def copyfile(self, file, target):
            asked.append(Path(file.name).name)
            content = file.read()
            target.write(content[: int(len(content) * share)])

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            yield dataclasses.replace(source, addresses=(address,)), asked
        finally:
            server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and nothing around that would lead elsewhere."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "lrsched" / "fashion-mnist"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "files"


@pytest.fixture
def source(folder):
    """The small files in the folder, gzipped IDX, pass for the official ones."""
    folder.mkdir()
    sha256 = {}
    for name, array in zip(NAMES, small_arrays(), strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        packed = gzip.compress(header + array.tobytes())
        (folder / name).write_bytes(packed)
        sha256[name] = hashlib.sha256(packed).hexdigest()
    return Source((CLOSED,), sha256)


@pytest.fixture
def load(source):
    return functools.partial(fashion_mnist, validation=5, source=source)


def files_in(place):
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


# What is read


def test_the_test_set_is_the_official_one(load, folder):
    images, labels, test_images, test_labels = map(torch.tensor, small_arrays())
    data = load(validation=15, folder=folder)
    assert [len(data.train), len(data.validation), len(data.test)] == [25, 15, 10]
    assert (data.name, data.side, len(data.classes)) == ("Fashion-MNIST", 28, 10)
    assert data.classes[9] == "Ankle boot"
    torch.testing.assert_close(data.test.images[:, 0], test_images / 255, rtol=0, atol=1e-7)
    assert data.test.labels.tolist() == test_labels.tolist()
    drawn = torch.cat([data.train.images, data.validation.images]).flatten(1)
    found = (drawn[:, None] - (images / 255).flatten(1)).abs().amax(-1).argmin(1)
    assert sorted(found.tolist()) == list(range(40))
    drawn_labels = torch.cat([data.train.labels, data.validation.labels])
    assert drawn_labels.tolist() == labels[found].tolist()


def test_the_train_set_is_standardised_and_drawn(load, folder):
    images = load(folder=folder, standardise=True).train.images
    assert [images.mean(), images.std()] == pytest.approx([0, 1], abs=1e-4)
    assert load(folder=folder, seed=1).checksum != load(folder=folder).checksum


@pytest.mark.skipif(not REAL, reason=f"{VARIABLE} names no folder with Fashion-MNIST")
def test_the_fashion_mnist_of_the_book():
    assert fashion_mnist(folder=REAL).checksum == "36b31e67300b94ad"


@pytest.mark.parametrize(("name", "value", "error"), [
    ("validation", -1, ValueError), ("validation", 5.0, TypeError), ("seed", -1, ValueError),
    ("seed", 0.5, TypeError), ("standardise", 1, TypeError), ("folder", 5, TypeError),
])  # fmt: skip
def test_wrong_arguments_are_seen_before_a_download(source, cache, name, value, error):
    refused = pytest.raises(error, match=rf"{name} .*got {value}")
    with served(source, cache) as (source, asked), refused:
        fashion_mnist(**{"source": source, name: value})
    assert asked == []


def test_without_the_libraries(monkeypatch):
    for module, call in {"sklearn.datasets": digits, "pooch": fashion_mnist}.items():
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=r"lrsched\[lab\]"):
            call()


# A folder with the files


def test_the_folder_of_the_environment(load, folder, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(folder))
    monkeypatch.setitem(sys.modules, "pooch", None)  # not needed for this
    assert load().checksum == load(folder=folder).checksum
    monkeypatch.setenv(VARIABLE, str(folder / "elsewhere"))
    load(folder=str(folder))  # the argument comes first


@pytest.mark.parametrize(("name", "error", "message"), [
    ("nowhere", FileNotFoundError, "nowhere.*does not exist.*train-images"),
    (NAMES[0], NotADirectoryError, f"{NAMES[0]}.* is a file"),
])  # fmt: skip
def test_no_folder(load, folder, monkeypatch, name, error, message):
    with pytest.raises(error, match=f"^folder: .*{message}"):
        load(folder=folder / name)
    monkeypatch.setenv(VARIABLE, str(folder / name))
    with pytest.raises(error, match=f"^{VARIABLE}: .*{message}"):
        load()


def test_all_missing_files_are_named(load, folder):
    for name in (NAMES[0], NAMES[3]):
        (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {NAMES[0]}, {NAMES[3]}. .*{CLOSED}"):
        load(folder=folder)


def altered(packed):
    return packed[:20] + bytes([packed[20] ^ 1]) + packed[21:]


DAMAGED = pytest.mark.parametrize("spoil", [altered, lambda packed: packed[:-1]])


@DAMAGED
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_not_used(load, folder, source, name, spoil):
    path = folder / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load(folder=folder)
    size = f"{path.stat().st_size} bytes"
    for part in (repr(str(path)), source.sha256[name], size, "Delete"):
        assert part in str(caught.value)


# Downloads


def test_downloaded_once_from_the_first_address_that_works(load, folder, cache, source):
    with served(source, folder, share=0.5) as (bad, asked), served(source, folder) as (good, got):
        addresses = CLOSED, *bad.addresses, *good.addresses
        source = dataclasses.replace(source, addresses=addresses)
        expected = load(source=source).checksum
    assert asked == got == NAMES
    assert files_in(cache) == sorted(NAMES)
    assert load(source=source).checksum == expected  # the servers are not needed
    assert load(folder=folder).checksum == expected


def test_no_network(load, cache, source):
    addresses = CLOSED, "http://127.0.0.1:2/"
    with pytest.raises(DataError) as caught:
        load(source=dataclasses.replace(source, addresses=addresses))
    for part in (NAMES[0], "missing", repr(str(cache)), "network", VARIABLE, *addresses):
        assert part in str(caught.value)
    assert files_in(cache) == []


@pytest.mark.parametrize(("share", "message"), [(0.5, ""), (1, ".*hash")])
def test_another_file_is_served(load, folder, cache, source, share, message):
    """Cut short, or a login page of a network, say."""
    (folder / NAMES[0]).write_text("Log in")
    missing = pytest.raises(DataError, match=f"{NAMES[0]} is missing{message}")
    with served(source, folder, share) as (source, _), missing:
        load(source=source)
    assert files_in(cache) == []


@DAMAGED
def test_a_file_damaged_in_the_cache(load, folder, cache, source, spoil):
    damaged = cache / NAMES[2]
    with served(source, folder) as (source, asked):
        expected = load(source=source).checksum
        damaged.write_bytes(spoil(damaged.read_bytes()))
        assert load(source=source).checksum == expected
        assert asked == [*NAMES, NAMES[2]]
        damaged.write_bytes(spoil(damaged.read_bytes()))
    with pytest.raises(DataError, match=f"{NAMES[2]} is damaged in '.*cannot be downloaded"):
        load(source=source)


def test_a_full_disk(load, folder, cache, source, monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, chunk):
            super().write(chunk[:10])
            raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr("pooch.downloaders.open", FullDisk, raising=False)
    with served(source, folder) as (source, _), pytest.raises(DataError) as caught:
        load(source=source)
    for part in ("the disk is full", NAMES[0], repr(str(cache))):
        assert part in str(caught.value)
    assert files_in(cache) == []


def test_a_cache_that_cannot_be_written(load, cache):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=f"{NAMES[0]} cannot be stored in .*lrsched"):
        load()
