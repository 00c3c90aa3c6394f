"""Results depend on the arguments alone: not on threads, nor on what the caller has set."""

import contextlib
import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import serialization

import lrsched as L
from killed import stop_after
from lrsched import lab
from lrsched.lab import groups, sweeps, training

ROWS, DIGITS = lab.polynomial(samples=320), lab.digits(validation=800, test=800)
RUNS = [lab.Run("a", L.Constant(0.1)), lab.Run("b", L.Plateau(0.1, factor=0.5, patience=0)),
        lab.Run("a", L.Constant(0.1), 1)]  # fmt: skip


def flat(norm=True):
    layers = [nn.BatchNorm1d(8)] if norm else []
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *layers, nn.Tanh(), nn.Linear(8, 10))


def sweep(**settings):
    networks = {"plain": lab.mlp, "normal": lambda: lab.mlp(norm="before")}
    table = lab.sweep(networks, [0.1, 0.01], 10, ROWS, epochs=2, **settings)
    return table.to_numpy().tolist()


def batched():
    """Wider than what is compiled."""
    table = lab.sweep({"a": lambda: lab.mlp(width=65)}, [0.1], 3, ROWS, epochs=2, group=3)
    return table.to_numpy().tolist()


def train(**settings):
    history = lab.train(RUNS, DIGITS, epochs=2, batch_size=50, network=flat, group=2, chunk=50,
                        distances_every=2, **settings)  # fmt: skip
    parts = (history.losses, history.rates, *history.metrics.values(), *history.distances.values())
    return [(part.dtype, part.tolist()) for part in parts]


def drawn(network=flat, seed=3):
    return [(p.dtype, p.tolist()) for p in groups.initial(network, seed).state_dict().values()]


def data():
    return [lab.polynomial(seed=3).checksum, lab.digits(seed=3, standardise=True).checksum]


CALLS = {"sweep": sweep, "batched": batched, "train": train, "initial": drawn, "data": data}
EACH = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(scope="module")
def alone():
    return {call: call() for call in CALLS.values()}


# Threads


@EACH
def test_in_threads(alone, call):
    with ThreadPoolExecutor(4) as pool:
        assert all(
            repr(found) == repr(alone[call]) for found in pool.map(lambda _: call(), "12345678")
        )


def test_beside_other_calls_in_threads(alone):
    with ThreadPoolExecutor(len(CALLS)) as pool:
        found = list(pool.map(lambda call: call(), CALLS.values()))
    assert list(map(repr, found)) == [repr(alone[call]) for call in CALLS.values()]


@EACH
def test_while_others_draw(alone, call):
    """And what they draw is what they would have drawn."""
    ended, draws = threading.Event(), []

    def draw():
        torch.manual_seed(11)
        while not ended.is_set() or len(draws) < 5:
            draws.append(torch.rand(3).tolist())

    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(draw)
        found = call()
        ended.set()
        drawing.result()
    assert repr(found) == repr(alone[call])
    torch.manual_seed(11)
    assert draws == [torch.rand(3).tolist() for _ in draws]


# What the caller has set


@contextlib.contextmanager
def until(change, back):
    change()
    try:
        yield
    finally:
        back()


def seeded():
    torch.manual_seed(77)
    np.random.seed(77)  # noqa: NPY002


SET = {
    "seeds": lambda: until(seeded, seeded),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "default device": lambda: until(
        lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)
    ),
    "double": lambda: until(
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.set_default_dtype(torch.float32),
    ),
    "half": lambda: until(
        lambda: torch.set_default_dtype(torch.bfloat16),
        lambda: torch.set_default_dtype(torch.float32),
    ),
    "denormals": lambda: until(
        lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)
    ),
    "mmap": lambda: serialization.config.patch({"load.mmap": True}),
    "deterministic": lambda: until(
        lambda: torch.use_deterministic_algorithms(True),
        lambda: torch.use_deterministic_algorithms(False),
    ),
}


@EACH
@pytest.mark.parametrize("setting", SET)
def test_whatever_the_caller_has_set(alone, call, setting):
    with SET[setting]():
        before = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_default_dtype()
        found = call()
        after = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_default_dtype()
    assert repr(found) == repr(alone[call])
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize("call", [sweep, train])
@pytest.mark.parametrize("setting", SET)
def test_a_checkpoint_goes_on_whatever_the_caller_has_set(alone, tmp_path, call, setting):
    with SET[setting](), pytest.MonkeyPatch.context() as patch:
        stop_after(patch, {sweep: sweeps, train: training}[call]._Group, 1, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            call(checkpoint=tmp_path / "c", checkpoint_seconds=0)
    with SET[setting]():
        assert repr(call(checkpoint=tmp_path / "c")) == repr(alone[call])


# What is drawn


def by_hand():
    network = flat()
    nn.init.xavier_normal_(network[1].weight)
    nn.init.trunc_normal_(network[4].weight)
    nn.init.orthogonal_(network[1].weight[:, :8].detach())
    with torch.no_grad():
        network[1].bias.copy_(torch.randn(8) + torch.rand(8) * torch.randint(5, (8,)))
        network[2].weight.uniform_(0, 1, generator=torch.Generator().manual_seed(5))
        network[4].bias += torch.randn_like(network[4].bias)[torch.randperm(10)]
    return network


NETWORKS = {"flat": flat, "lenet": lab.lenet, "by hand": by_hand, "double": lambda: flat().double()}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("seed", [0, 5, 2**40])
def test_as_after_manual_seed(network, seed):
    torch.manual_seed(seed)
    expected = [(p.dtype, p.tolist()) for p in network().state_dict().values()]
    torch.manual_seed(seed + 1)
    assert drawn(network, seed) == expected


def test_seeds_of_the_networks_own_have_no_say():
    """Else the seed of a run would not decide where it starts."""

    def seeding():
        torch.manual_seed(5)
        return flat()

    for seed in (0, 1):
        assert drawn(seeding, seed) == drawn(flat, seed)


# The arguments


def test_a_network_that_the_caller_uses_stays_as_it_is():
    network, rows = lab.mlp(norm="before").train(), lab.polynomial(samples=320)
    before = copy.deepcopy(network.state_dict())
    lab.sweep({"a": lambda: network}, [0.1], 1, rows, epochs=1)
    assert network.training
    assert all(torch.equal(before[name], p) for name, p in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("mode", [torch.inference_mode, contextlib.nullcontext])
def test_data_of_any_origin(mode):
    """Made in inference mode, or part of a graph of the caller's."""

    def remade(tensor):
        return tensor.clone().requires_grad_(
            tensor.is_floating_point() and mode is not torch.inference_mode
        )

    with mode():
        rows, images = (
            type(whole)(*(
                type(part)(*map(remade, vars(part).values())) if hasattr(part, "to") else part
                for part in vars(whole).values()
            ))
            for whole in (ROWS, DIGITS)
        )  # fmt: skip
    assert (rows.checksum, images.checksum) == (ROWS.checksum, DIGITS.checksum)
    networks = {"a": lab.mlp}
    found = [lab.sweep(networks, [0.1], 2, each, epochs=1) for each in (rows, ROWS)]
    assert found[0].equals(found[1])
    said = {"epochs": 1, "batch_size": 50, "network": flat, "group": 1, "chunk": 50}
    found = [lab.train(RUNS, each, **said).losses for each in (images, DIGITS)]
    np.testing.assert_array_equal(*found)


def test_checksums_are_of_the_data_as_they_are():
    for one in (lab.polynomial(), lab.digits()):
        before = one.checksum
        next(iter(vars(one.test).values())).view(-1)[0] += 1
        assert one.checksum != before


def test_what_is_told_cannot_change_the_results():
    def change(runs, epoch, metrics):
        for values in metrics.values():
            values[:] = 5

    said = {"epochs": 2, "batch_size": 50, "network": flat, "group": 2, "chunk": 50}
    found = [lab.train(RUNS, DIGITS, **said, after_epoch=each) for each in (change, None)]
    for name, values in found[0].metrics.items():
        np.testing.assert_array_equal(values, found[1].metrics[name])
