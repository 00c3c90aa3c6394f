"""The searches of the book, and how any search is named."""

import functools
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from ...schedules import MultiStep
from ..editions import Plan, edition, plan
from ..history import Run
from ..models import perceptron
from ..training import train
from .samplers import grid, random, tpe
from .study import SearchError, Study

__all__ = ["STUDIES", "named"]

RATE, FACTOR = 0.5, 0.1


def _loss_by_decay_epoch(trial: Trial) -> float:
    """Train with one drop of the rate at an epoch to be chosen; the validation loss."""
    size = _plan()
    epoch = trial.suggest_int("decay_epoch", 2, size.epochs - 2, step=2)
    schedule = MultiStep(RATE, (epoch,), FACTOR).per_epoch(size.steps_per_epoch)

    def report(runs: Sequence[Run], epochs: int, metrics: Mapping[str, Any]) -> None:
        trial.report(float(metrics["validation_loss"][0]), epochs)
        if trial.should_prune():
            raise optuna.TrialPruned

    data = size.data
    history = train(
        [Run(f"{epoch}", schedule)],
        data,
        epochs=size.epochs,
        batch_size=size.batch_size,
        network=functools.partial(perceptron, data.side, len(data.classes)),
        group=1,
        chunk=size.batch_size,
        after_epoch=report,
    )
    history.check_rates()
    loss = float(history.metrics["validation_loss"][-1, 0])
    return loss if math.isfinite(loss) else math.inf


def _plan() -> Plan:
    size = plan("decay-epochs")
    assert isinstance(size, Plan)
    return size


def _decay_epoch(
    sampler: str, samplers: Callable[[int], BaseSampler], **settings: Any
) -> Callable[[], Study]:
    """What makes a study of the decay epoch in the edition at hand."""

    def study() -> Study:
        size = _plan()
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

    return study


GRID = (10, 20, 30, 50)

# By name, what makes the study: an edition is chosen when a worker starts, and not before.
STUDIES: dict[str, Callable[[], Study]] = {
    "decay-epoch-grid": _decay_epoch("grid", grid("decay_epoch", GRID), most=len(GRID)),
    "decay-epoch-random": _decay_epoch("random", random(seed=0)),
    "decay-epoch-tpe": _decay_epoch("TPE", tpe(seed=0, n_startup_trials=4)),
    "decay-epoch-pruned": _decay_epoch(
        "TPE, pruned",
        tpe(seed=0, n_startup_trials=4),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=10),
    ),
}


def named(name: str) -> Study:
    """The study of the book of this name, or for ``module:name`` one's own.

    Raises SearchError if there is none.
    """
    if name in STUDIES:
        return STUDIES[name]()
    module, _, attribute = name.partition(":")
    if not module or not attribute.isidentifier():
        raise SearchError(
            f"--study must be one of {', '.join(STUDIES)}, or module:name of your own, got {name!r}"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
        found = found if isinstance(found, Study) or not callable(found) else found()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SearchError(f"--study {name!r} gives no Study: {error}") from error
    if not isinstance(found, Study):
        raise SearchError(f"--study {name!r} must be a lrsched.lab.search.Study, got {found!r}")
    return found
