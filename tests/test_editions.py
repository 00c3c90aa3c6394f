"""The two editions: which is run, and how large each experiment is in it."""

import dataclasses
import inspect
import math
import re
from pathlib import Path

import nbformat
import pytest

import lrsched as L
from lrsched import lab
from lrsched.book import Plan, edition, editions, plan
from lrsched.lab import Run, digits, mlp, polynomial

NAMES, SWEEPS = list(editions.QUICK), list(editions.SWEEPS)
CHAPTERS = sorted((Path(__file__).parents[1] / "book").glob("*.ipynb"))
EACH = pytest.mark.parametrize("name", NAMES)
EACH_SWEEP = pytest.mark.parametrize("name", SWEEPS)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.delenv("LRSCHED_EDITION", raising=False)


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


def test_the_book_uses_every_plan():
    cells = [cell for path in CHAPTERS for cell in nbformat.read(path, 4).cells]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert set(re.findall(r'book\.plan\("(.*?)"\)', code)) == {*NAMES, *SWEEPS}
    assert list(editions.FULL) == NAMES
    assert not set(NAMES) & set(SWEEPS)


@pytest.mark.parametrize("which", ["quick", "full"])
@EACH
def test_plan(monkeypatch, name, which):
    monkeypatch.setenv("LRSCHED_EDITION", which)
    found = plan(name)
    numbers = {"quick": editions.QUICK, "full": editions.FULL}[which][name]
    assert (found.name, (found.epochs, found.seeds, found.validation)) == (name, numbers)
    assert min(found.epochs, found.seeds, found.validation + 1) >= 1
    settings = found.settings()
    inspect.signature(lab.train).bind([], None, **settings)
    assert (settings["epochs"], settings["batch_size"]) == (found.epochs, found.batch_size)
    # The book repeats to the last bit only where the sizes are not measured.
    assert ({"group", "chunk"} <= set(settings)) == (which == "quick")


@EACH
def test_quick_data(name):
    found = plan(name)
    assert found.data.checksum == digits(found.validation).checksum
    found.data.train.images.zero_()  # one's own copy
    assert plan(name).data.checksum == digits(found.validation).checksum
    runs = [Run("a", L.Constant(0.1))]
    results = lab.train(runs, found.data, **found.settings() | {"epochs": 1})
    assert results.steps_per_epoch == found.steps_per_epoch


@pytest.mark.parametrize(("which", "load"), [("quick", "digits"), ("full", "fashion_mnist")])
def test_data_are_read_once_and_where_they_are_used(monkeypatch, which, load):
    """No other test has plans with so many validation images, whose data would be there."""
    asked = []
    monkeypatch.setenv("LRSCHED_EDITION", which)
    monkeypatch.setattr(editions, load, lambda validation: asked.append(validation) or digits(100))
    plans = [Plan("a", 1, 1, 256, validation) for validation in (801, 802)]
    assert not asked
    for each in plans:
        assert each.data.checksum == digits(100).checksum
        assert each.steps_per_epoch == 6  # 1397 samples, 256 at a time
    assert plans[0].data.checksum == digits(100).checksum
    assert asked == [801, 802]


@EACH_SWEEP
def test_plan_of_a_sweep(monkeypatch, name):
    """The editions differ in the number of seeds, and in nothing else."""
    few = plan(name)
    monkeypatch.setenv("LRSCHED_EDITION", "full")
    many = plan(name)
    assert 1 < few.seeds < many.seeds
    assert many == dataclasses.replace(few, seeds=many.seeds)
    epochs, seeds, batch_size = editions.SWEEPS[name]
    assert (few.name, (few.seeds, many.seeds)) == (name, seeds)
    for found in (few, many):
        assert found.settings() == {"epochs": epochs, "batch_size": batch_size}
        assert found.data.checksum == polynomial().checksum
        assert found.steps_per_epoch == math.ceil(700 / batch_size)


@EACH_SWEEP
def test_a_planned_sweep_is_one_of_normalised_networks(name):
    """None of its batches is too small."""
    found = plan(name)
    networks = {"a": lambda: mlp(norm="before")}
    results = lab.sweep(networks, [0.01], 1, found.data, **found.settings() | {"epochs": 1})
    assert results.steps_per_epoch == found.steps_per_epoch
    assert results.settings["checksum"] == found.data.checksum
