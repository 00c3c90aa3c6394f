"""The rate of each update is the one that moved the weights, and is checked."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

import lrsched as L
from experiments import KINDS, NORMS, ROWS, flat
from killed import ROOT
from lrsched.lab import Run, train
from lrsched.lab.fast.host import Loop
from lrsched.lab.optimizers import StackOptimizer
from lrsched.lab.runs import RateError

PLATEAU = L.Plateau(0.1, factor=0.5, patience=0, threshold=0.5)
RULES = {"cosine": L.Cosine(0.1, 20), "warmup": L.Constant(0.1).warmup(3), "plateau": PLATEAU}
SENTENCE = "16 updates of 3 runs: each used the rate of its schedule, exactly."


@pytest.mark.parametrize("kind", ["images", "batched"], indirect=True)
def test_the_rate_recorded_is_the_one_that_moved_the_weights(monkeypatch, kind):
    seen, step = [], StackOptimizer.step

    def watched(self, rates):
        before = [p.detach().clone() for p in self.parameters]
        used = step(self, rates)
        for old, p in zip(before, self.parameters, strict=True):
            largest = p.grad.flatten(1).abs().argmax(1, keepdim=True)
            moved = (old - p.detach()).flatten(1).gather(1, largest)
            seen.append((moved / p.grad.flatten(1).gather(1, largest))[:, 0].numpy())
        return used

    monkeypatch.setattr(StackOptimizer, "step", watched)
    data, networks = KINDS[kind]
    rules = [L.Constant(0.5), L.Cosine(0.4, 8), L.Constant(0.3).warmup(3), L.StepDecay(0.2, 2)]
    runs = [Run(repr(rule), rule) for rule in rules]
    size, make = -(-len(data.train) // 4), next(iter(networks.values()))
    parts = {"group": 4} | ({"chunk": 9} if kind == "images" else {})
    results = train(runs, data, network=make, epochs=2, batch_size=size, **parts)
    for place, rule in enumerate(rules):
        assert (results.rates[:, place] == np.float32(rule(np.arange(8)))).all()
    moved = np.array(seen).reshape(8, -1, 4)  # by weight tensor
    for weight in range(moved.shape[1]):
        np.testing.assert_allclose(moved[:, weight], results.rates, rtol=1e-3, atol=1e-4)


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


@pytest.mark.parametrize("engine", ["compiled", "batched"])
def test_another_rate_is_found_without_assertions(engine):
    program = f"""
import torch, lrsched as L, pytest
from lrsched import lab
from test_rates import another
from lrsched.lab import fast
assert False, "python -O strips this"
another(pytest.MonkeyPatch(), 3)
if {engine!r} == "batched":
    fast.loop = lambda *_: None
try:
    lab.sweep({{"n": lab.mlp}}, [0.1], 2, lab.polynomial(samples=400), epochs=1, group=2)
except lab.runs.RateError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-O", "-c", f"import sys; sys.path.insert(0, 'tests')\n{program}"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.startswith("update 2 of Run(label=0.1, ")


def test_an_optimizer_that_forgets_a_rate_is_found(monkeypatch):
    """What a step returns is what it used, not what it was given."""
    step = StackOptimizer.step
    monkeypatch.setattr(StackOptimizer, "step", lambda self, rates: step(self, rates * 0 + 0.1))
    said = {"network": flat, "epochs": 1, "group": 1, "chunk": 32}
    data = KINDS["images"][0]
    assert train([Run("a", L.Constant(0.1))], data, **said).check_rates()
    with pytest.raises(RateError, match=r"update 0 of Run.* used the rate 0\.1, and not 0\.2"):
        train([Run("a", L.Constant(0.2))], data, **said)


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
