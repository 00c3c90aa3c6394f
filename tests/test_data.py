"""Data sets: their parts, layout and checksums, the digits, and a polynomial to learn."""

import random
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch.nn import functional

from lrsched.lab import Regression, Rows, Split, digits, polynomial

EACH = pytest.mark.parametrize("load", [digits, polynomial])


def parts(data):
    return [data.train, data.validation, data.test]


def tensors(data):
    return [tensor for part in parts(data) for tensor in part.tensors]


def rows(*splits):
    """The samples in any order."""
    return sorted(
        image.numpy().tobytes() + bytes([label])
        for split in splits
        for image, label in zip(*split.tensors, strict=True)
    )


# Both kinds


@EACH
def test_the_seed_decides_all(load):
    first, other = load(seed=1), load(seed=2)
    assert first.checksum == load(seed=1).checksum
    for one, another in zip(tensors(first), tensors(other), strict=True):
        assert not one.equal(another)


@EACH
def test_the_global_generators_are_left_alone_and_have_no_say(load):
    def states():
        numpy_state = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), str(numpy_state), random.getstate()

    before = states()
    checksum = load().checksum
    assert states() == before
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    assert load().checksum == checksum


@EACH
@pytest.mark.parametrize("device", ["cpu", torch.device("meta")], ids=str)
def test_on_a_device(load, device):
    data = load()
    moved = data.to(device)
    assert repr(moved) == repr(data)
    for there, here in zip(tensors(moved), tensors(data), strict=True):
        assert there.device.type == str(device)
        assert (there.shape, there.stride()) == (here.shape, here.stride())
    if device == "cpu":
        assert moved.checksum == data.checksum


@EACH
def test_the_checksum_names_every_number(load):
    expected = load().checksum
    assert len(expected) == 16
    for place, values in enumerate(tensors(load())):
        data = load()
        tensors(data)[place].view(-1)[-1] += values.view(-1)[-1] + 1
        assert data.checksum != expected


def test_the_data_of_the_book():
    """Another checksum (from a NumPy that draws otherwise, say) means other results."""
    assert digits().checksum == "a9e8077d228a9d72"
    assert polynomial().checksum == "a5ab90be425d4a12"


@pytest.mark.parametrize(("load", "name", "value", "error"), [
    (digits, "validation", -1, ValueError), (digits, "validation", 1497, ValueError),
    (digits, "validation", "5", TypeError), (digits, "test", 1797, ValueError),
    (digits, "test", 1.5, TypeError), (digits, "seed", -1, ValueError),
    (digits, "standardise", None, TypeError), (polynomial, "weights", [], ValueError),
    (polynomial, "weights", 2.0, TypeError), (polynomial, "weights", [1, None], TypeError),
    (polynomial, "degree", 0, ValueError), (polynomial, "noise", -0.1, ValueError),
    (polynomial, "noise", np.nan, ValueError), (polynomial, "samples", 0, ValueError),
    (polynomial, "validation", 850, ValueError), (polynomial, "test", None, TypeError),
    (polynomial, "seed", 0.5, TypeError),
])  # fmt: skip
def test_wrong_arguments(load, name, value, error):
    shown = re.escape(repr(value[-1] if isinstance(value, list) and value else value))
    with pytest.raises(error, match=rf"^{name}.* must .*got {shown}"):
        load(**{name: value})


# Images


@pytest.mark.parametrize("sizes", [(1600, 100, 97), (1797, 0, 0), (1, 1496, 300)])
def test_digits_are_all_there_once(sizes):
    data = digits(*sizes[1:])
    assert tuple(map(len, parts(data))) == sizes
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    assert rows(*parts(data)) == rows(Split(images, torch.tensor(labels)))
    assert (data.name, data.side, data.classes) == ("digits", 8, tuple("0123456789"))


def test_the_test_split_depends_on_its_size_and_the_seed_alone():
    one, other = digits(validation=0), digits(validation=500)
    assert one.test.images.equal(other.test.images)
    assert rows(one.test) != rows(digits(validation=0, seed=1).test)


def test_standardised_by_the_train_split_alone():
    plain, scaled = digits(), digits(standardise=True)
    images = plain.train.images.double()
    for before, after in zip(parts(plain), parts(scaled), strict=True):
        expected = (before.images - images.mean()) / images.std(correction=0)
        torch.testing.assert_close(after.images, expected.float())
        assert after.labels.equal(before.labels)


def assert_channels_last(images):
    side = images.shape[-1]
    assert images.stride() == (side * side, 1, side, 1)
    if len(images) > 1:
        output = functional.conv2d(images, torch.ones(4, 1, 3, 3))
        assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("index", [[3, 1, 4], [5], []], ids=len)
@pytest.mark.parametrize("images", [torch.rand(6, 1, 4, 4), torch.rand(12, 1, 4, 4)[::2]])
def test_splits_and_batches_are_channels_last(images, index):
    split, index = Split(images, torch.arange(6)), torch.tensor(index, dtype=torch.int64)
    assert split.images.equal(images)
    batch, labels = split.batch(index)
    assert (batch.equal(images[index]), labels.tolist()) == (True, index.tolist())
    for each in (split.images, batch):
        assert_channels_last(each)


# Rows


def some_rows(count, outputs=1):
    inputs = torch.arange(2.0 * count).view(count, 2)
    return Rows(inputs, inputs[:, :1].expand(count, outputs).clone())


def test_the_checksum_names_every_row_whatever_the_memory():
    def checksum(train, validation, test):
        return Regression("mine", train, validation, test).checksum

    train, validation, test = usual = some_rows(4), some_rows(2), some_rows(3)
    columns = Rows(train.inputs.t().contiguous().t(), train.targets.repeat(1, 2)[:, :1])
    assert checksum(columns, validation, test) == checksum(*usual)
    wider = some_rows(4, outputs=2), validation, test
    moved = train, some_rows(1), some_rows(4)
    assert len({checksum(*each) for each in (usual, wider, moved)}) == 3


@pytest.mark.parametrize(("part", "inputs", "targets", "message"), [
    (Split, torch.zeros(3, 4, 4), torch.zeros(3), r"images must .*\[3, 4, 4\]"),
    (Split, torch.zeros(3, 2, 4, 4), torch.zeros(3), r"images must .*\[3, 2, 4, 4\]"),
    (Split, torch.zeros(3, 1, 4, 4), torch.zeros(2), r"labels must .*\[3\].*\[2\]"),
    (Rows, torch.zeros(3), torch.zeros(3, 1), r"inputs must be float32 of two .*shape \[3\]"),
    (Rows, torch.zeros(3, 2).double(), torch.zeros(3, 1), r"inputs must .*got torch\.float64"),
    (Rows, torch.zeros(3, 2), torch.zeros(3, 1).int(), r"targets must .*got torch\.int32"),
    (Rows, torch.zeros(3, 2), torch.zeros(2, 1), "targets must be as many as inputs, 3, got 2"),
])  # fmt: skip
def test_wrong_shapes(part, inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        part(inputs, targets)


def whole(data):
    """All inputs and all targets, in double precision."""
    inputs, targets = zip(*(part.tensors for part in parts(data)), strict=True)
    return torch.cat(inputs).double().numpy(), torch.cat(targets).double().numpy()


WEIGHTS = st.lists(st.floats(-5, 5) | st.integers(-5, 5), min_size=1, max_size=6)


@given(weights=WEIGHTS, degree=st.integers(1, 5), seed=st.integers(0, 2**40))
def test_polynomial_without_noise(weights, degree, seed):
    inputs, targets = whole(polynomial(weights, degree, 0, 60, validation=7, test=11, seed=seed))
    assert inputs.shape == (60, len(weights))
    terms = np.array(weights) * inputs**degree
    size = np.abs(terms).sum(1) + 1e-6  # inputs are rounded: each term has an error of its own
    assert (np.abs(terms.sum(1) - targets[:, 0]) <= 1e-6 * size).all()


@pytest.mark.parametrize("noise", [0.01, 0.5, 3])
def test_polynomial_with_noise(noise):
    weights = [2.0, -1.0, 3.0]
    inputs, targets = whole(polynomial(weights, 3, noise, samples=20_000, seed=4))
    np.testing.assert_allclose([inputs.mean(0), inputs.std(0)], [[0] * 3, [1] * 3], atol=0.03)
    np.testing.assert_allclose((inputs**4).mean(0), 3, atol=0.3)  # normal
    found, *_ = np.linalg.lstsq(inputs**3, targets[:, 0], rcond=None)
    np.testing.assert_allclose(found, weights, atol=noise / 50)
    residuals = targets[:, 0] - inputs**3 @ found
    assert residuals.std() == pytest.approx(noise, rel=0.03)
    correlations = np.corrcoef(np.column_stack([inputs, residuals]).T) - np.eye(4)
    assert np.abs(correlations).max() < 0.03


def test_the_polynomial_unless_told():
    """y = 2 a² - b² + 3 c² + d² + 2 e², and a hundredth of noise."""
    inputs, targets = whole(polynomial())
    errors = targets[:, 0] - np.square(inputs) @ [2, -1, 3, 1, 2]
    assert errors.std() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(("samples", "validation", "test"), [
    (1, 0, 0), (10, 0, 0), (10, 9, 0), (10, 0, 9), (10, 4, 5), (1000, 150, 150),
])  # fmt: skip
def test_sizes_of_a_polynomial(samples, validation, test):
    data = polynomial(samples=samples, validation=validation, test=test)
    assert [len(part) for part in parts(data)] == [samples - validation - test, validation, test]
    assert len(np.unique(whole(data)[0], axis=0)) == samples  # none is in two parts
    undivided = polynomial(samples=samples, validation=0, test=0)
    for here, there in zip(whole(data), whole(undivided), strict=True):
        np.testing.assert_array_equal(here, there)  # the same rows, however they are divided
