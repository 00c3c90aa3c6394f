"""Fashion-MNIST: read from a folder, or downloaded once into a cache."""

import errno
import gzip
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import Whole, flag
from .data import Data, Pixels, drawn, images

__all__ = ["OFFICIAL", "DataError", "Source", "fashion_mnist"]

FOLDER_VARIABLE = "LRSCHED_DATA_DIR"


class DataError(RuntimeError):
    """A data set cannot be had, or a file of it is not the official one."""


@dataclass(frozen=True)
class Source:
    """Where files come from, most trusted address first, and the SHA-256 of each by name."""

    addresses: tuple[str, ...]
    sha256: Mapping[str, str]  # train images, train labels, test images, test labels


OFFICIAL = Source(
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


def fashion_mnist(
    validation: int = 5000,
    seed: int = 0,
    standardise: bool = False,
    folder: str | os.PathLike[str] | None = None,
    source: Source | None = None,
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
        source: where to download them, such as from a mirror, and what they must be; None:
            ``lrsched.lab.fashion.OFFICIAL``.

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
    source = source or OFFICIAL
    place = _given_folder(folder, source) or _cache(source)
    pixels, labels, test_pixels, test_labels = (
        _decoded(place / name, source) for name in source.sha256
    )
    places = drawn(len(pixels), seed, validation=validation)
    parts = {part: (pixels[index], labels[index]) for part, index in places.items()}
    parts["test"] = test_pixels, test_labels
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    return images("Fashion-MNIST", classes, 255, standardise, parts)


def _given_folder(folder: Any, source: Source) -> Path | None:
    """The folder that the argument or the environment names, with all files in it."""
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a path or None, got {folder!r}")
    origin = FOLDER_VARIABLE if folder is None else "folder"
    named = os.environ.get(FOLDER_VARIABLE) if folder is None else folder
    if not named:
        return None
    place = Path(named).expanduser()
    remedy = f"Name the folder that holds {', '.join(source.sha256)}, or none to download them."
    if not place.exists():
        raise FileNotFoundError(f"{origin}: {str(place)!r} does not exist. {remedy}")
    if not place.is_dir():
        raise NotADirectoryError(f"{origin}: {str(place)!r} is a file, not a folder. {remedy}")
    missing = [name for name in source.sha256 if not (place / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{origin}: {str(place)!r} lacks {', '.join(missing)}. "
            f"Get what is missing from {source.addresses[0]}"
        )
    return place


def _cache(source: Source) -> Path:
    """The cache folder, with all files in it."""
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise ImportError("fashion_mnist() needs Pooch: pip install 'lrsched[lab]'") from error

    place = Path(pooch.os_cache("lrsched")) / "fashion-mnist"
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16)
    for name, sha256 in source.sha256.items():
        failures = []
        for address in source.addresses:
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


def _decoded(path: Path, source: Source) -> Pixels:
    """The array in a gzipped IDX file."""
    packed = path.read_bytes()
    digest, wanted = hashlib.sha256(packed).hexdigest(), source.sha256[path.name]
    if digest != wanted:
        raise DataError(
            f"{str(path)!r} is cut short or altered: its {len(packed)} bytes have the SHA-256 "
            f"{digest}, the official file's is {wanted}. Delete it and get it anew from "
            f"{source.addresses[0]}{path.name}"
        )
    raw = gzip.decompress(packed)
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
