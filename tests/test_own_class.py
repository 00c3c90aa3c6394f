"""A schedule class of one's own: defined anywhere, under any name, saved and loaded."""

import functools
import importlib
import inspect
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from IPython.core.formatters import LatexFormatter

import lrsched as L
from lrsched.arguments import Duration, Rate
from lrsched.pytorch import scheduler
from native import sgd

SCRIPT = """
import lrsched as L
from lrsched.arguments import Rate

class Halving(L.Schedule):
    base_lr: Rate
    def rate(self, xp, t):
        return self.base_lr * 0.5**t

def show(schedule):
    print(schedule.to_dict()["class"], schedule(1), L.from_dict(schedule.to_dict()) == schedule)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where modules are written and imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder, name, text):
    (folder / f"{name}.py").write_text(text)


def read(schedule):
    """The same from its JSON."""
    return L.from_dict(json.loads(json.dumps(schedule.to_dict())))


def test_a_script_that_its_helper_and_spawned_processes_import(folder):
    write(folder, "helper", "import train_a\ndef default(): return train_a.Halving(0.8)")
    main = """
if __name__ == "__main__":
    import helper
    from multiprocessing import get_context
    show(Halving(0.8))
    show(helper.default())
    with get_context("spawn").Pool(1) as pool:
        described = pool.apply(Halving.to_dict, [Halving(0.8)])
        print(described["class"], pool.apply(L.from_dict, [described]) == Halving(0.8))
"""
    write(folder, "train_a", SCRIPT + main)
    done = subprocess.run(
        [sys.executable, "train_a.py"], cwd=folder, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "__main__:Halving 0.4 True", "train_a:Halving 0.4 True", "__main__:Halving True"
    ], done.stderr  # fmt: skip


def test_what_a_script_saved_is_loaded_where_the_script_is_imported(folder):
    write(folder, "train_b", SCRIPT)
    module = importlib.import_module("train_b")
    saved = {"class": "__main__:Halving", "base_lr": 0.8}
    assert L.from_dict(saved) == module.Halving(0.8)
    adapter = scheduler(sgd(0.1), module.Halving(0.8))
    adapter.load_state_dict(adapter.state_dict() | {"schedule": saved})


def test_the_same_name_in_several_modules(folder):
    made = {"Cosine": L.Cosine(0.8, 10)}
    for name in ("one", "other"):
        write(folder, name, SCRIPT.replace("Halving", "Cosine"))
        made[f"{name}:Cosine"] = importlib.import_module(name).Cosine(0.8)
    for name, schedule in made.items():
        assert schedule.to_dict()["class"] == name
        assert read(schedule * 2) == schedule * 2 == pickle.loads(pickle.dumps(schedule * 2))
    assert made["one:Cosine"] != made["other:Cosine"]


def test_a_module_that_is_loaded_again(folder):
    write(folder, "again", SCRIPT)
    module = importlib.import_module("again")
    described = module.Halving(0.8).to_dict()
    write(folder, "again", SCRIPT.replace("0.5**t", "0.25**t  # changed"))
    importlib.reload(module)
    assert L.from_dict(described) == module.Halving(0.8)
    assert L.from_dict(described)(1) == 0.2


def test_a_class_that_is_not_known():
    for name, message in {
        "never_imported:Halving": "import never_imported first, which defines Halving",
        "native:Halving": "the module native defines no schedule Halving",
        "__main__:Nowhere": "define Nowhere here first",
    }.items():
        with pytest.raises(ValueError, match=message):
            L.from_dict({"class": name, "base_lr": 0.1})


class Looked(L.Schedule):
    """One that holds an array, which has no hash and no single truth value."""

    values: object

    def rate(self, xp, t):
        return float(self.values[int(t)])


def test_one_that_holds_an_array():
    looked = Looked(np.array([0.5, 0.25, 0.125]))
    assert repr(looked * 2).startswith("Scaled(schedule=Looked(values=array([0.5")
    optimizer = sgd(1.0, groups=3)
    adapter = scheduler(optimizer, [looked, looked * 2, Looked(np.array([0.1, 0.2]))])
    optimizer.step()
    adapter.step()
    assert adapter.get_last_lr() == [0.25, 0.5, 0.2]


class Own(L.Schedule):
    base_lr: Rate

    def rate(self, xp, t):
        return self.base_lr


# Arguments declared with plain types


def declared(hint, **options):
    """A schedule class with one argument, ``held``, of this type."""
    body = {"__annotations__": {"held": hint}, "__module__": __name__, **options}
    return type("Mine", (L.Schedule,), body)


PLAIN_TYPES = [
    # type, what is taken and what it becomes, what is refused
    (float, [(1, 1.0), (-2.5, -2.5), (np.float32(0.5), 0.5), (1e300, 1e300)],
     ["x", None, True, math.nan, 1j, [1.0]]),
    (int, [(3, 3), (-3, -3), (np.int8(3), 3)], ["x", None, True, 1.0]),
    (bool, [(True, True), (np.False_, False)], [None, 0]),
    (str, [("x", "x"), ("", "")], [None, b"x", ["x"]]),
    (Rate | None, [(None, None), (2, 2.0)], ["x", -1]),
    (tuple[float, ...], [([1, 2], (1.0, 2.0)), ((), ()), (range(2), (0.0, 1.0))],
     [1.0, "12", None, [1, "x"], [math.nan]]),
    (tuple[int, ...] | None, [(None, None), ([1], (1,))], [1, [1.5]]),
    (tuple, [([1, "x"], (1, "x"))], [1, "x", None]),
    (Literal["a", "b"], [("a", "a")], ["c", None]),
    (Annotated[float, "no check, but a note"], [(1, 1.0)], ["x"]),
    (L.Schedule, [(L.Constant(0.1), L.Constant(0.1))], ["x", L.Cosine, L.Plateau(0.1)]),
    ("float", [(1, 1.0)], ["x"]),
    (Any, [("x", "x"), (None, None), ([1], [1])], []),
    (object, [("x", "x"), (None, None), ([1], [1])], []),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "taken", "refused"), PLAIN_TYPES, ids=lambda v: str(v)[:40])
def test_a_plain_type_is_checked(hint, taken, refused):
    mine = declared(hint)
    for value, becomes in taken:
        held = mine(value).held
        assert held == becomes
        assert type(held) is type(becomes)
        assert read(mine(value)) == mine(value)
    for value in refused:
        with pytest.raises((TypeError, ValueError), match=r"Mine: held") as caught:
            mine(value)
        items = value if isinstance(value, list) else []
        assert any(repr(wrong) in str(caught.value) for wrong in [value, *items])


@pytest.mark.parametrize(
    "hint", [list[float], Callable[[int], float], float | str, tuple[int, str], Literal[1, 2], 3]
)
def test_a_type_that_no_check_is_known_for_is_refused_at_the_definition(hint):
    with pytest.raises(TypeError, match=r"Mine\.held: no check is known for .*Annotated.*Any"):
        declared(hint)


def test_formula():
    """On a schedule it is a string, whether its class gives it as one or as a property."""

    class Text(Own):
        formula = r"\eta_0"

    class Following(Own):
        @property
        def formula(self):
            return f"{self.base_lr:g}"

    assert [own(0.5).formula for own in (Own, Text, Following)] == ["", r"\eta_0", "0.5"]
    assert all(isinstance(own.formula, property) for own in (Own, Text, Following, L.Cosine))
    assert LatexFormatter()(Own(0.5)) is None
    assert Text(0.5).warmup(3).formula.endswith(r"f(t) = \eta_0")


def test_what_follows_from_the_arguments_is_kept():
    computed = []

    class Counting(Own):
        @functools.cached_property
        def doubled(self):
            computed.append(self.base_lr)
            return 2 * self.base_lr

        def rate(self, xp, t):
            return self.doubled

    schedule = Counting(0.5)
    assert ([schedule(0), schedule(1)], computed) == ([1.0, 1.0], [0.5])
    assert {schedule: 1}[Counting(0.5)] == 1


def test_own_schedule():
    class HalfLife(Own):
        _: KW_ONLY
        half_life: Duration = 10
        heights: tuple[float, ...] | None = None
        kind: ClassVar[str] = "of the class"

        def rate(self, xp, t):
            return self.base_lr * 2.0 ** (-t / self.half_life)

    assert str(inspect.signature(HalfLife)).startswith(
        "(base_lr: float, *, half_life: float = 10, heights: tuple[float, ...] | None = None)"
    )
    halving = HalfLife(0.8)
    assert halving(10) == 0.4
    assert halving == HalfLife(0.8, half_life=10.0)
    assert read(halving.warmup(2)) == halving.warmup(2)
    assert halving.first_step_below(0.4, within=100) == 11
    with pytest.raises(TypeError, match="HalfLife: half_life must be given by keyword"):
        HalfLife(0.8, 5)
    with pytest.raises(ValueError, match=r"HalfLife: half_life .* got 0"):
        HalfLife(0.8, half_life=0)
    with pytest.raises(TypeError, match=r"Mine: held must be a finite number, got None"):
        declared(float, held=None)()  # a default is checked, too
    with pytest.raises(NotImplementedError, match=r"Mine must define rate"):
        declared(float)(0.1)(0)


@pytest.mark.parametrize("depth", [100, 5_000, 100_000])
def test_nested_deeply(depth):
    described = Own(0.1).to_dict()
    for _ in range(depth):
        described = {"class": "Scaled", "schedule": described, "factor": 1.0}
    if depth == 100:
        assert L.from_dict(described)(5) == 0.1
    else:
        with pytest.raises(ValueError, match="nested too deeply"):
            L.from_dict(described)
