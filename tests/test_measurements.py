"""Experiments of several trainings, and records that grow."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

import lrsched as L
from lrsched import lab
from lrsched.book import Plan, experiment, measurements, record, record_table
from lrsched.book.measurements import Measurements
from lrsched.lab import SGD, Adam, Run, digits, perceptron

SMALL = Plan("small", 2, 2, 100, 200)
NETWORK = functools.partial(perceptron, 8, 10, 12)
CASES = {(0.1, "flat"): L.Constant(0.1), (0.2, "wave"): L.Cosine(0.2, 26)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The default edition, and no records but those of a folder, which is not there yet."""
    monkeypatch.delenv("LRSCHED_EDITION", raising=False)
    monkeypatch.delenv("LRSCHED_RECORD", raising=False)
    monkeypatch.delenv("LRSCHED_RECORD_GROW", raising=False)
    monkeypatch.setenv("LRSCHED_RECORDS_DIR", str(tmp_path / "records"))
    return tmp_path / "records"


def measured():
    """Two parts, of two cases and two seeds each."""
    found = Measurements(SMALL, "rate", "kind")
    found.train("plain", CASES, network=NETWORK)
    found.train("adam", CASES, network=NETWORK, optimizer=Adam(), epochs=1, batch_size=50,
                seeds=[3], more=lambda results: {"steps": [len(results.rates)] * 2})  # fmt: skip
    return found.table()


def test_a_row_for_each_run():
    table = measured()
    assert table.rate.tolist() == [0.1, 0.2] * 3
    assert table.kind.tolist() == ["flat", "wave"] * 3
    assert table.part.tolist() == ["plain"] * 4 + ["adam"] * 2
    assert table.seed.tolist() == [0, 0, 1, 1, 3, 3]
    assert [L.from_text(text) for text in table.schedule] == [*CASES.values()] * 3
    np.testing.assert_array_equal(table.steps, [np.nan] * 4 + [26] * 2)
    alone = lab.train(
        [Run("a", CASES[0.2, "wave"], 1)], digits(200), epochs=2, batch_size=100, network=NETWORK
    )
    for metric in measurements.METRICS:
        assert table[metric][3] == pytest.approx(float(alone.metrics[metric][-1, 0]), rel=1e-4)


def test_the_settings_of_each_part():
    settings = measured().attrs["settings"]
    assert settings["data"] == "digits"
    assert settings["seeds"] == 3
    plain, adam = (settings["parts"][part] for part in ("plain", "adam"))
    assert plain["optimizer"] == SGD().to_dict()
    assert adam["optimizer"] == Adam().to_dict()
    assert (plain["epochs"], adam["batch_size"]) == (2, 50)
    assert plain["seconds"] > 0
    assert not set(plain) & (set(settings) - {"parts"})


def test_the_record_is_the_table(full, folder, tmp_path):
    table, back = measured(), record_table("small")
    states = sorted(path.name for path in (tmp_path / "state").iterdir())
    assert states == ["small-adam.checkpoint", "small-plain.checkpoint"]
    pd.testing.assert_frame_equal(back, table, check_dtype=False, rtol=5.01e-5)
    assert back.attrs["settings"] == table.attrs["settings"]
    assert {"date", "commit", "torch"} <= set(back.attrs["surroundings"])
    assert "date" not in table.attrs["surroundings"]


# Records that grow


@pytest.fixture
def grow(full, monkeypatch):
    """Records are written, and grow."""
    monkeypatch.setenv("LRSCHED_RECORD_GROW", "1")


TWO = [Run("a", L.Constant(0.1)), Run("b", L.Cosine(0.1, 26))]
MORE = [*TWO, Run("a", L.Constant(0.1), 1), Run("b", L.Cosine(0.1, 26), 1)]
train = functools.partial(experiment, SMALL, network=NETWORK, group=1)


def trained(monkeypatch):
    """The runs that are trained from now on."""
    seen = []

    def watched(runs, *arguments, **settings):
        seen.extend(runs)
        return original(runs, *arguments, **settings)

    original = lab.train
    monkeypatch.setattr(lab, "train", watched)
    return seen


def test_runs_are_added(grow, tmp_path, monkeypatch):
    train(TWO)
    first = record("small")
    (tmp_path / "state" / "small.checkpoint").unlink()
    order = [MORE[2], MORE[0], MORE[3], MORE[1]]
    expected = lab.train(order, SMALL.data, epochs=2, batch_size=100, network=NETWORK, group=1)
    seen = trained(monkeypatch)
    grown = train(order)
    assert seen == [MORE[2], MORE[3]]
    assert grown.runs == record("small").runs == tuple(order)
    for metric, values in expected.metrics.items():
        np.testing.assert_allclose(grown.metrics[metric], values, rtol=5.01e-5)
        np.testing.assert_array_equal(grown.metrics[metric][:, [1, 3]], first.metrics[metric])
    assert grown.surroundings["before"]["runs"] == 2
    assert grown.surroundings["before"]["date"]
    assert grown.diverged.tolist() == [-1] * 4
    assert train(order).runs == tuple(order)
    assert len(seen) == 2  # with nothing left to train


@pytest.mark.parametrize(
    "other", [{"epochs": 1}, {"batch_size": 50}, {"optimizer": Adam()}, {"distances_every": 5}]
)
def test_another_training_begins_anew(grow, tmp_path, monkeypatch, other):
    train(TWO)
    (tmp_path / "state" / "small.checkpoint").unlink()
    seen = trained(monkeypatch)
    assert train(MORE, **other).settings["epochs"] == other.get("epochs", 2)
    assert seen == MORE


def test_fewer_runs_are_taken(grow, monkeypatch):
    train(MORE)
    seen = trained(monkeypatch)
    kept = train(TWO)
    assert not seen
    assert kept.runs == tuple(MORE)


def test_all_is_measured_anew(full, tmp_path, monkeypatch):
    train(TWO)
    (tmp_path / "state" / "small.checkpoint").unlink()
    seen = trained(monkeypatch)
    assert train(MORE).runs == record("small").runs == tuple(MORE)
    assert seen == MORE


def test_joined_runs_keep_what_was_measured_of_each():
    how = {"epochs": 1, "batch_size": 100, "network": NETWORK, "distances_every": 5}
    first, second = (lab.train(runs, digits(200), **how) for runs in (MORE[:2], MORE[2:]))
    first, second = (
        dataclasses.replace(each, diverged=np.array(lost), seconds=np.array(took))
        for each, lost, took in ((first, [3, -1], [1.0, 2.0]), (second, [-1, 7], [3.0, 4.0]))
    )
    joined = first.joined(second, [MORE[3], MORE[0], MORE[2], MORE[1]])
    assert joined.diverged.tolist() == [7, 3, -1, -1]
    assert joined.seconds.tolist() == [4.0, 1.0, 3.0, 2.0]
    for layer, values in joined.distances.items():
        parts = [first.distances[layer], second.distances[layer]]
        np.testing.assert_array_equal(values, np.hstack(parts)[:, [3, 0, 2, 1]])
    assert joined.distance_steps.tolist() == first.distance_steps.tolist()
    assert joined.surroundings["before"]["runs"] == 2


def test_what_cannot_be_joined():
    one = lab.train(TWO[:1], digits(200), epochs=1, batch_size=100, network=NETWORK)
    other = lab.train(TWO[1:], digits(200), epochs=2, batch_size=100, network=NETWORK)
    with pytest.raises(ValueError, match=r"others must be of the settings .*'epochs': 1.*got"):
        one.joined(other, TWO)
    with pytest.raises(ValueError, match=r"runs must be of these .* got Run"):
        one.joined(one, TWO)
