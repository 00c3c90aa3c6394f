"""The two editions: which is run, and how large each experiment is in it."""

import dataclasses
import inspect
import re
from pathlib import Path

import nbformat
import pytest

import lrsched as L
from lrsched.lab import (
    Plan,
    Run,
    SweepPlan,
    digits,
    edition,
    editions,
    mlp,
    plan,
    polynomial,
    sweep,
    train,
)

NAMES = list(editions.QUICK)
SWEEPS = list(editions.SWEEPS)
CHAPTERS = sorted((Path(__file__).parents[1] / "book").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """The default edition, and none of the data that other tests may have put there."""
    monkeypatch.delenv("LRSCHED_EDITION", raising=False)
    editions._data.cache_clear()
    yield
    editions._data.cache_clear()


def planned_in_the_book():
    names = []
    for path in CHAPTERS:
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code":
                names += re.findall(r'lab\.plan\("(.*?)"\)', cell.source)
    return names


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "quick"), ("", "quick"), ("quick", "quick"), ("full", "full")]
)
def test_edition(monkeypatch, value, expected):
    if value is not None:
        monkeypatch.setenv("LRSCHED_EDITION", value)
    assert edition() == expected


@pytest.mark.parametrize("value", ["Full", "fast", " quick", "1"])
def test_unknown_edition(monkeypatch, value):
    monkeypatch.setenv("LRSCHED_EDITION", value)
    for call in (edition, lambda: plan(NAMES[0]), lambda: plan(SWEEPS[0])):
        with pytest.raises(ValueError, match=f"LRSCHED_EDITION must be .*got '{value}'"):
            call()


@pytest.mark.parametrize("which", ["quick", "full"])
def test_unknown_plan(monkeypatch, which):
    monkeypatch.setenv("LRSCHED_EDITION", which)
    with pytest.raises(ValueError, match=r"name must be one of .*got 'lenet'") as caught:
        plan("lenet")
    assert all(repr(name) in str(caught.value) for name in NAMES + SWEEPS)


def test_both_editions_have_the_same_experiments():
    assert list(editions.QUICK) == list(editions.FULL)


def test_no_name_is_of_two():
    assert not set(NAMES) & set(SWEEPS)


def test_the_book_uses_every_plan():
    assert set(planned_in_the_book()) == {*NAMES, *SWEEPS}


@pytest.mark.parametrize("which", ["quick", "full"])
@pytest.mark.parametrize("name", NAMES)
def test_plan(monkeypatch, name, which):
    monkeypatch.setenv("LRSCHED_EDITION", which)
    found = plan(name)
    assert isinstance(found, Plan)
    assert found.name == name
    assert found.epochs >= 1
    assert found.seeds >= 1
    assert found.validation >= 0
    inspect.signature(train).bind([], None, **found.settings())
    assert found.settings()["epochs"] == found.epochs
    assert found.settings()["batch_size"] == found.batch_size
    # The book repeats to the last bit only where the sizes are not measured.
    assert ({"group", "chunk"} <= set(found.settings())) == (which == "quick")


@pytest.mark.parametrize("name", NAMES)
def test_quick_data(name):
    found = plan(name)
    assert found.data.checksum == digits(found.validation).checksum
    before = editions._data.cache_info().misses
    found.data.train.images.zero_()  # one's own copy
    assert plan(name).data.checksum == digits(found.validation).checksum
    assert editions._data.cache_info().misses == before  # read once
    runs = [Run("a", L.Constant(0.1))]
    history = train(runs, found.data, **found.settings() | {"epochs": 1})
    assert history.steps_per_epoch == found.steps_per_epoch


def test_full_data(monkeypatch):
    asked = []

    def fashion_mnist(validation):
        asked.append(validation)
        return digits(validation=100)

    monkeypatch.setattr(editions, "fashion_mnist", fashion_mnist)
    found = plan(NAMES[0])
    assert found.data.checksum == digits(found.validation).checksum
    assert not asked
    monkeypatch.setenv("LRSCHED_EDITION", "full")
    for name in NAMES:
        asked.clear()
        editions._data.cache_clear()
        found = plan(name)
        assert not asked  # only where the data are used
        assert found.data.checksum == digits(validation=100).checksum
        assert found.steps_per_epoch == 6  # 1397 samples, 256 at a time
        assert asked == [found.validation] == [editions.FULL[name][2]]


# Sweeps


@pytest.mark.parametrize("name", SWEEPS)
def test_sweep_plan(monkeypatch, name):
    """The editions differ in the number of seeds, and in nothing else."""
    quick = plan(name)
    monkeypatch.setenv("LRSCHED_EDITION", "full")
    full = plan(name)
    assert isinstance(quick, SweepPlan)
    assert 1 < quick.seeds < full.seeds
    assert full == dataclasses.replace(quick, seeds=full.seeds)
    epochs, seeds, batch_size = editions.SWEEPS[name]
    assert (quick.seeds, full.seeds) == seeds
    for found in (quick, full):
        assert found.name == name
        assert found.settings() == {
            "seeds": found.seeds, "epochs": epochs, "batch_size": batch_size,
        }  # fmt: skip
        assert found.data.checksum == polynomial().checksum
        assert found.steps_per_epoch == -(-700 // batch_size)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_planned_sweep_is_one_of_normalised_networks(name):
    """None of its batches is too small."""
    found = plan(name)
    networks = {"a": lambda: mlp(norm="before")}
    arguments = found.settings() | {"seeds": 1, "epochs": 1}
    table = sweep(networks, [0.01], data=found.data, **arguments)
    assert table.attrs["settings"]["steps_per_epoch"] == found.steps_per_epoch
    assert table.attrs["settings"]["checksum"] == found.data.checksum


def test_the_batch_size_unless_told():
    assert SweepPlan("a", 1, 1) == SweepPlan("a", 1, 1, 50)
    default = inspect.signature(sweep).parameters["batch_size"].default
    assert default == SweepPlan("a", 1, 1).batch_size
