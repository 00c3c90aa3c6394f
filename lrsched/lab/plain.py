"""Arguments in plain Python types: what is written of them can be read, and is then equal."""

import json
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..schedule import Schedule

__all__ = ["labelled", "plain", "text"]


def plain(name: str, value: Any) -> Any:
    """The value in the types of JSON: None, bool, int, float, str, list and dict, exactly.

    Numbers of any kind and arrays become such, tuples lists, and what is derived from a type
    that type.

    Raises:
        TypeError or ValueError: for what has no such form; says so of the argument ``name``.
    """

    def simple(part: Any) -> Any:
        if isinstance(part, numbers.Integral):
            return int(part)
        if isinstance(part, numbers.Real):
            return float(part)
        if isinstance(part, np.ndarray | np.bool_):
            return part.tolist()
        if isinstance(part, Schedule):
            return part.to_dict()
        raise TypeError(f"{part!r} is none of them")

    try:
        written = json.dumps(value, default=simple, ensure_ascii=False)
        written.encode()  # a part of a character that stands alone cannot be written
        return json.loads(written)
    except (TypeError, ValueError) as error:  # ValueError: it holds itself
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{name} must be made of numbers, strings, lists and dicts that a file can hold, "
            f"got {value!r}: {error}"
        ) from error


def text(name: str, value: Any) -> str:
    """The check for an argument that is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    return str(plain(name, value))


def labelled(name: str, values: Mapping[Any, Any]) -> dict[str, Any]:
    """The check for an argument that is a dict from label to anything."""
    by_label: dict[str, Any] = {}
    for label, value in values.items():
        if not isinstance(label, str):
            raise TypeError(f"{name} must have strings for labels, got {label!r}")
        label = text(f"{name}: a label", label)
        if label in by_label:
            raise ValueError(f"{name} must have each label once, got {label!r} twice")
        by_label[label] = value
    return by_label
