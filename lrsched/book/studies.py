"""The searches of the book, by functions that make them: an edition is chosen when they are called.

python -m lrsched.lab.search --study lrsched.book.studies:grid --trials 4
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from ..lab import Run, perceptron, search, train
from ..lab.search import Study
from ..piecewise import MultiStep
from .editions import edition, plan
from .trials.drops import FACTOR, RATE

__all__ = ["grid", "pruned", "random", "tpe"]


def _loss_by_decay_epoch(trial: Trial) -> float:
    """Train with one drop of the rate at an epoch to be chosen; the validation loss."""
    size = plan("decay-epochs")
    epoch = trial.suggest_int("decay_epoch", 2, size.epochs - 2, step=2)
    schedule = MultiStep(RATE, (epoch,), gamma=FACTOR).per_epoch(size.steps_per_epoch)

    def report(runs: Sequence[Run], epochs: int, metrics: Mapping[str, Any]) -> None:
        trial.report(float(metrics["validation_loss"][0]), epochs)
        if trial.should_prune():
            raise optuna.TrialPruned

    data = size.data
    results = train(
        [Run(f"{epoch}", schedule)],
        data,
        epochs=size.epochs,
        batch_size=size.batch_size,
        network=functools.partial(perceptron, data.side, len(data.classes)),
        group=1,
        chunk=size.batch_size,
        after_epoch=report,
    )
    loss = float(results.metrics["validation_loss"][-1, 0])
    return loss if math.isfinite(loss) else math.inf


def _study(sampler: str, samplers: Callable[[int], BaseSampler], **settings: Any) -> Study:
    """A study of the decay epoch in the edition at hand."""
    size = plan("decay-epochs")
    described = {
        "sampler": sampler,
        "edition": edition(),
        "data": size.data.checksum,
        "epochs": size.epochs,
        "batch_size": size.batch_size,
        "rate": RATE,
        "factor": FACTOR,
    }
    return Study(_loss_by_decay_epoch, samplers, settings=described, **settings)


def grid() -> Study:
    """A grid of four epochs."""
    epochs = (10, 20, 30, 50)
    return _study("grid", search.grid("decay_epoch", epochs), most=len(epochs))


def random() -> Study:
    """Epochs drawn at random."""
    return _study("random", search.random(seed=0))


def tpe() -> Study:
    """Epochs by the tree-structured Parzen estimator."""
    return _study("TPE", search.tpe(seed=0, n_startup_trials=4))


def pruned() -> Study:
    """The same, and trials stopped early that are worse than the median."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=10)
    return _study("TPE, pruned", search.tpe(seed=0, n_startup_trials=4), pruner=pruner)
