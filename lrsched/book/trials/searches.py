"""Searches for the epoch of the drop, whose training runs are looked up instead of trained.

A search asks for an epoch and is given the validation losses of the run that dropped its rate
there. So each search can be repeated for every seed, and, if it draws at random, for ten seeds
of its sampler.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import optuna
import pandas as pd
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState

from ...lab.search.storage import quiet

__all__ = ["PRUNERS", "SEARCHES", "Search", "among", "found", "looked_up", "stopped"]

#: The validation loss after each epoch, by label, [epochs, seeds].
Curves = Mapping[str, npt.NDArray[Any]]

DRAWS = 10  # seeds of a sampler


class Search(NamedTuple):
    """How to search: so many trials, drawn by a sampler, stopped by a pruner."""

    sampler: Callable[[int], BaseSampler]
    trials: int = 10
    pruner: Callable[[], BasePruner] | None = None
    repeats: int = DRAWS


def _grid(*epochs: int) -> Search:
    def sampler(seed: int) -> BaseSampler:
        return GridSampler({"decay_epoch": epochs}, seed=seed)

    return Search(sampler, len(epochs), repeats=1)


def _random(seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _tpe(seed: int) -> BaseSampler:
    # By its own default the first ten trials would be random draws.
    return TPESampler(seed=seed, n_startup_trials=4)


def _median() -> BasePruner:
    return MedianPruner(n_startup_trials=4, n_warmup_steps=10)


def _halving() -> BasePruner:
    return SuccessiveHalvingPruner(min_resource=8, reduction_factor=2)


PRUNERS = {"median": _median, "halving": _halving}

#: By name, what asks for epochs.
SEARCHES = {
    "grid of 4": _grid(10, 20, 30, 50),  # the tutorial's
    "grid of 10": _grid(*range(4, 60, 6)),
    "random, 10": Search(_random),
    "TPE, 10": Search(_tpe),
    "TPE, median": Search(_tpe, pruner=_median),
    "TPE, halving": Search(_tpe, pruner=_halving),
}


def among(curves: Curves) -> dict[str, list[str]]:
    """By name, what takes the best of some runs, or a single one: their labels."""
    half = len(curves["never"]) // 2
    return {
        "never": ["never"],
        "drop at half": [f"{half}"],
        "plateau 10": ["plateau 10"],
        "4 patiences": [f"plateau {p}" for p in (2, 5, 10, 20)],
        "10 patiences": [label for label in curves if label.startswith("plateau")],
        "all": _drops(curves),
    }


def _drops(curves: Curves) -> list[str]:
    return [label for label in curves if label.isdigit()]


def looked_up(curves: Curves, seed: int, search: Search, draw: int) -> optuna.Study:
    """A study that is given the runs of one seed.

    Args:
        curves: the validation losses.
        seed: of the runs.
        search: what asks for them.
        draw: the seed of the sampler.
    """
    drops = [int(label) for label in _drops(curves)]

    def objective(trial: Trial) -> float:
        epoch = trial.suggest_int("decay_epoch", min(drops), max(drops), step=2)
        curve = curves[f"{epoch}"][:, seed]
        for done, loss in enumerate(curve.tolist(), 1) if search.pruner else ():
            trial.report(loss, done)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(curve[-1])

    pruner = search.pruner() if search.pruner else NopPruner()
    with quiet():
        study = optuna.create_study(sampler=search.sampler(draw), pruner=pruner)
        study.optimize(objective, n_trials=search.trials)
    return study


def found(curves: Curves, runs: pd.DataFrame) -> pd.DataFrame:
    """What each way to choose the epoch finds: a row for each way and seed.

    Args:
        curves: the validation losses.
        runs: the landscape, whose test loss is looked at once, for the run that was chosen.

    Returns:
        The columns are method, seed, epochs (the price), drop, earliest, latest (the first drop
        of the chosen runs) and test_loss: means over the draws of a sampler.
    """
    return pd.DataFrame(_found(curves, runs))


def _found(curves: Curves, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    ends = {label: curve[-1] for label, curve in curves.items()}
    length = len(curves["never"])
    for seed in sorted(set(runs["seed"])):
        own = runs[runs["seed"] == seed].set_index("label")
        for method, labels in among(curves).items():
            least = min(labels, key=lambda label: ends[label][seed])
            yield _row(method, seed, own, [(least, length * len(labels))])
        for method, search in SEARCHES.items():
            # Independent draws for each seed.
            draws = range(100 * seed, 100 * seed + search.repeats)
            studies = [looked_up(curves, seed, search, draw) for draw in draws]
            prices = [sum(t.last_step or length for t in study.trials) for study in studies]
            best = [f"{study.best_params['decay_epoch']}" for study in studies]
            yield _row(method, seed, own, [*zip(best, prices, strict=True)])


def _row(
    method: str, seed: int, runs: pd.DataFrame, chosen: list[tuple[str, int]]
) -> dict[str, Any]:
    labels, prices = zip(*chosen, strict=True)
    ends = runs.loc[list(labels)]
    return {
        "method": method,
        "seed": seed,
        "epochs": np.mean(prices),
        "drop": ends["first_drop"].mean(),
        "earliest": ends["first_drop"].min(),
        "latest": ends["first_drop"].max(),
        "test_loss": ends["test_loss"].mean(),
    }


def stopped(curves: Curves) -> pd.DataFrame:
    """Which of random trials each pruner stops: a row for each pruner, seed and epoch.

    Returns:
        The columns are pruner, seed, epoch (of the drop), begun, stopped, before (how many of
        these before their own drop) and worse_half (whether that drop ends above the median).
    """
    return pd.DataFrame(_stopped(curves))


def _stopped(curves: Curves) -> Iterator[dict[str, Any]]:
    drops = _drops(curves)
    for name, pruner in PRUNERS.items():
        search = Search(_random, pruner=pruner)
        for seed in range(curves["never"].shape[1]):
            counts = {label: np.zeros(3, dtype=int) for label in drops}
            for draw in range(100 * seed, 100 * seed + DRAWS):
                for trial in looked_up(curves, seed, search, draw).trials:
                    epoch = trial.params["decay_epoch"]
                    pruned = trial.state == TrialState.PRUNED
                    before = pruned and (trial.last_step or 0) <= epoch
                    counts[f"{epoch}"] += 1, pruned, before
            ends = {label: curves[label][-1, seed] for label in drops}
            middle = np.median([*ends.values()])
            for label, (begun, number, before) in counts.items():
                yield {
                    "pruner": name, "seed": seed, "epoch": int(label), "begun": begun,
                    "stopped": number, "before": before, "worse_half": ends[label] > middle,
                }  # fmt: skip
