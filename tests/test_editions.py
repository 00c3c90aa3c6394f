"""The two editions: which is run, and how large each experiment is in it."""

import dataclasses
import re
from pathlib import Path

import nbformat
import pytest

import lrsched as L
from lrsched import lab
from lrsched.book import TRIALS, Plan, edition, editions, plan
from lrsched.lab import Run, digits, mlp, polynomial

NAMES, SWEEPS = list(editions.QUICK), list(editions.SWEEPS)
CHAPTERS = sorted((Path(__file__).parents[1] / "book").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.delenv("LRSCHED_EDITION", raising=False)


@pytest.mark.parametrize(("value", "expected"), [("", "quick"), ("quick",) * 2, ("full",) * 2])
def test_edition(monkeypatch, value, expected):
    assert edition() == "quick"
    monkeypatch.setenv("LRSCHED_EDITION", value)
    assert edition() == expected
    with pytest.raises(ValueError, match=r"name must be one of .*got 'lenet'") as caught:
        plan("lenet")
    assert all(repr(name) in str(caught.value) for name in NAMES + SWEEPS)
    monkeypatch.setenv("LRSCHED_EDITION", "Full")
    for call in (edition, lambda: plan(NAMES[0]), lambda: plan(SWEEPS[0])):
        with pytest.raises(ValueError, match=r"LRSCHED_EDITION must be .*got 'Full'"):
            call()


def test_the_book_uses_every_plan():
    cells = [cell for path in CHAPTERS for cell in nbformat.read(path, 4).cells]
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    in_chapters = set(re.findall(r'book\.plan\("(.*?)"\)', code))
    assert in_chapters | set(TRIALS) == {*NAMES, *SWEEPS}
    assert set(re.findall(r'book\.trial\("(.*?)"\)', code)) <= set(TRIALS)
    assert list(editions.FULL) == NAMES
    assert not set(NAMES) & set(SWEEPS)


@pytest.mark.parametrize("which", ["quick", "full"])
@pytest.mark.parametrize("name", NAMES)
def test_plan(monkeypatch, name, which):
    monkeypatch.setenv("LRSCHED_EDITION", which)
    found = plan(name)
    assert found.name == name
    assert min(found.epochs, found.seeds, found.validation + 1) >= 1
    settings = found.settings()
    assert (settings["epochs"], settings["batch_size"]) == (found.epochs, found.batch_size)
    # The book repeats to the last bit only where the sizes are not measured.
    assert which == "full" or {"group", "chunk"} <= set(settings)
    if which == "quick":
        results = lab.train([Run("a", L.Constant(0.1))], found.data, **settings | {"epochs": 1})
        assert results.steps_per_epoch == found.steps_per_epoch
        assert results.settings["checksum"] == digits(found.validation).checksum


@pytest.mark.parametrize(("which", "load"), [("quick", "digits"), ("full", "fashion_mnist")])
def test_data_are_read_once_and_where_they_are_used(monkeypatch, which, load):
    """No other test has plans with so many validation images, whose data would be there."""
    asked = []
    monkeypatch.setenv("LRSCHED_EDITION", which)
    monkeypatch.setattr(
        editions, load, lambda validation, seed: asked.append(validation) or digits(100)
    )
    plans = [Plan("a", 1, 1, 256, validation) for validation in (801, 802)]
    assert not asked
    for each in plans:
        assert each.data.checksum == digits(100).checksum
        assert each.steps_per_epoch == 6  # 1397 samples, 256 at a time
        each.data.train.images.zero_()  # one's own copy
    assert plans[0].data.checksum == digits(100).checksum
    assert asked == [801, 802]


@pytest.mark.parametrize("name", sorted(editions.SMALL))
def test_small_ones_are_on_the_digits_in_both_editions(monkeypatch, name):
    few = plan(name)
    monkeypatch.setenv("LRSCHED_EDITION", "full")
    many = plan(name)
    assert (few.epochs, few.batch_size) == (many.epochs, many.batch_size)
    assert few.data.checksum == many.data.checksum == digits(many.validation).checksum
    assert few.steps_per_epoch == many.steps_per_epoch
    assert many.split(3).checksum == digits(many.validation, seed=3).checksum


def test_other_splits():
    """A seed draws which of the same images are for training, and which for validation."""
    size = plan("decay-splits")
    first, again, other = size.split(3), size.split(3), size.split(4)
    assert first.checksum == again.checksum == digits(size.validation, seed=3).checksum
    assert first.checksum != other.checksum
    assert size.split(0).checksum == size.data.checksum
    assert len(first.train) == len(other.train) == len(size.data.train)


@pytest.mark.parametrize("name", SWEEPS)
def test_plan_of_a_sweep(monkeypatch, name):
    """The editions differ in the number of seeds, and in nothing else; no batch is too small."""
    few = plan(name)
    settings = few.settings() | {"epochs": 1}
    networks = {"a": lambda: mlp(norm="before")}
    results = lab.sweep(networks, [0.01], 1, few.data, **settings)
    assert results.steps_per_epoch == few.steps_per_epoch
    assert results.settings["checksum"] == polynomial().checksum
    monkeypatch.setenv("LRSCHED_EDITION", "full")
    many = plan(name)
    assert 1 < few.seeds < many.seeds
    assert many == dataclasses.replace(few, name=name, seeds=many.seeds)
    assert many.data.checksum == polynomial().checksum
