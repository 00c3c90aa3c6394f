"""The code of a schedule: the native object that equals it, or our adapter and why."""

from typing import Any

from ..arguments import Choice
from ..plateau import Plateau
from . import chains, keras
from .forms import forms
from .lines import Call, assignment, comment, imports_of, is_ours
from .rows import FRAMEWORKS, Need, NoEquivalent, Row

__all__ = ["code"]


def code(value: Any, framework: str) -> str:
    """See ``Schedule.code`` and ``Plateau.code``."""
    framework = Choice(("pytorch", "keras", "lrsched"))("framework", framework)
    lines = imports_of(value)
    if framework == "lrsched":
        return "\n".join([*lines, assignment("schedule", value)])
    try:
        row, given = _native(chains.ROWS if framework == "pytorch" else keras.ROWS, value)
    except NoEquivalent as reason:
        return "\n".join([*lines, *_adapter(value, framework, str(reason))])
    if framework == "pytorch":
        return "\n".join(
            [*chains.base_rate(given), assignment("scheduler", chains.call(row, given))]
        )
    return assignment(_noun(value, framework), Call(row.name, tuple(given.items())))


def _noun(value: Any, framework: str) -> str:
    """What is made in a framework, as a name."""
    plateau = "callback" if isinstance(value, Plateau) else "schedule"
    return "scheduler" if framework == "pytorch" else plateau


def _adapter(value: Any, framework: str, reason: str) -> list[str]:
    """The lines that make our own object, under a comment that says why."""
    name = FRAMEWORKS[framework][0]
    noun = _noun(value, framework)
    maker = "plateau" if isinstance(value, Plateau) else noun
    arguments: list[tuple[str, Any]] = [("", value)]
    if framework == "pytorch":
        arguments.insert(0, ("", chains.OPTIMIZER))
    why = f": {reason}." if reason else "."
    call = Call(f"lrsched.{framework}.{maker}", tuple(arguments))
    return [comment(f"{name} has no {noun} with these rates{why}"), assignment(noun, call)]


def _native(rows: list[Row], schedule: Any) -> tuple[Row, dict[str, Any]]:
    """The row of a native schedule that equals one of ours for ever, and its arguments."""
    reasons = []
    for form in forms(schedule):
        for row in rows:
            if row.write and type(form).__name__ in row.ours and is_ours(type(form)):
                try:
                    return row, row.write(form, Need())
                except NoEquivalent as found:
                    reasons.append(str(found))
    raise NoEquivalent(next(filter(None, reasons), ""))
