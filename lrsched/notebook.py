"""Small things that the notebooks of the book share, and its benchmarks."""

import contextlib
import os
from collections.abc import Iterator

__all__ = ["quiet"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send nowhere what libraries write to the process's standard error by themselves.

    TensorFlow logs past Python's ``sys.stderr`` while it is imported. Exceptions are raised
    as ever::

        with quiet():
            import tensorflow
    """
    shown = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
