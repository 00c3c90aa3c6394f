"""The README's Python runs and trains what it promises; its picture is what its script draws."""

import re
import runpy
from pathlib import Path

import pytest
import torch

import lrsched as L

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
PYTORCH, KERAS, VALUES, OWN, TRAIN, SWEEP = BLOCKS


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


def test_own_schedule():
    ((code, rate),) = re.findall(r"(Halving\(0.*)  # (.*)", OWN)
    assert eval(code, run(OWN)) == float(rate)


def test_train():
    for accuracies in run(TRAIN)["results"].final("test_accuracy").values():
        assert (accuracies > 0.85).all()


def test_sweep():
    names = run(SWEEP)
    table, variance = names["table"], names["lab"].polynomial().test.targets.var()
    losses = table[table.epoch == 40].groupby(["network", "schedule"]).test_loss.median()
    assert (losses < 0.6 * float(variance)).all()


def test_picture_is_fresh(tmp_path):
    script = runpy.run_path(str(ROOT / "book" / "picture.py"))
    script["draw"](tmp_path / "fresh.svg")
    assert (tmp_path / "fresh.svg").read_bytes() == script["PICTURE"].read_bytes()
