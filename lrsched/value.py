"""What schedules and ``Plateau`` have in common: checked arguments, printed and saved by name."""

import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, get_origin

from .arguments import Check, check_fields, check_of, plain_type

__all__ = [
    "Value",
    "classes_called",
    "equal",
    "from_dict",
    "given",
    "made",
    "tells_keywords",
    "writes",
    "written",
]

Call = TypeVar("Call", bound=Callable[..., Any])

_registry: dict[str, type["Value"]] = {}  # by what to_dict() calls each class


@typing.dataclass_transform(
    frozen_default=True, field_specifiers=(dataclasses.field, dataclasses.Field)
)
class Value:
    """A value whose subclasses name their arguments as a dataclass does; each is checked.

    The annotation of an argument decides its check, see :mod:`lrsched.arguments`; readers of
    the signature see the plain type. What follows ``_: KW_ONLY`` is given by keyword.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    _checks: ClassVar[dict[str, Check]] = {}
    _kept: ClassVar[list[str]] = []

    def __init_subclass__(
        cls, *, frozen: bool = True, abstract: bool = False, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if abstract:  # a base of values, and none itself
            return
        cls._checks = cls._checks | _checks_within(cls)
        own = [
            key for key, each in vars(cls).items() if isinstance(each, functools.cached_property)
        ]
        cls._kept = [*cls._kept, *own]
        has_own_init = "__init__" in vars(cls)
        dataclasses.dataclass(frozen=frozen, repr=False)(cls)
        vars(cls).get("__annotations__", {}).pop("_", None)  # KW_ONLY has done its work
        if not has_own_init:
            setattr(cls, "__init__", tells_keywords(vars(cls)["__init__"]))  # noqa: B010
        _registry[_name(cls)] = cls

    def __post_init__(self) -> None:
        check_fields(self, self._checks)
        self.prepare()
        for name in self._kept:  # now: what is compiled later could not
            getattr(self, name)

    def prepare(self) -> None:
        """Check what concerns several arguments at once.

        Runs once, after each argument by itself was checked. Raise ValueError for arguments
        that do not go together. What follows from the arguments and is dear to compute is a
        ``functools.cached_property``: it is computed when the value is made, and kept.
        """

    def __repr__(self) -> str:
        arguments = ", ".join(f"{field.name}={value!r}" for field, value in given(self))
        return f"{type(self).__name__}({arguments})"

    def to_dict(self) -> dict[str, Any]:
        """The class and its arguments as a dict of plain Python values that JSON can hold.

        The class is named by its name alone, one of your own by ``"module:name"``.

        >>> import lrsched
        >>> lrsched.StepDecay(0.1, step_size=30).to_dict()
        {'class': 'StepDecay', 'base_lr': 0.1, 'step_size': 30, 'gamma': 0.1}
        """
        values = {field.name: _plain(getattr(self, field.name)) for field in _arguments(self)}
        return {"class": _name(type(self))} | values


def _checks_within(cls: type[Value]) -> dict[str, Check]:
    """The checks of a class's own annotations, of which the plain types are left."""
    annotations = vars(cls).get("__annotations__", {})
    hints = typing.get_type_hints(cls, None, {cls.__name__: cls}, include_extras=True)
    checks = {}
    for name in annotations:
        if dataclasses.KW_ONLY is hints[name] or ClassVar in (hints[name], get_origin(hints[name])):
            continue
        annotations[name] = plain_type(hints[name])
        field = vars(cls).get(name)
        if not isinstance(field, dataclasses.Field) or field.init:
            checks[name] = check_of(f"{cls.__name__}.{name}", hints[name])
    return checks


def tells_keywords(call: Call) -> Call:
    """Have a call with too many positional arguments refused by what to write instead."""
    owner, _, method = call.__qualname__.rpartition(".")
    name = owner.rpartition(".")[-1] if method == "__init__" else f"{method}()"
    parameters = inspect.signature(call).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_keyword = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]

    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        surplus = args[len(positional) :]
        if surplus and len(surplus) <= len(by_keyword):
            names = by_keyword[: len(surplus)]
            given = ", ".join(f"{key}={value!r}" for key, value in zip(names, surplus, strict=True))
            raise TypeError(f"{name}: {', '.join(names)} must be given by keyword, as {given}")
        return call(*args, **kwargs)

    return typing.cast(Call, checked)


def _arguments(value: Value | type[Value]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(value) if field.init]


def given(value: Value) -> list[tuple[dataclasses.Field[Any], Any]]:
    """The arguments of a value that are not their defaults."""
    pairs = [(field, getattr(value, field.name)) for field in _arguments(value)]
    return [(field, each) for field, each in pairs if not equal(each, field.default)]


def equal(one: Any, other: Any) -> bool:
    """Whether two are equal, whatever they hold."""
    try:
        return one is other or bool(one == other)
    except ValueError:  # an array of several, in a class of one's own
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Value):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


# Classes by name


def _name(cls: type[Value]) -> str:
    """What to_dict() calls a class: of several with one name, each by its module."""
    if cls.__module__.partition(".")[0] == __package__:
        return cls.__name__
    # A process that multiprocessing spawns has its script under another name.
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}:{cls.__qualname__}"


def _class_named(name: Any) -> type[Value]:
    if isinstance(name, str) and name in _registry:
        return _registry[name]
    module, colon, qualname = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not colon:
        known = ", ".join(sorted(_registry))
        raise ValueError(f"from_dict(): 'class' must be one of {known}, got {name!r}")
    if module == "__main__":  # a script's class, which whoever imports the script knows by module
        same = [cls for key, cls in _registry.items() if key.endswith(f":{qualname}")]
        if len(same) == 1:
            return same[0]
        raise ValueError(
            f"from_dict(): define {qualname} here first, as in the script or notebook that the "
            f"schedule comes from, or import the module that defines it"
        )
    if module in sys.modules:
        raise ValueError(f"from_dict(): the module {module} defines no schedule {qualname}")
    raise ValueError(f"from_dict(): import {module} first, which defines {qualname}")


def classes_called(name: str) -> list[type[Value]]:
    """The classes that have this name: ours, or those of one's own."""
    if name in _registry:
        return [_registry[name]]
    return [cls for cls in _registry.values() if cls.__name__ == name]


def made(name: str, *args: Any, **kwargs: Any) -> Any:
    """A value of one of our classes, for modules that its own rests on."""
    return _registry[name](*args, **kwargs)


_writers: list[Callable[[Value, str], str]] = []


def writes(function: Callable[[Value, str], str]) -> Callable[[Value, str], str]:
    """Have a function write the code of values, as :func:`written` returns it."""
    _writers[:] = [function]
    return function


def written(value: Value, framework: str) -> str:
    """The code that makes a value in a framework, for modules that its writer rests on."""
    return _writers[0](value, framework)


def from_dict(data: Mapping[str, Any]) -> Any:
    """The schedule, or the ``Plateau`` at its start, that ``to_dict()`` described.

    >>> import json, lrsched
    >>> schedule = lrsched.Cosine(0.3, 20).warmup(5)
    >>> lrsched.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule
    True

    Raises TypeError if ``data`` is no dict, ValueError if it names no known schedule,
    lacks an argument or has one too many, or is nested too deeply for Python, and whatever
    the schedule raises for bad values. A schedule class of your own is known once the module
    that defines it is imported.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"from_dict() needs a dict made by to_dict(), got {data!r}")
    try:
        return _built(data)
    except RecursionError:
        raise ValueError("from_dict(): the schedule is nested too deeply for Python") from None


def _built(data: Mapping[str, Any]) -> Value:
    cls = _class_named(data.get("class"))
    values = {key: value for key, value in data.items() if key != "class"}
    fields = _arguments(cls)
    unknown = values.keys() - {field.name for field in fields}
    missing = {f.name for f in fields if f.default is dataclasses.MISSING} - values.keys()
    if unknown or missing:
        wrong = [f"unknown {key!r}" for key in sorted(unknown, key=str)]
        wrong += [f"missing {key!r}" for key in sorted(missing)]
        raise ValueError(f"from_dict(): {cls.__name__} has wrong arguments: {', '.join(wrong)}")
    return cls(**{key: _restored(value) for key, value in values.items()})


def _restored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _built(value)
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return value
