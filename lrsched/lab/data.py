"""Data sets in three parts, and two that need no network.

Pictures with classes: :func:`digits` comes with scikit-learn and needs no network. Numbers with
targets: :func:`polynomial` draws them.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

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


class Part:
    """One part of a data set: tensors of one length, the inputs first."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of them."""
        return tuple(vars(self).values())

    def __len__(self) -> int:
        return len(self.tensors[0])

    def to(self, device: torch.device | str) -> Self:
        """The same part on a device."""
        return type(self)(*(tensor.to(device) for tensor in self.tensors))


AnyPart = TypeVar("AnyPart", bound=Part)


@dataclass(frozen=True, eq=False, repr=False)
class Split(Part):
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

    def __repr__(self) -> str:
        return f"<{len(self)} images>"

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The images [B, 1, side, side], in ``channels_last``, and labels [B] at an index [B]."""
        return _channels_last(self.images[index]), self.labels[index]


@dataclass(frozen=True, eq=False, repr=False)
class Rows(Part):
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
        for name, tensor in vars(self).items():
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

    def __repr__(self) -> str:
        return f"<{len(self)} rows>"


@dataclass(frozen=True, eq=False)
class InParts(Generic[AnyPart]):
    """A data set in three parts, of which those for validation and test may be empty."""

    name: str
    train: AnyPart
    validation: AnyPart
    test: AnyPart

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", text("name", self.name))

    @property
    def checksum(self) -> str:
        """The first 16 digits of the SHA-256 of all tensors, as they are now.

        Equal checksums mean equal data in equal order.
        """
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for tensor in part.tensors:
                array = tensor.cpu().contiguous().numpy()
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(array.data)
        return digest.hexdigest()[:16]

    def to(self, device: torch.device | str) -> Self:
        """The same data on a device."""
        moved = {part: getattr(self, part).to(device) for part in ("train", "validation", "test")}
        return dataclasses.replace(self, **moved)


@dataclass(frozen=True, eq=False)
class Data(InParts[Split]):
    """Images with classes, in three parts.

    Args:
        name: "digits" or "Fashion-MNIST".
        train: what a model is trained on.
        validation: what settings are chosen by; may be empty.
        test: what the result is measured on.
        classes: the names of the classes; a label is an index into them.

    Raises:
        TypeError: a name that is no string.
    """

    classes: tuple[str, ...]

    @property
    def side(self) -> int:
        """Height and width of an image in pixels."""
        return self.train.images.shape[-1]


@dataclass(frozen=True, eq=False)
class Regression(InParts[Rows]):
    """Numbers to predict from others, in three parts.

    Args:
        name: what it is called in tables and records.
        train: what a model is trained on, at least one row.
        validation: what settings are chosen by; may be empty.
        test: what the result is measured on; may be empty.

    Raises:
        TypeError: a name that is no string.
    """


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
    inputs = generator.standard_normal((sum(sizes.values()), len(weights)))
    targets = inputs**degree @ np.array(weights, dtype=float)
    targets += noise * generator.standard_normal(len(targets))
    ends = np.cumsum([sizes["train"], sizes["validation"]])
    parts = zip(np.split(inputs, ends), np.split(targets[:, None], ends), strict=True)
    train, validation_rows, test_rows = (
        Rows(*(torch.from_numpy(array.astype(np.float32)) for array in part)) for part in parts
    )
    return Regression("polynomial", train, validation_rows, test_rows)


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
    places = drawn(len(pixels), seed, test=test, validation=validation)
    parts = {part: (pixels[index], labels[index]) for part, index in places.items()}
    return images("digits", tuple("0123456789"), 16, standardise, parts)


def _channels_last(images: Tensor) -> Tensor:
    # With one channel, the strides of both memory layouts count as either, and torch takes
    # the one that is slower to convolve. Only a channel stride of 1 makes it take the other.
    height, width = images.shape[2:]
    return images.contiguous().as_strided(images.shape, (height * width, 1, width, 1))


def drawn(samples: int, seed: Any, **counts: Any) -> dict[str, Numbers]:
    """Which samples are in each part, drawn at random: so many of each, and the rest to train on.

    Which are in a part does not depend on the sizes of those named after it.
    """
    sizes = _sizes(samples, **counts)
    order = np.random.default_rng(Whole()("seed", seed)).permutation(samples)
    parts = np.split(order, np.cumsum(list(sizes.values()))[:-1])
    return dict(zip(sizes, parts, strict=True))


def _sizes(samples: int, **counts: Any) -> dict[str, int]:
    """The size of each part: so many of each, and the rest, at least 1, to train on."""
    sizes, left = {}, samples
    for name, count in counts.items():
        sizes[name] = Whole()(name, count)
        if sizes[name] >= left:
            raise ValueError(
                f"{name} must be below {left}, so that samples are left to train on, got {count!r}"
            )
        left -= sizes[name]
    return sizes | {"train": left}


def images(
    name: str,
    classes: tuple[str, ...],
    brightest: int,
    standardise: Any,
    parts: Mapping[str, tuple[Pixels, Numbers]],
) -> Data:
    """The data set of pictures and their classes, by part.

    Pixels become numbers from 0 to 1, or standardised ones.
    """
    levels = np.arange(brightest + 1)
    shift, scale = 0.0, float(brightest)
    if flag("standardise", standardise):
        # Sums of whole numbers are exact, so that the result is the same on every machine.
        counts = np.bincount(parts["train"][0].ravel(), minlength=len(levels))
        total, first, second = (int(counts @ levels**power) for power in range(3))
        shift, scale = first / total, math.sqrt(total * second - first**2) / total
    values = ((levels - shift) / scale).astype(np.float32)
    splits = {
        part: Split(
            torch.from_numpy(values[pixels[:, None]]), torch.from_numpy(labels.astype(np.int64))
        )
        for part, (pixels, labels) in parts.items()
    }
    return Data(name, classes=classes, **splits)


def _data_alone(tensor: Tensor) -> Tensor:
    """Without the graph that a tensor is part of, and of no inference mode: fit to train on."""
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor.detach()
