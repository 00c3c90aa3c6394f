"""Sweeps: every combination of network, schedule and seed, as one call of ``train``."""

import itertools

import numpy as np
import pytest

import lrsched as L
from experiments import KINDS, NORMS, ROWS, arrays, same
from lrsched.lab import SGD, Run, sweep, train

PLATEAU = L.Plateau(0.1, factor=0.5, patience=0, threshold=0.3)
COSINE = L.Cosine(0.1, 9).warmup(3)
ONE = {"a": NORMS["None"]}


def test_every_combination_of_a_sweep(kind):
    """The runs in order, with the results of a training of just these."""
    data, networks = KINDS[kind]
    checksum = data.checksum
    rules = {"low": 0.01, "cosine": COSINE, "plateau": PLATEAU, "": np.int64(1)}
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
    assert data.checksum == checksum


@pytest.mark.parametrize("kind", [list, np.array, iter], ids=lambda kind: kind.__name__)
def test_rates_are_their_own_labels(kind):
    results = sweep(ONE, kind([0.3, 0.1, 1]), 1, ROWS, epochs=2, batch_size=8)
    assert results.labels == [0.3, 0.1, 1]
    assert [run.schedule for run in results.runs] == [*map(L.Constant, results.labels)]
    table = results.table()
    assert table.schedule.dtype == "float64"
    assert table.schedule.tolist() == [0.3, 0.3, 0.1, 0.1, 1, 1]
    assert (table.schedule.astype(np.float32) == table.rate).all()
    assert results.final("test_loss")[0.1].shape == (1,)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (3, [0, 1, 2]),
        (np.int64(2), [0, 1]),
        ([4, 1], [4, 1]),
        (np.array([7, 3]), [7, 3]),
        (iter([np.uint8(9), 0]), [9, 0]),
    ],
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
        checkpoint=tmp_path / "c", name="mine", each_update=True,
        after_epoch=lambda *given: told.append(given),
    )  # fmt: skip
    assert results.surroundings["group"] == 1
    assert results.distance_steps.tolist() == [0, 3, 6]
    assert len(told) == 4
    assert results.check_rates().startswith("8 updates of 2 runs")
    assert (tmp_path / "c").exists()
