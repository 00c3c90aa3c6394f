"""A schedule from the text that makes it, read and not executed."""

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .schedule import Schedule
from .value import classes_called

if TYPE_CHECKING:
    import ast

__all__ = ["from_text"]

METHODS = ("warmup", "clip", "per_epoch", "repeat")
LONGEST, DEEPEST = 100_000, 100  # characters, and levels
BITS = 1024  # of a whole number
ALLOWED = (
    "allowed are calls of the schedules of lrsched with numbers, strings, True, False, None, "
    "lists and tuples, the methods " + ", ".join(METHODS) + ", and *"
)


def from_text(text: str) -> Schedule:
    """The schedule that a text makes, such as ``"Cosine(0.3, 1200).warmup(50)"``.

    It is what ``repr`` prints of a schedule, or what you write in a program: calls of the
    schedules of ``lrsched``, also as ``lrsched.Cosine(...)``; their methods ``warmup``,
    ``clip``, ``per_epoch`` and ``repeat``; a schedule times a number or another; numbers, with
    arithmetic on them (``390 * 90``), strings, ``True``, ``False``, ``None``, lists and tuples. A
    schedule class of your own is known by its name once it is defined. The text is read, not
    executed: nothing but schedules can be made of it.

    Raises:
        TypeError: a ``text`` that is no string, and what the schedules raise.
        ValueError: a text that says anything else; the error shows the part. One that is longer
            than 100,000 characters, or nested more than 100 levels deep. What the schedules raise.

    >>> import lrsched
    >>> lrsched.from_text("0.5 * Cosine(0.3, 12 * 100).warmup(50)")
    Scaled(schedule=Warmup(schedule=Cosine(base_lr=0.3, decay_steps=1200), warmup_steps=50),
    factor=0.5)
    >>> lrsched.from_text("open('notes.txt')")
    Traceback (most recent call last):
    ValueError: from_text(): open is no schedule of lrsched; allowed are calls of ...
    """
    import ast

    if not isinstance(text, str):
        raise TypeError(f"from_text() needs a string, got {text!r}")
    if len(text) > LONGEST:
        raise ValueError(f"from_text(): the text has more than {LONGEST:,} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    except (SyntaxError, ValueError) as error:  # a ValueError: null bytes
        reason = getattr(error, "msg", error)
        raise ValueError(f"from_text(): {_short(text)} is no expression: {reason}") from None
    schedule = _Reader(ast, text.strip()).read(tree.body, 0)
    if not isinstance(schedule, Schedule):
        raise ValueError(f"from_text(): {_short(text)} is no schedule; {ALLOWED}")
    return schedule


class _Reader:
    """Makes values of the parts of a text."""

    def __init__(self, ast: Any, text: str) -> None:
        self.ast, self.text = ast, text
        self.signs: dict[Any, Callable[[Any], Any]] = {
            ast.UAdd: operator.pos,
            ast.USub: operator.neg,
        }
        self.operators: dict[Any, Callable[[Any, Any], Any]] = {
            ast.Add: operator.add,
            ast.Sub: operator.sub,
            ast.Mult: operator.mul,
            ast.Div: operator.truediv,
            ast.FloorDiv: operator.floordiv,
            ast.Pow: operator.pow,
        }

    def read(self, node: "ast.expr", depth: int) -> Any:
        if depth > DEEPEST:
            raise _too_deep()
        ast, depth = self.ast, depth + 1
        if isinstance(node, ast.Constant) and isinstance(node.value, _CONSTANTS):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self.read(item, depth) for item in node.elts]
        if isinstance(node, ast.UnaryOp) and type(node.op) in self.signs:
            number = self._number(node.operand, self.read(node.operand, depth))
            return self.signs[type(node.op)](number)
        if isinstance(node, ast.BinOp) and type(node.op) in self.operators:
            return self._computed(node, self.read(node.left, depth), self.read(node.right, depth))
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        raise self._refused(node, "is not understood")

    def _called(self, node: Any, depth: int) -> Any:
        call = self._callable(node.func, depth)
        if any(keyword.arg is None for keyword in node.keywords):
            raise self._refused(node, "unpacks arguments")
        args = [self.read(arg, depth) for arg in node.args]
        keywords = {each.arg: self.read(each.value, depth) for each in node.keywords}
        return call(*args, **keywords)

    def _callable(self, node: Any, depth: int) -> Any:
        ast = self.ast
        package = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if isinstance(node, ast.Name) or (package and node.value.id == "lrsched"):
            return self._class(node, node.id if isinstance(node, ast.Name) else node.attr)
        if not isinstance(node, ast.Attribute) or node.attr not in METHODS:
            raise self._refused(node, "is nothing that may be called")
        schedule = self.read(node.value, depth)
        if not isinstance(schedule, Schedule) or not hasattr(schedule, node.attr):
            raise self._refused(node, "is no method of a schedule")
        return getattr(schedule, node.attr)

    def _class(self, node: Any, name: str) -> Any:
        found = [cls for cls in classes_called(name) if issubclass(cls, Schedule)]
        if not found:
            raise self._refused(node, "is no schedule of lrsched")
        if len(found) > 1:
            raise self._refused(node, f"is the name of {len(found)} schedules of your own")
        return found[0]

    def _computed(self, node: Any, left: Any, right: Any) -> Any:
        of = self.operators[type(node.op)]
        for schedule, factor, side in ((left, right, node.right), (right, left, node.left)):
            if isinstance(schedule, Schedule) and of is operator.mul:
                other = factor if isinstance(factor, Schedule) else self._number(side, factor)
                return schedule * other
        left, right = self._number(node.left, left), self._number(node.right, right)
        whole = isinstance(left, int) and isinstance(right, int)
        if whole and of is operator.pow and left.bit_length() * abs(right) > BITS:
            raise self._refused(node, "is too large")
        try:
            result = of(left, right)
        except (ArithmeticError, ValueError) as error:
            raise self._refused(node, f"cannot be computed ({error})") from None
        if isinstance(result, complex) or (isinstance(result, int) and result.bit_length() > BITS):
            raise self._refused(node, "is too large, or no real number")
        return result

    def _number(self, node: Any, value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refused(node, "is no number to compute with")
        return value

    def _refused(self, node: Any, why: str) -> ValueError:
        part = self.ast.get_source_segment(self.text, node) or self.text
        return ValueError(f"from_text(): {_short(part)} {why}; {ALLOWED}")


_CONSTANTS = (bool, int, float, str, type(None))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _too_deep() -> ValueError:
    return ValueError(f"from_text(): the text is nested more than {DEEPEST} levels deep")
