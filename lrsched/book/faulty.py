"""Twelve programs that train with other rates than planned: the mistakes that people make.

Each is short, runs, and complains of nothing, or of nothing that one would heed; the rates that
its updates used are recorded. All train for 4 epochs of 25 updates.
"""

import inspect
import math
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch
from keras.optimizers import SGD, schedules
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from ..cosines import Cosine, CosineAnnealing
from ..diagnosis import Diagnosis, diagnose
from ..keras import Recorder
from ..piecewise import PiecewiseConstant
from ..pytorch import record
from ..schedule import Schedule

__all__ = ["BATCHES", "EPOCHS", "PROGRAMS", "Program"]

EPOCHS, BATCHES = 4, 25
UPDATES = EPOCHS * BATCHES
PLAN = Cosine(0.1, UPDATES)
Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Program:
    """A faulty program.

    Attributes:
        mistake: what is wrong with it, in words.
        framework: "PyTorch" or "Keras".
        planned: the schedule that was meant, over updates.
        expected: the fault and its numbers, as :class:`lrsched.Diagnosis` has them.
        run: the program; it returns the rates that it recorded.
    """

    mistake: str
    framework: str
    planned: Schedule
    expected: dict[str, Any]
    run: Callable[[], Rates]

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def source(self) -> str:
        """Its code, without what describes it."""
        lines = inspect.getsource(self.run).splitlines()
        first = next(k for k, line in enumerate(lines) if line.startswith("def "))
        return textwrap.dedent("\n".join(lines[first:]))

    def diagnosis(self) -> Diagnosis:
        """Run it, deaf to its warnings as many are, and diagnose the rates."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rates = self.run()
        return diagnose(rates, self.planned, steps_per_epoch=BATCHES)


PROGRAMS: list[Program] = []


def program(
    framework: str, mistake: str, planned: Schedule = PLAN, **expected: Any
) -> Callable[[Callable[[], Rates]], Callable[[], Rates]]:
    """Put the program that follows into the list."""

    def listed(run: Callable[[], Rates]) -> Callable[[], Rates]:
        PROGRAMS.append(Program(mistake, framework, planned, expected, run))
        return run

    return listed


# PyTorch


def network() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Something to train, and what trains it."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def batches(epochs: int = 1) -> Iterator[torch.Tensor]:
    """The batches of some epochs."""
    return iter(torch.rand(epochs * BATCHES, 8, 4, generator=torch.Generator().manual_seed(0)))


def gradients(model: torch.nn.Module, batch: torch.Tensor) -> None:
    """Those of the loss on one batch."""
    model.zero_grad()
    mse_loss(model(batch), batch.sum(1, keepdim=True)).backward()  # type: ignore[no-untyped-call]


def cosine(update: int) -> float:
    """A factor for the base rate."""
    return 0.5 * (1 + math.cos(math.pi * update / UPDATES))


@program("PyTorch", "stepped once an epoch, with a length in updates", fault="slow", times=BATCHES)
def once_an_epoch() -> Rates:
    model, optimizer = network()
    scheduler = CosineAnnealingLR(optimizer, T_max=UPDATES)
    recorder = record(optimizer)
    for _ in range(EPOCHS):
        for batch in batches():
            gradients(model, batch)
            optimizer.step()
        scheduler.step()
    return recorder.rates


@program("PyTorch", "the scheduler stepped before the optimizer", fault="early", steps=1)
def scheduler_first() -> Rates:
    model, optimizer = network()
    scheduler = LambdaLR(optimizer, cosine)
    recorder = record(optimizer)
    for batch in batches(EPOCHS):
        gradients(model, batch)
        scheduler.step()
        optimizer.step()
    return recorder.rates


@program(
    "PyTorch",
    "the scheduler was used up by drawing its curve",
    planned=CosineAnnealing(0.1, UPDATES),
    fault="early",
    steps=UPDATES,
)
def used_up_by_drawing() -> Rates:
    model, optimizer = network()
    scheduler = CosineAnnealingLR(optimizer, T_max=UPDATES)
    curve = []
    for _ in range(UPDATES):
        curve.append(scheduler.get_last_lr())
        scheduler.step()
    recorder = record(optimizer)
    for batch in batches(EPOCHS):
        gradients(model, batch)
        optimizer.step()
        scheduler.step()
    return recorder.rates


@program("PyTorch", "four processes step one scheduler (here in turn)", fault="fast", times=4)
def four_processes() -> Rates:
    model, optimizer = network()
    scheduler = LambdaLR(optimizer, lambda step: cosine(min(step, UPDATES)))
    recorder = record(optimizer)
    for batch in batches(EPOCHS):
        gradients(model, batch)
        optimizer.step()
        for _ in range(4):  # each of the processes
            scheduler.step()
    return recorder.rates


@program(
    "PyTorch",
    "resumed without the state of the scheduler",
    fault="restarted",
    at=UPDATES // 2,
    places=(UPDATES // 2,),
)
def resumed_without_its_state() -> Rates:
    weights: dict[str, Any] = {}
    rates = []
    for part in range(2):
        model, optimizer = network()
        if part == 1:
            model.load_state_dict(weights)  # and nothing else
        scheduler = LambdaLR(optimizer, cosine)
        recorder = record(optimizer)
        for batch in batches(EPOCHS // 2):
            gradients(model, batch)
            optimizer.step()
            scheduler.step()
        weights = model.state_dict()
        rates.append(recorder.rates)
    return np.concatenate(rates)


@program(
    "PyTorch",
    "resumed at the number of the epoch, where updates are counted",
    fault="unexplained",
    steps=2 - UPDATES // 2,
    at=UPDATES // 2,
    places=(UPDATES // 2,),
)
def resumed_at_the_epoch() -> Rates:
    model, optimizer = network()
    scheduler = LambdaLR(optimizer, cosine)
    recorder = record(optimizer)
    for epoch in range(EPOCHS):
        if epoch == 2:
            scheduler = LambdaLR(optimizer, cosine, last_epoch=epoch - 1)
        for batch in batches():
            gradients(model, batch)
            optimizer.step()
            scheduler.step()
    return recorder.rates


@program(
    "PyTorch",
    "the loop goes on early where it logs, past scheduler.step()",
    fault="skipped",
    steps=4,
    at=21,
    places=(21, 41, 61, 81),
)
def past_the_step() -> Rates:
    model, optimizer = network()
    scheduler = LambdaLR(optimizer, cosine)
    recorder, log = record(optimizer), []
    for update, batch in enumerate(batches(EPOCHS)):
        gradients(model, batch)
        optimizer.step()
        if update and update % 20 == 0:
            log.append(scheduler.get_last_lr())
            continue
        scheduler.step()
    return recorder.rates


@program(
    "PyTorch",
    "a new optimizer, and the scheduler still has the old one",
    fault="stopped",
    at=UPDATES // 2,
)
def a_new_optimizer() -> Rates:
    model, optimizer = network()
    scheduler = LambdaLR(optimizer, cosine)
    recorders = [record(optimizer)]
    for update, batch in enumerate(batches(EPOCHS)):
        if update == UPDATES // 2:  # from here on with momentum
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            recorders.append(record(optimizer))
        gradients(model, batch)
        optimizer.step()
        scheduler.step()
    return np.concatenate([recorder.rates for recorder in recorders])


# Keras


def fit(rate: Any, *callbacks: Any, epochs: tuple[int, ...] = (EPOCHS,)) -> Rates:
    """Train a model with this rate, or schedule, in one call of fit or in several."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(SGD(rate), "mse")
    x, recorder = np.random.default_rng(0).random((8 * BATCHES, 4)), Recorder()
    settings = {"batch_size": 8, "verbose": 0, "callbacks": [*callbacks, recorder]}
    for several in epochs:
        model.fit(x, x.sum(1), epochs=several, **settings)
    return recorder.rates


@program(
    "Keras",
    "a boundary is the last step with the old rate, not the first with the new one",
    planned=PiecewiseConstant((40, 80), (0.1, 0.01, 0.001)),
    fault="late",
    steps=1,
)
def boundary() -> Rates:
    return fit(schedules.PiecewiseConstantDecay([40, 80], [0.1, 0.01, 0.001]))


@program(
    "Keras",
    "fit is called twice, and the callback counts epochs from 0 each time",
    planned=Cosine(0.1, EPOCHS).per_epoch(BATCHES),
    fault="restarted",
    at=UPDATES // 2,
    places=(UPDATES // 2,),
)
def fitted_twice() -> Rates:
    by_epoch = Cosine(0.1, EPOCHS)
    callback = keras.callbacks.LearningRateScheduler(lambda epoch: by_epoch(epoch))
    return fit(0.1, callback, epochs=(EPOCHS // 2, EPOCHS // 2))


@program(
    "Keras",
    "a schedule over epochs in the optimizer, which counts updates",
    planned=Cosine(0.1, EPOCHS).per_epoch(BATCHES),
    fault="fast",
    times=BATCHES,
)
def epochs_for_updates() -> Rates:
    return fit(schedules.CosineDecay(0.1, decay_steps=EPOCHS))


@program("Keras", "the callback sets lr, which Keras 3 does not read", fault="constant")
def another_attribute() -> Rates:
    class Decay(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.model.optimizer.lr = PLAN(batch)

    return fit(0.1, Decay())


if __name__ == "__main__":  # what is said of each
    for each in PROGRAMS:
        print(f"{each.framework}: {each.mistake}\n    {each.diagnosis()}\n")
