"""States in files and in checkpoints, and what is refused before anything is trained."""

import dataclasses
import os
import random

import numpy as np
import pytest
import torch
import tqdm
from torch import nn

import lrsched as L
from checkpointed import IMAGES, ROWS, Epochs, half_trained, same, same_states
from experiments import NORMS, measured, mlp, normalised
from experiments import ROWS as SMALL
from lrsched import lab
from lrsched.lab import SGD, Adam, Run, State, train
from lrsched.lab.checkpoints import CheckpointError

RUN = Run("a", L.Constant(0.1))
SAID = {"data": SMALL, "network": NORMS["before"], "batch_size": 8, "optimizer": SGD(0.9)}


@pytest.fixture(scope="module")
def trunk():
    return train([RUN, Run("b", L.Cosine(0.1, 30), 1)], epochs=2, keep=[1, 2], **SAID)


# With checkpoints


@pytest.mark.parametrize("said", [IMAGES, ROWS], ids=["images", "rows"])
@pytest.mark.parametrize("optimizer", [SGD(0.9), Adam()], ids=repr)
def test_kept_states_survive(tmp_path, said, optimizer):
    """Stopped after every number of epochs; and so does training that goes on from a state."""
    said = said | {"optimizer": optimizer}
    one = {(run.network, run.seed): run for run in said["runs"]}
    begun = said | {"runs": list(one.values()), "epochs": 2}
    start = train(**begun, keep=[2]).states[2]
    for more, total in (({"keep": [1, 3]}, 12), ({"keep": [4, 5], "start": start}, 12)):
        whole = train(**said, **more)
        assert list(whole.states) == more["keep"]
        total = 3 * (3 if said["data"] is IMAGES["data"] else 4)
        for epochs in range(0, total, 2):
            file, rest = tmp_path / f"{more['keep']}{epochs}", Epochs()
            half_trained(file, epochs, said | more)
            same(whole, train(**said, **more, checkpoint=file, after_epoch=rest))
            assert rest.count == total - epochs
        same(whole, train(**said, **more, checkpoint=file, after_epoch=pytest.fail))


def test_a_checkpoint_of_another_start(tmp_path, trunk):
    file, runs = tmp_path / "c", [RUN, Run("b", L.Constant(0.1), 1)]
    said = SAID | {"runs": runs, "epochs": 2, "checkpoint": file}
    first = train(**said, start=trunk.states[2], keep=[4])
    before = file.read_bytes()
    other = train(runs, epochs=2, keep=[2], **SAID).states[2]
    half = {"start": trunk.states[1], "keep": [3]}
    for wrong, message in [
        ({"start": other, "keep": [4]}, "start: '.{16}' there, '.{16}' here"),
        ({"start": trunk.states[2]}, r"keep: \[4\] there, None here"),
        ({"start": trunk.states[2], "keep": [3, 4]}, r"keep: \[4\] there, \[3, 4\] here"),
        (half, "start_epoch: 2 there, 1 here"),
        ({}, "start_epoch: 2 there, None here.* start: '.{16}' there, None here"),
    ]:
        with pytest.raises(CheckpointError, match=f"is of another training .*{message}"):
            train(**said, **wrong, after_epoch=pytest.fail)
        assert file.read_bytes() == before
    # It is the same if it holds the same, whoever else is there and whatever they were called.
    renamed = [dataclasses.replace(run, label="c") for run in trunk.runs[::-1]]
    more = train([*renamed, Run("z", RUN.schedule, 2)], epochs=2, keep=[2], **SAID).states[2]
    relabelled = [Run("c", trunk.runs[run.seed].schedule, run.seed) for run in renamed]
    again = train([*relabelled, Run("z", RUN.schedule, 2)], epochs=2, keep=[2], **SAID).states[2]
    same_states(more.select(lambda run: run.seed < 2), again.select(lambda run: run.seed < 2))
    pytest.importorskip("numba")  # without, a neighbour more may change the last bits
    same(first, train(**said, start=again, keep=[4], after_epoch=pytest.fail))


def test_the_progress_bar_ends_at_its_total(monkeypatch, tmp_path, trunk):
    """Resumed within a group, too."""
    bars = []

    class Bar(tqdm.tqdm):
        def __init__(self, **said):
            super().__init__(disable=False, **said)

        def close(self):
            bars.append((self.n, self.total))
            super().close()

    said = SAID | {"runs": [RUN, trunk.runs[1]], "epochs": 3, "start": trunk.states[2]}
    said["checkpoint_seconds"] = 0
    half_trained(tmp_path / "c", 2, said)
    monkeypatch.setattr("tqdm.tqdm", Bar)
    train(**said, checkpoint=tmp_path / "c")
    assert bars[0] == (6, 6)


# In files


def test_save_and_load(tmp_path, trunk):
    file = tmp_path / "new" / "state"
    for state in trunk.states.values():
        assert state.save(file) is None
        loaded = State.load(str(file))
        same_states(loaded, state)
        assert loaded.settings == state.settings
        runs = [Run("c", L.Cosine(0.1, 40), seed) for seed in (0, 1)]
        same(*(train(runs, epochs=1, start=each, **SAID) for each in (state, loaded)))
    loaded.select(lambda run: run.seed == 1).save(file)
    assert State.load(file).runs == trunk.runs[1:]
    assert list(file.parent.iterdir()) == [file]


def test_whatever_the_caller_has_set(tmp_path, trunk):
    trunk.states[2].save(tmp_path / "state")
    runs = [Run("c", L.Cosine(0.1, 40), seed) for seed in (0, 1)]
    whole = train(runs, epochs=1, start=trunk.states[2], keep=[3], **SAID)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.inference_mode(), torch.autocast("cpu"):
            state = State.load(tmp_path / "state").select(lambda run: True)
            assert state.fingerprint() == trunk.states[2].fingerprint()
            found = train(runs, epochs=1, start=state, keep=[3], **SAID)
            network = found.states[3].network(runs[1], SAID["network"])
    finally:
        torch.set_default_dtype(default)
    same(found, whole)
    state = state.select(lambda run: run.seed == 1)
    same_states(state, trunk.states[2].select(lambda run: run.seed == 1))
    loss = measured(network, SMALL)["test_loss"]
    assert loss == pytest.approx(whole.metrics["test_loss"][0, 1], 1e-5)


def test_a_schedule_without_a_plain_form(tmp_path, trunk):
    """Nothing is written."""
    bad = dataclasses.replace(trunk.states[1], runs=(Run("a", Own(len)), trunk.runs[1]))
    with pytest.raises(TypeError, match="the run 'a' must be made of numbers"):
        bad.save(tmp_path / "state")
    assert not list(tmp_path.iterdir())


class Own(L.Schedule):
    odd: object

    def rate(self, xp, t):
        return 0.01 + 0 * t


def test_files_that_are_none(tmp_path, trunk):
    file, checkpoint = tmp_path / "state", tmp_path / "checkpoint"
    trunk.states[1].save(file)
    content = file.read_bytes()
    train([RUN], epochs=1, checkpoint=checkpoint, **SAID)
    for place in (30, len(content) // 2, len(content) - 1):
        for rest in (b"", bytes([content[place] ^ 1]) + content[place + 1 :]):
            file.write_bytes(content[:place] + rest)
            with pytest.raises(CheckpointError, match=r"state .* is cut short or altered: name an"):
                State.load(file)
    for other in (b"", b"lrsched sta", random.Random(0).randbytes(999), checkpoint.read_bytes()):
        file.write_bytes(other)
        with pytest.raises(CheckpointError, match="state is not a state of lrsched: name another"):
            State.load(file)
    torch.save({"epoch": 1}, file)
    with pytest.raises(CheckpointError, match="is not a state of lrsched"):
        State.load(file)
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is not a checkpoint of lrsched"):
        train([RUN], epochs=1, checkpoint=file, **SAID)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (None, TypeError, "path must be a path, got None"),
        (3, TypeError, "path must be a path, got 3"),
        (b"c", TypeError, "path must be a path, got b'c'"),
        ("", ValueError, "path must be the path of a file, got ''"),
        ("a\0b", ValueError, "path must be the path of a file"),
        (".", CheckpointError, "is a folder: name another file"),
        (os.devnull, CheckpointError, "is no ordinary file: name another file"),
    ],
)
def test_no_path_of_a_file(monkeypatch, tmp_path, trunk, path, error, message):
    monkeypatch.chdir(tmp_path)
    for function in (trunk.states[1].save, State.load):
        with pytest.raises(error, match=message):
            function(path)
    with pytest.raises(CheckpointError, match=r"state .*none cannot be read: No such file or dir"):
        State.load("none")
    assert not list(tmp_path.iterdir())


def test_an_error_while_writing(monkeypatch, tmp_path, trunk):
    trunk.states[1].save(tmp_path / "state")

    def failing(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", failing)
    with pytest.raises(CheckpointError, match=r"state .* cannot be written: No space left on dev"):
        trunk.states[2].save(tmp_path / "state")
    same_states(State.load(tmp_path / "state"), trunk.states[1])
    assert len(list(tmp_path.iterdir())) == 1


# Refused


def wider():
    return lab.mlp(3, width=5, outputs=2, norm="before")


def tied():
    """Printed as ``own``, with fewer weights."""
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, 2))


def own():
    return nn.Sequential(
        nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)
    )  # fmt: skip


class Falling(L.Schedule):
    """Below 0 from step 13 on."""

    def rate(self, xp, t):
        return 1.25 - 0.1 * t


class Late(L.Schedule):
    """Below 0 before step 8."""

    def rate(self, xp, t):
        return 0.001 * (t - 8)


OTHER = dataclasses.replace(SMALL, test=lab.Rows(torch.zeros(1, 3), torch.zeros(1, 2)))
VALUE, TYPE = ValueError, TypeError


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"start": 15}, TYPE, "start must be a State, got 15"),
        ({"start": {}}, TYPE, "start must be a State, got {}"),
        ({"batch_size": 9}, VALUE, "training with the same batch_size: 8 there, 9 here"),
        ({"optimizer": None}, VALUE, "same optimizer: .*'momentum': 0.9.* there, .*0.0.* here"),
        ({"optimizer": SGD(0.8)}, VALUE, "same optimizer: .*0.9.* there, .*0.8.* here"),
        ({"optimizer": Adam()}, VALUE, "same optimizer: .*'SGD'.* there, .*'Adam'.* here"),
        ({"data": OTHER}, VALUE, "same checksum: '.{16}' there, '.{16}' here"),
        ({"network": wider}, VALUE, "(?s)network must make the network .*4, bias.*got.*5, bias"),
        ({"network": {"b": NORMS["before"]}, "runs": [Run("a", L.Constant(0.1), 0, "b")]}, VALUE,
         r"start must hold a run of seed 0 of network 'b' for runs\[0\], 'a', got seed 0, seed 1$"),
        ({"runs": [RUN, Run("b", L.Constant(0.1), 2)]}, VALUE,
         r"start must hold a run of seed 2 for runs\[1\], 'b', got seed 0, seed 1$"),
        ({"runs": [Run("a", Falling())]}, VALUE,
         r"runs\[0\].schedule must give .* each of 8 steps from step 8 on, got .*Falling"),
        ({"keep": 4}, TYPE, "keep must be a list, got 4"),
        ({"keep": [2]}, VALUE, r"keep\[0\] must be an integer of at least 3 and at most 4, got 2"),
        ({"keep": [3, 5]}, VALUE, r"keep\[1\] must be .* at most 4, got 5"),
        ({"keep": [3.0]}, TYPE, r"keep\[0\] must be an integer of .*got 3.0"),
        ({"keep": [True]}, TYPE, r"keep\[0\] must be .*got True"),
        ({"keep": "3"}, TYPE, "keep must be a list, got '3'"),
        ({"start": None, "keep": [0]}, VALUE, r"keep\[0\] must be .*at least 1 and at most 2"),
    ],
)  # fmt: skip
def test_wrong(tmp_path, trunk, wrong, error, message):
    """Nothing is trained or written."""
    said = SAID | {"runs": [RUN], "epochs": 2, "start": trunk.states[2]} | wrong
    with pytest.raises(error, match=message):
        train(**said, checkpoint=tmp_path / "c", after_epoch=pytest.fail)
    assert not list(tmp_path.iterdir())


def test_rates_before_the_start_do_not_matter(trunk):
    branch = train([Run("a", Late())], epochs=1, start=trunk.states[2], **SAID)
    assert branch.rates[:, 0].tolist() == np.float32([0, 0.001, 0.002, 0.003]).tolist()


def test_which_run_to_go_on_from():
    runs = [Run(label, L.Constant(rate)) for label, rate in (("a", 0.1), ("b", 0.2))]
    start = train(runs, epochs=1, keep=[1], **SAID).states[1]
    with pytest.raises(
        ValueError, match=r"one run of seed 0 for runs\[0\], 'c', got 'a', 'b': choose"
    ):
        train([Run("c", L.Constant(0.0))], epochs=1, start=start, **SAID)
    rows = [
        train([Run("c", L.Constant(0.0))], epochs=1, start=some, **SAID).metrics["test_loss"]
        for some in (start.select(lambda run, label=label: run.label == label) for label in "ab")
    ]
    assert rows[0] != rows[1]
    with pytest.raises(ValueError, match=r"got none$"):
        train([RUN], epochs=1, start=start.select(lambda run: False), **SAID)


def test_what_there_is_when_there_is_much():
    """The first few, with the label of their network."""
    said = SAID | {"network": {"n": NORMS["before"]}}
    runs = [Run("a", L.Constant(0.1), seed, "n") for seed in range(9)]
    start = train(runs, epochs=1, keep=[1], **said).states[1]
    more = Run("a", L.Constant(0.1), 9, "n")
    with pytest.raises(ValueError, match=r"got seed 0 of network 'n', .* seed 4 of .*'n', \.\.\.$"):
        train([runs[0], more], epochs=1, start=start, **said)
    with pytest.raises(ValueError, match=r"seed=4, network='n'\), \.\.\., got Run"):
        start.network(more, NORMS["before"])


def test_weights_of_other_shapes():
    """Of a network that is printed as another one."""
    assert str(tied()) == str(own())
    start = train([RUN], SMALL, network=tied, epochs=1, keep=[1]).states[1]
    for call in (
        lambda: train([RUN], SMALL, network=own, epochs=1, start=start),
        lambda: start.network(RUN, own),
    ):
        with pytest.raises(ValueError, match=r"must make a network with the weights of the state"):
            call()


@pytest.mark.parametrize(
    ("run", "make", "error", "message"),
    [
        (0, NORMS["before"], TYPE, "run must be a lab.Run, got 0"),
        (Run("a", RUN.schedule, 1), NORMS["before"], VALUE, "run must be one of Run.*, got Run"),
        (RUN, normalised(), TYPE, "make must be a function that makes a network, got Sequential"),
        (RUN, None, TYPE, "make must be a function that makes a network, got None"),
        (RUN, lambda: nn.Linear(3, 2), TYPE, "make must make a torch.nn.Sequential, got Linear"),
        (RUN, mlp(width=9), VALUE, "make must make the network of the state, Sequential"),
    ],
)
def test_no_such_network(trunk, run, make, error, message):
    with pytest.raises(error, match=message):
        trunk.states[1].network(run, make)


@pytest.mark.parametrize(
    "keep", [np.array([1, 2]), range(1, 3), iter([2, 1]), (np.int64(1), 2), [2, 2, 1]]
)
def test_ways_to_say_when(keep):
    results = train([RUN], epochs=2, keep=keep, **SAID)
    assert list(results.states) == [1, 2]
    assert all(type(epoch) is int for epoch in results.states)
