r"""What every schedule can do."""

import math
import numbers
from typing import TYPE_CHECKING, Any, Literal

from .arguments import Real, Whole
from .lookup import first_below
from .namespaces import LAST_STEP, NUMBERS, Namespace, evaluate
from .plotting import plot_schedule
from .value import Value, made, tells_keywords, written

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["Schedule", "WarmupShape", "is_schedule"]

WarmupShape = Literal["linear", "exponential", "constant"]


class Schedule(Value, abstract=True):
    r"""A learning-rate schedule: an immutable value that maps a step to a rate.

    Call it with a step, counted from 0, or with an array of steps; the rates come back in
    the same shape: a float for a number; a float64 tensor for a torch or a TensorFlow tensor
    (also where ``tf.function``, ``torch.compile``, ``torch.func.vmap`` or a tracer follows
    it); a JAX array for one of JAX (also under ``jax.jit``, ``jax.vmap``, ``jax.grad`` and
    the loops of ``jax.lax``); a NumPy array of float64 for whatever else holds real numbers,
    be it a list, a NumPy array or a pandas column. Steps need not be whole.

    Without ``jax_enable_x64`` JAX has no float64. Rates are computed in it all the same, and
    rounded once, to float32: a whole step is counted right as far as its integer type goes,
    2**31 - 1 for optax's count. A step that is float32 already was rounded before, above 2**24
    to an even number and further on to ever fewer. Optax takes a schedule where it takes one
    of its own.

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

    Arguments stand in the order in which they are declared; those after ``_: KW_ONLY`` (of
    ``dataclasses``) are given by keyword.

    Raises (when called): TypeError for a step that is no number and no array of numbers, or
    that has a mask or a unit, ValueError for a step that is negative, NaN, or 2**53 and more,
    which float64 no longer counts one by one. Inside a compiled or traced graph, and on an
    accelerator, steps are not checked; an accelerator that has no float64 cannot compute
    rates.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        text = vars(cls).get("formula")
        if isinstance(text, str):  # as good as a property that gives it
            setattr(cls, "formula", property(lambda self: text, doc=text))  # noqa: B010

    @property
    def formula(self) -> str:
        r"""The rate at step :math:`t` in LaTeX, without dollar signs; "" if the class has none.

        A class gives it as a property or, where it is the same for all arguments, as a string.
        """
        return ""

    def rate(self, xp: Namespace, t: Any) -> Any:
        """The formula: the rate at float64 steps ``t``, written with the functions of ``xp``."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(self, xp, t)")

    def __call__(self, step: Any) -> Any:
        if type(step) in (int, float) and 0 <= step <= LAST_STEP:
            return self.rate(NUMBERS, float(step))
        return evaluate(self.rate, step)

    def _repr_latex_(self) -> str | None:
        """What notebooks show."""
        return rf"$\displaystyle \eta_t = {self.formula}$" if self.formula else None

    # Composition. The classes stand in compositions.py, which rests on this one.

    @tells_keywords
    def warmup(
        self, warmup_steps: float, *, start_lr: float = 0.0, shape: WarmupShape = "linear"
    ) -> "Schedule":
        """This schedule after a warmup; see :class:`lrsched.Warmup`.

        >>> import lrsched
        >>> lrsched.Cosine(0.3, 20).warmup(5)([0, 4, 5, 15, 25])
        array([0.  , 0.24, 0.3 , 0.15, 0.  ])
        """
        return _composed("Warmup", self, warmup_steps, start_lr=start_lr, shape=shape)

    def clip(self, min_lr: float = 0.0, max_lr: float | None = None) -> "Schedule":
        """This schedule kept between two rates; see :class:`lrsched.Clipped`.

        >>> import lrsched
        >>> lrsched.Exponential(1.0, decay_rate=0.5).clip(min_lr=0.2)([0, 1, 2, 3])
        array([1.  , 0.5 , 0.25, 0.2 ])
        """
        return _composed("Clipped", self, min_lr, max_lr)

    @tells_keywords
    def per_epoch(self, steps_per_epoch: float, *, smooth: bool = False) -> "Schedule":
        """This schedule, written in epochs, by the step; see :class:`lrsched.PerEpoch`.

        >>> import lrsched
        >>> lrsched.StepDecay(0.1, step_size=30).per_epoch(100)(3000)
        0.010000000000000002
        """
        return _composed("PerEpoch", self, steps_per_epoch, smooth=smooth)

    def repeat(self, steps: float, times: int | None = None, factor: float = 1.0) -> "Schedule":
        """This schedule, started anew each so many steps; see :class:`lrsched.Repeat`.

        >>> import lrsched
        >>> lrsched.Cosine(0.3, 4).warmup(2).repeat(6, factor=0.5)([0, 2, 4, 6, 8, 10])
        array([0.   , 0.3  , 0.15 , 0.   , 0.15 , 0.075])
        """
        return _composed("Repeat", self, steps, times=times, factor=factor)

    def __mul__(self, factor: "float | Schedule") -> "Schedule":
        if isinstance(factor, Schedule):
            return _composed("Product", self, factor)
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        return _composed("Scaled", self, factor)

    __rmul__ = __mul__

    # In other libraries

    def code(self, framework: str) -> str:
        """The lines of Python that make this schedule in a framework.

        They use what the framework itself has where that gives the same rates at *all* steps,
        past the end too, and else lrsched's adapter, under a comment that says why. Rates that
        differ by rounding alone, which is that of float32 in Keras, are the same.

        Args:
            framework: "pytorch", "keras" or "lrsched". The lines of "pytorch" need an
                ``optimizer`` and give it a ``scheduler``, those of the others make a
                ``schedule``; all need ``import torch``, ``keras``, ``lrsched``,
                ``lrsched.pytorch`` or ``lrsched.keras``, whichever they name.

        Raises:
            ValueError: another framework.

        >>> import lrsched
        >>> print(lrsched.StepDecay(0.1, 30).code("pytorch"))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] = 0.1
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
        >>> print(lrsched.Power(0.1).code("keras"))
        # Keras has no schedule with these rates.
        schedule = lrsched.keras.schedule(lrsched.Power(0.1))
        """
        return written(self, framework)

    # Looking at it

    def plot(self, steps: Any, ax: Any = None, **line: Any) -> "matplotlib.axes.Axes":
        """Draw the rate over ``steps``; see :func:`lrsched.plotting.plot_schedule`."""
        return plot_schedule(self, steps, ax, **line)

    def first_step_below(self, rate: float, within: int = 10_000_000) -> int | None:
        """The first whole step whose rate is below ``rate``, or None where none is found.

        From the step on at which a schedule falls for good it is searched to step 2**53.
        Before that, and where it grows or rises again and again (``CosineAnnealing``,
        ``CosineRestarts``, ``Cyclical``, ``Polynomial`` with ``cycle``, ``Repeat``), it is searched
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
        rate = Real(low=0, largest=math.inf)("rate", rate)
        return first_below(self, rate, Whole()("within", within), self.falls_from())

    def falls_from(self) -> float | None:
        """The step from which the rate never rises again, if one is known."""
        return None


def _composed(name: str, *args: Any, **kwargs: Any) -> Schedule:
    return is_schedule(name, made(name, *args, **kwargs))


def is_schedule(name: str, value: Any) -> Schedule:
    """The check for an argument that is a schedule."""
    if not isinstance(value, Schedule):
        raise TypeError(f"{name} must be a schedule, got {value!r}")
    return value
