"""The README's Python runs and trains what it promises; its picture is what its script draws."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import lrsched as L

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
PYTORCH, KERAS, DIAGNOSE, VALUES, READ, OTHERS, JAX, OWN, TRAIN, ATTEND, BRANCH, SWEEP = BLOCKS


def run(code):
    """The names that a block defines."""
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


@pytest.mark.parametrize("seed", range(3))
def test_pytorch(seed):
    torch.manual_seed(seed)
    assert run(PYTORCH)["accuracy"] > 0.94


@pytest.mark.parametrize("seed", range(3))
def test_keras(seed):
    import keras

    keras.utils.set_random_seed(seed)
    names = run(KERAS)
    assert names["accuracy"] > 0.94
    assert int(names["optimizer"].iterations) == pytest.approx(1000, abs=20)


def test_values():
    schedule = run(VALUES)["schedule"]
    assert schedule == L.Cosine(0.3, 20).warmup(5)
    assert "# array([0.  , 0.3 , 0.15, 0.  ])" in VALUES
    assert schedule([0, 5, 15, 25]) == pytest.approx([0, 0.3, 0.15, 0])


def test_diagnosis(capsys):
    found = run(DIAGNOSE)["found"]
    printed = capsys.readouterr().out.splitlines()
    said = re.findall(r"  # (.*)\n", DIAGNOSE)[-2:]
    assert printed[0] == said[0] == f"{found.fault} {found.times}"
    assert printed[1].startswith(said[1].removesuffix(" ..."))


def test_reading(capsys):
    schedule = run(READ)["schedule"]
    assert f"  # {schedule!r}\n" in READ
    assert "keras.optimizers.schedules.PiecewiseConstantDecay(" in capsys.readouterr().out


def test_other_numbers():
    names = run(OTHERS)
    (group,), scheduler = names["optimizer"].param_groups, names["scheduler"]
    for step in range(60):
        assert group["lr"] == names["waves"](step)
        assert group["weight_decay"] == pytest.approx(0.1 * group["lr"])
        names["optimizer"].step()
        scheduler.step()
    for _ in range(4):
        scheduler.update(1.0)
    assert group["lr"] == 0.5 * names["waves"](60)


def test_jax():
    pytest.importorskip("optax", reason="optax is not installed")
    names = run(JAX)
    rates = names["schedule"](range(1050))
    assert names["rates"].tolist() == pytest.approx(rates, rel=1e-6)


def test_own_schedule():
    ((code, rate),) = re.findall(r"(Halving\(0.*)  # (.*)", OWN)
    assert eval(code, run(OWN)) == float(rate)


def test_train():
    for accuracies in run(TRAIN)["results"].final("test_accuracy").values():
        assert (accuracies > 0.85).all()


def test_transformer():
    results = run(ATTEND)["results"]
    assert set(results.labels) == {"cosine", "warmup"}
    assert results.check_rates()
    assert results.metrics["train_loss"][-1].max() < results.metrics["train_loss"][0].min()


def test_branches():
    """Each cooldown goes on from its trunk, and falls to 0 when it ends."""
    names = run(BRANCH)
    trunk, branch = names["trunk"], names["branch"]
    assert [*trunk.states] == [5, 10, 15]
    assert branch.settings["start_epoch"] == 15
    assert branch.epochs == 3
    assert branch.rates[0, 0] == np.float32(0.2)
    assert branch.rates[-1, 0] < 0.2 / branch.steps_per_epoch / 2
    assert (branch.final("test_accuracy")["cooldown"] > 0.9).all()


def test_sweep():
    names = run(SWEEP)
    table, variance = names["table"], names["lab"].polynomial().test.targets.var()
    losses = table[table.epoch == 40].groupby(["network", "schedule"]).test_loss.median()
    assert (losses < 0.6 * float(variance)).all()


def test_picture_is_fresh(tmp_path):
    script = runpy.run_path(str(ROOT / "book" / "picture.py"))
    script["draw"](tmp_path / "fresh.svg")
    assert (tmp_path / "fresh.svg").read_bytes() == script["PICTURE"].read_bytes()
