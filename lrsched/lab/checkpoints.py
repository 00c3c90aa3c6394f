"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

__all__ = ["CheckpointError", "load", "save", "write_whole"]


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, or is one of another training."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that at every moment the old one or the new one is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o666 & ~umask)  # as any new file; mkstemp's is for the owner alone
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def save(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Keep the state of a training with these settings."""
    write_whole(path, lambda file: torch.save({"settings": settings, "state": state}, file))


def load(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The state that was kept, None if there is none.

    Raises CheckpointError if the file cannot be read or was made with other settings.
    """
    if not path.exists():
        return None
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        found, state = dict(kept["settings"]), dict(kept["state"])
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({type(error).__name__}): delete it to start anew"
        ) from error
    different = [
        f"{name}: {_short(found.get(name))} there, {_short(settings.get(name))} here"
        for name in dict.fromkeys([*settings, *found])
        if found.get(name) != settings.get(name)
    ]
    if different:
        raise CheckpointError(
            f"checkpoint {path} is of another training ({'; '.join(different)}): "
            "name another file, or delete it to start anew"
        )
    return state


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
