"""A search, as each of its workers must know it."""

import importlib
import json
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from ...arguments import AsFloat, OrNone, Real, Whole
from ..plain import plain

__all__ = ["SearchError", "Study", "named"]

Objective = Callable[[Trial], float]

_seconds = AsFloat(Real(low=0, low_excluded=True, largest=1e6))


class SearchError(RuntimeError):
    """A search that cannot begin, or cannot be completed."""


@dataclass(frozen=True)
class Study:
    """A search, as each of its workers must know it.

    Attributes:
        objective: called with an Optuna trial; suggests values and returns what to minimise, a
            number or an array of a single one. Infinity is a result, NaN is none. An objective
            that raises, or returns no number, ends the search: see :func:`work`.
        sampler: gives the sampler for the trial of this index, counted from 0; see
            :func:`grid`, :func:`random` and :func:`tpe`.
        pruner: stops trials early; None: every trial goes to its end.
        most: the number of trials that the search can have; None: as many as the grid has
            values, any with other samplers.
        settings: plain values that make it this search. They are kept with the study; a worker
            with others is refused.
        heartbeat: seconds from one sign of life to the next. A worker that has given none for
            ``3 * heartbeat`` is taken for dead.

    Raises:
        TypeError or ValueError: an argument of another kind or out of its range.
    """

    objective: Objective
    sampler: Callable[[int], BaseSampler]
    pruner: BasePruner | None = None
    most: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    heartbeat: float = 20.0

    def __post_init__(self) -> None:
        if not callable(self.objective):
            raise TypeError(f"objective must be a function of a trial, got {self.objective!r}")
        if not callable(self.sampler):
            raise TypeError(
                "sampler must be a function that gives the sampler for an index, such as grid, "
                f"random and tpe return, got {self.sampler!r}"
            )
        if not isinstance(self.pruner, BasePruner | None):
            raise TypeError(f"pruner must be one of Optuna's or None, got {self.pruner!r}")
        most = OrNone(Whole(low=1))("most", self.most)
        if isinstance(self.sampler, Sized):
            values = len(self.sampler)
            most = values if most is None else most
            if most > values:
                raise ValueError(f"most must be at most {values}, as the grid has, got {most}")
        object.__setattr__(self, "most", most)
        object.__setattr__(self, "heartbeat", _seconds("heartbeat", self.heartbeat))
        object.__setattr__(self, "settings", _settings(self.settings))

    def trials(self, name: str, wanted: Any) -> int:
        """The check for the number of trials that are asked for."""
        trials = Whole(low=1)(name, wanted)
        if self.most is not None and trials > self.most:
            raise ValueError(f"{name} must be at most {self.most} in this study, got {trials}")
        return trials


def named(name: str) -> Study:
    """The study that ``module:attribute`` is, or makes when it is called.

    Raises SearchError if there is none.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute.isidentifier():
        raise SearchError(
            f"--study must be module:attribute, such as lrsched.book.studies:grid, got {name!r}"
        )
    try:
        study = getattr(importlib.import_module(module), attribute)
        study = study if isinstance(study, Study) or not callable(study) else study()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SearchError(f"--study {name!r} gives no Study: {error}") from error
    if not isinstance(study, Study):
        raise SearchError(f"--study {name!r} must be a lrsched.lab.search.Study, got {study!r}")
    return study


def _settings(settings: Any) -> dict[str, Any]:
    """The settings as a storage gives them back."""
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a dict, got {settings!r}")
    if "heartbeat" in settings:
        raise ValueError("settings must not have 'heartbeat': it is kept with them anyhow")
    # NaN and infinity are not of JSON, and a NaN is not even equal to itself.
    written = json.dumps(plain("settings", dict(settings)))
    return dict(json.loads(written, parse_constant=str))
