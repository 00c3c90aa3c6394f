"""The page of recipes: what its blocks train uses the schedule's rates, also when resumed."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "11_recipes.md").read_text()
SHARED = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
RECIPES = dict(re.findall(r"## (.*?)\n.*?```python\n(.*?)```", PAGE, re.DOTALL))
NEEDED = {
    "PyTorch": [],
    "Lightning": ["lightning"],
    "Accelerate": ["accelerate"],
    "Hugging Face's Trainer": ["transformers", "accelerate"],
    "JAX and optax": ["jax", "optax"],
}

# Lightning advises more workers, and uses what PyTorch deprecates.
lightning_warns = pytest.mark.filterwarnings(
    "ignore:The .*does not have many workers",
    "ignore:.*isinstance.treespec, LeafSpec.. is deprecated:FutureWarning",
    "ignore:You're resuming from a checkpoint that ended before the epoch ended",
)


@pytest.fixture
def recipe(request, tmp_path, monkeypatch):
    """The names that a block defines, in an empty folder."""
    for name in NEEDED[request.param]:
        pytest.importorskip(name, reason=f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(SHARED + RECIPES[request.param], f"recipe: {request.param}", "exec"), names)
    return names


def of(name):
    return pytest.mark.parametrize("recipe", [name], indirect=True, ids=[name])


def test_each_recipe_is_tested():
    assert RECIPES.keys() == NEEDED.keys()
    code = "\n".join([SHARED, *RECIPES.values()])
    assert max(map(len, code.splitlines())) <= 84  # what fits on a page


def stopped_and_resumed(recipe, *, counts_all=False, float32=False, **options):
    """The rates of 30 updates, at once and in two parts, are those of the schedule."""
    train, expected = recipe["train"], recipe["schedule"](np.arange(30))
    expected = expected.astype("float32") if float32 else expected
    at_once = train(30, "whole", **options)
    before = train(11, "part", **options)
    after = train(30 if counts_all else 19, "part", resume=True, **options)
    np.testing.assert_array_equal(at_once, expected)
    np.testing.assert_array_equal(before, expected[:11])
    np.testing.assert_array_equal(after, expected[11:])


@of("PyTorch")
def test_pytorch(recipe):
    stopped_and_resumed(recipe)


@of("JAX and optax")
def test_optax(recipe):
    stopped_and_resumed(recipe, float32=True)


@of("Lightning")
@lightning_warns
@pytest.mark.parametrize("accumulated", [1, 2])
def test_lightning(recipe, accumulated):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    stopped_and_resumed(
        recipe, counts_all=True, accumulate_grad_batches=accumulated, accelerator="cpu",
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip


@of("Accelerate")
@pytest.mark.parametrize("accumulated", [1, 2])
def test_accelerate(recipe, accumulated):
    stopped_and_resumed(recipe, cpu=True, gradient_accumulation_steps=accumulated)


ON_TWO_PROCESSES = """
import json, sys
exec(sys.stdin.read())

def run():
    rates = train(30, "whole").tolist()
    rates += train(11, "part").tolist() + train(19, "part", resume=True).tolist()
    accelerator = Accelerator()
    scheduler = lrsched.pytorch.scheduler(torch.optim.SGD([torch.zeros(1)]), schedule)
    optimizer, prepared = accelerator.prepare(scheduler.optimizer, scheduler)
    optimizer.step()
    prepared.step()
    with open(f"{accelerator.process_index}.json", "w") as file:
        json.dump([accelerator.num_processes, scheduler.last_epoch, rates], file)

from accelerate import debug_launcher
debug_launcher(run, num_processes=2)
"""


@of("Accelerate")
def test_accelerate_on_two_processes(recipe, tmp_path):
    """Each applies each rate once; a prepared scheduler makes two steps in one."""
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_PROCESSES], input=SHARED + RECIPES["Accelerate"],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = recipe["schedule"](np.arange(30)).tolist()
    for process in range(2):
        written = json.loads((tmp_path / f"{process}.json").read_text())
        assert written == [2, 2, expected * 2]


@of("Hugging Face's Trainer")
@pytest.mark.parametrize("accumulated", [1, 2])
def test_transformers(recipe, accumulated):
    stopped_and_resumed(
        recipe, counts_all=True, gradient_accumulation_steps=accumulated, use_cpu=True,
        report_to="none", disable_tqdm=True, logging_steps=1,
    )  # fmt: skip
    for folder in ("whole", "part"):
        state = json.loads(Path(folder, "checkpoint-30", "trainer_state.json").read_text())
        logged = [entry["learning_rate"] for entry in state["log_history"]]
        np.testing.assert_array_equal(logged, recipe["schedule"](np.arange(30)))
