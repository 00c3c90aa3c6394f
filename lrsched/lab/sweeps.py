"""Sweeps: every combination of network, schedule and seed."""

import numbers
from collections.abc import Iterable, Mapping
from typing import Any

from .. import Constant, Plateau, Schedule
from ..arguments import AsFloat, Real, Whole
from .data import Data, Regression
from .plain import labelled
from .results import Results
from .runs import Rule, Run, checked_seed
from .seeds import Network
from .trainer import train

__all__ = ["sweep"]

_rate = AsFloat(Real(low=0))


def sweep(
    networks: Mapping[str, Network],
    schedules: Mapping[str, float | Rule] | Iterable[float],
    seeds: int | Iterable[int],
    data: Data | Regression,
    *,
    epochs: int,
    **settings: Any,
) -> Results:
    """Train every network with every schedule from every seed, thousands of networks at a time.

    A seed decides the initial weights and the order of the samples: for one seed all networks
    and schedules see the same batches, and networks of the same weights start from the same.

    Args:
        networks: what makes a network of layers that :class:`Stack` knows, by label.
        schedules: by label, constant rates, schedules over steps (counted in batches from 0)
            or :class:`lrsched.Plateau` (updated after each epoch); or constant rates alone,
            which are their own labels.
        seeds: the seeds, or their number, counted from 0.
        data: the samples, the same for all.
        epochs: how often all training samples are seen.
        **settings: further arguments of :func:`train`, ``keep`` and ``start`` among them. The
            rates and losses of each update are not kept unless ``each_update`` is true.

    Returns:
        The results, whose :meth:`Results.table` has a row for each run and epoch.

    Raises:
        TypeError, ValueError or CheckpointError: as :func:`train`.
    """
    if not isinstance(networks, Mapping):
        raise TypeError(f"networks must be a dict from label to what makes one, got {networks!r}")
    networks = labelled("networks", networks)
    rules, chosen = _rules(schedules), _seeds(seeds)
    runs = [
        Run(label, rule, seed, network)
        for network in networks
        for label, rule in rules.items()
        for seed in chosen
    ]
    defaults: dict[str, Any] = {"each_update": False, "name": "sweep"}
    return train(runs, data, epochs=epochs, network=networks, **defaults | settings)


def _rules(schedules: Any) -> dict[Any, Rule]:
    if isinstance(schedules, Schedule | Plateau | str) or not isinstance(schedules, Iterable):
        raise TypeError(
            "schedules must be a list of rates, or a dict from label to schedule, "
            f"got {schedules!r}"
        )
    if not isinstance(schedules, Mapping):
        rates = [_rate(f"schedules[{place}]", rate) for place, rate in enumerate(schedules)]
        if len(set(rates)) < len(rates):
            raise ValueError(f"schedules must have each rate once, got {rates!r}")
        schedules = dict(zip(rates, rates, strict=True))
    else:
        schedules = labelled("schedules", schedules)
    if not schedules:
        raise ValueError("schedules must hold at least one schedule, got none")
    rules: dict[Any, Rule] = {}
    for label, rule in schedules.items():
        if isinstance(rule, numbers.Real):
            rule = Constant(_rate(f"schedules[{label!r}]", rule))
        elif not isinstance(rule, Rule):
            raise TypeError(
                f"schedules[{label!r}] must be a rate, a schedule or a Plateau, got {rule!r}"
            )
        rules[label] = rule
    return rules


def _seeds(seeds: Any) -> list[int]:
    if not isinstance(seeds, Iterable):
        return list(range(Whole(low=1)("seeds", seeds)))
    chosen = [checked_seed(f"seeds[{place}]", seed) for place, seed in enumerate(seeds)]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"seeds must hold at least one seed, and each once, got {chosen!r}")
    return chosen
