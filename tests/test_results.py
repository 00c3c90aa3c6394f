"""Results: what was measured, by label, as a table, and of some of the runs."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import torch

import lrsched as L
from experiments import FLAT, IMAGES, KINDS, ROWS, arrays, flat, mlp, same
from lrsched.lab import SGD, Adam, Run, train
from lrsched.lab.attention import printed

LOSSES = ["batch_loss", "train_loss", "precise_loss", "validation_loss", "test_loss"]
METRICS = {
    "images": [f"{part}_{what}" for part in ("train", "validation", "test")
               for what in ("loss", "accuracy")],
    "rows": LOSSES,
}  # fmt: skip
ORDER = [("b", 2), ("a", 0), ("b", 0), ("a", 2), ("a", 1), ("b", 1)]
RULES = {"b": L.Cosine(0.1, 9), "a": L.Constant(0.2)}
RUNS = [Run(label, RULES[label], seed) for label, seed in ORDER]


@pytest.fixture(scope="module", params=METRICS)
def results(request):
    """Of runs in no order; two epochs of four updates."""
    data, make, size = (IMAGES, flat, 32) if request.param == "images" else (ROWS, mlp(), 8)
    return train(RUNS, data, network=make, epochs=2, batch_size=size, distances_every=3)


def test_shapes(results):
    kind = "images" if "train_accuracy" in results.metrics else "rows"
    assert list(results.metrics) == METRICS[kind]
    assert all(values.shape == (2, 6) for values in results.metrics.values())
    assert results.runs == tuple(RUNS)
    assert (results.epochs, results.steps_per_epoch) == (2, 4)
    assert results.rates.shape == results.losses.shape == (8, 6)
    assert results.rates.dtype == results.rate.dtype == np.float32
    np.testing.assert_array_equal(results.rate, results.rates[3::4])
    assert results.distance_steps.tolist() == [0, 3, 6]
    assert results.diverged.tolist() == [-1] * 6
    assert (results.seconds > 0).all()


def test_access_by_label(results):
    assert results.labels == ["b", "a"]
    assert results.seeds == [0, 1, 2]
    assert dict(results.columns()) == {"b": [2, 5, 0], "a": [1, 4, 3]}
    for metric, values in results.metrics.items():
        assert list(results[metric]) == ["b", "a"]
        for label, places in results.columns():
            np.testing.assert_array_equal(results[metric][label], values[:, places])
            np.testing.assert_array_equal(results.final(metric)[label], values[-1, places])
    with pytest.raises(KeyError, match="accuracy"):
        results["accuracy"]


def test_gap(results):
    if "train_accuracy" not in results.metrics:
        with pytest.raises(KeyError, match="train_accuracy"):
            results["gap"]
        return
    for label, gap in results["gap"].items():
        expected = results["train_accuracy"][label] - results["test_accuracy"][label]
        np.testing.assert_array_equal(gap, expected)
        np.testing.assert_array_equal(results.final("gap")[label], gap[-1])


def test_select(results):
    some = results.select(lambda run: run.seed == 1)
    assert some.runs == (RUNS[4], RUNS[5])
    same(arrays(some), arrays(results, [4, 5]))
    assert some.seconds.tolist() == results.seconds[[4, 5]].tolist()
    for name in ("settings", "surroundings", "distance_steps"):
        assert getattr(some, name) is getattr(results, name)
    assert some.check_rates().startswith("8 updates of 2 runs")
    record = dataclasses.replace(results, rates=None, losses=None, rate=None)
    assert record.select(lambda run: True).rates is None
    assert results.select(lambda run: False).runs == ()


def test_several_networks(kind):
    """By label once one is selected; distances are NaN for layers that a network lacks."""
    data, networks = KINDS[kind]
    runs = [Run("a", L.Constant(0.1), seed, network) for seed in (0, 1) for network in networks]
    several = train(runs, data, network=networks, epochs=2, distances_every=4)
    assert several.settings["networks"] == {
        name: printed(make()) for name, make in networks.items()
    }
    with pytest.raises(ValueError, match=f"of one network first, there are {len(networks)}"):
        several["test_loss"]
    for name, make in networks.items():
        one = several.select(lambda run, name=name: run.network == name)
        assert one["test_loss"]["a"].shape == (2, 2)
        layers = {key.rpartition(".")[0] for key, _ in make().named_parameters()}
        for layer, values in one.distances.items():
            assert np.isnan(values).all() == (layer not in layers)
        assert layers <= set(one.distances)
        assert one.table().network.unique().tolist() == [name]


@pytest.mark.parametrize("distances_every", [None, 3])
def test_each_update(kind, distances_every):
    """Without, all else is the same."""
    data, networks = KINDS[kind]
    said = {"network": next(iter(networks.values())), "epochs": 2, "group": 2}
    said |= {"distances_every": distances_every} | ({"chunk": 32} if kind == "images" else {})
    kept, without = (train(RUNS, data, **said, each_update=each) for each in (True, False))
    assert without.rates is None
    assert without.losses is None
    found, expected = arrays(without), arrays(kept)
    same(found, {name: expected[name] for name in found})
    assert bool(without.distances) == bool(distances_every)
    assert len(without.distance_steps) == (len(kept.rates) + 2) // 3 * bool(distances_every)
    assert kept.table().equals(without.table())


# The table


def test_table(results):
    table = results.table()
    expected = [("", label, seed, epoch) for label, seed in ORDER for epoch in (1, 2)]
    first = ["network", "schedule", "seed", "epoch"]
    assert list(table.columns) == [*first, "rate", *results.metrics, "diverged"]
    assert list(table[first].itertuples(index=False, name=None)) == expected
    assert table.index.equals(pd.RangeIndex(12))
    assert all(type(label) is str for label in table.schedule)
    kinds = {"seed": "int64", "epoch": "int64", "rate": "float32", "diverged": "bool"}
    kinds |= dict.fromkeys(results.metrics, "float32")
    assert {name: str(table[name].dtype) for name in kinds} == kinds
    for name, values in {"rate": results.rate, **results.metrics}.items():
        np.testing.assert_array_equal(table[name].to_numpy().reshape(6, 2).T, values)
    assert not table.diverged.any()
    assert table.attrs["settings"] == results.settings
    assert table.attrs["surroundings"] == results.surroundings
    assert table.attrs["seconds"] == pytest.approx(results.seconds.sum())
    record = dataclasses.replace(results, rates=None, losses=None, rate=None)
    assert list(record.table()) == [name for name in table if name != "rate"]


def test_the_table_of_a_run_that_diverged(results):
    """From the epoch of its first loss that is not finite; the first update is one, too."""
    diverged = np.array([-1, 0, 3, 4, 7, -1])
    table = dataclasses.replace(results, diverged=diverged).table()
    assert table.diverged.to_numpy().reshape(6, 2).tolist() == [
        [False, False], [True, True], [True, True], [False, True], [False, True], [False, False],
    ]  # fmt: skip


# What is said of a training


@pytest.mark.parametrize("optimizer", [None, SGD(0.9, 0.01, True), Adam(0.5)], ids=repr)
@pytest.mark.parametrize("kind", ["images", "compiled"], indirect=True)
def test_settings_and_surroundings(kind, optimizer):
    data, networks = KINDS[kind]
    label, make = next(iter(networks.items()))
    sizes = {"group": 2, "chunk": 16} if kind == "images" else {"group": 2}
    said = {"optimizer": optimizer, "epochs": 3, "batch_size": 8}
    one = train(RUNS, data, network=make, **said, **sizes)
    runs = [dataclasses.replace(run, network=label) for run in RUNS]
    several = train(runs, data, network={label: make}, **said, **sizes)
    same(arrays(one), arrays(several))
    rule = optimizer or SGD()
    common = {
        "data": data.name, "checksum": data.checksum, "epochs": 3, "batch_size": 8,
        "optimizer": {"class": type(rule).__name__} | dataclasses.asdict(rule),
        "steps_per_epoch": -(-len(data.train) // 8), "samples": len(data.train),
    }  # fmt: skip
    assert one.settings == common | {"network": str(make()), "distances_every": None}
    assert several.settings == common | {"networks": {label: str(make())}, "watch": ""}
    surroundings = {"device": "CPU", "threads": torch.get_num_threads(), **sizes}
    surroundings["torch"] = torch.__version__
    assert surroundings.items() <= one.surroundings.items()


def test_the_seconds_of_a_group_are_shared(monkeypatch):
    """By a clock that ticks when it is read: an epoch takes 1."""
    import time

    monkeypatch.setattr(time, "perf_counter", map(float, itertools.count()).__next__)
    runs = [Run(f"{k}", L.Constant(0.1), network=n) for k in range(3) for n in ("a", "b")]
    said = {"network": {"a": flat, "b": FLAT["normalised"]}, "epochs": 4, "group": 2, "chunk": 32}
    results = train(runs, IMAGES, **said)
    assert sorted(results.seconds.tolist()) == [2, 2, 2, 2, 4, 4]
    assert results.table().attrs["seconds"] == 16
