"""Sweeps: every combination of network, schedule and seed, as one call of ``train``."""

import itertools

import numpy as np
import pytest

import lrsched as L
from experiments import FLAT, IMAGES, KINDS, NORMS, ROWS, agrees, alone, arrays, same
from lrsched.lab import SGD, Run, sweep, train

PLATEAU = L.Plateau(0.1, factor=0.5, patience=0, threshold=0.3)
COSINE = L.Cosine(0.1, 9).warmup(3)
ONE = {"a": NORMS["None"]}


def test_every_combination_of_a_sweep(kind):
    """The runs in order, with the results of a training of just these."""
    data, networks = KINDS[kind]
    rules = {"low": 0.01, "cosine": COSINE, "plateau": PLATEAU, "": 1}
    said = {"epochs": 3, "batch_size": 18, "optimizer": SGD(0.5), "group": 5}
    results = sweep(networks, rules, (5, 0, 2**33), data, **said)
    made = {"low": L.Constant(0.01), "cosine": COSINE, "plateau": PLATEAU, "": L.Constant(1.0)}
    combined = itertools.product(networks, made.items(), (5, 0, 2**33))
    runs = [Run(label, rule, seed, name) for name, (label, rule), seed in combined]
    assert results.runs == tuple(runs)
    assert (results.rates, results.losses) == (None, None)
    trained = train(runs, data, network=networks, each_update=False, **said)
    same(arrays(results), arrays(trained))
    assert results.settings == trained.settings
    table = results.table()
    rows = list(table[["network", "schedule", "seed"]].itertuples(index=False, name=None))
    assert rows == [(run.network, run.label, run.seed) for run in runs for _ in range(3)]
    assert table.equals(trained.table())
    assert not table.diverged[table.schedule != ""].any()


def test_a_sweep_on_images():
    """With the rates of each update if they are asked for, beside a plain loop."""
    said = {"epochs": 2, "batch_size": 18}
    results = sweep(FLAT, {"cosine": COSINE}, 2, IMAGES, each_update=True, **said)
    for run in results.runs:
        agrees(results, run, alone(run, IMAGES, FLAT[run.network], **said), rtol=1e-3)
    assert results.check_rates().startswith("12 updates of 4 runs")
    accuracy = results.select(lambda run: run.network == "plain").final("test_accuracy")
    last = results.table().query("epoch == 2 and network == 'plain'")
    assert last.test_accuracy.tolist() == accuracy["cosine"].tolist()


@pytest.mark.parametrize(
    "rates",
    [[0.3, 0.1, 1], (0.3, 0.1, 1.0), np.array([0.3, 0.1, 1.0]), iter([0.3, 0.1, 1])],
    ids=["list", "tuple", "array", "iterator"],
)
def test_rates_are_their_own_labels(rates):
    results = sweep(ONE, rates, 1, ROWS, epochs=2, batch_size=8)
    assert results.labels == [0.3, 0.1, 1]
    assert [run.schedule for run in results.runs] == [*map(L.Constant, results.labels)]
    table = results.table()
    assert table.schedule.dtype == "float64"
    assert table.schedule.tolist() == [0.3, 0.3, 0.1, 0.1, 1, 1]
    assert (table.schedule.astype(np.float32) == table.rate).all()
    assert results.final("test_loss")[0.1].shape == (1,)


def test_rates_of_any_kind_of_number():
    numbers = {"float": 0.5, "int": 1, "np": np.float64(0.25), "single": np.float32(0.125),
               "np int": np.int64(1), "zero": 0}  # fmt: skip
    results = sweep(ONE, numbers, 1, ROWS, epochs=1, batch_size=8)
    assert [run.schedule.base_lr for run in results.runs] == [*map(float, numbers.values())]
    assert all(type(run.schedule.base_lr) is float for run in results.runs)


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
    results = sweep(ONE, [0.1], seeds, ROWS, epochs=1, batch_size=8)
    assert [run.seed for run in results.runs] == expected
    assert results.seeds == sorted(expected)
    assert all(type(run.seed) is int for run in results.runs)


def test_settings_of_a_training(tmp_path):
    """They are handed on."""
    told = []
    results = sweep(
        ONE, [0.1], 2, ROWS, epochs=2, batch_size=8, group=1, distances_every=3,
        checkpoint=tmp_path / "c", name="mine", after_epoch=lambda *given: told.append(given),
    )  # fmt: skip
    assert results.surroundings["group"] == 1
    assert results.distance_steps.tolist() == [0, 3, 6]
    assert len(told) == 4
    assert (tmp_path / "c").exists()


def test_the_data_stay_as_they_were(kind):
    data, networks = KINDS[kind]
    checksum = data.checksum
    sweep(networks, [0.1], 2, data, epochs=1)
    assert data.checksum == checksum
