"""Training side by side: each run goes as a plain PyTorch loop would take it."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, StepLR

import lrsched as L
import reference
from experiments import (
    DIGITS,
    FLAT,
    IMAGES,
    KINDS,
    NORMS,
    ROWS,
    agrees,
    alone,
    arrays,
    batches,
    flat,
    images,
    mlp,
    normalised,
    rows,
    same,
)
from lrsched import lab
from lrsched.lab import SGD, Adam, Run, lenet, train
from lrsched.lab.classification import batches as of_images

RUN = Run("a", L.Constant(0.1))

OPTIMIZERS = [
    SGD(),
    SGD(momentum=0.9),
    SGD(weight_decay=0.05),
    SGD(0.8, 0.003, nesterov=True),
    Adam(eps=1e-3),
    Adam(0.5, 0.9, eps=1e-3, weight_decay=0.01),
]


def natives(lr):
    """Schedules, and PyTorch's own schedulers that give the same rates."""
    return {
        "constant": (L.Constant(lr), lambda native: LambdaLR(native, lambda step: 1.0)),
        "warmup": (
            L.Constant(lr).warmup(6, start_lr=lr / 5),
            lambda native: LinearLR(native, 0.2, total_iters=6),
        ),
        "cosine": (L.CosineAnnealing(lr, 7), lambda native: CosineAnnealingLR(native, 7)),
        "steps": (L.StepDecay(lr, 5, gamma=0.5), lambda native: StepLR(native, 5, 0.5)),
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_equals_a_plain_loop(kind, optimizer):
    """With PyTorch's own optimizers and schedulers: all rates, losses and metrics."""
    data, networks = KINDS[kind]
    lr = 0.003 if isinstance(optimizer, Adam) else 0.02
    schedules, said = natives(lr), {"epochs": 3, "batch_size": 18, "optimizer": optimizer}
    combined = itertools.product(schedules.items(), (0, 2**40), networks)
    runs = [Run(label, rule, seed, name) for (label, (rule, _)), seed, name in combined]
    results = train(runs, data, network=networks, group=3, **said)
    assert results.losses.shape == (3 * -(-len(data.train) // 18), len(runs))
    for run in runs:
        theirs = {"lr": lr, "scheduler": schedules[run.label][1]}
        expected = alone(run, data, networks[run.network], **said, **theirs)
        agrees(results, run, expected, rtol=2e-3, atol=1e-5, rates=1e-6)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_every_kind_of_network_of_rows(outputs, engine):
    """The last of three batches is smaller; the losses of normalised ones differ."""
    data = rows(outputs=outputs)
    combined = itertools.product((0, 1, 2, 4), (None, "before", "after"), ("tanh", "relu"))
    networks = {
        f"{depth} {norm} {activation}": mlp(
            depth=depth, norm=norm, activation=activation, outputs=outputs
        )
        for depth, norm, activation in combined
    }
    momenta = itertools.product((0.0, 0.37, 1.0), ("before", "after"))
    networks |= {f"{m} {n}": mlp(norm=n, momentum=m, outputs=outputs) for m, n in momenta}
    runs = [Run("a", L.Constant(0.02), 3, network) for network in networks]
    said = {"epochs": 3, "batch_size": 11}
    results = train(runs, data, network=networks, **said)
    for place, run in enumerate(runs):
        agrees(results, run, alone(run, data, networks[run.network], **said))
        losses = (results.metrics[name][:, place] for name in ("train_loss", "precise_loss"))
        has_statistics = any(True for _ in networks[run.network]().buffers())
        assert (np.equal(*losses) != has_statistics).all()
    assert len(np.unique(results.metrics["test_loss"][-1])) >= 25  # they are not all one


@pytest.mark.parametrize("batch_size", [1, 2, 29, 30, 31, 1000])
def test_batch_sizes(kind, batch_size):
    """From one sample to all; 29 leaves one sample."""
    data, make = (images(30), flat) if kind == "images" else (ROWS, NORMS["None"])
    said = {"epochs": 2, "batch_size": batch_size}
    results = train([RUN], data, network=make, **said)
    assert results.steps_per_epoch == -(-30 // batch_size)
    agrees(results, RUN, alone(RUN, data, make, **said), rtol=1e-3)


@pytest.mark.parametrize(("validation", "test"), [(0, 4), (6, 0), (0, 0)])
def test_without_samples(kind, validation, test):
    make, network = (images, flat) if kind == "images" else (rows, NORMS["after"])
    data = make(validation=validation, test=test)
    results = train([RUN], data, epochs=2, batch_size=10, network=network)
    for name, values in results.metrics.items():
        nothing = {"validation": not validation, "test": not test}
        assert np.isnan(values).all() == nothing.get(name.partition("_")[0], False)
    assert results.diverged.tolist() == [-1]


def test_the_defaults():
    """Batches of 32 and plain SGD, for images a LeNet of their size; all in one epoch."""
    results = train([RUN], DIGITS, epochs=1, group=1, chunk=10)
    expected = alone(RUN, DIGITS, lambda: lenet(8), epochs=1, batch_size=32)
    agrees(results, RUN, expected, rtol=5e-3)
    results = train([RUN], ROWS, epochs=2, network=mlp())
    agrees(results, RUN, alone(RUN, ROWS, mlp(), epochs=2, batch_size=32))
    # Adam moves a weight by the sign of its gradient, even if that is rounding and no more.
    slow = Run("a", L.Constant(0.001))
    results = train([slow], IMAGES, epochs=2, optimizer=Adam(), network=flat)
    expected = alone(slow, IMAGES, flat, epochs=2, optimizer=Adam(), batch_size=32)
    agrees(results, slow, expected, rtol=0.01)


# With a small eps, Adam divides tiny gradients by their own size: rounding decides signs.
DECAYS = st.just(0.0) | st.floats(1e-4, 0.1)
DRAWN = (
    st.builds(SGD, st.floats(0, 0.9), DECAYS)
    | st.builds(SGD, st.floats(0.1, 0.9), DECAYS, st.just(True))
    | st.builds(Adam, st.floats(0, 0.95), st.floats(0, 0.999), st.floats(1e-3, 0.1), DECAYS)
)


@given(
    kind=st.sampled_from(["images", "rows"]), optimizer=DRAWN, group=st.integers(1, 5),
    chunk=st.integers(1, 40), batch_size=st.integers(5, 40), seed=st.integers(0, 2**40),
)  # fmt: skip
def test_any_optimizer_in_any_parts(kind, optimizer, group, chunk, batch_size, seed):
    data, make = (images(60, 5, 5), flat) if kind == "images" else (ROWS, NORMS["None"])
    lr = 0.001 if isinstance(optimizer, Adam) else 0.01
    rules = {"a": L.Constant(lr), "b": L.Cosine(lr, 5), "c": L.Constant(lr).warmup(3)}
    runs = [Run(label, rule, seed) for label, rule in rules.items()] + [
        Run("a", rules["a"], seed + 1)
    ]
    said = {"optimizer": optimizer, "batch_size": batch_size, "epochs": 2}
    parts = {"chunk": chunk} if kind == "images" else {}
    results = train(runs, data, network=make, group=group, **parts, **said)
    for run in runs:
        agrees(results, run, alone(run, data, make, **said), rtol=1e-3, atol=1e-5)


# Normalisation of images: batches as a whole


def test_chunks_are_whole_batches_with_normalisation():
    """Asked for or not, and for all networks if one is normalised."""
    found = [
        train([RUN], IMAGES, epochs=1, network=normalised, group=1, chunk=chunk)
        for chunk in (None, 32, 64)
    ]
    for results in found:
        assert results.surroundings["chunk"] == 32
        same(arrays(found[0]), arrays(results))
    runs = [Run("a", L.Constant(0.1), network=network) for network in FLAT]
    assert train(runs, IMAGES, epochs=1, network=FLAT).surroundings["chunk"] == 32


# Batches and starts


def test_batches_hold_each_sample_once():
    numbered = lab.Split(torch.arange(50.0).view(50, 1, 1, 1), torch.arange(50))
    orders = {}
    for seed, epoch in itertools.product(range(3), range(3)):
        parts = list(of_images(numbered, 16, seed, epoch))
        assert [len(labels) for _, labels in parts] == [16, 16, 16, 2]
        assert all(torch.equal(x.flatten().long(), labels) for x, labels in parts)
        orders[seed, epoch] = tuple(torch.cat([labels for _, labels in parts]).tolist())
        assert sorted(orders[seed, epoch]) == list(range(50))
    assert len(set(orders.values())) == 9
    again = [labels for _, labels in of_images(numbered, 7, 1, 2)]
    assert tuple(torch.cat(again).tolist()) == orders[1, 2]  # whatever the size of the batches


def test_runs_of_a_seed_start_alike(kind):
    """And see the same batches: what the schedules share, the results share to the last bit."""
    data, networks = KINDS[kind]
    other = L.Sequence([L.Constant(0.3), L.Constant(1)], [5])
    runs = [Run("a", L.Constant(0.3)), Run("b", other), Run("a", L.Constant(0.3), 1)]
    said = {"epochs": 2, "batch_size": -(-len(data.train) // 4), "group": 3}
    losses = train(runs, data, network=next(iter(networks.values())), **said).losses
    assert (losses[:6, 0] == losses[:6, 1]).all()  # the sixth: before the first other update
    assert losses[6, 0] != losses[6, 1]
    assert losses[0, 0] != losses[0, 2]


def test_distances(kind):
    data, networks = KINDS[kind]
    make = list(networks.values())[1]
    runs = [Run("a", L.Constant(0.1)), Run("b", L.Constant(0.5)), Run("a", L.Constant(0.1), 1)]
    size = -(-len(data.train) // 4)
    results = train(runs, data, network=make, epochs=2, batch_size=size, distances_every=3)
    assert results.distance_steps.tolist() == [0, 3, 6]
    torch.manual_seed(0)
    start, network = make(), make()
    network.load_state_dict(start.state_dict())
    criterion = cross_entropy if kind == "images" else mse_loss
    three = batches(data.train, 0, 0, size)[:3]
    reference.train(network, SGD().native(network.parameters(), 0.5), [three], criterion=criterion)
    layers = [
        name for name, layer in start.named_children() if any(True for _ in layer.parameters())
    ]
    assert list(results.distances) == layers
    for name, values in results.distances.items():
        assert values.shape == (3, 3)
        assert (values[0] == 0).all()
        assert (values[1:] > 0).all()
        before, after = (
            nn.utils.parameters_to_vector(n.get_submodule(name).parameters()).detach()
            for n in (start, network)
        )
        expected = float((after - before).norm() / before.norm())
        assert values[1, 1] == pytest.approx(expected, 1e-3)


# What is called after each epoch


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


def test_a_training_that_it_ended_goes_on_from_its_checkpoint(tmp_path):
    runs = [Run(f"{rate}", L.Constant(rate), seed) for rate in (0.1, 0.3) for seed in (0, 1)]
    said = {"epochs": 3, "network": flat, "group": 2, "chunk": 32}
    said |= {"checkpoint": tmp_path / "c", "checkpoint_seconds": 0}
    calls = []

    def stop(group, epoch, metrics):
        calls.append(epoch)
        if len(calls) == 5:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        train(runs, IMAGES, **said, after_epoch=stop)
    assert calls == [1, 2, 3, 1, 2]
    resumed = train(runs, IMAGES, **said, after_epoch=stop)
    assert calls[5:] == [2, 3]  # the epoch that it ended was not kept
    same(arrays(resumed), arrays(train(runs, IMAGES, **said | {"checkpoint": None})))


# Imports


def loaded(program, names):
    program = f"{program}\nimport sys\nprint([name for name in {names} if name in sys.modules])"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_imports():
    """The package does not import the lab, and the lab imports little."""
    assert loaded("import lrsched, lrsched.pytorch, lrsched.plotting", ["lrsched.lab"]) == "[]"
    heavy = ["tensorflow", "keras", "sklearn", "pooch", "scipy", "matplotlib", "pandas", "optuna"]
    assert loaded("import lrsched.lab", [*heavy, "numba", "lrsched.book"]) == "[]"
