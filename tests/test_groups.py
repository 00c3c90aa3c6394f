"""How runs are split into groups: even, in their order, and of no say in the results."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import lrsched as L
from experiments import IMAGES, KINDS, NORMS, ROWS, arrays, flat, mlp, normalised, rows, same
from killed import ONE_THREAD, ROOT
from lrsched.lab import SGD, AdamW, Run, classification, regression, train
from lrsched.lab.fast.host import Loop
from lrsched.lab.group import Group

RULES = {
    "low": L.Constant(0.01),
    "high": L.Constant(0.1),
    "cosine": L.Cosine(0.1, 9),
    "plateau": L.Plateau(0.1, factor=0.5, patience=0, threshold=0.1),
}


def many(kind):
    """Runs of some networks in no order, and what else to say."""
    data, networks = KINDS[kind]
    networks = dict(list(networks.items())[:3])
    combined = itertools.product(RULES, (1, 0, 2), networks)
    runs = [Run(label, RULES[label], seed, network) for label, seed, network in combined]
    size = -(-len(data.train) // 4)
    return {"runs": runs, "data": data, "network": networks, "epochs": 2, "batch_size": size}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9, 100])
def test_groups_are_of_one_network_and_even(kind, size):
    """On images of one seed, too: all share their batches."""
    groups = []
    said = many(kind) | {"epochs": 1}
    train(**said, group=size, after_epoch=lambda runs, *_: groups.append(runs))
    assert sorted(map(str, itertools.chain(*groups))) == sorted(map(str, said["runs"]))
    keys = [{(run.network, run.seed * (kind == "images")) for run in group} for group in groups]
    assert all(len(key) == 1 for key in keys)
    of_each = 4 if kind == "images" else 12
    sizes = [len(part) for part in np.array_split(range(of_each), -(-of_each // size))]
    assert list(map(len, groups)) == sizes * (36 // of_each)


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.8, 0.05, True), AdamW(eps=1e-3)], ids=repr)
def test_groups_change_nothing(kind, optimizer):
    """In the compiled loop to the last bit, and in any order of the runs.

    Nor does measuring which is the fastest, which draws nothing.
    """
    state = torch.get_rng_state()
    said = many(kind) | {"optimizer": optimizer}
    distances = {"distances_every": 2} if kind == "images" else {}
    whole = train(**said, **distances, group=100)
    assert whole.runs == tuple(said["runs"])
    exact = kind == "compiled"
    for group in (1, 2, 5, None):
        found = train(**said, **distances, group=group)
        same(arrays(whole), arrays(found), exact)
        chosen = found.surroundings["group"]
        assert chosen == group if group else 1 <= chosen <= 12
    few = said["runs"][::-5]
    places = [said["runs"].index(run) for run in few]
    found = train(**said | {"runs": few, "group": 2}, **distances)
    same(arrays(whole, places), arrays(found), exact)
    same(arrays(whole), arrays(train(**said, **distances, group=100)))  # twice the same
    assert torch.equal(torch.get_rng_state(), state)


# Sizes that are measured


def chosen(runs=1, network=flat, data=IMAGES, **sizes):
    """The sizes that a training of so many constant rates takes."""
    every = [Run(f"{k}", L.Constant(0.01)) for k in range(runs)]
    found = train(every, data, epochs=1, network=network, **sizes).surroundings
    return tuple(found[name] for name in ("group", "chunk") if name in found)


@pytest.fixture
def costs(monkeypatch):
    """The seconds for one update, or one epoch on rows, of one run, by group; and what is timed."""
    seconds, timed = {}, []
    real = Group.__init__

    def init(self, runs, *others):
        timed.append(len(runs))
        real(self, runs, *others)

    monkeypatch.setattr(Group, "__init__", init)
    for module in (classification, regression):
        monkeypatch.setattr(
            module, "least_seconds",
            lambda work, device: (work(), seconds.get(timed[-1], 1.0) * timed[-1])[1],
        )  # fmt: skip
        monkeypatch.setattr(module, "GROUPS", (1, 2, 4, 8))
    monkeypatch.setattr(classification, "CHUNKS", (8, 16, 64))
    return seconds, timed


def test_the_fastest_sizes_for_images(costs, monkeypatch):
    """Groups are as even as can be: of five runs no more than four at once are three and two."""
    seconds, timed = costs
    seconds[4] = 0.1
    assert chosen(8)[0] == 4
    assert set(timed) == {1, 2, 4, 8}
    timed.clear()
    seconds[3] = 0.05
    assert chosen(5, chunk=32) == (3, 32)
    assert timed == [1, 2, 3, 5, 3, 2]
    assert chosen(5, group=2, chunk=9) == (2, 9)
    assert chosen(5, network=normalised) == (3, 32)
    calls = iter([3.0, 2.0, 1.0])  # chunks of 8, 16 and all 32
    monkeypatch.setattr(classification, "least_seconds", lambda work, device: next(calls))
    assert chosen(1) == (1, 32)


@pytest.mark.parametrize("engine", ["batched"], indirect=True)
def test_the_fastest_size_for_rows(costs, engine):
    seconds, timed = costs
    seconds[4] = 0.5
    assert chosen(9, NORMS["before"], ROWS) == (4,)
    assert timed[:4] == [1, 2, 4, 8]
    seconds[8] = 0.1
    assert chosen(9, NORMS["None"], ROWS) == (8,)


@pytest.mark.parametrize("engine", ["batched"], indirect=True)
def test_a_group_stays_within_memory(monkeypatch, engine):
    """Measured is what the widest layer of all networks gives for all rows."""
    data = rows(train=400, validation=100, test=100)
    networks = {"narrow": mlp(width=2, depth=1), "wide": mlp(width=40, depth=1)}
    networks["deep"] = mlp(width=12, depth=12)  # more weights than the wide one
    monkeypatch.setattr(regression, "GROUPS", (2, 64))
    monkeypatch.setattr(regression, "least_seconds", lambda *_: 1.0)  # the more the better
    output = 4 * 40 * 600  # bytes of the wide layer's output for one network
    monkeypatch.setattr(regression, "MEMORY", 10 * 4 * output)

    def at_once(runs, *labels):
        every = [Run(f"{k}", L.Constant(0.01), 0, label) for k in range(runs) for label in labels]
        used = {label: networks[label] for label in labels}
        return train(every, data, epochs=1, network=used).surroundings["group"]

    assert at_once(70, "narrow") == 64
    assert at_once(70, "wide") == at_once(70, "narrow", "wide") == at_once(70, "wide", "deep") == 10
    assert at_once(6, "wide") == 6  # there are no more
    monkeypatch.setattr(regression, "MEMORY", 4 * output * 3 // 2)
    assert at_once(5, "wide") == 1


def test_what_is_compiled(monkeypatch):
    """Small networks on little data: else the memory of a block would be large, and slow."""
    pytest.importorskip("numba")
    used, real = [], Loop.train
    monkeypatch.setattr(Loop, "train", lambda *given: used.append(1) or real(*given))

    def compiles(make, **said):
        used.clear()
        train([Run("a", L.Constant(0.01))], ROWS, epochs=1, network=make, **said)
        return bool(used)

    assert compiles(mlp(width=64, norm="before"))
    assert not compiles(mlp(width=65))
    assert not compiles(mlp(), distances_every=1)
    monkeypatch.setattr(regression, "MEMORY", torch.get_num_threads() * Loop.lanes * 16 * 4 * 42)
    assert compiles(mlp(width=4))
    assert not compiles(mlp(width=5))


PEAK = '''
import sys
from pathlib import Path
import numpy as np
from lrsched import lab

def peak():
    """In KiB, of this program: ru_maxrss begins with what the parent held at the fork."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

def run(rates, seeds):
    networks = {"a": lambda: lab.mlp(width=32, depth=1, norm="before")}
    rates = np.geomspace(0.001, 0.1, rates)
    return lab.sweep(networks, rates, seeds, lab.polynomial(samples=600), epochs=1)

run(1, 2)
before = peak()
results = run(int(sys.argv[1]) // 64, 64)
print(len(results.runs), peak() - before, peak())
'''


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_of_thousands_of_networks():
    """The output of a layer of all 4096 for all rows would take 315 MB."""
    growth = {}
    for runs in (512, 4096):
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(runs)], env=os.environ | ONE_THREAD, cwd=ROOT,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        count, growth[runs], peak = map(int, done.stdout.split())
        assert count == runs
        assert peak < 2 * 2**20
    assert growth[4096] < 330 * 2**10, growth
    assert growth[4096] < growth[512] + 250 * 2**10, growth
