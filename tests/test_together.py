"""Beside PyTorch's own schedulers, and with groups that are added later."""

import copy
import gc
import io
import pickle
import weakref

import numpy as np
import pytest
import torch

import lrsched as L
from lrsched.pytorch import scheduler, set_rate
from native import close, lrs, sgd, t

DECAY = L.Exponential(0.5, decay_rate=0.9)


def tensor(value=1.0, **options):
    return torch.tensor(value, **options)


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
    "exponential": lambda o: t.ExponentialLR(o, 0.8),
    "steps": lambda o: t.StepLR(o, 2, 0.5),
    "linear": lambda o: t.LinearLR(o, 0.3, 1.0, 4),
    "constant": lambda o: t.ConstantLR(o, 0.5, 3),
    "restarts": lambda o: t.CosineAnnealingWarmRestarts(o, 3),
    "lambda": lambda o: t.LambdaLR(o, lambda step: 1 / (1 + step)),
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


@pytest.mark.parametrize("lr", [1, tensor(0.5, dtype=torch.float64)])
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
        other = t.CosineAnnealingLR if first else t.LinearLR
        parts = [ours(optimizer), other(optimizer, 9)] if first else [
            other(optimizer, 0.3, 1.0, 4), ours(optimizer)
        ]  # fmt: skip
        return t.SequentialLR(optimizer, parts, [4])

    whole, resumed = sgd(0.5), sgd(0.5)
    together = sequence(whole)
    rates = []
    for step in range(10):
        rates.append(lrs(whole))
        if step == cut:
            file = io.BytesIO()
            torch.save([whole.state_dict(), together.state_dict()], file)
        whole.step()
        together.step()
    file.seek(0)
    of_optimizer, of_sequence = torch.load(file, weights_only=True)
    for what in order:
        if what == "make":
            again = sequence(resumed)
        else:
            resumed.load_state_dict(of_optimizer)
    again.load_state_dict(of_sequence)
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
        state = adapter.state_dict()
        if make is ours:  # which a checkpoint keeps
            assert state["held"] == [0.225]
            other = sgd(0.5)
            ours(other).load_state_dict(state)
            assert lrs(other) == [0.225]


def test_last_epoch_needs_no_initial_lr_but_keeps_one():
    optimizer = sgd(0.5)
    scheduler(optimizer, DECAY, last_epoch=3)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5
    loaded = sgd(9.0)
    loaded.load_state_dict(optimizer.state_dict())
    assert scheduler(loaded, DECAY, last_epoch=3).base_lrs == [0.5]
    with pytest.raises(KeyError, match="initial_lr"):
        t.LambdaLR(sgd(0.5), lambda step: 1.0, last_epoch=3)


@pytest.mark.parametrize("lr", [9.0, None, tensor(9.0, dtype=torch.float64)])
def test_a_later_group_is_updated_at_the_rate_of_the_schedule(lr):
    optimizer = sgd(0.5)
    adapter = ours(optimizer)
    optimizer.step()
    adapter.step()
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    weight.grad = torch.ones_like(weight)
    optimizer.add_param_group({"params": [weight]} | ({} if lr is None else {"lr": lr}))
    assert lrs(optimizer) == adapter.get_last_lr() == [0.45, 0.45]
    assert optimizer.param_groups[1]["initial_lr"] == (0.5 if lr is None else 9.0)
    optimizer.step()
    assert weight.item() == 1 - 0.45
    adapter.step()
    assert lrs(optimizer) == [DECAY(2)] * 2


def test_only_a_new_group_is_given_a_rate():
    optimizer = sgd(0.5)
    adapter = ours(optimizer)
    set_rate(optimizer, 0.3)
    optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())]})
    assert lrs(optimizer) == [0.3, 0.5]
    set_rate(optimizer, 0.2)  # set by hand: stays
    optimizer.step()
    assert lrs(optimizer) == [0.2, 0.2]
    adapter.step()
    assert lrs(optimizer) == [DECAY(1)] * 2


def test_a_later_group_follows_the_scheduler_whose_turn_it_is():
    optimizer = sgd(0.5)
    parts = [scheduler(optimizer, L.Constant(rate)) for rate in (0.1, 0.2)]
    together = t.SequentialLR(optimizer, parts, [2])
    for step in range(4):
        optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": 9.0})
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
    other.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": 9.0})
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
        optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": 9.0})
        assert lrs(optimizer) == [0.5, 0.5]
        dead = weakref.ref(adapter)
        del adapter
        assert dead() is None
        optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": 9.0})
        assert lrs(optimizer)[-1] == 9.0
        dead = weakref.ref(optimizer)
        del optimizer
        assert dead() is None
    finally:
        gc.enable()
