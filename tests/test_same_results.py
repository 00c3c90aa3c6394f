"""Results depend on the arguments alone: not on threads, nor on what the caller has set."""

import contextlib
import copy
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import serialization

import lrsched as L
from experiments import arrays, flat, mlp, normalised, same
from lrsched import lab
from lrsched.lab.seeds import initial

ROWS, DIGITS = lab.polynomial(samples=320), lab.digits(validation=800, test=800)
RUNS = [lab.Run("a", L.Constant(0.1)), lab.Run("b", L.Plateau(0.1, factor=0.5, patience=0)),
        lab.Run("a", L.Constant(0.1), 1)]  # fmt: skip


def plain(results):
    """All that was measured."""
    return [(name, values.dtype, values.tolist()) for name, values in arrays(results).items()]


def sweep(**settings):
    networks = {"plain": lab.mlp, "normal": lambda: lab.mlp(norm="before")}
    return plain(lab.sweep(networks, [0.1, 0.01], 10, ROWS, epochs=2, **settings))


def batched(**settings):
    """Wider than what is compiled."""
    networks = {"a": mlp(features=5, outputs=1, width=65)}
    return plain(lab.sweep(networks, [0.1], 3, ROWS, epochs=2, group=3, **settings))


def train(**settings):
    return plain(lab.train(RUNS, DIGITS, epochs=2, batch_size=50, network=normalised, group=2,
                           distances_every=2, **settings))  # fmt: skip


def drawn(network=normalised, seed=3):
    return [(p.dtype, p.tolist()) for p in initial(network, seed).state_dict().values()]


def data():
    return [lab.polynomial(seed=3).checksum, lab.digits(seed=3, standardise=True).checksum]


CALLS = {"sweep": sweep, "batched": batched, "train": train, "initial": drawn, "data": data}
EACH = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(scope="module")
def alone():
    return {call: repr(call()) for call in CALLS.values()}


# Threads


def test_in_threads(alone):
    """Beside the same calls and others."""
    calls = [*CALLS.values()] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda call: repr(call()), calls))
    assert found == [alone[call] for call in calls]


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
    assert repr(found) == alone[call]
    torch.manual_seed(11)
    assert draws == [torch.rand(3).tolist() for _ in draws]


# What the caller has set


@contextlib.contextmanager
def until(change, value, back):
    change(value)
    try:
        yield
    finally:
        change(back)


def seed_all(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002


SET = {
    "seeds": lambda: until(seed_all, 77, 77),
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: until(torch.set_default_device, "meta", None),
    "dtype": lambda: until(torch.set_default_dtype, torch.float64, torch.float32),
    "denormals": lambda: until(torch.set_flush_denormal, True, False),
    "mmap": lambda: serialization.config.patch({"load.mmap": True}),
    "deterministic": lambda: until(torch.use_deterministic_algorithms, True, False),
}


@EACH
@pytest.mark.parametrize("setting", SET)
def test_whatever_the_caller_has_set(alone, call, setting):
    def around():
        state = np.random.get_state()[1].tolist()  # noqa: NPY002
        others = torch.get_rng_state().tolist(), torch.is_grad_enabled(), torch.get_default_dtype()
        return state, *others

    with SET[setting]():
        before = around()
        found = call()
        assert around() == before
    assert repr(found) == alone[call]


@pytest.mark.parametrize("call", [sweep, batched, train])
@pytest.mark.parametrize("setting", SET)
def test_a_checkpoint_goes_on_whatever_the_caller_has_set(alone, tmp_path, call, setting):
    def stop(runs, epoch, metrics):
        if epoch == 2:
            raise KeyboardInterrupt

    with SET[setting](), pytest.raises(KeyboardInterrupt):
        call(checkpoint=tmp_path / "c", checkpoint_seconds=0, after_epoch=stop)
    with SET[setting]():
        assert repr(call(checkpoint=tmp_path / "c")) == alone[call]


# What is drawn


def by_hand():
    network = normalised()
    first, norm, last = network[2], network[3], network[5]
    nn.init.trunc_normal_(first.weight)
    with torch.no_grad():
        first.bias.copy_(torch.randn(12) + torch.rand(12) * torch.randint(5, (12,)))
        norm.weight.uniform_(0, 1, generator=torch.Generator().manual_seed(5))
        last.bias += torch.randn_like(last.bias)[torch.randperm(10)]
    return network


NETWORKS = {
    "flat": flat,
    "lenet": lab.lenet,
    "transformer": lab.transformer,
    "by hand": by_hand,
    "double": lambda: flat().double(),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("seed", [0, 2**40])
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
    network = lab.mlp(norm="before").train()
    before = copy.deepcopy(network.state_dict())
    lab.sweep({"a": lambda: network}, [0.1], 1, ROWS, epochs=1)
    assert network.training
    assert all(torch.equal(before[name], p) for name, p in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("mode", [torch.inference_mode, contextlib.nullcontext])
@pytest.mark.parametrize(("data", "network"), [(ROWS, lab.mlp), (DIGITS, normalised)])
def test_data_of_any_origin(mode, data, network):
    """Made in inference mode, or part of a graph of the caller's."""

    def remade(tensor):
        graph = tensor.is_floating_point() and not torch.is_inference_mode_enabled()
        return tensor.clone().requires_grad_(graph)

    with mode():
        parts = {
            name: type(part)(*map(remade, vars(part).values()))
            for name, part in vars(data).items()
            if name in ("train", "validation", "test")
        }
        other = dataclasses.replace(data, **parts)
    assert other.checksum == data.checksum
    said = {"epochs": 1, "batch_size": 50, "network": network, "group": 2}
    same(*(arrays(lab.train(RUNS, each, **said)) for each in (data, other)))


def test_checksums_are_of_the_data_as_they_are():
    for one in (lab.polynomial(), lab.digits()):
        before = one.checksum
        next(iter(vars(one.test).values())).view(-1)[0] += 1
        assert one.checksum != before


def test_what_is_told_cannot_change_the_results():
    def change(runs, epoch, metrics):
        for values in metrics.values():
            values[:] = 5

    assert repr(train(after_epoch=change)) == repr(train())
