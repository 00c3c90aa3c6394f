"""What every schedule can do: the base class, and the way back from a dict."""

import dataclasses
import math
import numbers
import sys
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import arguments
from .namespaces import BLOCK, LAST_STEP, NUMBERS, Namespace, evaluate

if TYPE_CHECKING:
    import matplotlib.axes

    from .composition import Clipped, PerEpoch, Scaled, Warmup

__all__ = ["Schedule", "from_dict"]

_registry: dict[str, type["Schedule"]] = {}  # by what to_dict() calls each class


@typing.dataclass_transform(frozen_default=True)
class Schedule:
    r"""A learning-rate schedule: an immutable value that maps a step to a rate.

    Call it with a step, counted from 0, or with an array of steps; the rates come back in
    the same shape: a float for a number; a float64 tensor for a torch or a TensorFlow tensor
    (also where ``tf.function``, ``torch.compile``, ``torch.func.vmap`` or a tracer follows
    it); a NumPy array of float64 for whatever else holds real numbers, be it a list, a NumPy
    array or a pandas column. Steps need not be whole.

    A schedule of your own is a subclass that names its arguments and gives one formula;
    checks, comparison, printing, JSON, arrays and both frameworks come with it:

    >>> from lrsched.arguments import Duration, Rate
    >>> class Halving(Schedule):
    ...     base_lr: Rate
    ...     half_life: Duration
    ...     formula = r"\eta_0\,2^{-t/h}"
    ...     def rate(self, xp, t):
    ...         return self.base_lr * 2.0 ** (-t / self.half_life)
    >>> halving = Halving(0.8, half_life=10)
    >>> halving(20), halving
    (0.2, Halving(base_lr=0.8, half_life=10))
    >>> halving([0, 10])
    array([0.8, 0.4])

    Raises (when called): TypeError for a step that is no number and no array of numbers, or
    that has a mask or a unit, ValueError for a step that is negative, NaN, or 2**53 and more,
    which float64 no longer counts one by one. Inside a compiled or traced graph, and on an
    accelerator, steps are not checked; an accelerator that has no float64 cannot compute
    rates.
    """

    formula: typing.ClassVar[str] = ""
    r"""The rate at step :math:`t` in LaTeX, without dollar signs."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, repr=False)(cls)
        _registry[_name(cls)] = cls

    def __post_init__(self) -> None:
        arguments.check_fields(self)
        self.prepare()

    def prepare(self) -> None:
        """Check what concerns several arguments at once, and keep what the formula needs.

        Runs once, after each argument by itself was checked. Raise ValueError for arguments
        that do not go together; keep a result with ``self.keep(_name=value)``.
        """

    def keep(self, **values: Any) -> None:
        """Store values that follow from the arguments; they take no part in comparison."""
        self.__dict__.update(values)

    def rate(self, xp: Namespace, t: Any) -> Any:
        """The formula: the rate at float64 steps ``t``, written with the functions of ``xp``."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(self, xp, t)")

    def __call__(self, step: Any) -> Any:
        if type(step) in (int, float) and 0 <= step <= LAST_STEP:
            return self.rate(NUMBERS, float(step))
        return evaluate(self.rate, step)

    # As a value

    def __repr__(self) -> str:
        given = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if not _equal(value := getattr(self, field.name), field.default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def to_dict(self) -> dict[str, Any]:
        """The schedule as a dict of plain Python values that JSON can hold.

        The class is named by its name alone, one of your own by ``"module:name"``.

        >>> import lrsched
        >>> lrsched.StepDecay(0.1, step_size=30).to_dict()
        {'class': 'StepDecay', 'base_lr': 0.1, 'step_size': 30, 'gamma': 0.1}
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {"class": _name(type(self))} | {
            field.name: _plain(getattr(self, field.name)) for field in fields
        }

    # Composition

    def warmup(self, warmup_steps: float, start_lr: float = 0.0, shape: str = "linear") -> "Warmup":
        """This schedule after a warmup; see :class:`lrsched.Warmup`.

        >>> import lrsched
        >>> lrsched.Cosine(0.3, 20).warmup(5)([0, 4, 5, 15, 25])
        array([0.  , 0.24, 0.3 , 0.15, 0.  ])
        """
        from .composition import Warmup

        return Warmup(self, warmup_steps, start_lr, shape)

    def clip(self, min_lr: float = 0.0, max_lr: float | None = None) -> "Clipped":
        """This schedule kept between two rates; see :class:`lrsched.Clipped`.

        >>> import lrsched
        >>> lrsched.Exponential(1.0, 0.5).clip(min_lr=0.2)([0, 1, 2, 3])
        array([1.  , 0.5 , 0.25, 0.2 ])
        """
        from .composition import Clipped

        return Clipped(self, min_lr, max_lr)

    def per_epoch(self, steps_per_epoch: float, smooth: bool = False) -> "PerEpoch":
        """This schedule, written in epochs, by the step; see :class:`lrsched.PerEpoch`.

        >>> import lrsched
        >>> lrsched.StepDecay(0.1, step_size=30).per_epoch(100)(3000)
        0.010000000000000002
        """
        from .composition import PerEpoch

        return PerEpoch(self, steps_per_epoch, smooth)

    def __mul__(self, factor: float) -> "Scaled":
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        from .composition import Scaled

        return Scaled(self, factor)

    __rmul__ = __mul__

    # Looking at it

    def plot(self, steps: Any, ax: Any = None, **line: Any) -> "matplotlib.axes.Axes":
        """Draw the rate over ``steps``; see :func:`lrsched.plotting.plot_schedule`."""
        from .plotting import plot_schedule

        return plot_schedule(self, steps, ax, **line)

    def first_step_below(self, rate: float, within: int = 10_000_000) -> int | None:
        """The first whole step whose rate is below ``rate``, or None where none is found.

        From the step on at which a schedule falls for good it is searched to step 2**53.
        Before that, and where it grows or rises again and again (``CosineAnnealing``,
        ``CosineRestarts``, ``Cyclical``, ``Polynomial`` with ``cycle``), it is searched
        step by step, to the step ``within`` and no further: a schedule that begins to fall
        after that is not searched from there on.

        >>> import lrsched
        >>> lrsched.Exponential(0.1, decay_rate=0.96, decay_steps=1000).first_step_below(0.01)
        56406
        >>> lrsched.Cosine(0.1, 100, end_lr=0.01).first_step_below(0.01) is None
        True

        Raises TypeError or ValueError for a rate that is not a finite number of at least 0,
        or a ``within`` that is not a whole number of at least 0.
        """
        rate = arguments.Real(low=0, largest=math.inf)("rate", rate)
        within = arguments.Whole()("within", within)
        falls_from = self.falls_from()
        low, high = math.ceil(within + 1 if falls_from is None else falls_from), LAST_STEP
        for start in range(0, min(low, within + 1), BLOCK):
            steps = np.arange(start, min(start + BLOCK, low, within + 1))
            for step in steps[self(steps) < rate]:
                if self(int(step)) < rate:  # an array's last bit may differ from a number's
                    return int(step)
        if low > within or not self(high) < rate:
            return None
        while low < high:
            middle = (low + high) // 2
            if self(middle) < rate:
                high = middle
            else:
                low = middle + 1
        return high

    def falls_from(self) -> float | None:
        """The step from which the rate never rises again, if one is known."""
        return None


def _name(cls: type[Schedule]) -> str:
    """What to_dict() calls a class: of several with one name, each by its module."""
    if cls.__module__.partition(".")[0] == __package__:
        return cls.__name__
    # A process that multiprocessing spawns has its script under another name.
    module = "__main__" if cls.__module__ == "__mp_main__" else cls.__module__
    return f"{module}:{cls.__qualname__}"


def _class_named(name: Any) -> type[Schedule]:
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


def _equal(value: Any, default: Any) -> bool:
    try:
        return bool(value == default)
    except ValueError:  # an array of several, in a class of one's own
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def from_dict(data: Mapping[str, Any]) -> Schedule:
    """The schedule that :meth:`Schedule.to_dict` described, straight or through JSON.

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
        return _made(data)
    except RecursionError:
        raise ValueError("from_dict(): the schedule is nested too deeply for Python") from None


def _made(data: Mapping[str, Any]) -> Schedule:
    cls = _class_named(data.get("class"))
    values = {key: value for key, value in data.items() if key != "class"}
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    unknown = values.keys() - {field.name for field in fields}
    missing = {f.name for f in fields if f.default is dataclasses.MISSING} - values.keys()
    if unknown or missing:
        wrong = [f"unknown {key!r}" for key in sorted(unknown, key=str)]
        wrong += [f"missing {key!r}" for key in sorted(missing)]
        raise ValueError(f"from_dict(): {cls.__name__} has wrong arguments: {', '.join(wrong)}")
    return cls(**{key: _restored(value) for key, value in values.items()})


def _restored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _made(value)
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return value


def is_schedule(name: str, value: Any) -> Schedule:
    """The check for an argument that is a schedule."""
    if not isinstance(value, Schedule):
        raise TypeError(f"{name} must be a schedule, got {value!r}")
    return value
