"""Sweeps beside plain PyTorch, one network at a time; groups, divergence, tables, checkpoints."""

import contextlib
import copy
import dataclasses
import functools
import itertools
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

import lrsched as L
import lrsched.pytorch
import trained
from killed import ONE_THREAD, ROOT, Stopped, ended, killed_until_done, start, stop_after
from lrsched import lab
from lrsched.lab import (
    SGD,
    Adam,
    Regression,
    Rows,
    compiled,
    mlp,
    optimizers,
    polynomial,
    sweep,
    sweeps,
)
from lrsched.lab.checkpoints import CheckpointError

LOSSES = ["batch_loss", "train_loss", "precise_loss", "validation_loss", "test_loss"]
COLUMNS = ["network", "schedule", "seed", "epoch", "rate", *LOSSES, "diverged"]


def made(features=3, outputs=1, train=30, validation=7, test=5):
    """Rows of a smooth function with some noise."""
    rng = np.random.default_rng(5)

    def rows(count):
        x = rng.normal(size=(count, features))
        y = np.sin(x @ rng.normal(size=(features, outputs))) + 0.3 * rng.normal(size=(count, 1))
        return Rows(*(torch.from_numpy(a.astype(np.float32)) for a in (x, y)))

    return Regression("made", rows(train), rows(validation), rows(test))


DATA = made()


def maker(*arguments, **keywords):
    """A function that makes an ``mlp``; of three features unless told otherwise."""
    return lambda: mlp(*arguments, **{"features": 3, **keywords})


NORMS = {str(norm): maker(depth=2, norm=norm) for norm in (None, "before", "after")}


@pytest.fixture(params=["compiled", "batched"])
def engine(request, monkeypatch):
    """Each of the two ways in which a sweep may be computed, in turn; its name."""
    if request.param == "batched":
        monkeypatch.setattr(compiled, "supported", lambda stack: False)
    return request.param


@pytest.fixture
def batched(monkeypatch):
    """Sweeps as on a GPU: by batched products, whose groups are measured."""
    monkeypatch.setattr(compiled, "supported", lambda stack: False)


BOTH_ENGINES = pytest.mark.usefixtures("engine")


# Beside PyTorch


def native(optimizer, parameters, lr):
    """PyTorch's own optimizer."""
    if isinstance(optimizer, Adam):
        return torch.optim.Adam(
            parameters, lr, (optimizer.beta1, optimizer.beta2), optimizer.eps,
            optimizer.weight_decay,
        )  # fmt: skip
    return torch.optim.SGD(
        parameters, lr, optimizer.momentum, weight_decay=optimizer.weight_decay,
        nesterov=optimizer.nesterov,
    )  # fmt: skip


def constant(optimizer):
    """No scheduler: the rate that the optimizer was made with."""


def with_plateau(plateau):
    """PyTorch's own scheduler with these settings."""
    names = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr")
    arguments = {name: getattr(plateau, name) for name in (*names, "eps")}
    return lambda optimizer: ReduceLROnPlateau(optimizer, **arguments)


def alone(
    make, seed, data=DATA, epochs=3, batch_size=8, optimizer=None, lr=1.0, scheduler=constant,
    watch="validation_loss",
):  # fmt: skip
    """The rows of one run, by an ordinary training loop."""
    torch.manual_seed(seed)
    model = make()
    optimizer = native(optimizer or SGD(), model.parameters(), lr)
    scheduler = scheduler(optimizer)
    each_epoch = isinstance(scheduler, ReduceLROnPlateau)

    def loss_of(network, rows):
        if not len(rows):
            return float("nan")
        with torch.no_grad():
            return nn.functional.mse_loss(network(rows.inputs), rows.targets).item()

    found = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(data.train))
        model.train()
        total = 0.0
        for first in range(0, len(order), batch_size):
            batch = order[first : first + batch_size]
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(
                model(data.train.inputs[batch]), data.train.targets[batch]
            )
            loss.backward()
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            if scheduler and not each_epoch:
                scheduler.step()
            total += loss.item() * len(batch)
        row = {"epoch": epoch + 1, "rate": rate, "batch_loss": total / len(order)}
        row["precise_loss"] = loss_of(copy.deepcopy(model).train(), data.train)
        model.eval()
        for part in ("train", "validation", "test"):
            row[f"{part}_loss"] = loss_of(model, getattr(data, part))
        found.append(row)
        if each_epoch:
            scheduler.step(row[watch])
    return pd.DataFrame(found)


def run_of(table, network, schedule, seed):
    chosen = (table.network == network) & (table.schedule == schedule) & (table.seed == seed)
    return table[chosen].reset_index(drop=True)


def agrees(table, network, schedule, seed, expected, exact_rate=True, slack=0.0):
    """The rows of a run are those expected, losses up to roundings and the slack."""
    found = run_of(table, network, schedule, seed)
    assert not found.diverged.any()
    assert found.epoch.tolist() == expected.epoch.tolist()
    np.testing.assert_allclose(found.rate, expected.rate, rtol=0 if exact_rate else 1e-12)
    for name in LOSSES:
        message = f"{network} {schedule} {seed} {name}"
        np.testing.assert_allclose(found[name], expected[name], 2e-4, 1e-6 + slack, err_msg=message)


KINDS = {
    f"{depth} {norm} {activation}": maker(depth=depth, norm=norm, activation=activation)
    for depth in (0, 1, 2, 3, 4)
    for norm in (None, "before", "after")
    for activation in ("tanh", "relu")
}


@BOTH_ENGINES
def test_every_kind_of_network():
    """The last of four batches is smaller; the losses of normalised ones differ."""
    table = sweep(KINDS, [0.02], [3], DATA, epochs=3, batch_size=8)
    for label, make in KINDS.items():
        agrees(table, label, 0.02, 3, alone(make, 3, lr=0.02, epochs=3))
        found = run_of(table, label, 0.02, 3)
        normalised = any(True for _ in make().buffers())
        assert (found.train_loss != found.precise_loss).all() == normalised
        if not normalised:
            assert (found.train_loss == found.precise_loss).all()
    assert table.groupby("network").batch_loss.first().nunique() >= 25  # they are not all one


@BOTH_ENGINES
@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.37, 1.0])
def test_momentum_of_the_running_statistics(momentum):
    networks = {n: maker(depth=2, norm=n, momentum=momentum) for n in ("before", "after")}
    table = sweep(networks, [0.1], 1, DATA, epochs=3, batch_size=8)
    for label, make in networks.items():
        agrees(table, label, 0.1, 0, alone(make, 0, lr=0.1))


@BOTH_ENGINES
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_outputs(outputs):
    data = made(outputs=outputs)
    networks = {str(n): maker(norm=n, width=5, outputs=outputs) for n in (None, "after")}
    table = sweep(networks, [0.1], 2, data, epochs=3, batch_size=13)
    for (label, make), seed in itertools.product(networks.items(), (0, 1)):
        agrees(table, label, 0.1, seed, alone(make, seed, data, lr=0.1, batch_size=13))


@BOTH_ENGINES
@pytest.mark.parametrize("batch_size", [1, 2, 29, 30, 31, 1000])
def test_batch_sizes(batch_size):
    """From one row to all; 29 leaves one row, which a network without normalisation can bear."""
    table = sweep({"a": NORMS["None"]}, [0.02], 2, DATA, epochs=2, batch_size=batch_size)
    assert table.attrs["settings"]["steps_per_epoch"] == -(-30 // batch_size)
    for seed in (0, 1):
        expected = alone(NORMS["None"], seed, lr=0.02, epochs=2, batch_size=batch_size)
        agrees(table, "a", 0.02, seed, expected)


def test_the_default_batch_size_and_optimizer():
    data = polynomial()
    table = sweep({"a": mlp}, [0.01], 1, data, epochs=1)
    agrees(table, "a", 0.01, 0, alone(mlp, 0, data, lr=0.01, epochs=1, batch_size=50))


@BOTH_ENGINES
@pytest.mark.parametrize(("validation", "test"), [(0, 4), (6, 0), (0, 0)])
def test_without_rows(validation, test):
    data = made(validation=validation, test=test)
    table = sweep(NORMS, [0.1], 1, data, epochs=2, batch_size=8)
    assert table.validation_loss.isna().all() == (not validation)
    assert table.test_loss.isna().all() == (not test)
    for label, make in NORMS.items():
        agrees(table, label, 0.1, 0, alone(make, 0, data, lr=0.1, epochs=2))


OPTIMIZERS = [
    SGD(0.9),
    SGD(0.5, nesterov=True),
    SGD(weight_decay=0.1),
    SGD(0.8, 0.05, True),
    Adam(eps=1e-3),
    Adam(0.5, 0.9, 1e-3, 0.1),
]


@BOTH_ENGINES
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_optimizers(optimizer):
    table = sweep(NORMS, [0.003, 0.02], 2, DATA, epochs=3, batch_size=8, optimizer=optimizer)
    for (label, make), rate, seed in itertools.product(NORMS.items(), (0.003, 0.02), (0, 1)):
        agrees(table, label, rate, seed, alone(make, seed, optimizer=optimizer, lr=rate))


SCHEDULES = {
    "cosine": L.Cosine(0.1, 9).warmup(3),
    "steps": L.StepDecay(0.1, 5, 0.5),
    "per epoch": L.Exponential(0.1, 0.7).per_epoch(4),
    "cyclical": L.Cyclical(0.01, 0.1, 3),
    "by hand": L.PiecewiseConstant([4, 8], [0.0, 0.1, 0.02]),
}


@BOTH_ENGINES
@pytest.mark.parametrize("by", ["lrsched", "LambdaLR"])
def test_schedules_over_steps(by):
    table = sweep(NORMS, SCHEDULES, [7], DATA, epochs=3, batch_size=8, optimizer=SGD(0.5))
    for (network, make), (label, schedule) in itertools.product(NORMS.items(), SCHEDULES.items()):

        def scheduler(optimizer, schedule=schedule):
            if by == "lrsched":
                return lrsched.pytorch.scheduler(optimizer, schedule)
            return LambdaLR(optimizer, lambda step: float(schedule(step)))

        expected = alone(make, 7, optimizer=SGD(0.5), scheduler=scheduler)
        agrees(table, network, label, 7, expected, exact_rate=by == "lrsched")


PLATEAUS = {
    "often": L.Plateau(0.2, 0.5, 0, 0.1),
    "cooldown": L.Plateau(0.1, 0.3, 0, 0.2, cooldown=2),
    "patient": L.Plateau(0.1, 0.1, 1, 0.2, min_lr=0.005),
    "max": L.Plateau(0.1, 0.5, 1, 0.01, mode="max", threshold_mode="abs"),
}


@BOTH_ENGINES
@pytest.mark.parametrize("watch", LOSSES)
def test_plateau(watch):
    """The same decisions as PyTorch's: by its own losses and, exactly, by those of the table."""
    arguments = {"epochs": 8, "batch_size": 8}
    mixed = PLATEAUS | {"constant": 0.1}
    table = sweep(NORMS, mixed, 2, DATA, watch=watch, **arguments)
    assert table.attrs["settings"]["watch"] == watch
    fell = 0
    for (network, make), label, seed in itertools.product(NORMS.items(), PLATEAUS, (0, 1)):
        plateau = PLATEAUS[label]
        expected = alone(
            make, seed, lr=plateau.base_lr, scheduler=with_plateau(plateau), watch=watch,
            **arguments,
        )  # fmt: skip
        agrees(table, network, label, seed, expected)
        found = run_of(table, network, label, seed)
        optimizer = torch.optim.SGD([torch.zeros(1)], plateau.base_lr)
        scheduler = with_plateau(plateau)(optimizer)
        for rate, value in zip(found.rate, found[watch], strict=True):
            assert rate == optimizer.param_groups[0]["lr"]
            scheduler.step(float(value))
        fell += found.rate.nunique() > 1
    assert fell >= 12  # of 24
    assert (table[table.schedule == "constant"].rate == 0.1).all()


def test_a_plateau_is_taken_as_at_its_start():
    plateau = L.Plateau(0.1, 0.5, 0, 0.3)
    used = dataclasses.replace(plateau)
    for _ in range(5):
        used.update(1.0)
    before = dataclasses.astuple(used)
    first, second = (
        sweep(NORMS, {"a": p}, 2, DATA, epochs=4, batch_size=8) for p in (plateau, used)
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert first.rate.min() < 0.1
    assert dataclasses.astuple(used) == before
    assert plateau.lr == 0.1


def test_watch_is_the_validation_loss_unless_told():
    arguments = {"epochs": 5, "batch_size": 8}
    found = sweep(NORMS, PLATEAUS, 2, DATA, **arguments)
    assert found.equals(sweep(NORMS, PLATEAUS, 2, DATA, watch="validation_loss", **arguments))
    assert not found.equals(sweep(NORMS, PLATEAUS, 2, DATA, watch="batch_loss", **arguments))


RATES = st.floats(1e-4, 0.1)


def double(data):
    """The same data in float64, which ``Rows`` does not take."""
    data = copy.deepcopy(data)
    for rows in (data.train, data.validation, data.test):
        for name in ("inputs", "targets"):
            object.__setattr__(rows, name, getattr(rows, name).double())
    return data


@settings(max_examples=12)
@given(data=st.data())
def test_drawn(data):
    """Some networks are hard to compute: as far from PyTorch's as that is from float64."""
    draw = data.draw
    features, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rows = made(features, outputs)
    networks = {
        str(number): maker(
            features=features, outputs=outputs, depth=draw(st.integers(0, 3)),
            width=draw(st.integers(1, 6)), norm=draw(st.sampled_from([None, "before", "after"])),
            activation=draw(st.sampled_from(["tanh", "relu"])), momentum=draw(st.floats(0, 1)),
        )
        for number in range(2)
    }  # fmt: skip
    schedules = {
        "constant": draw(RATES),
        "drawn": draw(
            st.builds(L.Cosine, RATES, st.integers(1, 20), RATES)
            | st.builds(L.StepDecay, RATES, st.integers(1, 5), st.floats(0, 1))
            | st.builds(
                lambda rate, steps: L.Constant(rate).warmup(steps), RATES, st.integers(0, 9)
            )
        ),
    }
    optimizer = draw(
        st.builds(SGD, st.floats(0.01, 0.9), st.floats(0, 0.2), st.booleans())
        | st.builds(Adam, st.floats(0, 0.95), st.floats(0, 0.999), st.floats(1e-3, 0.1))
    )
    batch_size = draw(st.sampled_from([8, 12, 13, 30, 64]))  # no last batch below four
    seeds = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=2, unique=True))
    said = {"epochs": 2, "batch_size": batch_size, "optimizer": optimizer}
    table = sweep(networks, schedules, seeds, rows, group=draw(st.integers(1, 5)), **said)
    for (network, make), label, seed in itertools.product(networks.items(), schedules, seeds):
        schedule = L.Constant(schedules[label]) if label == "constant" else schedules[label]
        said["scheduler"] = functools.partial(lrsched.pytorch.scheduler, schedule=schedule)
        expected = alone(make, seed, rows, **said)
        precise = alone(lambda make=make: make().double(), seed, double(rows), **said)
        lost = np.nanmax(np.abs(precise[LOSSES] - expected[LOSSES]))
        agrees(table, network, label, seed, expected, slack=50 * lost)


# What changes nothing

MANY = {
    "networks": NORMS | {"wide": maker(depth=3, width=9, norm="before", activation="relu")},
    "schedules": {"low": 0.01, "high": 0.2, "cosine": L.Cosine(0.1, 9), **PLATEAUS},
    "seeds": 3,
    "data": DATA,
    "epochs": 3,
    "batch_size": 8,
}


@pytest.fixture(scope="module")
def many():
    """In groups as large as can be."""
    return sweep(**MANY, group=10**6)


def same(left, right, engine="compiled"):
    """Equal to the last bit, but for the losses of batched products.

    How these round depends on the processor, the number of matrices and the threads: in the
    first epoch by less than one part in 10,000.
    """
    losses = LOSSES if engine == "batched" else []
    exact = [name for name in left if name not in losses]
    pd.testing.assert_frame_equal(left[exact], right[exact], check_exact=True)
    pd.testing.assert_frame_equal(left[losses], right[losses], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("group", [1, 2, 3, 7, 20, 21, 22, None])
def test_groups_change_nothing(many, group):
    found = sweep(**MANY, group=group)
    same(many, found)
    said = found.attrs["surroundings"]["group"]
    assert said == group if group else 1 <= said <= 21


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_groups_change_nothing_with_any_optimizer(engine, optimizer):
    said = MANY | {"optimizer": optimizer}
    same(sweep(**said, group=21), sweep(**said, group=4), engine)


@pytest.mark.parametrize(("outputs", "width"), [(1, 1), (1, 4), (3, 4)])
def test_groups_change_nothing_on_larger_data(engine, outputs, width):
    """Sums so long that their order can differ."""
    data = made(5, outputs, train=1200, validation=300, test=300)
    arguments = {"features": 5, "outputs": outputs, "width": width}
    networks = {str(n): maker(**arguments, norm=n) for n in (None, "before", "after")}
    said = {"epochs": 1, "batch_size": 200}
    whole = sweep(networks, [0.01, 0.2], 3, data, **said, group=6)
    assert not whole.diverged.any()
    for group in (1, 2, 5):
        same(whole, sweep(networks, [0.01, 0.2], 3, data, **said, group=group), engine)


def test_threads_change_nothing(engine):
    """With layers that PyTorch shares out among threads."""
    networks = {str(n): maker(width=8, depth=2, norm=n) for n in (None, "before")}
    data = made(train=2400, validation=300)
    found = []
    before = torch.get_num_threads()
    try:
        for threads, group in ((1, 4), (2, 4), (2, 1)):
            torch.set_num_threads(threads)
            table = sweep(networks, [0.1, 0.2], 2, data, epochs=1, batch_size=1200, group=group)
            assert table.attrs["surroundings"]["threads"] == threads
            found.append(table)
    finally:
        torch.set_num_threads(before)
    assert not found[0].diverged.any()
    same(found[0], found[1], engine)
    same(found[0], found[2], engine)


def test_twice_the_same(many):
    same(many, sweep(**MANY, group=10**6))


def test_the_generators_stay_as_they_were():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    states = torch.get_rng_state().clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    sweep(**MANY)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002


def test_the_data_stay_as_they_were():
    data = made()
    checksum = data.checksum
    sweep(**MANY | {"data": data})
    assert data.checksum == checksum


def test_fewer_combinations_are_the_same_rows(many):
    """A run is the same whatever it is trained beside."""
    few = sweep(**MANY | {"schedules": {"high": 0.2}, "seeds": [2, 0]}, group=2)
    for network, seed in itertools.product(MANY["networks"], (0, 2)):
        same(run_of(many, network, "high", seed), run_of(few, network, "high", seed))


# Divergence


@BOTH_ENGINES
@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam()], ids=repr)
@pytest.mark.parametrize("norm", [None, "before", "after"])
def test_a_diverging_run_leaves_the_others_alone(norm, optimizer):
    networks = {"a": maker(depth=3, norm=norm, activation="relu")}

    def beside(rate, plateau):
        """The others, and whether these two diverge."""
        schedules = {
            "low": 0.001, "two": rate, "high": 0.02, "plateau": L.Plateau(0.01, 0.5, 0, 0.1),
            "two, plateau": L.Plateau(plateau, 0.9, 0),
        }  # fmt: skip
        said = {"epochs": 4, "batch_size": 8, "optimizer": optimizer, "group": 15}
        table = sweep(networks, schedules, 3, DATA, **said)
        two = table.schedule.str.startswith("two")
        return table[~two], table[two].groupby(["schedule", "seed"]).diverged.last()

    quiet, calm = beside(0.01, 0.01)
    others, diverged = beside(1e30, 1e29)
    assert diverged.all()
    assert not calm.any()
    assert not quiet.diverged.any()
    same(quiet, others)


@BOTH_ENGINES
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("step", "batch_size", "epoch"),
    [
        (0, 8, 1),
        (3, 8, 1),  # seen by the measurement after the last update of the epoch
        (4, 8, 2),
        (6, 8, 2),
        (7, 8, 2),
        (8, 8, 3),
        (15, 8, 4),  # the very last update
        (16, 8, None),  # after it
        (1, 30, 2),
        (3, 30, 4),
    ],
)
def test_the_epoch_of_divergence(norm, step, batch_size, epoch):
    make = maker(depth=2, norm=None if norm == "None" else norm, activation="relu")
    schedule = L.PiecewiseConstant([step - 0.5], [0.01, 1e30]) if step else L.Constant(1e30)
    said = {"epochs": 4, "batch_size": batch_size}
    table = sweep({"a": make}, {"huge": schedule, "low": 0.01}, 2, DATA, **said)
    for seed in (0, 1):
        found, calm = (run_of(table, "a", label, seed) for label in ("huge", "low"))
        diverged = [epoch is not None and each >= epoch for each in range(1, 5)]
        assert found.diverged.tolist() == diverged
        assert not calm.diverged.any()
        for name in LOSSES:
            assert found[name].isna().tolist() == diverged
            assert np.isfinite(found[name][~found.diverged]).all()
            assert found[name][: (epoch or 5) - 1].equals(calm[name][: (epoch or 5) - 1])


@BOTH_ENGINES
def test_divergence_as_plain_pytorch_has_it():
    """A rate at which runs overflow one after the other."""
    networks = {"a": maker(depth=2, activation="relu", width=8)}
    rates = [0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1e4]
    table = sweep(networks, rates, 4, DATA, epochs=12, batch_size=8)
    began = set()
    for rate, seed in itertools.product(rates, range(4)):
        expected = alone(networks["a"], seed, lr=rate, epochs=12)
        broken = ~np.logical_and.accumulate(np.isfinite(expected[LOSSES]).all(axis=1))
        found = run_of(table, "a", rate, seed)
        assert found.diverged.tolist() == broken.tolist()
        began.add(int(broken.values.argmax()) if broken.any() else -1)
    assert len(began) >= 3, began


@pytest.mark.parametrize("place", range(4))
def test_diverged_stays_though_the_losses_are_finite_again(monkeypatch, place):
    """One loss that is not finite, in weights that are."""
    real = sweeps._Group._ordered

    def ordered(self, measured):
        found = real(self, measured)
        if self.epoch == 1:  # the second
            found[place][0] = torch.inf
        return found

    monkeypatch.setattr(sweeps._Group, "_ordered", ordered)
    table = sweep(NORMS, [0.01, 0.02], 1, DATA, epochs=4, batch_size=8)
    first, second = (table[table.schedule == rate] for rate in (0.01, 0.02))
    assert first.diverged.tolist() == 3 * [False, True, True, True]
    assert first[LOSSES].isna().all(axis=1).tolist() == first.diverged.tolist()
    assert not second.diverged.any()


# The table


def test_rows_and_columns():
    networks = {"z": NORMS["None"], "a": NORMS["after"]}
    schedules = {"y": 0.1, "b": L.Plateau(0.2), "c": L.Cosine(0.3, 5), "": 1}
    seeds = (5, 0, 2**33)
    for group in (None, 1, 5):
        table = sweep(networks, schedules, seeds, DATA, epochs=2, batch_size=10, group=group)
        assert list(table.columns) == COLUMNS
        expected = list(itertools.product(networks, schedules, seeds, (1, 2)))
        assert list(table[COLUMNS[:4]].itertuples(index=False, name=None)) == expected
        assert table.index.equals(pd.RangeIndex(len(expected)))
        for name in ("network", "schedule"):
            assert pd.api.types.is_string_dtype(table[name])
            assert all(type(label) is str for label in table[name])
        kinds = {"seed": "int64", "epoch": "int64", "rate": "float64", "diverged": "bool"}
        kinds |= dict.fromkeys(LOSSES, "float32")
        assert {name: str(table[name].dtype) for name in kinds} == kinds


@pytest.mark.parametrize(
    "rates",
    [[0.3, 0.1, 1], (0.3, 0.1, 1.0), np.array([0.3, 0.1, 1.0]), iter([0.3, 0.1, 1])],
    ids=["list", "tuple", "array", "iterator"],
)
def test_rates_are_their_own_labels(rates):
    table = sweep({"a": NORMS["None"]}, rates, 1, DATA, epochs=2, batch_size=8)
    assert table.schedule.dtype == "float64"
    assert table.schedule.tolist() == [0.3, 0.3, 0.1, 0.1, 1, 1]
    assert (table.schedule == table.rate).all()


def test_rates_of_any_kind_of_number():
    numbers = {"float": 0.5, "int": 1, "np": np.float64(0.25), "single": np.float32(0.125),
               "np int": np.int64(1), "zero": 0}  # fmt: skip
    table = sweep({"a": NORMS["None"]}, numbers, 1, DATA, epochs=1, batch_size=8)
    assert table.rate.tolist() == [float(number) for number in numbers.values()]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (3, [0, 1, 2]),
        (np.int64(2), [0, 1]),
        ([4, 1], [4, 1]),
        (range(2, 4), [2, 3]),
        (np.array([7, 3]), [7, 3]),
        ([np.uint8(9)], [9]),
        (iter([1, 0]), [1, 0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_seeds(seeds, expected):
    networks = {"a": NORMS["None"]}
    table = sweep(networks, [0.1], seeds, DATA, epochs=1, batch_size=8)
    assert table.seed.tolist() == expected
    for seed in expected:
        agrees(table, "a", 0.1, seed, alone(networks["a"], seed, lr=0.1, epochs=1))


@pytest.mark.parametrize("optimizer", [None, SGD(0.9, 0.01, True), Adam(0.5)], ids=repr)
def test_attrs(optimizer):
    table = sweep(**MANY, optimizer=optimizer, group=5)
    assert set(table.attrs) == {"settings", "surroundings", "seconds"}
    said = table.attrs["settings"]
    assert said["data"] == "made"
    assert said["checksum"] == DATA.checksum
    assert said["networks"] == {label: str(make()) for label, make in MANY["networks"].items()}
    described = said["optimizer"]
    kind = getattr(lab, described["class"])
    arguments = {name: value for name, value in described.items() if name != "class"}
    assert kind(**arguments) == (optimizer or SGD())
    numbers = ("epochs", "batch_size", "steps_per_epoch", "samples")
    assert [said[name] for name in numbers] == [3, 8, 4, 30]
    around = table.attrs["surroundings"]
    assert around["torch"] == torch.__version__
    assert around["device"] == "CPU"
    assert around["threads"] == torch.get_num_threads()
    assert around["group"] == 5
    assert table.attrs["seconds"] > 0


def test_rate_is_that_of_the_last_update():
    schedule = L.Linear(0.0, 0.011, 11)
    table = sweep(NORMS, {"a": schedule}, 1, DATA, epochs=3, batch_size=8)
    assert table.rate.tolist() == 3 * [float(schedule(step)) for step in (3, 7, 11)]


@pytest.mark.usefixtures("batched")
@pytest.mark.parametrize("step", [1, 4, 12])
@pytest.mark.parametrize("schedule", [L.Cosine(0.1, 20), L.Plateau(0.1)], ids=["cosine", "plateau"])
def test_applied_rates_are_checked(monkeypatch, step, schedule):
    """One run, one update, in the last digit."""
    real = optimizers.StackOptimizer.step

    def another(self):
        if self.steps + 1 == step and len(self.rates) > 1:
            self.rates[1] = torch.nextafter(self.rates[1], torch.tensor(1.0, dtype=torch.float64))
        real(self)

    monkeypatch.setattr(optimizers.StackOptimizer, "step", another)
    with pytest.raises(AssertionError, match=r"(?s)Arrays are not equal.*Run\(label='a'"):
        sweep({"n": NORMS["None"]}, {"a": schedule}, 2, DATA, epochs=3, batch_size=8, group=2)


@pytest.mark.parametrize("step", [1, 4, 12])
@pytest.mark.parametrize("schedule", [L.Cosine(0.1, 20), L.Plateau(0.1)], ids=["cosine", "plateau"])
def test_applied_rates_are_checked_where_compiled(monkeypatch, step, schedule):
    """One run, one update, in the last digit of float32."""
    real = compiled.train

    def another(stack, optimizer, inputs, targets, orders, seed_of, rates, *arguments):
        place = step - 1 - optimizer.steps
        if place in range(len(rates)):
            rates = rates.float()
            rates[place, 1] = torch.nextafter(rates[place, 1], torch.tensor(1.0))
        return real(stack, optimizer, inputs, targets, orders, seed_of, rates, *arguments)

    monkeypatch.setattr(compiled, "train", another)
    with pytest.raises(AssertionError, match="other rates were applied than planned"):
        sweep({"n": NORMS["None"]}, {"a": schedule}, 2, DATA, epochs=3, batch_size=8, group=2)


# Sizes of groups


def chosen(networks, data, runs):
    rates = np.linspace(0.01, 0.02, runs).tolist()
    table = sweep(networks, rates, 1, data, epochs=1, batch_size=50)
    return table.attrs["surroundings"]["group"]


@pytest.mark.usefixtures("batched")
def test_a_group_stays_within_memory(monkeypatch):
    """Measured is what the widest layer of all networks gives for all rows."""
    data = made(train=400, validation=100, test=100)
    narrow, wide = maker(width=2, depth=1), maker(width=40, depth=1)
    deep = maker(width=12, depth=12)  # more weights than the wide one
    monkeypatch.setattr(sweeps, "SIZES", (2, 64))
    monkeypatch.setattr(sweeps, "least_seconds", lambda work, device: 1.0)  # the more the better
    output = 4 * 40 * 600  # bytes of the wide layer's output for one network
    monkeypatch.setattr(sweeps, "MEMORY", 10 * 4 * output)
    assert chosen({"a": narrow}, data, 70) == 64
    assert chosen({"a": wide}, data, 70) == 10
    assert chosen({"a": narrow, "b": wide}, data, 70) == 10
    assert sum(p.numel() for p in deep().parameters()) > sum(p.numel() for p in wide().parameters())
    assert chosen({"a": wide, "b": deep}, data, 70) == 10
    assert chosen({"a": wide}, data, 6) == 6  # there are no more
    monkeypatch.setattr(sweeps, "MEMORY", 1)
    assert chosen({"a": wide}, data, 5) == 1


@pytest.mark.usefixtures("batched")
def test_the_fastest_size_is_taken(monkeypatch):
    costs = {2: 30.0, 4: 10.0, 8: 90.0}
    monkeypatch.setattr(sweeps, "SIZES", tuple(costs))

    class Timed(sweeps._Group):
        def __init__(self, runs, *arguments):
            Timed.size = len(runs)
            super().__init__(runs, *arguments)

    monkeypatch.setattr(sweeps, "_Group", Timed)
    monkeypatch.setattr(sweeps, "least_seconds", lambda work, device: costs[Timed.size])
    assert chosen({"a": NORMS["None"]}, DATA, 9) == 4
    costs[8] = 10.0  # 1.25 each
    assert chosen({"a": NORMS["None"]}, DATA, 9) == 8


def test_what_is_compiled(monkeypatch):
    """Small networks on little data: else the memory of a block would be large, and slow."""
    used = []
    real = compiled.train
    monkeypatch.setattr(compiled, "train", lambda *given: used.append(1) or real(*given))

    def compiles(make, data=DATA):
        used.clear()
        sweep({"n": make}, [0.01], 1, data, epochs=1, batch_size=10)
        return bool(used)

    assert compiles(maker(width=64, norm="before"))
    assert not compiles(maker(width=65))
    monkeypatch.setattr(sweeps, "MEMORY", torch.get_num_threads() * 16 * 16 * 4 * 42)
    assert compiles(maker(width=4))
    assert not compiles(maker(width=5))


def test_groups_are_of_one_network_and_even(monkeypatch):
    sizes = []

    class Counted(sweeps._Group):
        def __init__(self, runs, make, *arguments):
            sizes.append((make, len(runs)))
            super().__init__(runs, make, *arguments)

    monkeypatch.setattr(sweeps, "_Group", Counted)
    two = {"a": NORMS["None"], "b": NORMS["after"]}
    sweep(two, [0.1, 0.2], 5, DATA, epochs=1, batch_size=8, group=4)
    assert [make for make, _ in sizes] == [two["a"]] * 3 + [two["b"]] * 3
    assert [size for _, size in sizes] == [4, 3, 3] * 2


PEAK = '''
import sys
from pathlib import Path
import numpy as np
import torch
from lrsched import lab

def peak():
    """In KiB, of this program: ru_maxrss begins with what the parent held at the fork."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

def run(rates, seeds):
    networks = {"a": lambda: lab.mlp(width=32, depth=1, norm="before")}
    rates = np.geomspace(0.001, 0.1, rates)
    return lab.sweep(networks, rates, seeds, lab.polynomial(samples=600), epochs=1)

run(1, 2)
before = peak()
table = run(int(sys.argv[1]) // 64, 64)
print(len(table), peak() - before, peak())
'''


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_of_thousands_of_networks():
    """The output of a layer of all 4096 for all rows would take 315 MB."""
    environment = os.environ | ONE_THREAD
    growth = {}
    for runs in (512, 4096):
        command = [sys.executable, "-c", PEAK, str(runs)]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        rows, growth[runs], peak = map(int, done.stdout.split())
        assert rows == runs
        assert peak < 2 * 2**20
    assert growth[4096] < 330 * 2**10, growth
    assert growth[4096] < growth[512] + 250 * 2**10, growth


# Checkpoints


def test_killed_at_any_moment(tmp_path):
    assert ended(start(trained.sweep, None, tmp_path / "whole")) == 0
    (tmp_path / "kept").mkdir()
    file, result = tmp_path / "kept" / "run.checkpoint", tmp_path / "resumed"
    killed_until_done(trained.sweep, file, result, pause=0.02, states=3)
    whole, resumed = (pd.read_pickle(path) for path in (tmp_path / "whole", result))
    assert len(whole) == 3 * 4 * 3 * 6
    assert whole.groupby("schedule").diverged.any().to_dict() == {
        "cosine": False, "huge": True, "low": False, "plateau": False,
    }  # fmt: skip
    assert whole[whole.schedule == "plateau"].rate.nunique() > 1
    same(whole, resumed)
    assert whole.attrs["settings"] == resumed.attrs["settings"]
    assert whole.attrs["surroundings"] == resumed.attrs["surroundings"]


# Two groups of three runs for each of two networks, three epochs: twelve epochs of groups.
KEPT = {
    "networks": {"plain": NORMS["None"], "normal": NORMS["before"]},
    "schedules": {"steps": L.StepDecay(0.1, 5, 0.5), "plateau": L.Plateau(0.1, 0.5, 0, 0.3),
                  "broken": L.PiecewiseConstant([3.5], [0.01, 1e30])},
    "seeds": 2,
    "data": DATA,
    "epochs": 3,
    "batch_size": 8,
    "group": 3,
    "checkpoint_seconds": 0,
}  # fmt: skip


@BOTH_ENGINES
@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam(weight_decay=0.01)], ids=repr)
def test_stopped_after_every_number_of_epochs(monkeypatch, tmp_path, optimizer):
    said = KEPT | {"optimizer": optimizer}
    whole = sweep(**said)
    assert whole[whole.schedule == "plateau"].rate.nunique() > 1
    for epochs in range(13):
        file = tmp_path / "new" / f"{epochs}.checkpoint"
        with monkeypatch.context() as patch:
            stop_after(patch, sweeps._Group, epochs)
            with pytest.raises(Stopped) if epochs < 12 else contextlib.nullcontext():
                sweep(**said, checkpoint=file)
        with monkeypatch.context() as patch:
            counted = stop_after(patch, sweeps._Group, 100)
            resumed = sweep(**said, checkpoint=str(file))
        assert counted["epochs"] == 12 - epochs  # not one more than are missing
        same(whole, resumed)
        assert resumed.attrs["settings"] == whole.attrs["settings"]


def test_finished_groups_alone_are_kept_between(monkeypatch, tmp_path):
    """Without time for a state within a group, its epochs are trained again, but no others."""
    said = KEPT | {"checkpoint_seconds": 3600, "checkpoint": tmp_path / "c"}
    with monkeypatch.context() as patch:
        stop_after(patch, sweeps._Group, 8)  # two groups and two epochs
        with pytest.raises(Stopped):
            sweep(**said)
    with monkeypatch.context() as patch:
        counted = stop_after(patch, sweeps._Group, 100)
        resumed = sweep(**said)
    assert counted["epochs"] == 6
    same(sweep(**KEPT), resumed)


def test_the_seconds_are_those_of_all_starts(monkeypatch, tmp_path):
    """By a clock that ticks when it is read: an epoch takes 1."""
    ticks = map(float, itertools.count())
    with monkeypatch.context() as patch:
        patch.setattr(sweeps.time, "perf_counter", ticks.__next__)
        stop_after(patch, sweeps._Group, 5)
        with pytest.raises(Stopped):
            sweep(**KEPT, checkpoint=tmp_path / "c")
    with monkeypatch.context() as patch:
        patch.setattr(sweeps.time, "perf_counter", ticks.__next__)
        assert sweep(**KEPT, checkpoint=tmp_path / "c").attrs["seconds"] == 12


def test_divergence_by_a_measurement_is_kept(monkeypatch, tmp_path):
    """Its batches stay finite: the state must say so by itself."""
    real = sweeps._Group._ordered

    def ordered(self, measured):
        found = real(self, measured)
        if self.epoch == 0:
            found[0][0] = torch.inf
        return found

    monkeypatch.setattr(sweeps._Group, "_ordered", ordered)
    whole = sweep(**KEPT)
    assert run_of(whole, "plain", "steps", 0).diverged.all()
    for epochs in (1, 2):
        file = tmp_path / f"{epochs}"
        with monkeypatch.context() as patch:
            stop_after(patch, sweeps._Group, epochs)
            with pytest.raises(Stopped):
                sweep(**KEPT, checkpoint=file)
        same(whole, sweep(**KEPT, checkpoint=file))


def test_a_measured_group_stays(monkeypatch, tmp_path):
    said = KEPT | {"group": None, "checkpoint": tmp_path / "c"}
    with monkeypatch.context() as patch:
        patch.setattr(sweeps, "_fastest", lambda *_: 2)
        stop_after(patch, sweeps._Group, 4)
        with pytest.raises(Stopped):
            sweep(**said)
    monkeypatch.setattr(sweeps, "_fastest", None)
    table = sweep(**said)
    assert table.attrs["surroundings"]["group"] == 2
    same(sweep(**KEPT), table)


@pytest.fixture(scope="module")
def half_done(tmp_path_factory):
    """The bytes of a checkpoint in the middle of a sweep."""
    file = tmp_path_factory.mktemp("half") / "c"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, sweeps._Group, 5)
        with pytest.raises(Stopped):
            sweep(**KEPT, checkpoint=file)
    return file.read_bytes()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"epochs": 4}, "epochs: 3 there, 4 here"),
        ({"batch_size": 10}, "batch_size: 8 there, 10 here"),
        ({"group": 2}, "group: 3 there, 2 here"),
        ({"group": None}, "group: 3 there, None here"),
        ({"optimizer": SGD(0.5)}, "optimizer: "),
        ({"optimizer": Adam()}, "optimizer: "),
        ({"watch": "train_loss"}, "watch: 'validation_loss' there, 'train_loss' here"),
        ({"data": made(train=31)}, "checksum: .*samples: 30 there, 31 here"),
        ({"data": dataclasses.replace(DATA, name="others")}, "data: 'made' there, 'others' here"),
        ({"networks": KEPT["networks"] | {"normal": NORMS["after"]}}, "networks: "),
        ({"networks": {"plain": NORMS["None"]}}, "networks: .*runs: "),
        ({"networks": dict(reversed(KEPT["networks"].items()))}, "runs: "),
        ({"seeds": 3}, "runs: "),
        ({"seeds": [1, 0]}, "runs: "),
        ({"schedules": KEPT["schedules"] | {"steps": 0.1}}, "runs: "),
        ({"schedules": KEPT["schedules"] | {"plateau": L.Plateau(0.1, 0.5, 0, 0.2)}}, "runs: "),
        ({"schedules": {f"{k}!": s for k, s in KEPT["schedules"].items()}}, "runs: "),
        ({"schedules": [0.1, 0.2, 0.3]}, "runs: "),
    ],
)
def test_a_checkpoint_of_another_sweep(half_done, tmp_path, other, message):
    file = tmp_path / "my.checkpoint"
    file.write_bytes(half_done)
    with pytest.raises(CheckpointError, match=message) as caught:
        sweep(**KEPT | other, checkpoint=file)
    assert str(file) in str(caught.value)
    assert "delete it to start anew" in str(caught.value)
    assert file.read_bytes() == half_done
    assert list(tmp_path.iterdir()) == [file]


def test_a_checkpoint_of_a_training(tmp_path):
    file = tmp_path / "c"
    run = lab.Run("a", L.Constant(0.1))
    flat = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10))  # noqa: E731
    lab.train([run], lab.digits(), epochs=1, network=flat, checkpoint=file, chunk=200, group=1)
    with pytest.raises(CheckpointError, match="of another training"):
        sweep(**KEPT, checkpoint=file)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_broken_checkpoint(half_done, tmp_path, share):
    file = tmp_path / "c"
    broken = half_done[: int(share * len(half_done))]
    file.write_bytes(broken)
    with pytest.raises(CheckpointError, match=r"is cut short or altered: .* delete it to start"):
        sweep(**KEPT, checkpoint=file)
    assert file.read_bytes() == broken


# Wrong arguments

OK = {"networks": NORMS, "schedules": [0.1], "seeds": 1, "data": DATA, "epochs": 1, "batch_size": 8}


def one(make):
    return {"networks": {"fine": NORMS["None"], "n": make}}


EMPTY = Rows(torch.zeros(0, 3), torch.zeros(0, 1))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"networks": [mlp]}, TypeError, r"networks must be a dict .*, got \[<function mlp"),
        ({"networks": mlp}, TypeError, "networks must be a dict .*, got <function mlp"),
        ({"networks": {}}, ValueError, "networks must hold at least one network, got none"),
        ({"networks": {1: NORMS["None"]}}, TypeError, "networks must have strings .*, got 1"),
        (one(mlp(3)), TypeError, r"networks\['n'\] must be a function .*, got Sequential"),
        (one(None), TypeError, r"networks\['n'\] must be a function .*, got None"),
        (
            one(maker(outputs=2)),
            ValueError,
            r"networks\['n'\] must give outputs of shape \[1, 1\] for one row, got \[1, 2\]",
        ),
        (
            one(maker(features=5)),
            ValueError,
            r"networks\['n'\] must take inputs of shape \[1, 3\], got: .*2x3 and 5x4",
        ),
        (one(lambda: 3), TypeError, r"networks\['n'\] must make a torch.nn.Sequential, got 3"),
        (
            one(lambda: nn.Linear(3, 1)),
            TypeError,
            r"networks\['n'\] must make a torch.nn.Sequential, got Linear\(",
        ),
        (
            one(lambda: nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())),
            TypeError,
            r"networks must be made of .* layers, got Sigmoid\(\)",
        ),
        ({"schedules": "0.1"}, TypeError, "schedules must be a list of rates, or .*, got '0.1'"),
        ({"schedules": 0.1}, TypeError, "schedules must be a list of rates, or .*, got 0.1"),
        ({"schedules": L.Constant(0.1)}, TypeError, "schedules must be a list .*, got Constant"),
        ({"schedules": L.Plateau(0.1)}, TypeError, "schedules must be a list .*, got Plateau"),
        ({"schedules": []}, ValueError, "schedules must hold at least one schedule, got none"),
        ({"schedules": {}}, ValueError, "schedules must hold at least one schedule, got none"),
        ({"schedules": [1, 1.0]}, ValueError, r"schedules must have each rate once, .* \[1.0, 1.0"),
        ({"schedules": [0.1, -1]}, ValueError, r"schedules\[1\] must be .* at least 0, got -1"),
        ({"schedules": [float("nan")]}, ValueError, r"schedules\[0\] must be a finite .*, got nan"),
        ({"schedules": ["a"]}, TypeError, r"schedules\[0\] must be a finite number .*, got 'a'"),
        ({"schedules": [True]}, TypeError, r"schedules\[0\] must be a finite number .*, got True"),
        ({"schedules": [L.Constant(1)]}, TypeError, r"schedules\[0\] must be a .*, got Constant"),
        ({"schedules": {"a": -1}}, ValueError, r"schedules\['a'\] must be .* at least 0, got -1"),
        ({"schedules": {"a": True}}, TypeError, r"schedules\['a'\] must be a .*, got True"),
        ({"schedules": {"a": "b"}}, TypeError, r"schedules\['a'\] must be a schedule, got 'b'"),
        ({"schedules": {"a": None}}, TypeError, r"schedules\['a'\] must be a schedule, got None"),
        ({"schedules": {0.1: 0.1}}, TypeError, "schedules must have strings for .* got 0.1"),
        ({"seeds": 0}, ValueError, "seeds must be an integer of at least 1, got 0"),
        ({"seeds": 1.0}, TypeError, "seeds must be an integer of at least 1, got 1.0"),
        ({"seeds": True}, TypeError, "seeds must be an integer of at least 1, got True"),
        ({"seeds": []}, ValueError, r"seeds must hold at least one .* once, got \[\]"),
        ({"seeds": [2, 1, 2]}, ValueError, r"seeds must hold .* each once, got \[2, 1, 2\]"),
        ({"seeds": [0, -1]}, ValueError, r"seeds\[1\] must be .* at least 0, got -1"),
        ({"seeds": [0.5]}, TypeError, r"seeds\[0\] must be an integer .*, got 0.5"),
        ({"seeds": "12"}, TypeError, r"seeds\[0\] must be an integer .*, got '1'"),
        ({"data": None}, TypeError, "data must be a lab.Regression, got None"),
        ({"data": lab.digits()}, TypeError, "data must be a lab.Regression, got Data"),
        (
            {"data": Regression("none", EMPTY, DATA.validation, DATA.test)},
            ValueError,
            "data must have rows to train on, got none",
        ),
        ({"epochs": 0}, ValueError, "epochs must be an integer of at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs must be an integer of at least 1, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": "8"}, TypeError, "batch_size must be an integer .*, got '8'"),
        ({"batch_size": 1}, ValueError, "batch_size must leave .* 'before': got 1 for 30 samples"),
        ({"batch_size": 29}, ValueError, "batch_size must leave no batch of one sample, .* got 29"),
        (
            {"batch_size": 8, "data": made(train=1)},
            ValueError,
            "batch_size must leave no batch of one .* got 8 for 1 samples",
        ),
        ({"group": 0}, ValueError, "group must be an integer of at least 1, got 0"),
        ({"group": 1.5}, TypeError, "group must be an integer of at least 1, got 1.5"),
        ({"watch": "loss"}, ValueError, "watch must be one of 'batch_loss', .*, got 'loss'"),
        ({"watch": None}, TypeError, "watch must be one of 'batch_loss', .*, got None"),
        (
            {"schedules": {"a": L.Plateau(0.1)}, "data": made(validation=0)},
            ValueError,
            "data must have a validation part for a Plateau to follow, got none",
        ),
        (
            {"schedules": {"a": L.Plateau(0.1)}, "data": made(test=0), "watch": "test_loss"},
            ValueError,
            "data must have a test part for a Plateau to follow, got none",
        ),
        ({"optimizer": "SGD"}, TypeError, r"optimizer must be lab.SGD\(...\) or .*, got 'SGD'"),
        ({"optimizer": SGD}, TypeError, r"optimizer must be lab.SGD\(...\) or .*, got <class"),
    ],
)  # fmt: skip
def test_wrong(tmp_path, wrong, error, message):
    """Refused before anything is trained or written."""
    with pytest.raises(error, match=f"(?s)^{message}"):
        sweep(**OK | wrong, checkpoint=tmp_path / "c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "fine",
    [
        {"networks": {"a": NORMS["None"]}, "batch_size": 29},
        {"networks": {"a": NORMS["None"]}, "batch_size": 1},
        {"networks": {"a": NORMS["None"]}, "data": made(train=1)},
        {"schedules": {"a": L.Plateau(0.1)}, "data": made(validation=0), "watch": "train_loss"},
        {"data": made(validation=0)},
        {"data": made(test=0), "watch": "test_loss"},  # no Plateau is there to follow it
    ],
)
def test_right(fine):
    table = sweep(**OK | fine)
    assert not table.diverged.any()
    assert np.isfinite(table.train_loss).all()
