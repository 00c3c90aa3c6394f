"""What pages show, and what they do not."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

__all__ = ["quiet", "table"]


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


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Show a table in a notebook: its header, and the cells of each row as they are printed."""
    from IPython.display import Markdown, display

    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    display(Markdown(text))
