"""Data sets in three parts, and two that need no network.

Pictures with classes: :func:`digits` comes with scikit-learn and needs no network. Numbers with
targets: :func:`polynomial` draws them.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arguments import Real, Several, Whole, flag
from .plain import text

__all__ = [
    "Data",
    "Regression",
    "Rows",
    "Split",
    "digits",
    "polynomial",
]

Pixels = NDArray[np.uint8]  # [N, side, side]
Numbers = NDArray[np.integer[Any]]  # [N]
Part = tuple[Pixels, Numbers]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and their labels: one part of a data set.

    Args:
        images: float32, [N, 1, side, side]. Kept with the strides of ``channels_last``.
        labels: int64, [N], the classes by number.

    Raises:
        ValueError: for other shapes.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if len(shape) != 4 or shape[1] != 1:
            raise ValueError(f"images must be of shape [N, 1, height, width], got {list(shape)}")
        if self.labels.shape != shape[:1]:
            raise ValueError(
                f"labels must be of shape [{shape[0]}], one for each of the images, "
                f"got {list(self.labels.shape)}"
            )
        with torch.inference_mode(False):
            object.__setattr__(self, "images", _channels_last(_data_alone(self.images)))
            object.__setattr__(self, "labels", _data_alone(self.labels))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<{len(self)} images>"

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The images [B, 1, side, side], in ``channels_last``, and labels [B] at an index [B]."""
        return _channels_last(self.images[index]), self.labels[index]

    def to(self, device: torch.device | str) -> "Split":
        """The same split on a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in three parts.

    Args:
        name: "digits" or "Fashion-MNIST".
        train: what a model is trained on.
        validation: what settings are chosen by; may be empty.
        test: what the result is measured on.
        classes: the names of the classes; a label is an index into them.

    Raises:
        TypeError: a name that is no string.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", text("name", self.name))

    @property
    def checksum(self) -> str:
        """The first 16 digits of the SHA-256 of all tensors, as they are now.

        Equal checksums mean equal data in equal order.
        """
        parts = (self.train, self.validation, self.test)
        return _checksum(tensor for part in parts for tensor in (part.images, part.labels))

    @property
    def side(self) -> int:
        """Height and width of an image in pixels."""
        return self.train.images.shape[-1]

    def to(self, device: torch.device | str) -> "Data":
        """The same data on a device."""
        splits = {part: getattr(self, part).to(device) for part in ("train", "validation", "test")}
        return dataclasses.replace(self, **splits)


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """Features and their targets: one part of a regression.

    Args:
        inputs: float32, [N, features].
        targets: float32, [N, outputs].

    Raises:
        ValueError: for other shapes or other kinds of numbers.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        for name, tensor in (("inputs", self.inputs), ("targets", self.targets)):
            if tensor.dim() != 2 or tensor.dtype != torch.float32:
                raise ValueError(
                    f"{name} must be float32 of two axes, got {tensor.dtype} "
                    f"of shape {list(tensor.shape)}"
                )
        if len(self.targets) != len(self.inputs):
            raise ValueError(
                f"targets must be as many as inputs, {len(self.inputs)}, got {len(self.targets)}"
            )
        object.__setattr__(self, "inputs", _data_alone(self.inputs))
        object.__setattr__(self, "targets", _data_alone(self.targets))

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"

    def to(self, device: torch.device | str) -> "Rows":
        """The same rows on a device."""
        return Rows(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class Regression:
    """A data set to predict numbers from, in three parts.

    Args:
        name: what it is called in tables and records.
        train: what a model is trained on, at least one row.
        validation: what settings are chosen by; may be empty.
        test: what the result is measured on; may be empty.

    Raises:
        TypeError: a name that is no string.
    """

    name: str
    train: Rows
    validation: Rows
    test: Rows

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", text("name", self.name))

    @property
    def checksum(self) -> str:
        """The first 16 digits of the SHA-256 of all tensors, as they are now."""
        parts = (self.train, self.validation, self.test)
        return _checksum(tensor for part in parts for tensor in (part.inputs, part.targets))

    def to(self, device: torch.device | str) -> "Regression":
        """The same data on a device."""
        parts = (part.to(device) for part in (self.train, self.validation, self.test))
        return Regression(self.name, *parts)


def polynomial(
    weights: Sequence[float] = (2.0, -1.0, 3.0, 1.0, 2.0),
    degree: int = 2,
    noise: float = 0.01,
    samples: int = 1000,
    validation: int = 150,
    test: int = 150,
    seed: int = 0,
) -> Regression:
    r"""A sum of powers to learn, as many features as there are weights.

    .. math:: y = \sum_j w_j x_j^d + \sigma \epsilon

    with :math:`x_j` and :math:`\epsilon` drawn from the standard normal distribution.

    Args:
        weights: :math:`w_j`, at least one.
        degree: :math:`d`, at least 1.
        noise: :math:`\sigma`, at least 0.
        samples: the number of rows in all, at least 1.
        validation, test: how many of them are for validation and for the test. The rest, at
            least 1, is for training.
        seed: draws the rows, at least 0.

    Raises:
        TypeError or ValueError: an argument out of its range.

    >>> polynomial()
    Regression(name='polynomial', train=<700 rows>, validation=<150 rows>, test=<150 rows>)
    """
    weights = Several(Real(), at_least=1)("weights", weights)
    degree = Whole(low=1)("degree", degree)
    noise = Real(low=0)("noise", noise)
    sizes = _sizes(Whole(low=1)("samples", samples), test=test, validation=validation)
    generator = np.random.default_rng(Whole()("seed", seed))
    inputs = generator.standard_normal((samples, len(weights)))
    targets = inputs**degree @ np.array(weights, dtype=float)
    targets += noise * generator.standard_normal(samples)
    parts = [
        Rows(*(torch.from_numpy(array.astype(np.float32)) for array in (x, y[:, None])))
        for x, y in zip(*(np.split(a, np.cumsum(sizes)[:-1]) for a in (inputs, targets)),
                        strict=True)
    ]  # fmt: skip
    return Regression("polynomial", *parts)


def digits(
    validation: int = 200, test: int = 300, seed: int = 0, standardise: bool = False
) -> Data:
    """1797 handwritten digits of 8x8 pixels, small enough to train on within seconds.

    They are the test set of E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten
    Digits*, UCI Machine Learning Repository (1998), as scikit-learn ships it.

    Args:
        validation: how many of the images are for validation, at least 0.
        test: how many are for the test, at least 0. The rest, at least 1, is for training.
        seed: draws the splits and their order, at least 0. Which images are in the test
            depends on ``test`` and ``seed`` only.
        standardise: the pixels, in [0, 1], are shifted and scaled so that those of the train
            split have mean 0 and standard deviation 1.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument out of range.
        ImportError: without scikit-learn (``pip install lrsched[lab]``).

    >>> digits()
    Data(name='digits', train=<1297 images>, validation=<200 images>, test=<300 images>, ...)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("digits() needs scikit-learn: pip install 'lrsched[lab]'") from error

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels.reshape(-1, 8, 8).astype(np.uint8)
    parts = drawn(pixels, labels, seed, test=test, validation=validation)
    return images("digits", tuple("0123456789"), 16, standardise, parts)


def _channels_last(images: Tensor) -> Tensor:
    # With one channel, the strides of both memory layouts count as either, and torch takes
    # the one that is slower to convolve. Only a channel stride of 1 makes it take the other.
    height, width = images.shape[2:]
    return images.contiguous().as_strided(images.shape, (height * width, 1, width, 1))


def drawn(pixels: Pixels, labels: Numbers, seed: Any, **counts: Any) -> list[Part]:
    """Images drawn at random: those left to train on, then each count, the last one first."""
    sizes = _sizes(len(pixels), **counts)
    order = np.random.default_rng(Whole()("seed", seed)).permutation(len(pixels))
    drawn = np.split(order, np.cumsum(sizes[:0:-1]))
    return [(pixels[index], labels[index]) for index in reversed(drawn)]


def _sizes(samples: int, **counts: Any) -> list[int]:
    """How many samples are left to train on, and then each count, the last one first."""
    left = samples
    for name, value in counts.items():
        counts[name] = Whole()(name, value)
        if counts[name] >= left:
            raise ValueError(
                f"{name} must be below {left}, so that samples are left to train on, got {value!r}"
            )
        left -= counts[name]
    return [left, *reversed(counts.values())]


def images(
    name: str,
    classes: tuple[str, ...],
    brightest: int,
    standardise: Any,
    parts: Sequence[Part],
) -> Data:
    """The data set of pictures, whose pixels become numbers from 0 to 1, or standardised ones."""
    levels = np.arange(brightest + 1)
    shift, scale = 0.0, float(brightest)
    if flag("standardise", standardise):
        # Sums of whole numbers are exact, so that the result is the same on every machine.
        counts = np.bincount(parts[0][0].ravel(), minlength=len(levels))
        total, first, second = (int(counts @ levels**power) for power in range(3))
        shift, scale = first / total, math.sqrt(total * second - first**2) / total
    values = ((levels - shift) / scale).astype(np.float32)

    train, validation, test = (
        Split(torch.from_numpy(values[pixels[:, None]]), torch.from_numpy(numbers.astype(np.int64)))
        for pixels, numbers in parts
    )
    return Data(name, train, validation, test, classes)


def _data_alone(tensor: Tensor) -> Tensor:
    """Without the graph that a tensor is part of, and of no inference mode: fit to train on."""
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor.detach()


def _checksum(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.cpu().contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]
