"""The data sets that the chapters train on.

Pictures with classes: :func:`digits` comes with scikit-learn and needs no network,
:func:`fashion_mnist` is read from a folder, or downloaded once into a cache. Numbers with
targets: :func:`polynomial` draws them.
"""

import dataclasses
import errno
import gzip
import hashlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arguments import Real, Several, Whole, flag
from .plain import text

__all__ = [
    "Data",
    "DataError",
    "Regression",
    "Rows",
    "Split",
    "digits",
    "fashion_mnist",
    "polynomial",
]

FOLDER_VARIABLE = "LRSCHED_DATA_DIR"

Pixels = NDArray[np.uint8]  # [N, side, side]
Numbers = NDArray[np.integer[Any]]  # [N]
Part = tuple[Pixels, Numbers]


class DataError(RuntimeError):
    """A data set cannot be had, or a file of it is not the official one."""


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
    parts = _drawn(pixels, labels, seed, test=test, validation=validation)
    return _data("digits", tuple("0123456789"), 16, standardise, parts)


def fashion_mnist(
    validation: int = 5000,
    seed: int = 0,
    standardise: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> Data:
    """70,000 pictures of clothes, 28x28 pixels, in ten classes.

    By H. Xiao, K. Rasul and R. Vollgraf, *Fashion-MNIST: a Novel Image Dataset for
    Benchmarking Machine Learning Algorithms* (2017), https://arxiv.org/abs/1708.07747.

    The four official files are looked for in ``folder``, else in the folder that the
    environment variable ``LRSCHED_DATA_DIR`` names, else in the cache of the user, into which
    they are downloaded (31 MB) unless they are there. A file is used only if its SHA-256 is
    the official one.

    Args:
        validation: how many of the 60,000 training images are for validation, at least 0 and
            below 60,000; the rest is for training. The test split is the official one.
        seed: draws these two splits and their order, at least 0.
        standardise: the pixels, in [0, 1], are shifted and scaled so that those of the train
            split have mean 0 and standard deviation 1.
        folder: where the four files are.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument out of range.
        FileNotFoundError, NotADirectoryError: the folder or a file in it is missing.
        DataError: a file is damaged, or cannot be downloaded or stored.
        ImportError: without Pooch, if files may have to be downloaded
            (``pip install lrsched[lab]``).
    """
    Whole()("validation", validation)  # before anything is downloaded
    Whole()("seed", seed)
    flag("standardise", standardise)
    given = _given_folder(folder)
    place = _cache() if given is None else given
    pixels, labels, test_pixels, test_labels = (
        _decoded(place / name, sha256) for name, sha256 in SOURCE.sha256.items()
    )
    parts = [*_drawn(pixels, labels, seed, validation=validation), (test_pixels, test_labels)]
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    return _data("Fashion-MNIST", classes, 255, standardise, parts)


def _channels_last(images: Tensor) -> Tensor:
    # With one channel, the strides of both memory layouts count as either, and torch takes
    # the one that is slower to convolve. Only a channel stride of 1 makes it take the other.
    height, width = images.shape[2:]
    return images.contiguous().as_strided(images.shape, (height * width, 1, width, 1))


def _drawn(pixels: Pixels, labels: Numbers, seed: Any, **counts: Any) -> list[Part]:
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


def _data(
    name: str,
    classes: tuple[str, ...],
    brightest: int,
    standardise: Any,
    parts: Sequence[Part],
) -> Data:
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


@dataclass(frozen=True)
class Source:
    """Where files come from, most trusted address first, and the SHA-256 of each by name."""

    addresses: tuple[str, ...]
    sha256: Mapping[str, str]  # train images, train labels, test images, test labels


SOURCE = Source(
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
)


def _given_folder(folder: Any) -> Path | None:
    """The folder that the argument or the environment names, with all files in it."""
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a path or None, got {folder!r}")
    origin = FOLDER_VARIABLE if folder is None else "folder"
    named = os.environ.get(FOLDER_VARIABLE) if folder is None else folder
    if not named:
        return None
    place = Path(named).expanduser()
    remedy = f"Name the folder that holds {', '.join(SOURCE.sha256)}, or none to download them."
    if not place.exists():
        raise FileNotFoundError(f"{origin}: {str(place)!r} does not exist. {remedy}")
    if not place.is_dir():
        raise NotADirectoryError(f"{origin}: {str(place)!r} is a file, not a folder. {remedy}")
    missing = [name for name in SOURCE.sha256 if not (place / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{origin}: {str(place)!r} lacks {', '.join(missing)}. "
            f"Get what is missing from {SOURCE.addresses[0]}"
        )
    return place


def _cache() -> Path:
    """The cache folder, with all files in it."""
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise ImportError("fashion_mnist() needs Pooch: pip install 'lrsched[lab]'") from error

    place = Path(pooch.os_cache("lrsched")) / "fashion-mnist"
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16)
    for name, sha256 in SOURCE.sha256.items():
        failures = []
        for address in SOURCE.addresses:
            try:
                # Downloads into a temporary file beside the final one, checks it and moves
                # it there: other processes see the whole file or none.
                pooch.retrieve(address + name, sha256, name, place, downloader=downloader)
                break
            except (RequestException, ValueError) as error:  # ValueError: another SHA-256
                failures.append(f"{address}: {error}")
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise DataError(
                    f"{name} cannot be stored in {str(place)!r}: "
                    f"{'the disk is full' if full else error}. Put that right, or set "
                    f"{FOLDER_VARIABLE} to a folder that holds the files already."
                ) from error
        else:
            state = "damaged" if (place / name).exists() else "missing"
            raise DataError(
                f"{name} is {state} in {str(place)!r} and cannot be downloaded. Check the "
                f"network, or get the files elsewhere and set {FOLDER_VARIABLE} to their "
                f"folder. {'; '.join(failures)}"
            )
    return place


def _decoded(path: Path, sha256: str) -> Pixels:
    """The array in a gzipped IDX file."""
    packed = path.read_bytes()
    found = hashlib.sha256(packed).hexdigest()
    if found != sha256:
        raise DataError(
            f"{str(path)!r} is cut short or altered: its {len(packed)} bytes have the SHA-256 "
            f"{found}, the official file's is {sha256}. Delete it and get it anew from "
            f"{SOURCE.addresses[0]}{path.name}"
        )
    raw = gzip.decompress(packed)
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
