"""What is written into an optimizer, beside native schedulers, and by calls that fail."""

import copy
import gc
import io
import math
import pickle
import warnings
import weakref
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from lrsched.pytorch import scheduler, set_rate
from native import close, sgd, t

DECAY = L.Exponential(0.5, 0.9)
NAN, INF = math.nan, math.inf


def lrs(optimizer):
    return [value_of(group["lr"]) for group in optimizer.param_groups]


def value_of(number):
    return number.detach().item() if isinstance(number, torch.Tensor) else float(number)


def picture(optimizer, *schedulers):
    """All that a call that fails must leave as it was."""
    groups = [
        {key: (id(value), str(value)) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    counts = [(s.last_epoch, s._step_count, s.get_last_lr()) for s in schedulers]
    return groups, counts, sorted(vars(optimizer)), [*optimizer._optimizer_step_pre_hooks]


class Given(L.Schedule):
    """A schedule of one's own that gives what it likes, from step 3 on."""

    which: int

    def rate(self, xp, t):
        return 0.5 if t < 3 else ANYTHING[self.which]


def tensor(value=1.0, **options):
    return torch.tensor(value, **options)


def inference_tensor():
    with torch.inference_mode():
        return tensor(1.0)


NUMBERS = [
    0.25, np.float64(0.25), np.float32(0.25), np.array(0.25), np.array([0.25]), Fraction(1, 4),
    Decimal("0.25"), tensor(0.25), tensor([0.25]), tensor(0.25, dtype=torch.bfloat16),
    tensor(0.25, requires_grad=True), 0, 1, np.int64(1),
]  # fmt: skip
NO_NUMBERS = [
    "0.1", b"0.1", None, True, np.True_, 1j, L.Constant(0.1), [0.1], (0.1,), {}, object,
    np.array([0.1, 0.2]), np.array([]), np.array(["0.1"]), np.array(True), np.array(0.1j),
    np.timedelta64(1, "s"), np.ma.masked, tensor([0.1, 0.2]), tensor(True), tensor(0.1j),
    tensor(0.1, device="meta"),
]  # fmt: skip
NO_RATES = [NAN, INF, -INF, -1.0, -1e-300, 10**400, np.float64("nan"), tensor(NAN), tensor(-1.0)]
ANYTHING = []


def giving(rate):
    ANYTHING.append(rate)
    return Given(len(ANYTHING) - 1)


HOLDERS = {
    "float": lambda: 1.0,
    "int": lambda: 1,
    "NumPy": lambda: np.float64(1.0),
    "array": lambda: np.array(1.0),
    "float64": lambda: tensor(dtype=torch.float64),
    "float32": tensor,
    "bfloat16": lambda: tensor(dtype=torch.bfloat16),
    "one element": lambda: tensor([1.0]),
    "requires a gradient": lambda: tensor(requires_grad=True),
    "parameter": lambda: torch.nn.Parameter(tensor()),
    "inference": inference_tensor,
}
# Each way in: it sets 0.5, then, where it goes on, the rate of interest.
WAYS = {
    "set_rate": lambda optimizer, rate: set_rate(optimizer, rate),
    "scheduler": lambda optimizer, rate: scheduler(optimizer, giving(rate), last_epoch=2),
    "step": lambda optimizer, rate: stepped(scheduler(optimizer, giving(rate))),
    "step(epoch)": lambda optimizer, rate: jump(scheduler(optimizer, giving(rate)), 3),
    "one a group": lambda optimizer, rate: stepped(
        scheduler(optimizer, [giving(rate), giving(rate) * 1.0])
    ),
    "a state": lambda optimizer, rate: load(optimizer, rate),
    "a later group": lambda optimizer, rate: add_group(optimizer, rate),
}


def stepped(adapter):
    adapter.optimizer.step()
    for _ in range(3):
        adapter.step()


def jump(adapter, epoch):
    adapter.optimizer.step()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter")
        adapter.step(epoch)


def load(optimizer, rate):
    adapter = scheduler(optimizer, giving(rate))
    adapter.load_state_dict(adapter.state_dict() | {"last_epoch": 3, "_step_count": 4})


def add_group(optimizer, rate):
    group = optimizer.param_groups[-1]
    del optimizer.param_groups[-1]
    adapter = scheduler(optimizer, giving(rate), last_epoch=1)
    optimizer.step()
    adapter.step()
    optimizer.add_param_group({"params": group["params"], "lr": group["lr"]})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("rate", "holder"),
    [(rate, "float") for rate in NUMBERS] + [(0.25, holder) for holder in HOLDERS],
    ids=repr,
)
def test_a_number_is_written_and_can_be_saved(way, holder, rate):
    optimizer = sgd(HOLDERS[holder](), groups=2)
    WAYS[way](optimizer, rate)
    value = float(rate.item()) if isinstance(rate, np.ndarray) else value_of(rate)
    assert lrs(optimizer) == [value] * 2
    held = optimizer.param_groups[0]["lr"]
    assert type(held) is float or isinstance(held, torch.Tensor)
    if holder != "inference":
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        groups = torch.load(file, weights_only=True)["param_groups"]
        assert [value_of(group["lr"]) for group in groups] == [value] * 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rate", [*NO_NUMBERS, *NO_RATES], ids=repr)
def test_what_is_no_rate_is_refused(way, rate):
    optimizer = sgd(0.5, groups=2)
    error = (TypeError, ValueError)
    with pytest.raises(error, match=r"rate.* must be a finite number of at least 0, got"):
        WAYS[way](optimizer, rate)
    assert set(lrs(optimizer)) == {0.5}
    assert len(optimizer.param_groups) == (1 if way == "a later group" else 2)


def test_the_refusal_names_schedule_and_step():
    adapter = scheduler(sgd(0.5), giving(NAN).warmup(1, 0.5))
    stepped(adapter)
    with pytest.raises(ValueError, match=r"rate of Warmup\(schedule=Given\(.*at step 4 .*nan"):
        adapter.step()


CANNOT_HOLD = {
    "integers": (lambda: tensor(1), 0.5, TypeError),
    "complex": (lambda: tensor(1j), 0.5, TypeError),
    "several": (lambda: tensor([1.0, 2.0]), 0.5, TypeError),
    "none": (lambda: tensor([]), 0.5, TypeError),
    "sparse": (lambda: tensor([1.0]).to_sparse(), 0.5, TypeError),
    "meta": (lambda: tensor(1.0, device="meta"), 0.5, TypeError),
    "float16": (lambda: tensor(0.5, dtype=torch.float16), 1e5, ValueError),
    "bfloat16": (lambda: tensor(0.5, dtype=torch.bfloat16), 1e39, ValueError),
    "float32": (lambda: tensor(0.5), 1e39, ValueError),
}


@pytest.mark.parametrize("way", ["set_rate", "scheduler", "step", "a later group"])
@pytest.mark.parametrize("case", CANNOT_HOLD)
def test_a_tensor_that_cannot_hold_the_rate(way, case):
    """All groups are checked before the first is set."""
    lr, rate, error = CANNOT_HOLD[case]
    optimizer = sgd(0.5, groups=2)
    optimizer.param_groups[1]["lr"] = held = lr()
    before = str(held)
    with pytest.raises(error, match=r"'lr' that is a tensor must be .*rate"):
        WAYS[way](optimizer, rate)
    assert optimizer.param_groups[0]["lr"] == (rate if way == "a later group" else 0.5)
    assert str(held) == before


@given(schedules=st.lists(st.sampled_from([0.1, 0.01, 0.001]), min_size=3, max_size=3))
def test_groups_that_share_a_tensor(schedules):
    first = tensor(1.0, dtype=torch.float64)
    optimizer = sgd(first, groups=2)
    # Another tensor of the same memory.
    optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": first.view(1)})
    adapter = scheduler(optimizer, [L.Exponential(rate, 0.5) for rate in schedules])
    for step in range(4):
        expected = [rate * 0.5**step for rate in schedules]
        assert lrs(optimizer) == adapter.get_last_lr() == expected
        if step == 2:  # the state of an optimizer that still shared it
            state = optimizer.state_dict()
            state["param_groups"] = [g | {"lr": first} for g in state["param_groups"]]
            optimizer.load_state_dict(state)
        optimizer.step()
        adapter.step()


def test_one_schedule_leaves_a_shared_tensor_shared():
    lr = tensor(1.0, dtype=torch.float64)
    optimizer = sgd(lr, groups=2)
    adapter = scheduler(optimizer, DECAY)
    assert all(group["lr"] is lr for group in optimizer.param_groups)
    optimizer.step()
    adapter.step()
    twin = copy.deepcopy(adapter)
    twin.step()
    one, other = (group["lr"] for group in twin.optimizer.param_groups)
    assert one is other
    assert (float(one), float(lr)) == (DECAY(2), DECAY(1))


# Beside native schedulers


def halving(optimizer):
    return t.LambdaLR(optimizer, lambda step: 0.9**step)


def ours(optimizer):
    """The same as a value, whose rate is not a multiple of the optimizer's."""
    group = optimizer.param_groups[0]
    return scheduler(optimizer, L.Exponential(float(group.get("initial_lr", group["lr"])), 0.9))


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
        values += [*s.get_last_lr(), *s._last_lr, *getattr(s, "base_lrs", [])]
        values += [getattr(s, name, 0) for name in ("last_epoch", "_step_count", "_is_initial")]
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


# A failed call changes nothing


def shorter(optimizer, adapter):
    del optimizer.param_groups[1]


def unholdable(optimizer, adapter):
    optimizer.param_groups[1]["lr"] = tensor(1)


BAD_CALLS = {
    "groups that do not match": (shorter, lambda a: a.step()),
    "a tensor of integers": (unholdable, lambda a: a.step()),
    **{
        f"step({epoch!r})": (lambda *_: None, lambda a, epoch=epoch: a.step(epoch))
        for epoch in ("x", -5, 1.5, True, 2**60, [3], NAN)
    },
    "a warning that is an error": (lambda *_: None, lambda a: a.step(3)),
    "a state too far": (
        lambda *_: None,
        lambda a: a.load_state_dict(a.state_dict() | {"last_epoch": 2**53}),
    ),
    "a state of other groups": (
        lambda *_: None, lambda a: a.load_state_dict(a.state_dict() | {"held": [0.1]}),
    ),
    "a state with no rate": (
        lambda *_: None, lambda a: a.load_state_dict(a.state_dict() | {"held": [0.1, NAN]}),
    ),
    "a state nested too deeply": (
        lambda *_: None, lambda a: a.load_state_dict(a.state_dict() | {"schedule": nested(5000)}),
    ),
}  # fmt: skip


def nested(depth):
    described = L.Constant(0.1).to_dict()
    for _ in range(depth):
        described = {"class": "Scaled", "schedule": described, "factor": 1.0}
    return described


@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_call_that_fails(case, steps):
    optimizer = sgd(0.5, groups=2)
    adapter = scheduler(optimizer, [DECAY, L.Constant(0.1)])
    optimizer.step()
    for _ in range(steps):
        adapter.step()
    spoil, call = BAD_CALLS[case]
    spoil(optimizer, adapter)
    before = picture(optimizer, adapter)
    with pytest.raises((TypeError, ValueError, UserWarning)):
        call(adapter)
    assert picture(optimizer, adapter) == before


def raises(*_):
    raise OSError("no rate")


FAILING = {
    "no schedule": lambda o: scheduler(o, 0.1),
    "too few": lambda o: scheduler(o, [DECAY]),
    "no rate": lambda o: scheduler(o, [DECAY, giving(NAN)], last_epoch=2),
    "too far": lambda o: scheduler(o, DECAY, last_epoch=2**53),
    "an error of one's own": lambda o: scheduler(o, type("Own", (L.Schedule,), {"rate": raises})()),
    "integers": lambda o: (unholdable(o, None), scheduler(o, DECAY)),
    "a step that PyTorch cannot wrap": lambda o: (setattr(o, "step", print), ours(o)),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_constructor_that_fails(case):
    optimizer = sgd(0.5, groups=2)
    with pytest.raises((TypeError, ValueError, OSError, AttributeError)):
        FAILING[case](optimizer)
    assert all("initial_lr" not in group for group in optimizer.param_groups)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert "add_param_group" not in vars(optimizer)
    assert vars(optimizer).get("step", print) is print


def test_a_group_that_is_refused_is_not_added():
    optimizer = sgd(0.5)
    adapter = ours(optimizer)
    before = picture(optimizer, adapter)
    with pytest.raises(TypeError, match="'lr' that is a tensor"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": tensor(1)})
    assert picture(optimizer, adapter) == before
