"""The data sets: splits, layout, checksums, a regression, and how files and downloads go wrong.

No test uses the network: small files in Fashion-MNIST's format come from a local server.
"""

import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.nn import functional

from lrsched.lab import data

NAMES = list(data.SOURCE.sha256)
REAL = os.environ.get(data.FOLDER_VARIABLE)


def small_arrays():
    """40 images to train on and 10 for the test, with their labels, by the file's name."""
    rng = np.random.default_rng(0)
    shapes = [(40, 28, 28), (40,), (10, 28, 28), (10,)]
    highest = [255, 9, 255, 9]
    drawn = (
        rng.integers(0, top, shape, np.uint8, True)
        for top, shape in zip(highest, shapes, strict=True)
    )
    return dict(zip(NAMES, drawn, strict=True))


def written(folder, arrays, *addresses):
    """Write arrays as gzipped IDX files; the source that they are official for."""
    folder.mkdir(exist_ok=True)
    sha256 = {}
    for name, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        packed = gzip.compress(header + array.tobytes(), mtime=0)
        (folder / name).write_bytes(packed)
        sha256[name] = hashlib.sha256(packed).hexdigest()
    return data.Source(addresses, sha256)


@contextlib.contextmanager
def served(folder, share=1.0, meeting=None):
    """A server of the files: its address and the list of files asked for.

    It sends only a share of each file if ``share`` is below 1. It waits
    at a barrier, ``meeting``, in the middle of the first file.
    """
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path[1:]
            asked.append(name)
            content = (folder / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            sent = content[: int(len(content) * share)]
            self.wfile.write(sent[:100])
            if meeting and name == NAMES[0]:
                meeting.wait(60)
            with contextlib.suppress(ConnectionError):  # the other side may have hung up
                self.wfile.write(sent[100:])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def closed_address():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and nothing around that would lead elsewhere."""
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "lrsched" / "fashion-mnist"


@pytest.fixture
def use(monkeypatch):
    return lambda source: monkeypatch.setattr(data, "SOURCE", source)


@pytest.fixture
def folder(tmp_path, use):
    """A folder with the small files, which pass for the official ones."""
    use(written(tmp_path / "files", small_arrays(), closed_address()))
    return tmp_path / "files"


def files_in(place):
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


# Splits


def rows(*splits):
    return sorted(
        image.numpy().tobytes() + bytes([label])
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )


def test_digits_are_all_there_once():
    drawn = data.digits(validation=100, test=97)
    assert [len(drawn.train), len(drawn.validation), len(drawn.test)] == [1600, 100, 97]
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    whole = data.Split(images, torch.tensor(labels))
    assert rows(drawn.train, drawn.validation, drawn.test) == rows(whole)


def test_fashion_mnist_keeps_its_test_set(folder):
    arrays = list(small_arrays().values())
    images, labels, test_images, test_labels = map(torch.tensor, arrays)
    clothes = data.fashion_mnist(validation=15, folder=folder)
    assert [len(clothes.train), len(clothes.validation), len(clothes.test)] == [25, 15, 10]
    torch.testing.assert_close(clothes.test.images[:, 0], test_images / 255, rtol=0, atol=1e-7)
    assert clothes.test.labels.tolist() == test_labels.tolist()
    order = torch.cat([clothes.train.images, clothes.validation.images]).flatten(1)
    found = (order[:, None] - (images / 255).flatten(1)).abs().amax(-1).argmin(1)
    assert sorted(found.tolist()) == list(range(40))
    drawn_labels = torch.cat([clothes.train.labels, clothes.validation.labels])
    assert drawn_labels.tolist() == labels[found].tolist()


def test_names_types_and_shapes(folder):
    clothes, numerals = data.fashion_mnist(5, folder=folder), data.digits()
    assert (clothes.name, clothes.side, clothes.classes[9]) == ("Fashion-MNIST", 28, "Ankle boot")
    assert (numerals.name, numerals.side, numerals.classes[9]) == ("digits", 8, "9")
    for drawn in (clothes, numerals):
        assert len(drawn.classes) == 10
        for split in (drawn.train, drawn.validation, drawn.test):
            assert split.images.shape == (len(split), 1, drawn.side, drawn.side)
            assert split.images.dtype == torch.float32
            assert split.labels.shape == (len(split),)
            assert split.labels.dtype == torch.int64
        assert [drawn.train.images.min(), drawn.train.images.max()] == [0, 1]


def test_empty_splits(folder):
    numerals = data.digits(validation=0, test=0)
    assert [len(numerals.train), len(numerals.validation), len(numerals.test)] == [1797, 0, 0]
    clothes = data.fashion_mnist(validation=0, folder=folder).to("cpu")
    assert clothes.validation.images.shape == (0, 1, 28, 28)
    assert len(clothes.train) == 40


def test_standardised_by_the_train_split_alone(folder):
    for load in (data.digits, lambda **rest: data.fashion_mnist(5, folder=folder, **rest)):
        plain, scaled = load(), load(standardise=True)
        mean = plain.train.images.double().mean()
        deviation = plain.train.images.double().std(correction=0)
        for part in ("train", "validation", "test"):
            expected = ((getattr(plain, part).images - mean) / deviation).float()
            torch.testing.assert_close(getattr(scaled, part).images, expected)
            assert getattr(plain, part).labels.equal(getattr(scaled, part).labels)
        assert plain.checksum != scaled.checksum


def test_the_seed_decides_all():
    first, again, other = data.digits(seed=1), data.digits(seed=1), data.digits(seed=2)
    assert first.train.images.equal(again.train.images)
    assert first.checksum == again.checksum
    assert not first.train.images.equal(other.train.images)
    assert rows(first.test) != rows(other.test)
    assert first.checksum != other.checksum


def test_the_test_split_stays_whatever_the_validation():
    one, other = data.digits(validation=0), data.digits(validation=500)
    assert one.test.images.equal(other.test.images)


def test_the_global_generators_are_left_alone(folder):
    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), str(numpy_state), random.getstate()

    before = states()
    checksum = data.digits().checksum
    data.fashion_mnist(5, folder=folder)
    assert states() == before
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    assert data.digits().checksum == checksum  # and they have no say


def test_the_checksum_names_every_label(tmp_path, use, folder):
    before = data.fashion_mnist(5, folder=folder).checksum
    arrays = small_arrays()
    arrays[NAMES[3]][7] ^= 1
    use(written(tmp_path / "other", arrays))
    assert data.fashion_mnist(5, folder=tmp_path / "other").checksum != before


def test_the_digits_of_the_book():
    """Another checksum (from a NumPy that draws otherwise, say) means other results."""
    assert data.digits().checksum == "a9e8077d228a9d72"


@pytest.mark.skipif(not REAL, reason=f"{data.FOLDER_VARIABLE} names no folder with Fashion-MNIST")
def test_the_fashion_mnist_of_the_book():
    clothes = data.fashion_mnist(folder=REAL)
    assert [len(clothes.train), len(clothes.validation), len(clothes.test)] == [55000, 5000, 10000]
    labels = torch.cat([clothes.train.labels, clothes.validation.labels])
    assert labels.bincount().tolist() == [6000] * 10
    assert clothes.test.labels.bincount().tolist() == [1000] * 10
    assert clothes.checksum == "36b31e67300b94ad"


# Layout


def assert_channels_last(images):
    side = images.shape[-1]
    assert images.stride() == (side * side, 1, side, 1)
    if len(images) > 1 and images.device.type == "cpu":
        output = functional.conv2d(images, torch.ones(4, 1, 3, 3))
        assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("index", [[3, 1, 4], [5], [], list(range(1000))], ids=len)
def test_batches_are_channels_last(index):
    train = data.digits(standardise=True).train
    index = torch.tensor(index, dtype=torch.int64)
    images, labels = train.batch(index)
    assert_channels_last(images)
    assert images.equal(train.images.index_select(0, index))
    assert labels.equal(train.labels.index_select(0, index))


def test_splits_are_channels_last_wherever_they_are():
    numerals = data.digits()
    for device in ("cpu", "meta"):
        moved = numerals.to(device)
        assert device == "meta" or moved.checksum == numerals.checksum
        for split in (moved.train, moved.validation, moved.test):
            assert split.images.device.type == split.labels.device.type == device
            assert_channels_last(split.images)
            assert_channels_last(split.batch(torch.tensor([1, 0], device=device))[0])


@pytest.mark.parametrize("images", [torch.rand(3, 1, 4, 4), torch.rand(6, 1, 4, 4)[::2]])
def test_a_split_of_ones_own(images):
    split = data.Split(images, torch.arange(3))
    assert split.images.equal(images)
    assert_channels_last(split.images)


@pytest.mark.parametrize(
    ("images", "labels", "named"),
    [((3, 4, 4), 3, "images"), ((3, 2, 4, 4), 3, "images"), ((3, 1, 4, 4), 2, "labels")],
)
def test_a_split_of_wrong_shapes(images, labels, named):
    with pytest.raises(ValueError, match=named):
        data.Split(torch.rand(images), torch.arange(labels))


# Arguments


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"validation": -1}, ValueError),
        ({"validation": 40}, ValueError),
        ({"validation": 5.0}, TypeError),
        ({"validation": True}, TypeError),
        ({"validation": None}, TypeError),
        ({"seed": -1}, ValueError),
        ({"seed": 0.5}, TypeError),
        ({"seed": None}, TypeError),
        ({"standardise": 1}, TypeError),
        ({"folder": 5}, TypeError),
    ],
)
def test_wrong_arguments_of_fashion_mnist(folder, wrong, error):
    (name, value), *_ = wrong.items()
    with pytest.raises(error, match=rf"{name} .*got {value}"):
        data.fashion_mnist(**{"validation": 5, "folder": folder} | wrong)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"validation": -1}, ValueError),
        ({"validation": 1497}, ValueError),
        ({"validation": "5"}, TypeError),
        ({"test": -1}, ValueError),
        ({"test": 1797}, ValueError),
        ({"test": 1.5}, TypeError),
        ({"seed": -1}, ValueError),
        ({"standardise": None}, TypeError),
    ],
)
def test_wrong_arguments_of_digits(wrong, error):
    ((name, value),) = wrong.items()
    with pytest.raises(error, match=rf"{name} .*got {value!r}"):
        data.digits(**wrong)


def test_the_largest_splits():
    assert len(data.digits(validation=1496, test=300).train) == 1


def test_wrong_arguments_are_seen_before_a_download(folder, cache):
    for wrong in ({"validation": -1}, {"seed": -1}, {"standardise": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            data.fashion_mnist(**wrong)
    assert files_in(cache) == []


@pytest.mark.parametrize(
    ("module", "load"), [("sklearn.datasets", data.digits), ("pooch", data.fashion_mnist)]
)
def test_without_the_libraries(monkeypatch, module, load):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"lrsched\[lab\]"):
        load()


# A regression


PARTS = ("train", "validation", "test")


def whole(drawn):
    """All rows: inputs and targets, in double precision."""
    inputs = torch.cat([getattr(drawn, part).inputs for part in PARTS])
    targets = torch.cat([getattr(drawn, part).targets for part in PARTS])
    return inputs.double().numpy(), targets.double().numpy()


WEIGHTS = st.lists(st.floats(-5, 5) | st.integers(-5, 5), min_size=1, max_size=6)


@given(weights=WEIGHTS, degree=st.integers(1, 5), seed=st.integers(0, 2**40))
def test_polynomial_without_noise(weights, degree, seed):
    drawn = data.polynomial(weights, degree, 0, samples=60, validation=7, test=11, seed=seed)
    inputs, targets = whole(drawn)
    assert inputs.shape == (60, len(weights))
    powers = [[weight, *[0] * degree] for weight in weights]
    terms = np.array([np.polyval(c, inputs[:, j]) for j, c in enumerate(powers)])
    size = np.abs(terms).sum(0) + 1e-6  # inputs are rounded: each term has an error of its own
    assert (np.abs(terms.sum(0) - targets[:, 0]) <= 1e-6 * size).all()
    found, *_ = np.linalg.lstsq(inputs**degree, targets[:, 0], rcond=None)
    np.testing.assert_allclose(found, weights, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("noise", [0.01, 0.5, 3])
def test_polynomial_with_noise(noise):
    weights = [2.0, -1.0, 3.0]
    inputs, targets = whole(data.polynomial(weights, 3, noise, samples=20_000, seed=4))
    found, *_ = np.linalg.lstsq(inputs**3, targets[:, 0], rcond=None)
    np.testing.assert_allclose(found, weights, atol=noise / 50)
    residuals = targets[:, 0] - inputs**3 @ found
    assert residuals.std() == pytest.approx(noise, rel=0.03)
    assert abs(residuals.mean()) < noise / 30
    correlations = np.corrcoef(np.column_stack([inputs, residuals]).T) - np.eye(4)
    assert np.abs(correlations).max() < 0.03
    assert np.abs(np.corrcoef(residuals[1:], residuals[:-1])[0, 1]) < 0.03


def test_features_are_normal():
    inputs, _ = whole(data.polynomial(samples=20_000))
    np.testing.assert_allclose(inputs.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(inputs.std(0), 1, atol=0.03)
    np.testing.assert_allclose((inputs**4).mean(0), 3, atol=0.3)


def test_the_polynomial_of_the_book():
    """y = 2 a² - b² + 3 c² + d² + 2 e², and a hundredth of noise."""
    drawn = data.polynomial()
    assert (drawn.name, drawn.checksum) == ("polynomial", "a5ab90be425d4a12")
    inputs, targets = whole(drawn)
    errors = targets[:, 0] - np.square(inputs) @ [2, -1, 3, 1, 2]
    assert errors.std() == pytest.approx(0.01, rel=0.1)
    assert repr(drawn) == (
        "Regression(name='polynomial', train=<700 rows>, validation=<150 rows>, test=<150 rows>)"
    )


@pytest.mark.parametrize(
    ("samples", "validation", "test"),
    [(1, 0, 0), (10, 0, 0), (10, 9, 0), (10, 0, 9), (10, 4, 5), (10, 1, 2), (1000, 150, 150)],
)
def test_sizes_of_a_polynomial(samples, validation, test):
    drawn = data.polynomial(samples=samples, validation=validation, test=test)
    sizes = [len(getattr(drawn, part)) for part in PARTS]
    assert sizes == [samples - validation - test, validation, test]
    for part, size in zip(PARTS, sizes, strict=True):
        rows_of_part = getattr(drawn, part)
        assert rows_of_part.inputs.shape == (size, 5)
        assert rows_of_part.targets.shape == (size, 1)
        assert rows_of_part.inputs.dtype == rows_of_part.targets.dtype == torch.float32
        assert rows_of_part.inputs.is_contiguous()
    inputs, _ = whole(drawn)
    assert len(np.unique(inputs, axis=0)) == samples  # none is in two parts
    assert len(drawn.checksum) == 16


def test_the_rows_do_not_depend_on_the_sizes_of_the_parts():
    one, other = data.polynomial(validation=0, test=0), data.polynomial(validation=300, test=10)
    for left, right in zip(whole(one), whole(other), strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.checksum != other.checksum


def test_the_seed_decides_the_polynomial():
    first, again, other = (data.polynomial(seed=seed) for seed in (1, 1, 2))
    for part in PARTS:
        assert getattr(first, part).inputs.equal(getattr(again, part).inputs)
        assert getattr(first, part).targets.equal(getattr(again, part).targets)
        assert not getattr(first, part).inputs.equal(getattr(other, part).inputs)
    assert first.checksum == again.checksum != other.checksum


def test_the_polynomial_leaves_the_global_generators_alone():
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()  # noqa: NPY002
    checksum = data.polynomial().checksum
    assert torch.get_rng_state().equal(states[0])
    assert str(np.random.get_state()) == states[1]  # noqa: NPY002
    assert random.getstate() == states[2]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert data.polynomial().checksum == checksum


@pytest.mark.parametrize(
    "other",
    [
        {"weights": [2, -1, 3, 1, 2.5]},
        {"weights": [2, -1, 3, 1]},
        {"degree": 3},
        {"noise": 0.02},
        {"samples": 999},
        {"validation": 151},
        {"test": 149},
        {"seed": 1},
    ],
)
def test_checksums_of_other_polynomials(other):
    assert data.polynomial(**other).checksum != data.polynomial().checksum


def test_the_same_weights_in_other_words():
    expected = data.polynomial().checksum
    for weights in ([2, -1, 3, 1, 2], np.array([2.0, -1, 3, 1, 2]), (2.0, -1.0, 3, 1, 2)):
        assert data.polynomial(weights).checksum == expected
    sizes = {"samples": np.int64(1000), "validation": np.int32(150), "seed": np.int64(0)}
    assert data.polynomial(**sizes).checksum == expected


def some_rows(count, features=2, outputs=1, start=0):
    inputs = start + torch.arange(float(count * features)).view(count, features)
    return data.Rows(inputs, inputs[:, :1].expand(count, outputs).clone())


def regression(**parts):
    parts = {"train": some_rows(4), "validation": some_rows(2), "test": some_rows(3)} | parts
    return data.Regression("mine", **parts)


def test_the_checksum_names_every_row():
    expected = regression().checksum
    assert regression().checksum == expected
    changed = [
        {"train": some_rows(5)},
        {"validation": some_rows(0)},
        {"test": some_rows(3, start=1)},
        {"train": some_rows(4, outputs=2)},
        {"validation": some_rows(1), "test": some_rows(4)},
    ]
    for part in PARTS:
        for name in ("inputs", "targets"):
            nudged = regression()
            values = getattr(getattr(nudged, part), name)
            values[-1, -1] = values[-1, -1].nextafter(torch.tensor(9e9))
            assert nudged.checksum != expected
    checksums = [expected, *(regression(**parts).checksum for parts in changed)]
    assert len(set(checksums)) == len(checksums)
    # However the rows lie in memory.
    rows_of_columns = data.Rows(
        some_rows(4).inputs.t().contiguous().t(), some_rows(4).targets.repeat(1, 2)[:, :1]
    )
    assert regression(train=rows_of_columns).checksum == expected


def test_a_regression_on_a_device():
    drawn = data.polynomial(samples=20, validation=3, test=0)
    for device in ("cpu", torch.device("meta")):
        moved = drawn.to(device)
        assert moved.name == drawn.name
        for part in PARTS:
            assert len(getattr(moved, part)) == len(getattr(drawn, part))
            for name in ("inputs", "targets"):
                tensor = getattr(getattr(moved, part), name)
                assert tensor.device.type == str(device)
                assert tensor.shape == getattr(getattr(drawn, part), name).shape
    assert drawn.to("cpu").checksum == drawn.checksum
    assert drawn.train.to("cpu").targets.equal(drawn.train.targets)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (torch.zeros(3), torch.zeros(3, 1), r"inputs must be float32 of two .*shape \[3\]"),
        (torch.zeros(3, 2, 1), torch.zeros(3, 1), r"inputs must .*shape \[3, 2, 1\]"),
        (torch.zeros(3, 2), torch.zeros(3), r"targets must be float32 of two .*shape \[3\]"),
        (torch.zeros(3, 2).double(), torch.zeros(3, 1), r"inputs must .*got torch\.float64"),
        (torch.zeros(3, 2), torch.zeros(3, 1).int(), r"targets must .*got torch\.int32"),
        (torch.zeros(3, 2), torch.zeros(2, 1), "targets must be as many as inputs, 3, got 2"),
        (torch.zeros(0, 2), torch.zeros(1, 1), "targets must be as many as inputs, 0, got 1"),
    ],
)
def test_wrong_rows(inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        data.Rows(inputs, targets)


def test_rows_in_words():
    assert repr(some_rows(3)) == "<3 rows>"
    assert len(some_rows(0)) == 0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"weights": []}, ValueError),
        ({"weights": 2.0}, TypeError),
        ({"weights": "2"}, TypeError),
        ({"weights": [1, "2"]}, TypeError),
        ({"weights": [1, float("nan")]}, ValueError),
        ({"weights": [float("inf")]}, ValueError),
        ({"weights": [None]}, TypeError),
        ({"degree": 0}, ValueError),
        ({"degree": 2.0}, TypeError),
        ({"degree": "2"}, TypeError),
        ({"noise": -0.1}, ValueError),
        ({"noise": float("nan")}, ValueError),
        ({"noise": None}, TypeError),
        ({"samples": 0}, ValueError),
        ({"samples": 1000.0}, TypeError),
        ({"samples": True}, TypeError),
        ({"validation": -1}, ValueError),
        ({"validation": 850}, ValueError),
        ({"validation": 10.5}, TypeError),
        ({"test": -1}, ValueError),
        ({"test": 1000}, ValueError),
        ({"test": None}, TypeError),
        ({"seed": -1}, ValueError),
        ({"seed": 0.5}, TypeError),
        ({"seed": None}, TypeError),
    ],
)
def test_wrong_arguments_of_polynomial(wrong, error):
    ((name, value),) = wrong.items()
    shown = value[-1] if isinstance(value, list) and value else value
    with pytest.raises(error, match=rf"^{name}.* must .*got {re.escape(repr(shown))}"):
        data.polynomial(**wrong)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"samples": 1, "test": 1}, "test must be below 1, so that samples are left to train on"),
        ({"samples": 10, "test": 4, "validation": 6}, "validation must be below 6, .*got 6"),
        ({"samples": 150}, "test must be below 150, .*got 150"),
    ],
)
def test_sizes_that_leave_nothing_to_train_on(sizes, message):
    with pytest.raises(ValueError, match=message):
        data.polynomial(**sizes)


# A folder with the files


def test_the_folder_of_the_environment(folder, monkeypatch):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(folder))
    monkeypatch.setitem(sys.modules, "pooch", None)  # not needed for this
    assert data.fashion_mnist(5).checksum == data.fashion_mnist(5, folder=folder).checksum
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(folder / "elsewhere"))
    data.fashion_mnist(5, folder=str(folder))  # the argument comes first


def test_a_missing_folder(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"folder: .*nowhere.*does not exist.*train-images"):
        data.fashion_mnist(folder=tmp_path / "nowhere")
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=f"{data.FOLDER_VARIABLE}: .*nowhere"):
        data.fashion_mnist()


def test_a_file_in_place_of_the_folder(folder, monkeypatch):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(folder / NAMES[0]))
    with pytest.raises(NotADirectoryError, match=f"{data.FOLDER_VARIABLE}: .*{NAMES[0]}.* is a f"):
        data.fashion_mnist()


def test_all_missing_files_are_named(folder):
    (folder / NAMES[0]).unlink()
    (folder / NAMES[3]).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        data.fashion_mnist(folder=folder)
    assert [name in str(caught.value) for name in NAMES] == [True, False, False, True]
    assert data.SOURCE.addresses[0] in str(caught.value)


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
def test_a_damaged_file_is_not_used(folder, name, spoil):
    path = folder / name
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(data.DataError) as caught:
        data.fashion_mnist(folder=folder)
    for part in (
        repr(str(path)),
        data.SOURCE.sha256[name],
        f"{path.stat().st_size} bytes",
        "Delete",
    ):
        assert part in str(caught.value)


# Downloads


def test_downloaded_once(folder, cache, use):
    with served(folder) as (address, asked):
        use(written(folder, small_arrays(), address))
        clothes = data.fashion_mnist(5)
        assert asked == NAMES
        assert files_in(cache) == sorted(NAMES)
        assert data.fashion_mnist(5).checksum == clothes.checksum
        assert asked == NAMES
    assert data.fashion_mnist(5).checksum == clothes.checksum  # nor is the server needed
    assert data.fashion_mnist(5, folder=folder).checksum == clothes.checksum


def test_the_second_address(folder, cache, use):
    with served(folder, share=0.5) as (bad, asked), served(folder) as (good, _):
        use(written(folder, small_arrays(), closed_address(), bad, good))
        data.fashion_mnist(5)
        assert asked == NAMES
    assert files_in(cache) == sorted(NAMES)


def test_no_network(folder, cache, use):
    addresses = closed_address(), closed_address()
    use(written(folder, small_arrays(), *addresses))
    with pytest.raises(data.DataError) as caught:
        data.fashion_mnist(5)
    parts = NAMES[0], "missing", repr(str(cache)), "network", data.FOLDER_VARIABLE, *addresses
    for part in parts:
        assert part in str(caught.value)
    assert files_in(cache) == []


def test_a_download_cut_short(folder, cache, use):
    with served(folder, share=0.5) as (address, _):
        use(written(folder, small_arrays(), address))
        with pytest.raises(data.DataError, match=f"{NAMES[0]} is missing"):
            data.fashion_mnist(5)
    assert files_in(cache) == []


def test_another_file_is_served(tmp_path, folder, cache, use):
    """A login page of a network, say."""
    arrays = small_arrays()
    with served(tmp_path / "page") as (address, _):
        written(tmp_path / "page", {name: array[:5] for name, array in arrays.items()})
        use(written(folder, arrays, address))
        with pytest.raises(data.DataError, match=f"{NAMES[0]} is missing.*hash"):
            data.fashion_mnist(5)
    assert files_in(cache) == []


@pytest.mark.parametrize("spoil", [lambda packed: packed[:100], lambda packed: packed + b"\0"])
def test_a_file_damaged_in_the_cache(folder, cache, use, spoil):
    with served(folder) as (address, asked):
        use(written(folder, small_arrays(), address))
        before = data.fashion_mnist(5).checksum
        damaged = cache / NAMES[2]
        damaged.write_bytes(spoil(damaged.read_bytes()))
        assert data.fashion_mnist(5).checksum == before
        assert asked == [*NAMES, NAMES[2]]
        damaged.write_bytes(spoil(damaged.read_bytes()))
    with pytest.raises(data.DataError, match=f"{NAMES[2]} is damaged in '.*cannot be downloaded"):
        data.fashion_mnist(5)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(folder, cache, use, monkeypatch, code):
    class FullDisk(io.FileIO):
        def write(self, chunk):
            super().write(chunk[:10])
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pooch.downloaders.open", FullDisk, raising=False)
    with served(folder) as (address, _):
        use(written(folder, small_arrays(), address))
        with pytest.raises(data.DataError, match="the disk is full") as caught:
            data.fashion_mnist(5)
        assert NAMES[0] in str(caught.value)
        assert repr(str(cache)) in str(caught.value)
    assert files_in(cache) == []


def test_a_cache_that_cannot_be_written(folder, cache):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(data.DataError, match=f"{NAMES[0]} cannot be stored in .*lrsched"):
        data.fashion_mnist(5)


LOAD = """
import json, sys
from pathlib import Path
import pooch
from lrsched.lab import data

cache, address, sha256 = sys.argv[1:]
pooch.os_cache = lambda project: Path(cache) / project
data.SOURCE = data.Source((address,), json.loads(sha256))
print(data.fashion_mnist(5).checksum)
"""


def test_two_processes_download_at_once(folder, cache):
    """The server lets them meet in the middle of the first file."""
    environment = os.environ | {"TQDM_DISABLE": "1"}
    seen = []
    meeting = threading.Barrier(2, action=lambda: seen.extend(files_in(cache)))
    with served(folder, meeting=meeting) as (address, asked), contextlib.ExitStack() as stack:
        command = [
            sys.executable, "-c", LOAD, str(cache.parents[1]), address,
            json.dumps(data.SOURCE.sha256),
        ]  # fmt: skip
        both = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                    cwd=Path(__file__).parents[1],
                )
            )
            for _ in range(2)
        ]
        ended = [process.communicate(timeout=120) for process in both]
        assert [process.returncode for process in both] == [0, 0], ended
        assert asked.count(NAMES[0]) == 2
    assert len(seen) == 2  # one temporary file for each, and no other
    assert not set(seen) & set(NAMES)
    expected = data.fashion_mnist(5, folder=folder).checksum
    assert [out.strip() for out, _ in ended] == [expected] * 2
    assert not any("%|" in messages for _, messages in ended)  # no progress bar
    assert files_in(cache) == sorted(NAMES)
