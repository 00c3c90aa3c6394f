"""The rate of each update is the one that moved the weights, and is checked."""

import ast
import dataclasses

import numpy as np
import pytest
import torch

import lrsched as L
from experiments import KINDS, NORMS, ROWS
from house import House
from lrsched.lab import Run, train
from lrsched.lab.fast.host import Loop
from lrsched.lab.optimizers import StackOptimizer
from lrsched.lab.runs import RateError

PLATEAU = L.Plateau(0.1, factor=0.5, patience=0, threshold=0.5)
RULES = {"cosine": L.Cosine(0.1, 20), "warmup": L.Constant(0.1).warmup(3), "plateau": PLATEAU}
SENTENCE = "16 updates of 3 runs: each used the rate of its schedule, exactly."


def nudged(rates, place):
    """The next float32 for one of the rates."""
    rates = rates.float()
    rates[place] = torch.nextafter(rates[place], torch.tensor(1.0))
    return rates


def another(patch, update):
    """From here on the second run uses another rate in one update, by the last digit."""
    step, loop = StackOptimizer.step, Loop.train

    def stepped(self, rates):
        wrong = self.steps + 1 == update and len(rates) > 1
        return step(self, nudged(rates, 1) if wrong else rates)

    def looped(self, optimizer, inputs, targets, orders, seed_of, rates, *others):
        if update - 1 - optimizer.steps in range(len(rates)):
            rates = nudged(rates, (update - 1 - optimizer.steps, 1))
        return loop(self, optimizer, inputs, targets, orders, seed_of, rates, *others)

    patch.setattr(StackOptimizer, "step", stepped)
    patch.setattr(Loop, "train", looped)


@pytest.mark.parametrize("update", [1, 4, 12])
@pytest.mark.parametrize("rule", [L.Cosine(0.1, 20), PLATEAU], ids=["cosine", "plateau"])
def test_another_rate_is_found(monkeypatch, kind, rule, update):
    """One run, one update, in the last digit: nothing is returned."""
    data, networks = KINDS[kind]
    said = {"epochs": 3, "batch_size": -(-len(data.train) // 4), "group": 2}
    make = next(iter(networks.values()))
    another(monkeypatch, update)
    message = rf"update {update - 1} of Run\(label='a', .* used the rate 0\..*, and not 0\."
    for each_update in (True, False):
        with pytest.raises(RateError, match=message):
            train([Run("b", L.Constant(0.1)), Run("a", rule)], data, network=make,
                  each_update=each_update, **said)  # fmt: skip


def test_no_check_is_an_assertion():
    """``python -O`` strips them."""
    for source in House().modules.values():
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(source.tree))
        assert "__debug__" not in source.text


# Checked again


@pytest.fixture(scope="module")
def trained():
    runs = [Run(label, rule) for label, rule in RULES.items()]
    return train(runs, ROWS, network=NORMS["None"], epochs=4, batch_size=8)


def test_check_rates(trained):
    assert trained.check_rates() == SENTENCE
    assert trained.rates[-1, 2] < 0.1
    some = trained.select(lambda run: run.label == "plateau")
    assert some.check_rates() == SENTENCE.replace("3", "1", 1)
    kept = dataclasses.replace(trained, rates=None)
    with pytest.raises(ValueError, match="rates of each update are not there: they were checked"):
        kept.check_rates()


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("step", [0, 5, 15])
def test_a_wrong_rate(trained, place, step):
    rates = trained.rates.copy()
    rates[step, place] = np.nextafter(rates[step, place], np.float32(1))
    label = list(RULES)[place]
    with pytest.raises(RateError, match=f"update {step} of Run.label='{label}'"):
        dataclasses.replace(trained, rates=rates).check_rates()


def test_a_plateau_that_followed_something_else(trained):
    rates = trained.rates.copy()
    rates[4:, 2] = trained.rates[3:-1, 2]  # one step too late
    better = np.repeat([[4.0], [2.0], [1.0], [0.0]], 3, axis=1)
    for other in (
        {"rates": rates},
        {"metrics": trained.metrics | {"validation_loss": better}},
        {"settings": trained.settings | {"watch": "batch_loss"}},
    ):
        changed = dataclasses.replace(trained, **other)
        if "settings" in other:
            changed.metrics["batch_loss"] = better
        with pytest.raises(RateError, match="label='plateau'"):
            changed.check_rates()
