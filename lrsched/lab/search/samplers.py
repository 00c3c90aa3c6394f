"""Samplers whose draws do not depend on who draws.

A study that all workers sample with the same seed would draw the same values in each of them,
and one without a seed cannot be repeated. So each trial has a sampler of its own, by its index.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState, create_trial

from ...arguments import Whole
from .storage import quiet
from .study import SearchError

__all__ = ["ByIndex", "grid", "random", "tpe"]


def grid(name: str, values: Iterable[Any]) -> "Grid":
    """The values of one parameter in their order, one for each trial.

    Unlike ``optuna.samplers.GridSampler`` no value is drawn twice when workers ask at once. The
    objective must suggest this parameter and no other.
    """
    return Grid(name, values)


def random(seed: int) -> Callable[[int], BaseSampler]:
    """``optuna.samplers.RandomSampler``: the same draws with any number of workers."""
    seed = Whole()("seed", seed)
    return lambda index: RandomSampler(seed=_seed(seed, index))


def tpe(seed: int, **settings: Any) -> Callable[[int], BaseSampler]:
    """``optuna.samplers.TPESampler``: with one worker, the same draws each time.

    With more the draws depend on which trials have been finished by then, and so do those of a
    trial that is run again.
    """
    seed = Whole()("seed", seed)
    with quiet():
        TPESampler(seed=0, **settings)  # complains of settings that it does not have
    return lambda index: TPESampler(seed=_seed(seed, index), **settings)


def _seed(seed: int, index: int) -> int:
    return int(np.random.default_rng([seed, index]).integers(2**32))


class Grid:
    """What :func:`grid` returns: as many samplers as values."""

    def __init__(self, name: str, values: Iterable[Any]) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"name must be the name of a parameter, got {name!r}")
        if not isinstance(values, Iterable) or isinstance(values, str | bytes | Mapping | set):
            raise TypeError(f"values must be a list, got {values!r}")
        self.name = name
        self.values: list[Any] = []
        for each in values:
            value = each.item() if getattr(each, "ndim", None) == 0 else each
            if hasattr(value, "ndim"):
                raise TypeError(f"values must hold no arrays, got {value!r}")
            if value in self.values:
                raise ValueError(f"values must have each value once, got {value!r} twice")
            self.values.append(value)
        if not self.values:
            raise ValueError("values must have at least one value, got none")

    def __len__(self) -> int:
        return len(self.values)

    def __call__(self, index: int) -> BaseSampler:
        return _Point(self.name, self.values[index])


class _Point(BaseSampler):
    """One value of one parameter."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def infer_relative_search_space(
        self, study: OptunaStudy, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if param_name != self.name:
            raise SearchError(
                f"the objective must suggest {self.name!r}, the parameter of the grid, and no "
                f"other, got {param_name!r}"
            )
        params, distributions = {param_name: self.value}, {param_name: param_distribution}
        with suppress(TypeError, ValueError):
            create_trial(value=0.0, params=params, distributions=distributions)  # checks them
            inside = param_distribution.to_internal_repr(self.value)
            value = param_distribution.to_external_repr(inside)
            if _equal(value, self.value):
                return value
        raise self.missing(f"suggests {param_name!r} from {param_distribution}")

    def check(self, params: Mapping[str, Any]) -> None:
        """The objective has used the value."""
        if self.name not in params:
            raise self.missing(f"has not suggested {self.name!r}")
        if not _equal(params[self.name], self.value):
            raise self.missing(f"has suggested {self.name!r} from {params[self.name]!r} alone")

    def missing(self, what: str) -> SearchError:
        return SearchError(f"the grid has {self.name}={self.value!r}, but the objective {what}")


def _equal(one: Any, two: Any) -> bool:
    return bool(one == two or (one != one and two != two))  # NaN is a choice like any other


class ByIndex(BaseSampler):
    """Samples every trial with the sampler that its index has.

    It knows of the trial that was begun last:

    Attributes:
        number: its number, None if none was begun.
        index: its index, None if it does not count. What plain Optuna has left open in it is
            then drawn at random.
        error: what went wrong when its sampler was made.
    """

    def __init__(
        self, samplers: Callable[[int], BaseSampler], index: Callable[[int], int | None]
    ) -> None:
        self._samplers, self._index = samplers, index
        self._present: BaseSampler = RandomSampler()
        self.number: int | None = None
        self.index: int | None = None
        self.error: Exception | None = None

    def before_trial(self, study: OptunaStudy, trial: FrozenTrial) -> None:
        self.number, self.error = trial.number, None
        self.index = self._index(trial.number)
        self._present = RandomSampler(seed=trial.number)
        if self.index is not None:
            try:
                self._present = sampler_of(self._samplers, self.index)
            except Exception as error:  # it is the trial that has failed
                self.error = error
        self._present.before_trial(study, trial)

    def after_trial(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if trial.number == self.number:
            # Some of Optuna's samplers stop a study by themselves; here the trials say when.
            with suppress(RuntimeError):
                self._present.after_trial(study, trial, state, values)

    def infer_relative_search_space(
        self, study: OptunaStudy, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._present.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: OptunaStudy, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._present.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._present.sample_independent(study, trial, param_name, param_distribution)

    def check(self, params: Mapping[str, Any]) -> None:
        """The parameters are those that the sampler meant."""
        if isinstance(self._present, _Point):
            self._present.check(params)


def sampler_of(samplers: Callable[[int], BaseSampler], index: int) -> BaseSampler:
    """The sampler for this index, checked."""
    sampler = samplers(index)
    if not isinstance(sampler, BaseSampler):
        raise SearchError(f"sampler must give one of Optuna's, got {sampler!r} for index {index}")
    return sampler
