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
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
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
REAL = os.environ.get(VARIABLE)


def small_arrays():
    """40 images to train on and 10 for the test, with their labels."""
    rng = np.random.default_rng(0)
    shapes = {(40, 28, 28): 255, (40,): 9, (10, 28, 28): 255, (10,): 9}
    return [rng.integers(0, top, shape, np.uint8, True) for shape, top in shapes.items()]


def written(folder, arrays):
    """Write arrays as gzipped IDX files; the source that they are official for."""
    folder.mkdir()
    sha256 = {}
    for name, array in zip(NAMES, arrays, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        packed = gzip.compress(header + array.tobytes(), mtime=0)
        (folder / name).write_bytes(packed)
        sha256[name] = hashlib.sha256(packed).hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        closed = f"http://127.0.0.1:{server.server_port}/"
    return Source((closed,), sha256)


@contextlib.contextmanager
def served(folder, share=1.0, meeting=None):
    """A server of the files: its address and the list of files asked for.

    It sends only a share of each file if ``share`` is below 1. It waits at a barrier,
    ``meeting``, in the middle of the first file.
    """
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def copyfile(self, file, target):
            asked.append(Path(file.name).name)
            content = file.read()
            sent = content[: int(len(content) * share)]
            target.write(sent[:100])
            if meeting and asked[-1] == NAMES[0]:
                meeting.wait(60)
            with contextlib.suppress(ConnectionError):  # the other side may have hung up
                target.write(sent[100:])

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and nothing around that would lead elsewhere."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "lrsched" / "fashion-mnist"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "files"


@pytest.fixture
def source(folder):
    """The small files in the folder pass for the official ones; no server has them."""
    return written(folder, small_arrays())


@pytest.fixture
def load(source):
    return functools.partial(fashion_mnist, validation=5, source=source)


def at(source, *addresses):
    return dataclasses.replace(source, addresses=addresses)


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


def test_without_validation_and_standardised(load, folder):
    data = load(validation=0, folder=folder, standardise=True)
    assert data.validation.images.shape == (0, 1, 28, 28)
    assert data.train.images.mean() == pytest.approx(0, abs=1e-6)
    assert data.train.images.std(correction=0) == pytest.approx(1)
    assert load(folder=folder, seed=1).checksum != load(folder=folder).checksum


@pytest.mark.skipif(not REAL, reason=f"{VARIABLE} names no folder with Fashion-MNIST")
def test_the_fashion_mnist_of_the_book():
    data = fashion_mnist(folder=REAL)
    assert [len(data.train), len(data.validation), len(data.test)] == [55000, 5000, 10000]
    labels = torch.cat([data.train.labels, data.validation.labels])
    assert labels.bincount().tolist() == [6000] * 10
    assert data.test.labels.bincount().tolist() == [1000] * 10
    assert data.checksum == "36b31e67300b94ad"


@pytest.mark.parametrize(("name", "value", "error"), [
    ("validation", -1, ValueError), ("validation", 5.0, TypeError),
    ("validation", True, TypeError), ("validation", None, TypeError), ("seed", -1, ValueError),
    ("seed", 0.5, TypeError), ("standardise", 1, TypeError), ("folder", 5, TypeError),
])  # fmt: skip
def test_wrong_arguments_are_seen_before_a_download(source, cache, name, value, error):
    with pytest.raises(error, match=rf"{name} .*got {value}"):
        fashion_mnist(**{"source": source, name: value})
    assert files_in(cache) == []


def test_too_large_a_validation_split(load, folder):
    with pytest.raises(ValueError, match=r"validation must be below 40, .*got 40"):
        load(validation=40, folder=folder)


@pytest.mark.parametrize(
    ("module", "call"), [("sklearn.datasets", digits), ("pooch", fashion_mnist)]
)
def test_without_the_libraries(monkeypatch, module, call):
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


def test_all_missing_files_are_named(load, folder, source):
    (folder / NAMES[0]).unlink()
    (folder / NAMES[3]).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load(folder=folder)
    assert [name in str(caught.value) for name in NAMES] == [True, False, False, True]
    assert source.addresses[0] in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: b"",
        lambda packed: packed[:20] + bytes([packed[20] ^ 1]) + packed[21:],
        lambda packed: packed + b"\0",
    ],
    ids=["cut short", "empty", "one bit", "longer"],
)
def test_a_damaged_file_is_not_used(load, folder, source, name, spoil):
    path = folder / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load(folder=folder)
    size = f"{path.stat().st_size} bytes"
    for part in (repr(str(path)), source.sha256[name], size, "Delete"):
        assert part in str(caught.value)


# Downloads


def test_downloaded_once(load, folder, cache, source):
    with served(folder) as (address, asked):
        expected = load(source=at(source, address)).checksum
        assert asked == NAMES
        assert files_in(cache) == sorted(NAMES)
        assert load(source=at(source, address)).checksum == expected
        assert asked == NAMES
    assert load().checksum == expected  # nor is the server needed
    assert load(folder=folder).checksum == expected


def test_the_next_address(load, folder, cache, source):
    with served(folder, share=0.5) as (bad, asked), served(folder) as (good, _):
        load(source=at(source, *source.addresses, bad, good))
        assert asked == NAMES
    assert files_in(cache) == sorted(NAMES)


def test_no_network(load, cache, source):
    addresses = "http://127.0.0.1:1/", *source.addresses
    with pytest.raises(DataError) as caught:
        load(source=at(source, *addresses))
    for part in (NAMES[0], "missing", repr(str(cache)), "network", VARIABLE, *addresses):
        assert part in str(caught.value)
    assert files_in(cache) == []


@pytest.mark.parametrize(("pictures", "share", "message"), [(40, 0.5, ""), (5, 1, ".*hash")])
def test_another_file_is_served(load, tmp_path, cache, source, pictures, share, message):
    """Cut short, or a login page of a network, say."""
    written(tmp_path / "page", [array[:pictures] for array in small_arrays()])
    with served(tmp_path / "page", share) as (address, _), pytest.raises(DataError) as caught:
        load(source=at(source, address))
    assert re.search(f"{NAMES[0]} is missing{message}", str(caught.value))
    assert files_in(cache) == []


@pytest.mark.parametrize("spoil", [lambda packed: packed[:100], lambda packed: packed + b"\0"])
def test_a_file_damaged_in_the_cache(load, folder, cache, source, spoil):
    damaged = cache / NAMES[2]
    with served(folder) as (address, asked):
        expected = load(source=at(source, address)).checksum
        damaged.write_bytes(spoil(damaged.read_bytes()))
        assert load(source=at(source, address)).checksum == expected
        assert asked == [*NAMES, NAMES[2]]
        damaged.write_bytes(spoil(damaged.read_bytes()))
    with pytest.raises(DataError, match=f"{NAMES[2]} is damaged in '.*cannot be downloaded"):
        load(source=at(source, address))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(load, folder, cache, source, monkeypatch, code):
    class FullDisk(io.FileIO):
        def write(self, chunk):
            super().write(chunk[:10])
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pooch.downloaders.open", FullDisk, raising=False)
    with served(folder) as (address, _), pytest.raises(DataError) as caught:
        load(source=at(source, address))
    for part in ("the disk is full", NAMES[0], repr(str(cache))):
        assert part in str(caught.value)
    assert files_in(cache) == []


def test_a_cache_that_cannot_be_written(load, cache):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=f"{NAMES[0]} cannot be stored in .*lrsched"):
        load()


LOAD = """
import json, sys
from pathlib import Path
import pooch
from lrsched.lab.fashion import Source, fashion_mnist

cache, address, sha256 = sys.argv[1:]
pooch.os_cache = lambda project: Path(cache) / project
print(fashion_mnist(5, source=Source((address,), json.loads(sha256))).checksum)
"""


def loaded(words):
    return subprocess.run(
        [sys.executable, "-c", LOAD, *words], capture_output=True, text=True, timeout=120,
        env=os.environ | {"TQDM_DISABLE": "1"}, cwd=Path(__file__).parents[1],
    )  # fmt: skip


def test_two_processes_download_at_once(load, folder, cache, source):
    """The server lets them meet in the middle of the first file."""
    seen = []
    meeting = threading.Barrier(2, action=lambda: seen.extend(files_in(cache)))
    with served(folder, meeting=meeting) as (address, asked), ThreadPoolExecutor(2) as pool:
        words = str(cache.parents[1]), address, json.dumps(source.sha256)
        ended = list(pool.map(loaded, [words] * 2))
    assert [process.returncode for process in ended] == [0, 0], ended
    assert asked.count(NAMES[0]) == 2
    assert len(seen) == 2  # one temporary file for each, and no other
    assert not set(seen) & set(NAMES)
    assert {process.stdout.strip() for process in ended} == {load(folder=folder).checksum}
    assert not any("%|" in process.stderr for process in ended)  # no progress bar
    assert files_in(cache) == sorted(NAMES)
