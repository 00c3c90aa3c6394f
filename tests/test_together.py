"""Beside PyTorch's own schedulers, and with groups that are added later."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch

import lrsched as L
from lrsched.pytorch import scheduler, set_rate
from native import close, lrs, sgd, t

DECAY = L.Exponential(0.5, decay_rate=0.9)


NINE = torch.tensor(9.0, dtype=torch.float64)


def add_group(optimizer, **options):
    """Give an optimizer another group; its weight."""
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    weight.grad = torch.ones_like(weight)
    optimizer.add_param_group({"params": [weight], **options})
    return weight


def halving(optimizer):
    return t.LambdaLR(optimizer, lambda step: 0.9**step)


def ours(optimizer):
    """The same as a value, whose rate is not a multiple of the optimizer's."""
    group = optimizer.param_groups[0]
    return scheduler(
        optimizer, L.Exponential(float(group.get("initial_lr", group["lr"])), decay_rate=0.9)
    )


PARTNERS = {
    "cosine": lambda o: t.CosineAnnealingLR(o, 10),
    "steps": lambda o: t.StepLR(o, 2, 0.5),
    "restarts": lambda o: t.CosineAnnealingWarmRestarts(o, 3),
    "cyclic": lambda o: t.CyclicLR(o, 0.1, 0.4, 3, cycle_momentum=False),
    "one cycle": lambda o: t.OneCycleLR(o, 0.4, 20, cycle_momentum=False),
    "averaged": lambda o: torch.optim.swa_utils.SWALR(o, 0.05, 4),
}
TOGETHER = {
    "alone": lambda o, one, other: one,
    "sequence": lambda o, one, other: t.SequentialLR(o, [one, other], [3]),
    "chain": lambda o, one, other: t.ChainedScheduler([one, other], o),
    "after": lambda o, one, other: other,
}


def seen(optimizer, *schedulers):
    """What loggers and other schedulers read."""
    values = [*lrs(optimizer), *(group["initial_lr"] for group in optimizer.param_groups)]
    for s in schedulers:
        values += [*s.get_last_lr(), *getattr(s, "base_lrs", []), getattr(s, "last_epoch", 0)]
        values += [s.state_dict().get("_step_count", 0)]
    return [float(value) for value in values]


@pytest.mark.parametrize("lr", [1, NINE])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("how", TOGETHER)
@pytest.mark.parametrize("partner", PARTNERS)
def test_all_that_is_read_is_as_with_a_native_scheduler(partner, how, first, lr):
    runs = []
    for make in (halving, ours):
        optimizer = sgd(copy.deepcopy(lr), groups=2)
        makers = [make, PARTNERS[partner]] if first else [PARTNERS[partner], make]
        parts = [part(optimizer) for part in makers]
        together = TOGETHER[how](optimizer, *parts)
        runs.append([])
        for _ in range(8):
            runs[-1].append(seen(optimizer, together, *parts))
            optimizer.step()
            together.step()
    close(np.array(runs[1]), np.array(runs[0]))


@pytest.mark.parametrize("order", [("make", "optimizer"), ("optimizer", "make")])
@pytest.mark.parametrize("cut", range(8))
@pytest.mark.parametrize("first", [True, False])
def test_a_sequence_resumes_exactly(first, cut, order):
    """Also in the order in which native schedulers alone go wrong."""

    def sequence(optimizer):
        if first:
            parts = [ours(optimizer), t.CosineAnnealingLR(optimizer, 9)]
        else:
            parts = [t.LinearLR(optimizer, 0.3, 1.0, 4), ours(optimizer)]
        return t.SequentialLR(optimizer, parts, [4])

    whole, resumed = sgd(0.5), sgd(0.5)
    together = sequence(whole)
    rates = []
    for step in range(10):
        rates.append(lrs(whole))
        if step == cut:
            states = [copy.deepcopy(made.state_dict()) for made in (whole, together)]
        whole.step()
        together.step()
    for what in order:
        if what == "make":
            again = sequence(resumed)
        else:
            resumed.load_state_dict(states[0])
    again.load_state_dict(states[1])
    for step in range(cut, 10):
        close(lrs(resumed), rates[step])
        resumed.step()
        again.step()


def test_a_plateau_after_ours():
    for make in (halving, ours):
        optimizer = sgd(0.5)
        adapter = make(optimizer)
        plateau = t.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        optimizer.step()
        adapter.step()
        for loss in (1.0, 1.0):
            plateau.step(loss)
        assert lrs(optimizer) == plateau.get_last_lr() == [0.225]
        assert adapter.get_last_lr() == [0.45]  # its own last, as PyTorch's
    other = sgd(0.5)
    ours(other).load_state_dict(adapter.state_dict())  # which a checkpoint keeps
    assert lrs(other) == [0.225]


@pytest.mark.parametrize("lr", [9.0, None, NINE])
def test_a_later_group_is_updated_at_the_rate_of_the_schedule(lr):
    optimizer = sgd(0.5)
    adapter = ours(optimizer)
    optimizer.step()
    adapter.step()
    weight = add_group(optimizer, **({} if lr is None else {"lr": lr}))
    assert lrs(optimizer) == adapter.get_last_lr() == [0.45, 0.45]
    assert optimizer.param_groups[1]["initial_lr"] == (0.5 if lr is None else 9.0)
    optimizer.step()
    assert weight.item() == 1 - 0.45
    adapter.step()
    assert lrs(optimizer) == [DECAY(2)] * 2
    set_rate(optimizer, 0.2)  # set by hand: stays
    add_group(optimizer)
    optimizer.step()
    assert lrs(optimizer) == [0.2, 0.2, DECAY(2)]


def test_a_later_group_follows_the_scheduler_whose_turn_it_is():
    optimizer = sgd(0.5)
    parts = [scheduler(optimizer, L.Constant(rate)) for rate in (0.1, 0.2)]
    together = t.SequentialLR(optimizer, parts, [2])
    for step in range(4):
        add_group(optimizer, lr=9.0)
        assert set(lrs(optimizer)) == {0.1 if step < 2 else 0.2}
        optimizer.step()
        together.step()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_follow_their_own_optimizer(again):
    optimizer = sgd(0.5)
    adapter = ours(optimizer)
    optimizer.step()
    adapter.step()
    adapter.step()
    other, twin = again((optimizer, adapter))
    assert twin.optimizer is other
    add_group(other, lr=9.0)
    twin.step()
    assert lrs(other) == [DECAY(3)] * 2
    assert lrs(optimizer) == [DECAY(2)]


def test_neither_is_kept_alive():
    """Many schedulers made on one optimizer leave nothing behind."""
    gc.disable()
    try:
        optimizer = sgd(0.5)
        for _ in range(3000):  # more than calls may nest
            adapter = ours(optimizer)
        add_group(optimizer, lr=9.0)
        assert lrs(optimizer) == [0.5, 0.5]
        dead = weakref.ref(adapter)
        del adapter
        assert dead() is None
        add_group(optimizer, lr=9.0)
        assert lrs(optimizer)[-1] == 9.0
        dead = weakref.ref(optimizer)
        del optimizer
        assert dead() is None
    finally:
        gc.enable()
