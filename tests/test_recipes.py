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
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

import lrsched as L
import lrsched.pytorch
from house import ROOT

PAGE = (ROOT / "book" / "recipes.md").read_text()
SHARED = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
RECIPES = dict(re.findall(r"## (.*?)\n(?:(?!## ).)*?```python\n(.*?)```", PAGE, re.DOTALL))
EPOCHS, BATCHES, SIZE = 3, 50, 16
UPDATES = EPOCHS * BATCHES
PLANNED = L.Cosine(0.3, UPDATES - 100).warmup(100)(np.arange(UPDATES))

# Lightning advises more workers, and uses what PyTorch deprecates.
lightning_warns = pytest.mark.filterwarnings(
    "ignore:The .*does not have many workers",
    "ignore:.*isinstance.treespec, LeafSpec.. is deprecated:FutureWarning",
    "ignore:You're resuming from a checkpoint that ended before the epoch ended",
)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))


def rows():
    inputs = torch.linspace(-1, 1, 2 * BATCHES * SIZE).reshape(-1, 2)
    return torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True))


def batches():
    return torch.utils.data.DataLoader(rows(), batch_size=SIZE)


@pytest.fixture
def yours(tmp_path, monkeypatch):
    """What the page says is the reader's; the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    return {
        "model": network(),
        "batches": batches(),
        "loss_of": torch.nn.functional.mse_loss,
        "epochs": EPOCHS,
    }


@pytest.fixture
def applied():
    """The groups of each optimizer at each of its updates, as they were used."""
    updates = []

    def note(optimizer, args, kwargs):
        updates.append([dict(group) for group in optimizer.param_groups])

    handle = register_optimizer_step_post_hook(note)
    yield updates
    handle.remove()


def run(code, names, **changes):
    """Run a block; `changes` are of its text."""
    for old, new in changes.items():
        assert old in code
        code = code.replace(old, new)
    exec(compile(code, "recipe", "exec"), names)
    return names


def prepared(recipe, names, **changes):
    return run(SHARED + RECIPES[recipe], names, **changes)


def rates(applied, group=0):
    return np.array([float(groups[group]["lr"]) for groups in applied])


def test_recipes_are_short_and_tested():
    tests = Path(__file__).read_text()
    assert len(RECIPES) == 12
    for name, code in RECIPES.items():
        assert re.search(rf"(prepared\(|RECIPES\[)[\"']{re.escape(name)}[\"']", tests), name
        lines = code.splitlines()
        assert len(lines) <= 15, name
        assert max(map(len, lines)) <= 84  # what fits on a page


def test_pytorch(yours, applied):
    prepared("PyTorch", yours)
    np.testing.assert_array_equal(rates(applied), PLANNED)


def test_stopped_and_resumed(yours, applied, tmp_path):
    """Killed in mid-run, and made anew from the checkpoint."""
    made, loop = RECIPES["PyTorch"].split("for epoch")
    begun = prepared("PyTorch", dict(yours, epochs=EPOCHS - 1), **{
        f"for epoch{loop}": "", "updates - 100": f"{UPDATES} - 100",
    })  # fmt: skip
    run(RECIPES["Stop and resume"], begun)
    run(f"for epoch{loop}", begun)
    begun["save"](tmp_path / "checkpoint")
    resumed = run(SHARED + made, dict(yours, model=network()))
    run(RECIPES["Stop and resume"], resumed)
    resumed["load"](tmp_path / "checkpoint")
    run(f"for epoch{loop}", dict(resumed, epochs=1))
    np.testing.assert_array_equal(rates(applied), PLANNED)


def test_keras(yours):
    keras = pytest.importorskip("keras", reason="keras is not installed")
    import lrsched.keras

    layers = [keras.Input((2,)), keras.layers.Dense(1)]
    recorder = lrsched.keras.Recorder()
    x, y = (tensor.numpy() for tensor in rows().tensors)
    names = dict(yours, model=keras.Sequential(layers), x=x, y=y, recorder=recorder)
    more = "epochs=epochs, callbacks=[recorder], verbose=0)"
    prepared("Keras", names, **{"epochs=epochs)": more})
    np.testing.assert_allclose(recorder.rates, PLANNED, rtol=1e-5, atol=1e-8)


@lightning_warns
@pytest.mark.parametrize("summed", [1, 2])
def test_lightning(yours, applied, summed):
    lightning = pytest.importorskip("lightning", reason="lightning is not installed")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    names = prepared("Lightning", yours)

    class Model(lightning.LightningModule):
        configure_optimizers = names["configure_optimizers"]

        def __init__(self):
            super().__init__()
            self.layers = network()

        def training_step(self, batch):
            return names["loss_of"](self.layers(batch[0]), batch[1])

    def fit(steps, resumed_from=None):
        trainer = lightning.Trainer(
            max_steps=steps, max_epochs=-1, accumulate_grad_batches=summed, accelerator="cpu",
            logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Model(), batches(), ckpt_path=resumed_from)
        trainer.save_checkpoint("checkpoint")

    fit(60)
    fit(UPDATES, "checkpoint")
    np.testing.assert_array_equal(rates(applied), PLANNED)


@pytest.mark.parametrize("summed", [1, 2])
def test_accelerate(yours, applied, summed):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    recipe = RECIPES["Accelerate"]
    made, loop = recipe.split("for inputs")
    ready = {"Accelerator()": f"Accelerator(cpu=True, gradient_accumulation_steps={summed})"}
    names = run(SHARED + made, yours, **ready)
    run(f"for inputs{loop}", names)
    names["accelerator"].save_state("checkpoint")
    half = len(applied)
    assert half == BATCHES // summed
    again = dict(yours, model=network(), batches=batches(), epochs=EPOCHS)
    names = run(SHARED + made, again, **ready)
    names["accelerator"].load_state("checkpoint")
    run(f"for inputs{loop}", names)
    np.testing.assert_array_equal(rates(applied), PLANNED[: 2 * half])


ON_TWO_PROCESSES = """
import json, sys
import torch
import test_recipes as page

def run():
    names = {"model": page.network(), "batches": page.batches(), "epochs": page.EPOCHS}
    names["loss_of"] = torch.nn.functional.mse_loss
    recorder = []
    page.register_optimizer_step_post_hook(
        lambda optimizer, *_: recorder.append(optimizer.param_groups[0]["lr"])
    )
    page.prepared("Accelerate", names, **{"Accelerator()": "Accelerator(cpu=True)"})
    accelerator, ours = names["accelerator"], names["scheduler"]
    # One that is prepared makes two steps in one.
    optimizer = torch.optim.SGD([torch.zeros(1)])
    theirs = page.L.pytorch.scheduler(optimizer, names["schedule"])
    optimizer, prepared = accelerator.prepare(optimizer, theirs)
    optimizer.step()
    prepared.step()
    with open(f"{accelerator.process_index}.json", "w") as file:
        json.dump([accelerator.num_processes, theirs.last_epoch, recorder[:-1]], file)

from accelerate import debug_launcher
debug_launcher(run, num_processes=2)
"""


def test_accelerate_on_two_processes(tmp_path):
    """Each applies each rate once; a prepared scheduler makes two steps in one."""
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO_PROCESSES],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for process in range(2):
        processes, steps, used = json.loads((tmp_path / f"{process}.json").read_text())
        assert (processes, steps) == (2, 2)
        np.testing.assert_array_equal(used, PLANNED[: BATCHES // 2])


class Labelled(torch.nn.Module):
    """A model as the Trainer asks for one."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x, labels):
        return {"loss": torch.nn.functional.mse_loss(self.layers(x), labels)}


@pytest.mark.parametrize("summed", [1, 2])
def test_transformers(yours, applied, tmp_path, summed):
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    data = [{"x": x, "labels": y} for x, y in rows()]
    options = (
        f'"checkpoints", per_device_train_batch_size={SIZE}, use_cpu=True, report_to="none", '
        f"gradient_accumulation_steps={summed}, disable_tqdm=True, logging_steps=1, save_steps=25, "
    )
    changes = {'"checkpoints", ': options}
    names = dict(yours, model=Labelled(), data=data)
    prepared("Hugging Face's Trainer", names, **changes)
    count = UPDATES // summed
    np.testing.assert_array_equal(rates(applied), PLANNED[:count])
    state = json.loads(Path(f"checkpoints/checkpoint-{count}/trainer_state.json").read_text())
    logged = [entry["learning_rate"] for entry in state["log_history"] if "loss" in entry]
    np.testing.assert_array_equal(logged, PLANNED[:count])

    applied.clear()
    names = dict(yours, model=Labelled(), data=data)
    before = tmp_path / "checkpoints" / f"checkpoint-{count - 25}"
    changes["trainer.train()"] = f"trainer.train(resume_from_checkpoint={str(before)!r})"
    prepared("Hugging Face's Trainer", names, **changes)
    np.testing.assert_array_equal(rates(applied), PLANNED[count - 25 : count])


def test_optax(yours):
    pytest.importorskip("optax", reason="optax is not installed")
    jax = pytest.importorskip("jax", reason="jax is not installed")
    pairs = [(np.ones(2), 1.0)] * BATCHES
    names = dict(
        yours, batches=pairs, weights=jax.numpy.zeros(2), rates=[],
        loss_of=lambda weights, inputs, targets: (weights @ inputs - targets) ** 2,
    )  # fmt: skip
    prepared("JAX and optax", names)
    np.testing.assert_array_equal(names["rates"], PLANNED.astype("float32"))


def test_one_cycle(yours, applied):
    """The rate and the momentum of PyTorch's own."""
    names = prepared("One cycle with its momentum", yours)
    optimizer = torch.optim.SGD([torch.zeros(1)], momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=UPDATES)
    for step in range(UPDATES):
        ours, native = names["optimizer"].param_groups[0], optimizer.param_groups[0]
        assert ours["lr"] == pytest.approx(native["lr"], rel=1e-9)
        assert ours["momentum"] == pytest.approx(native["momentum"], rel=1e-9)
        for each in (names["optimizer"], optimizer):
            each.step()
        names["scheduler"].step()
        if step < UPDATES - 1:  # where theirs raises an error
            theirs.step()


def test_plateau_after_a_warmup(yours, applied):
    losses = iter([1.0, 0.5] + [0.5] * 8)
    names = dict(yours, epochs=10, validation_loss=lambda model: next(losses))
    prepared("A plateau after a warmup", names)
    # Better until the second epoch, borne twice, so that it falls after the fifth and the eighth.
    left = np.repeat([1.0] * 5 + [0.5] * 3 + [0.25] * 2, BATCHES)
    warm = L.Constant(0.3).warmup(100)(np.arange(10 * BATCHES))
    np.testing.assert_allclose(rates(applied), warm * left, rtol=1e-12)


def test_two_groups(yours, applied):
    names = prepared("Two parameter groups", yours)
    run(f"for epoch{RECIPES['PyTorch'].split('for epoch')[1]}", names)
    np.testing.assert_allclose(rates(applied, 0), 0.1 * PLANNED, rtol=1e-12)
    np.testing.assert_array_equal(rates(applied, 1), PLANNED)
    parts = [group["params"] for group in names["optimizer"].param_groups]
    assert sum(map(len, parts)) == len([*yours["model"].parameters()])


def test_gradient_accumulation(yours, applied):
    names = prepared("Gradient accumulation", dict(yours, batches=[*batches()][:48]))
    planned = L.Cosine(0.3, 26).warmup(10)(np.arange(36))
    assert names["updates"] == 144
    np.testing.assert_array_equal(rates(applied), planned)


def test_read_and_record(yours, applied, capsys):
    made, loop = RECIPES["PyTorch"].split("for epoch")
    names = run(SHARED + made, yours)
    names["train"] = lambda: run(f"for epoch{loop}", names)
    run(RECIPES["Read and record the rate"], names)
    np.testing.assert_array_equal(names["recorder"].rates, PLANNED)
    np.testing.assert_array_equal(rates(applied), PLANNED)
    *_, rate, said = capsys.readouterr().out.splitlines()
    assert float(rate) == L.Cosine(0.3, UPDATES - 100).warmup(100)(UPDATES)
    assert said.startswith("The 150 rates are those of the schedule")
