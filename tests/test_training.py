"""Training side by side: each run goes as a plain PyTorch loop would take it."""

import copy
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, ReduceLROnPlateau, StepLR

import experiments
import lrsched as L
import reference
from experiments import FLAT, IMAGES, KINDS, NORMS, ROWS, agrees, alone, arrays, batches, same
from lrsched.lab import SGD, Adam, Run, lenet, train

RUN = Run("a", L.Constant(0.1))


def natives(lr):
    """Schedules, and PyTorch's own schedulers that give the same rates."""
    return {
        "warmup": (
            L.Constant(lr).warmup(6, start_lr=lr / 5),
            lambda native: LinearLR(native, 0.2, total_iters=6),
        ),
        "cosine": (L.CosineAnnealing(lr, 7), lambda native: CosineAnnealingLR(native, 7)),
        "steps": (L.StepDecay(lr, 5, gamma=0.5), lambda native: StepLR(native, 5, 0.5)),
        "plateau": (
            L.Plateau(lr, factor=0.5, patience=0, threshold=0.5),
            lambda native: ReduceLROnPlateau(native, factor=0.5, patience=0, threshold=0.5),
        ),
    }


@pytest.mark.parametrize("optimizer", [SGD(0.8, 0.003, True), Adam(0.5, 0.9, 1e-3, 0.01)], ids=repr)
def test_equals_a_plain_loop(kind, optimizer):
    """With PyTorch's own optimizers and schedulers: all rates, losses and metrics."""
    data, networks = KINDS[kind]
    lr = 0.003 if isinstance(optimizer, Adam) else 0.02
    schedules, said = natives(lr), {"epochs": 3, "batch_size": 18, "optimizer": optimizer}
    combined = itertools.product(schedules.items(), (0, 2**40), networks)
    runs = [Run(label, rule, seed, name) for (label, (rule, _)), seed, name in combined]
    results = train(runs, data, network=networks, group=3, **said)
    fell = [run.label == "plateau" for run in runs] & (results.rates[0] > results.rates[-1])
    assert fell.any()
    assert results.settings["watch"] == "validation_loss"
    for run in runs:
        theirs = {"lr": lr, "scheduler": schedules[run.label][1]}
        expected = alone(run, data, networks[run.network], **said, **theirs)
        agrees(results, run, expected, rtol=2e-3, atol=1e-5, rates=1e-6)


@pytest.mark.parametrize(("validation", "test"), [(0, 4), (6, 0), (0, 0)])
def test_without_samples(kind, validation, test):
    make = experiments.images if kind == "images" else experiments.rows
    network = list(KINDS[kind][1].values())[1]
    data = make(validation=validation, test=test)
    results = train([RUN], data, epochs=2, batch_size=10, network=network)
    for name, values in results.metrics.items():
        nothing = {"validation": not validation, "test": not test}
        assert np.isnan(values).all() == nothing.get(name.partition("_")[0], False)
    assert results.diverged.tolist() == [-1]


def test_the_defaults():
    """Batches of 32 and plain SGD, for images a LeNet of their size; all in one epoch."""
    results = train([RUN], IMAGES, epochs=2, group=1, chunk=10)
    expected = alone(RUN, IMAGES, lambda: lenet(8), epochs=2, batch_size=32)
    agrees(results, RUN, expected, rtol=5e-3)
    # Adam moves a weight by the sign of its gradient, even if that is rounding and no more.
    slow = Run("a", L.Constant(0.001))
    results = train([slow], IMAGES, epochs=2, optimizer=Adam(), network=FLAT["plain"])
    expected = alone(slow, IMAGES, FLAT["plain"], epochs=2, optimizer=Adam(), batch_size=32)
    agrees(results, slow, expected, rtol=0.01)


@given(
    kind=st.sampled_from(["images", "rows"]), optimizer=reference.OPTIMIZERS,
    batch_size=st.sampled_from([1, 2, 17, 29, 30, 31, 1000]), group=st.integers(1, 5),
    chunk=st.integers(1, 40), seed=st.integers(0, 2**40),
)  # fmt: skip
def test_any_optimizer_in_any_parts(kind, optimizer, group, chunk, batch_size, seed):
    data, make = (IMAGES, FLAT["plain"]) if kind == "images" else (ROWS, NORMS["None"])
    lr = 0.001 if isinstance(optimizer, Adam) else 0.01
    rules = {"a": L.Constant(lr), "b": L.Cosine(lr, 5)}
    runs = [Run(label, rule, seed + k) for label, rule in rules.items() for k in (0, 1)]
    said = {"optimizer": optimizer, "batch_size": batch_size, "epochs": 2}
    parts = {"chunk": chunk} if kind == "images" else {}
    results = train(runs, data, network=make, group=group, **parts, **said)
    for run in runs:
        agrees(results, run, alone(run, data, make, **said), rtol=1e-3, atol=1e-5)


def test_chunks_are_whole_batches_with_normalisation():
    """Asked for or not, and for all networks if one is normalised."""
    found = [
        train([RUN], IMAGES, epochs=1, network=FLAT["normalised"], group=1, chunk=chunk)
        for chunk in (None, 64)
    ]
    same(*map(arrays, found))
    found.append(
        train([Run("a", L.Constant(0.1), network="plain")], IMAGES, epochs=1, network=FLAT)
    )
    assert [results.surroundings["chunk"] for results in found] == [32] * 3


def test_distances(kind):
    data, networks = KINDS[kind]
    make = list(networks.values())[1]
    runs = [Run("a", L.Constant(0.1)), Run("b", L.Constant(0.5)), Run("a", L.Constant(0.1), 1)]
    size = -(-len(data.train) // 4)
    results = train(runs, data, network=make, epochs=2, batch_size=size, distances_every=3)
    assert results.distance_steps.tolist() == [0, 3, 6]
    torch.manual_seed(0)
    network = make()
    start = copy.deepcopy(network)
    criterion = cross_entropy if kind == "images" else mse_loss
    three = batches(data.train, 0, 0, size)[:3]
    reference.train(network, SGD().native(network.parameters(), 0.5), [three], criterion=criterion)
    layers = {name: layer for name, layer in network.named_children() if [*layer.parameters()]}
    assert list(results.distances) == [*layers]
    for name, layer in layers.items():
        values = results.distances[name]
        assert (values[0] == 0).all()
        assert (values[1:] > 0).all()
        before, after = (
            nn.utils.parameters_to_vector(each.parameters()).detach()
            for each in (start.get_submodule(name), layer)
        )
        expected = float((after - before).norm() / before.norm())
        assert values[1, 1] == pytest.approx(expected, 1e-3)


def test_after_epoch(kind):
    data, networks = KINDS[kind]
    runs = [Run("a", L.Constant(0.1), seed) for seed in (0, 1)] + [Run("b", L.Constant(0.2))]
    seen = []
    results = train(
        runs, data, epochs=3, network=next(iter(networks.values())), group=2,
        after_epoch=lambda *told: seen.append(told),
    )  # fmt: skip
    groups = (runs[0], runs[2]), (runs[1],)
    expected = [(group, epoch) for group in groups for epoch in (1, 2, 3)]
    assert [(tuple(group), epoch) for group, epoch, _ in seen] == expected
    for group, epoch, metrics in seen:
        places = [runs.index(run) for run in group]
        assert metrics.keys() == results.metrics.keys()
        for name, values in metrics.items():
            np.testing.assert_array_equal(values, results.metrics[name][epoch - 1, places])


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("import lrsched, lrsched.pytorch, lrsched.plotting", "lrsched.lab"),
        (
            "import lrsched.lab",
            "tensorflow keras sklearn pooch scipy matplotlib pandas optuna numba lrsched.book",
        ),
    ],
)
def test_imports(program, names):
    """The package does not import the lab, and the lab imports little."""
    program = f"{program}\nimport sys\nassert not sys.modules.keys() & set({names.split()})"
    subprocess.run([sys.executable, "-c", program], check=True)
