"""A schedule class of one's own: defined anywhere, under any name, saved and loaded."""

import importlib
import json
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lrsched as L
from lrsched.arguments import Rate
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
