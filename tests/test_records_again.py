"""A few runs of each kind, trained anew from what their record says, against the record."""

import functools
import os

import pytest

import lrsched as L
from lrsched import lab, value
from lrsched.book import TRIALS, record, record_table, trial
from lrsched.book.trials import attention
from lrsched.book.trials.batches import some

pytestmark = pytest.mark.skipif(
    not os.environ.get("LRSCHED_DATA_DIR"),
    reason="LRSCHED_DATA_DIR does not say where Fashion-MNIST is",
)

# Of each table, runs at rates so small that roundings hardly grow, and how near they must come. A
# cooldown is trained without its trunk: its schedule says all.
RUNS = {
    "optimizer-rates": ({"optimizer": "AdamW", "rate": 0.000178}, 0.002),
    "batch-rates": ({"optimizer": "momentum", "equal": "updates", "batch": 128, "warmup": 0.1,
                     "rate": 0.01}, 0.002),
    "cooldowns": ({"decay": "1-sqrt", "epochs": 5, "share": 0.2, "rate": 0.0125}, 0.01),
    "cycles": ({"shape": "one cycle, momentum", "rate": 0.025}, 0.02),
    "decay-splits": ({"rule": "3"}, 0.05),
    "transformer-warmup": ({"norm": "before", "warmup": 2.0, "rate": 0.001}, 0.05),
}  # fmt: skip
PARTS = {
    "batch-rates": {"train": 2**14, "validation": 2000, "test": 4000},
    "transformer-warmup": {"train": attention.SAMPLES, "validation": 1000, "test": 2000},
}


def is_of_runs(name):
    """Whether its record has whole runs, and is no table."""
    try:
        return bool(record(name).runs)
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """The records of the package."""
    monkeypatch.delenv("LRSCHED_RECORDS_DIR", raising=False)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_comes_out_again(name):
    case, tolerance = RUNS[name]
    table = record_table(name)
    for column, wanted in case.items():
        table = table[table[column] == wanted]
    row = table[table["seed"] == 1].iloc[0]
    said = table.attrs["settings"]
    said = said | said["parts"][row["part"]]
    data = lab.fashion_mnist(5000, seed=1 if name == "decay-splits" else 0)
    data = some(data, **PARTS.get(name, {}))
    assert data.checksum == said["checksum"]
    network = functools.partial(lab.perceptron, 28, 10)
    if name == "transformer-warmup":
        network = functools.partial(
            lab.transformer, 28, 10, patch=7, depth=attention.DEPTH, norm=case["norm"]
        )
    again = lab.train(
        [lab.Run("again", L.from_text(row["schedule"]), 1)],
        data,
        epochs=said.get("start_epoch", 0) + said["epochs"],
        batch_size=said["batch_size"],
        optimizer=value.from_dict(said["optimizer"]),
        network=network,
        group=1,
        chunk=said["batch_size"],
    )
    assert again.settings["network"] == said["network"]
    for metric in ("train_loss", "validation_loss", "test_loss"):
        assert float(again.metrics[metric][-1, 0]) == pytest.approx(row[metric], rel=tolerance)


class Planned(Exception):
    """What an experiment would train."""


@pytest.mark.parametrize("name", [name for name in TRIALS if is_of_runs(name)])
def test_a_record_holds_the_runs_of_its_experiment(name, monkeypatch):
    def planned(runs, *_, **settings):
        raise Planned(runs, settings)

    monkeypatch.setenv("LRSCHED_EDITION", "full")
    monkeypatch.delenv("LRSCHED_RECORD", raising=False)
    monkeypatch.delenv("LRSCHED_RECORD_GROW", raising=False)
    monkeypatch.setattr(lab, "train", planned)
    with pytest.raises(Planned) as caught:
        trial(name)
    runs, settings = caught.value.args
    found = record(name)
    assert set(found.runs) == set(runs)
    assert found.settings["epochs"] == settings["epochs"]
    assert found.settings["batch_size"] == settings["batch_size"]
