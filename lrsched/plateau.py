"""The schedule that follows a metric instead of the step."""

import math
from dataclasses import KW_ONLY, field
from typing import Annotated, Any, Literal

from .arguments import AsFloat, Number, Rate, Real, Whole, number
from .value import Value, written

__all__ = ["Plateau"]


class Plateau(Value, frozen=False):
    r"""A factor each time a metric has stopped getting better, as PyTorch's ``ReduceLROnPlateau``.

    It is no function of the step but a small state machine: call :meth:`update` with each
    new value of the metric, usually once an epoch, and use the rate that it returns. Or have
    it lower other rates: those that the groups of an optimizer have
    (:func:`lrsched.pytorch.plateau`), those of any schedule (``lrsched.pytorch.scheduler`` with
    ``plateau=``), or whatever a Keras optimizer has (``lrsched.keras.plateau``). There it needs
    no ``base_lr``.

    .. math:: \eta \leftarrow \max(\gamma \eta, \eta_{\min})
        \quad\text{after more than } p \text{ updates in a row without a better metric}

    A metric is better if it beats the best so far by more than a threshold: a share of the
    best ("rel") or an absolute amount ("abs"). NaN is never better.

    The decisions are PyTorch's, but for one: with a relative threshold and a negative best,
    PyTorch takes a slightly worse metric for a better one. To follow Keras's callback of
    the same name, whose counters run one shorter, pass ``threshold_mode="abs"``, its
    ``min_delta`` as ``threshold``, ``max(patience - 1, 0)``, ``max(cooldown - 1, 0)`` and
    ``eps=0``.

    Args:
        base_lr: the rate at the start. On top of a schedule, whose rates are multiplied with
            ``share``, ``min_lr`` and ``eps`` are in its unit: with 1, shares of the rate.
        factor: what the rate is multiplied with, :math:`\gamma`, at least 0 and below 1.
        patience: the updates without a better metric that are borne, :math:`p`.
        threshold: by how much a metric must beat the best, at least 0.
        cooldown: the updates after a fall in which nothing is counted.
        min_lr: the lowest rate, at most ``base_lr``.
        mode: "min" if less is better, "max" if more is.
        threshold_mode: "rel" or "abs".
        eps: a fall of this size or less is left out, at least 0.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument out of range.

    >>> plateau = Plateau(0.1, factor=0.5, patience=1)
    >>> [plateau.update(loss) for loss in [1.0, 0.9, 0.9, 0.9, 0.8]]
    [0.1, 0.1, 0.1, 0.05, 0.05]
    """

    base_lr: Rate = 1.0
    _: KW_ONLY
    factor: Annotated[float, Real(low=0, high=1)] = 0.1
    patience: Annotated[int, Whole()] = 10
    threshold: Number = 1e-4
    cooldown: Annotated[int, Whole()] = 0
    min_lr: Rate = 0.0
    mode: Literal["min", "max"] = "min"
    threshold_mode: Literal["rel", "abs"] = "rel"
    eps: Number = 1e-8

    lr: float = field(init=False)
    """The rate now."""
    best: float = field(init=False)
    bad_updates: int = field(init=False, default=0)
    cooldown_left: int = field(init=False, default=0)

    def prepare(self) -> None:
        if self.min_lr > self.base_lr:
            raise ValueError(
                f"Plateau: min_lr must be at most base_lr={self.base_lr!r}, got {self.min_lr!r}"
            )
        self.lr = self.base_lr
        self.best = self._worst

    def to_dict(self) -> dict[str, Any]:
        from dataclasses import fields

        return {"class": "Plateau"} | {
            f.name: getattr(self, f.name) for f in fields(self) if f.init
        }

    def update(self, metric: Any) -> float:
        """The rate to use from now on, given the newest value of the metric.

        Raises TypeError for a metric that is no number (a tensor of one element is one).
        """
        if self.falls(metric):
            self.lr = self.lowered(self.lr)
        return self.lr

    @property
    def share(self) -> float:
        """What is left of the rate, ``lr / base_lr``: 1 at the start."""
        return self.lr / self.base_lr if self.base_lr else 1.0

    def falls(self, metric: Any) -> bool:
        """Whether rates fall now, given the newest value of the metric.

        For rates that are held elsewhere, in place of :meth:`update`, whose errors it raises;
        ``lr`` stays.
        """
        value = number("metric", metric)
        if self._is_better(value):
            self.best = value
            self.bad_updates = 0
        else:
            self.bad_updates += 1
        if self.cooldown_left:
            self.cooldown_left -= 1
            self.bad_updates = 0
        if self.bad_updates <= self.patience:
            return False
        self.cooldown_left = self.cooldown
        self.bad_updates = 0
        return True

    def lowered(self, rate: float) -> float:
        """What a fall makes of a rate; one that has passed ``min_lr`` stays."""
        lower = max(rate * self.factor, self.min_lr)
        return lower if rate - lower > self.eps else rate

    def _is_better(self, value: float) -> bool:
        limit = self.best
        if math.isfinite(limit):
            if self.threshold_mode == "abs":
                limit += self.threshold if self.mode == "max" else -self.threshold
            else:
                rises = (self.mode == "max") == (limit > 0)
                limit *= 1 + (self.threshold if rises else -self.threshold)
        return value > limit if self.mode == "max" else value < limit

    def state_dict(self) -> dict[str, Any]:
        """The state (not the settings) as plain values, for a checkpoint."""
        return {
            "lr": self.lr,
            # JSON has no infinite numbers.
            "best": self.best if math.isfinite(self.best) else str(self.best),
            "bad_updates": self.bad_updates,
            "cooldown_left": self.cooldown_left,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned.

        Raises TypeError or ValueError, and changes nothing, if ``state`` is not such a dict.
        """
        wanted = self.state_dict().keys()
        if not isinstance(state, dict) or state.keys() != wanted:
            raise ValueError(f"state must be a dict with {sorted(wanted)}, got {state!r}")
        best = state["best"]
        if best not in ("inf", "-inf"):
            best = AsFloat(Real(smallest=-math.inf, largest=math.inf))("state['best']", best)
        lr = AsFloat(Real(low=0))("state['lr']", state["lr"])
        bad_updates = Whole()("state['bad_updates']", state["bad_updates"])
        cooldown_left = Whole()("state['cooldown_left']", state["cooldown_left"])
        self.lr, self.best = lr, float(best)
        self.bad_updates, self.cooldown_left = bad_updates, cooldown_left

    def code(self, framework: str) -> str:
        """The lines of Python that make this plateau, at its start, in a framework.

        As :meth:`lrsched.Schedule.code`: "pytorch" gives a ``scheduler``, "keras" a ``callback``
        that monitors "val_loss", "lrsched" a ``schedule``.

        Keras's own callback has ``threshold_mode="abs"`` and ``eps=0``; for others it is ours.
        Raises ValueError for another framework.

        >>> print(Plateau(0.1, patience=2, threshold_mode="abs", eps=0).code("keras"))
        callback = keras.callbacks.ReduceLROnPlateau(
            monitor="val_loss",
            mode="min",
            factor=0.1,
            patience=3,
            min_delta=0.0001,
            cooldown=0,
            min_lr=0.0,
        )
        """
        return written(self, framework)

    @property
    def _worst(self) -> float:
        return -math.inf if self.mode == "max" else math.inf
