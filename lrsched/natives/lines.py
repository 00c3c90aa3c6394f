"""Calls as lines of Python, wrapped as a formatter would."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..value import Value, given

__all__ = [
    "FOR_EVER",
    "WIDTH",
    "Call",
    "Raw",
    "assignment",
    "comment",
    "imports_of",
    "is_ours",
    "ours",
]

WIDTH = 88


@dataclass(frozen=True)
class Raw:
    """A value that is written as this text."""

    text: str


FOR_EVER = Raw("2**53")
"""More steps than are ever made: a schedule ends there."""


@dataclass(frozen=True)
class Call:
    """A call with its arguments, by keyword where the name is not empty."""

    name: str
    arguments: tuple[tuple[str, Any], ...]


def ours(value: Value) -> Call:
    """The call that makes a value of ours: the first argument stands without its name."""
    cls = type(value)
    name = f"lrsched.{cls.__name__}" if is_ours(cls) else cls.__qualname__.split(".")[-1]
    first = [field.name for field in dataclasses.fields(value) if field.init][:1]
    arguments = tuple(
        ("" if field.name in first and not field.kw_only else field.name, each)
        for field, each in given(value)
    )
    return Call(name, arguments)


def imports_of(value: Value) -> list[str]:
    """The lines that import the classes of one's own in a value."""
    cls = type(value)
    lines = set()
    if not is_ours(cls) and cls.__module__ != "__main__" and "<locals>" not in cls.__qualname__:
        lines.add(f"from {cls.__module__} import {cls.__qualname__.split('.')[0]}")
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        for item in held if isinstance(held, tuple) else [held]:
            if isinstance(item, Value):
                lines |= set(imports_of(item))
    return sorted(lines)


def is_ours(cls: type) -> bool:
    """Whether a class is one of this package."""
    return cls.__module__.partition(".")[0] == __package__.partition(".")[0]


def assignment(name: str, value: Any) -> str:
    """``name = value``, wrapped."""
    return _wrapped(f"{name} = ", value, "", 0)


def comment(text: str) -> str:
    """A comment, wrapped."""
    lines = [""]
    for word in text.split():
        if len(f"# {lines[-1]} {word}") > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(f"# {line}" for line in lines)


def _wrapped(before: str, value: Any, after: str, indent: int) -> str:
    """A value after and before other text of its line, in one line if it fits."""
    flat = f"{' ' * indent}{before}{_flat(value)}{after}"
    opened, items, closing = _parts(value)
    if len(flat) <= WIDTH or not items:
        return flat
    inside = indent + 4
    together = " " * inside + ", ".join(before + _flat(item) for before, item in items)
    if len(together) > WIDTH:
        comma = "," if len(items) > 1 else ""
        together = "\n".join(_wrapped(before, item, comma, inside) for before, item in items)
    space = " " * indent
    return f"{space}{before}{opened}\n{together}\n{space}{closing}{after}"


def _flat(value: Any) -> str:
    opened, items, closing = _parts(value)
    return opened + ", ".join(before + _flat(item) for before, item in items) + closing


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """What opens a value, what stands inside, each item behind its name, and what closes it."""
    if isinstance(value, Value):
        value = ours(value)
    if isinstance(value, Call):
        items = [(f"{name}=" if name else "", item) for name, item in value.arguments]
        return f"{value.name}(", items, ")"
    if isinstance(value, list | tuple):
        return "[", [("", item) for item in value], "]"
    return value.text if isinstance(value, Raw) else _literal(value), [], ""


def _literal(value: Any) -> str:
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        return f'"{text[1:-1]}"'  # as formatters like it
    return text
