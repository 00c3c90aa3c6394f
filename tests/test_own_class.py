"""A schedule class of one's own: defined anywhere, under any name, saved and loaded."""

import functools
import importlib
import inspect
import json
import math
import pickle
import subprocess
import sys
import textwrap
import typing
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest

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
    return schedule
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where modules are written and imported from; gone again afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]


def write(folder, name, text):
    (folder / f"{name}.py").write_text(textwrap.dedent(text))


def run(folder, name):
    command = [sys.executable, f"{name}.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_script_that_its_helper_imports(folder):
    write(folder, "helper", "import train_a\ndef default(): return train_a.Halving(0.8)")
    main = "\nif __name__ == '__main__':\n    import helper\n    show(Halving(0.8))\n"
    write(folder, "train_a", SCRIPT + main + "    show(helper.default())\n")
    assert run(folder, "train_a") == ["__main__:Halving 0.4 True", "train_a:Halving 0.4 True"]


def test_what_a_script_saved_is_loaded_where_the_script_is_imported(folder):
    write(folder, "train_b", SCRIPT)
    module = importlib.import_module("train_b")
    saved = {"class": "__main__:Halving", "base_lr": 0.8}
    assert L.from_dict(saved) == module.Halving(0.8)
    adapter = scheduler(sgd(0.1), module.Halving(0.8))
    adapter.load_state_dict(adapter.state_dict() | {"schedule": saved})


def test_processes_that_multiprocessing_spawns(folder):
    main = """
        from multiprocessing import get_context

        if __name__ == "__main__":
            with get_context("spawn").Pool(1) as pool:
                described = pool.apply(Halving.to_dict, [Halving(0.8)])
                there = pool.apply(L.from_dict, [described])
            print(described["class"], there == L.from_dict(described) == Halving(0.8))
        """
    write(folder, "spawning", SCRIPT + textwrap.dedent(main))
    assert run(folder, "spawning") == ["__main__:Halving True"]


def test_the_same_name_in_several_modules(folder):
    made = []
    for name in ("one", "other"):
        write(folder, name, SCRIPT.replace("Halving", "Cosine"))
        made.append(importlib.import_module(name).Cosine(0.8))
    made.append(L.Cosine(0.8, 10))
    names = ["one:Cosine", "other:Cosine", "Cosine"]
    for schedule, name in zip(made, names, strict=True):
        assert schedule.to_dict()["class"] == name
        for again in (
            L.from_dict(json.loads(json.dumps((schedule * 2).to_dict()))),
            pickle.loads(pickle.dumps(schedule * 2)),
        ):
            assert again == schedule * 2
    assert made[0] != made[1]


def test_a_module_that_is_loaded_again(folder):
    write(folder, "again", SCRIPT)
    module = importlib.import_module("again")
    described = module.Halving(0.8).to_dict()
    write(folder, "again", SCRIPT.replace("0.5**t", "0.25**t  # changed"))
    importlib.reload(module)
    assert L.from_dict(described) == module.Halving(0.8)
    assert L.from_dict(described)(1) == 0.2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("never_imported:Halving", "import never_imported first, which defines Halving"),
        ("native:Halving", "the module native defines no schedule Halving"),
        ("__main__:Nowhere", "define Nowhere here first"),
        ("__main__:Cosine", "define Cosine here first"),
        ("Quartering", "'class' must be one of .*Cosine.* got 'Quartering'"),
        (":", "from_dict"),
    ],
)
def test_a_class_that_is_not_known(name, message):
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
     ["x", None, True, math.nan, math.inf, 1j, [1.0]]),
    (int, [(3, 3), (-3, -3), (np.int8(3), 3)], ["x", None, True, 1.0, math.nan]),
    (bool, [(True, True), (np.False_, False)], ["x", None, 0, 1.0]),
    (str, [("x", "x"), ("", "")], [None, 1, b"x", ["x"]]),
    (float | None, [(None, None), (2, 2.0)], ["x", True, math.nan]),
    (Rate | None, [(None, None), (2, 2.0)], ["x", -1]),
    (tuple[float, ...], [([1, 2], (1.0, 2.0)), ((), ()), (range(2), (0.0, 1.0))],
     [1.0, "12", None, [1, "x"], [math.nan]]),
    (tuple[int, ...] | None, [(None, None), ([1], (1,))], [1, [1.5]]),
    (tuple, [([1, "x"], (1, "x"))], [1, "x", None]),
    (Literal["a", "b"], [("a", "a")], ["c", "", None, 1]),
    (Annotated[float, "no check, but a note"], [(1, 1.0)], ["x"]),
    (L.Schedule, [(L.Constant(0.1), L.Constant(0.1))], ["x", None, L.Cosine, L.Plateau(0.1)]),
    ("float", [(1, 1.0)], ["x"]),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "taken", "refused"), PLAIN_TYPES, ids=lambda v: str(v)[:40])
def test_a_plain_type_is_checked(hint, taken, refused):
    mine = declared(hint)
    for value, becomes in taken:
        held = mine(value).held
        assert held == becomes
        assert type(held) is type(becomes)
        assert L.from_dict(json.loads(json.dumps(mine(value).to_dict()))) == mine(value)
    for value in refused:
        with pytest.raises((TypeError, ValueError), match=r"Mine: held") as caught:
            mine(value)
        items = value if isinstance(value, list) else []
        assert any(repr(wrong) in str(caught.value) for wrong in [value, *items])


@pytest.mark.parametrize("hint", [Any, object])
def test_what_is_declared_to_be_anything_is_not_checked(hint):
    for value in ("x", None, math.nan, print, [1]):
        assert declared(hint)(value).held is value


@pytest.mark.parametrize(
    "hint", [list[float], dict[str, float], Callable[[int], float], float | str, tuple[int, str],
             typing.TypeVar("T"), Literal[1, 2], [float], 3],
    ids=str,
)  # fmt: skip
def test_a_type_that_no_check_is_known_for_is_refused_at_the_definition(hint):
    with pytest.raises(TypeError, match=r"Mine\.held: no check is known for .*Annotated.*Any"):
        declared(hint)


def test_a_default_is_checked_too():
    with pytest.raises(TypeError, match=r"Mine: held must be a finite number, got None"):
        declared(float, held=None)()


def test_arguments_by_keyword():
    class Waves(L.Schedule):
        base_lr: Rate
        _: KW_ONLY
        period: Duration = 10
        heights: tuple[float, ...] = ()
        kind: ClassVar[str] = "of the class"

    assert str(inspect.signature(Waves)) == (
        "(base_lr: float, *, period: float = 10, heights: tuple[float, ...] = ()) -> None"
    )
    assert repr(Waves(1, period=5)) == "Waves(base_lr=1.0, period=5)"
    with pytest.raises(TypeError, match="Waves: period must be given by keyword, as period=5"):
        Waves(1, 5)


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
    assert Text(0.5)._repr_latex_() == r"$\displaystyle \eta_t = \eta_0$"
    assert Own(0.5)._repr_latex_() is None
    assert Text(0.5).warmup(3).formula.endswith(r"f(t) = \eta_0")


def test_what_follows_from_the_arguments_is_kept():
    class Counting(Own):
        @functools.cached_property
        def doubled(self):
            computed.append(self.base_lr)
            return 2 * self.base_lr

        def rate(self, xp, t):
            return self.doubled

    computed = []
    schedule = Counting(0.5)
    assert [schedule(0), schedule(1)] == [1.0, 1.0]
    assert computed == [0.5]
    assert schedule == Counting(0.5)
    assert hash(schedule) == hash(Counting(0.5))


def test_own_schedule():
    class HalfLife(L.Schedule):
        base_lr: Rate
        half_life: Duration = 10

        def rate(self, xp, t):
            return self.base_lr * 2.0 ** (-t / self.half_life)

    halving = HalfLife(0.8)
    assert halving(10) == 0.4
    assert halving == HalfLife(0.8, 10.0)
    assert repr(halving.warmup(2)) == "Warmup(schedule=HalfLife(base_lr=0.8), warmup_steps=2)"
    assert L.from_dict(halving.warmup(2).to_dict()) == halving.warmup(2)
    assert halving.first_step_below(0.4, within=100) == 11
    with pytest.raises(ValueError, match=r"HalfLife: half_life .* got 0"):
        HalfLife(0.8, 0)
    with pytest.raises(NotImplementedError, match=r"Mine must define rate"):
        declared(float)(0.1)(0)


@pytest.mark.parametrize("inner", [L.Constant(0.1), Own(0.1)])
@pytest.mark.parametrize("depth", [100, 5_000, 100_000])
def test_nested_deeply(inner, depth):
    described = inner.to_dict()
    for _ in range(depth):
        described = {"class": "Scaled", "schedule": described, "factor": 1.0}
    if depth == 100:
        assert L.from_dict(described)(5) == 0.1
    else:
        with pytest.raises(ValueError, match="nested too deeply"):
            L.from_dict(described)
