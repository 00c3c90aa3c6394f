"""The compiled loop: neither neighbours nor threads change a bit of a network's results."""

import copy
import os
import signal

import pytest
import torch

from loops import Lesson, together
from lrsched.lab import SGD, Adam, AdamW, Stack, fast, mlp
from stacks import HANDMADE, networks

LANES = 16

BLOCKS = {
    "tanh": (lambda: mlp(3, 2, outputs=2), SGD(0.9)),
    "before": (lambda: mlp(3, 2, 5, 2, norm="before"), Adam()),
    "after": (lambda: mlp(3, 3, activation="relu", outputs=2, norm="after"), SGD(0.5, 0.1, True)),
    "flat": (HANDMADE["flat"], Adam(weight_decay=0.1)),
    "ends": (HANDMADE["norm first and last"], SGD()),
    "decoupled": (lambda: mlp(3, 2, outputs=2), AdamW(weight_decay=0.5)),
}
SIZE = 70  # blocks of one seed, of several seeds, and one that is not full
MANY = Lesson(3, 2, 23, 9, SIZE, seeds=3)


def bits(results):
    """All numbers of each network, [networks, numbers]."""
    parts = [t.contiguous() for t in results.values()]
    integers = [t.view(torch.int32).long() if t.is_floating_point() else t for t in parts]
    return torch.cat([t.flatten(1) if t.dim() > 1 else t[:, None] for t in integers], 1)


@pytest.fixture
def threads():
    """Sets the number of threads until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=BLOCKS)
def block(request):
    """Networks, the rule, and all that they give."""
    make, rule = BLOCKS[request.param]
    nets = networks(make, SIZE)
    results = together(nets, rule, MANY)
    assert all(t.isfinite().all() for t in results.values())
    assert len(set(map(tuple, bits(results).tolist()))) == SIZE
    return nets, rule, bits(results)


CHOICES = [
    range(SIZE), [5], [SIZE - 1], [69, 3, 50], range(1, SIZE), range(0, SIZE, 2),
    range(SIZE - 1, -1, -1), [7, 7, 40, *[7] * 20, 41],
    torch.randperm(SIZE, generator=torch.Generator().manual_seed(1)).tolist(),
]  # fmt: skip


def test_neither_lane_nor_subset_nor_order_matters(block):
    nets, rule, expected = block
    for chosen in map(list, CHOICES):
        results = together([nets[index] for index in chosen], rule, MANY.of(chosen))
        assert torch.equal(bits(results), expected[chosen]), chosen


@pytest.mark.parametrize("name", BLOCKS)
def test_threads_do_not_matter(threads, name):
    """Epochs so long that the blocks are computed at the same time."""
    make, rule = BLOCKS[name]
    lesson = Lesson(3, 2, 4000, 50, 6 * LANES, evaluated=4000)
    nets, found = networks(make, 6 * LANES), []
    for count in (1, 2, 3):
        threads(count)
        found.append(bits(together(nets, rule, lesson)))
    assert torch.equal(found[1], found[0])
    assert torch.equal(found[2], found[0])


@pytest.mark.parametrize("flushing", [False, True])
def test_the_rate_zero_leaves_the_weights(flushing):
    """Denormal ones too, if the caller's thread flushes these to zero."""
    nets = networks(lambda: mlp(3, 2, outputs=2, norm="after"), 5)
    with torch.no_grad():
        nets[0][0].weight.fill_(1e-40)
    torch.set_flush_denormal(flushing)
    try:
        results = together(nets, SGD(0.9), Lesson(3, 2, 23, 9, 5, rate=0.0))
    finally:
        torch.set_flush_denormal(False)
    for index, network in enumerate(nets):
        for name, p in network.named_parameters():
            assert torch.equal(results[name][index], p)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_has_threads_of_its_own():
    stack = Stack(networks(lambda: mlp(3), 3))
    loop, samples = fast.loop(stack), (torch.ones(9, 3), torch.ones(9, 1))
    expected = loop.errors(*samples, "eval")
    child = os.fork()
    if not child:
        signal.alarm(60)  # rather than to wait for threads that are not there
        os._exit(0 if torch.equal(loop.errors(*samples, "eval"), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_samples_may_lie_apart_and_stay():
    nets = networks(lambda: mlp(3, 2, outputs=2), 4)
    lesson = Lesson(3, 2, 23, 9, 4)
    apart = copy.copy(lesson)
    apart.samples, apart.evaluated = (
        [x.repeat_interleave(2, dim=1)[:, ::2] for x in samples]
        for samples in (lesson.samples, lesson.evaluated)
    )
    apart.orders = [orders.T.contiguous().T for orders in lesson.orders]
    assert not any(x.is_contiguous() for x in (*apart.samples, *apart.orders))
    before = copy.deepcopy(lesson)
    assert torch.equal(bits(together(nets, SGD(), apart)), bits(together(nets, SGD(), lesson)))
    for name in ("samples", "evaluated", "orders"):
        assert all(map(torch.equal, getattr(lesson, name), getattr(before, name)))
