"""Files that are there whole or not at all, known by their first line; such are checkpoints."""

import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

__all__ = [
    "CheckpointError", "checked_file", "checked_path", "load", "needs_place", "read", "save",
    "write", "write_whole",
]  # fmt: skip

MARK = "lrsched {}\n"  # then the SHA-256 of the rest, and the rest, as torch.save has it


class CheckpointError(RuntimeError):
    """A checkpoint or a state that cannot be read or written, or is one of another training."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file so that at every moment the old one or the new one is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    try:
        with open(draft, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def checked_path(checkpoint: Any) -> Path | None:
    """The check for an argument that names a checkpoint or is None, as :func:`checked_file`."""
    return None if checkpoint is None else checked_file("checkpoint", checkpoint, "a path or None")


def checked_file(name: str, path: Any, wanted: str = "a path") -> Path:
    """The check for an argument that names a file: which it is, whatever the folder is later.

    Links are followed, so that the file is replaced and not the link to it.

    Raises:
        TypeError or ValueError: no path, or one that cannot be that of a file.
        CheckpointError: something is there that is no file.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{name} must be {wanted}, got {path!r}")
    try:
        named = os.fspath(path)
        file = Path(named).expanduser().resolve()
        if file.is_symlink():  # from Python 3.13 on this is no error
            raise OSError("its links lead round in a circle")
        is_file, exists = file.is_file(), file.exists()
        above = next(folder for folder in file.parents if folder.exists())
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # a loop of links, no home
        raise ValueError(f"{name} must be the path of a file, got {path!r}: {error}") from error
    if not named:
        raise ValueError(f"{name} must be the path of a file, got ''")
    if exists and not is_file:
        kind = "a folder" if file.is_dir() else "no ordinary file"
        raise CheckpointError(f"{name} {file} is {kind}: name another file")
    if not above.is_dir():
        raise CheckpointError(
            f"{name} {file} cannot be written, for {above} is no folder: name another file"
        )
    return file


def needs_place(path: Path) -> None:
    """Raise CheckpointError if it can be seen that no file can be written there."""
    folder = next(folder for folder in path.parents if folder.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CheckpointError(f"checkpoint {path} cannot be written: no permission in {folder}")


def write(path: Path, content: Any, kind: str = "checkpoint") -> None:
    """Write tensors and plain values into a file of a kind, which its first line names.

    Raises CheckpointError if it cannot be written; what was there before is there still.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    packed = buffer.getbuffer()
    parts = (MARK.format(kind).encode(), hashlib.sha256(packed).digest(), packed)
    try:
        write_whole(path, lambda file: file.writelines(parts))
    except OSError as error:
        raise CheckpointError(
            f"{kind} {path} cannot be written: {error.strerror or error}"
        ) from error


def read(path: Path, kind: str = "checkpoint") -> Any:
    """What :func:`write` wrote as a file of this kind.

    Raises:
        FileNotFoundError: there is no file.
        CheckpointError: it cannot be read, is damaged, or is of another kind.
    """
    mark = MARK.format(kind).encode()
    try:
        with open(path, "rb") as file:
            ours = file.read(len(mark)) == mark
            digest, packed = (file.read(32), file.read()) if ours else (b"", b"")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CheckpointError(f"{kind} {path} cannot be read: {error.strerror or error}") from error
    if not ours:
        raise CheckpointError(f"{path} is not a {kind} of lrsched: name another file")
    if hashlib.sha256(packed).digest() != digest:
        anew = ", or delete it to start anew" if kind == "checkpoint" else ""
        raise CheckpointError(f"{kind} {path} is cut short or altered: name another file{anew}")
    return torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True, mmap=False)


def save(path: Path, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Keep the state of a training with these settings, which are plain values.

    Raises CheckpointError if it cannot be written; what was there before is there still.
    """
    write(path, {"settings": json.dumps(settings), "state": state})


def load(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The state that was kept, None if there is none.

    Raises CheckpointError if the file cannot be read, is damaged or is no checkpoint, or was made
    with other settings.
    """
    try:
        content = read(path)
    except FileNotFoundError:
        return None
    theirs: dict[str, Any] = json.loads(content["settings"])
    different = [
        f"{name}: {_short(theirs.get(name))} there, {_short(settings.get(name))} here"
        for name in dict.fromkeys([*settings, *theirs])
        if not _same(theirs.get(name), settings.get(name))
    ]
    if different:
        raise CheckpointError(
            f"checkpoint {path} is of another training ({'; '.join(different)}): "
            "name another file, or delete it to start anew"
        )
    state: dict[str, Any] = content["state"]
    return state


def _same(left: Any, right: Any) -> bool:
    return left == right or repr(left) == repr(right)  # NaN is not equal to itself


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
