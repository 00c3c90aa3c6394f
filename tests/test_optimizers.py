"""What is written into an optimizer, beside native schedulers, and by calls that fail."""

import copy
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import lrsched as L
from lrsched.pytorch import scheduler, set_rate
from native import lrs, sgd, t

DECAY = L.Exponential(0.5, decay_rate=0.9)
NAN, INF = math.nan, math.inf


def value_of(number):
    return number.detach().item() if isinstance(number, torch.Tensor) else float(number)


def picture(optimizer, *schedulers):
    """All that a call that fails must leave as it was."""
    groups = [
        {key: (id(value), str(value)) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]
    states = [(s.last_epoch, s.get_last_lr(), s.state_dict()) for s in schedulers]
    return groups, states, sorted(vars(optimizer))


class Given(L.Schedule):
    """A schedule of one's own that gives what it likes, from step 3 on."""

    which: int

    def rate(self, xp, t):
        return 0.5 if t < 3 else ANYTHING[self.which]


def tensor(value=1.0, **options):
    return torch.tensor(value, **options)


NUMBERS = [
    0.25, np.float32(0.25), np.array(0.25), np.array([0.25]), Fraction(1, 4), Decimal("0.25"),
    tensor([0.25]), tensor(0.25, dtype=torch.bfloat16), tensor(0.25, requires_grad=True), 0, 1,
]  # fmt: skip
NO_RATES = [
    "0.1", None, True, 1j, L.Constant(0.1), [0.1], object, np.array([0.1, 0.2]), np.array(["0.1"]),
    np.timedelta64(1, "s"), np.ma.masked, tensor([0.1, 0.2]), tensor(True), tensor(0.1j),
    tensor(0.1, device="meta"), NAN, INF, -1.0, 10**400, tensor(NAN), tensor(-1.0),
]  # fmt: skip
ANYTHING = []


def giving(rate):
    ANYTHING.append(rate)
    return Given(len(ANYTHING) - 1)


HOLDERS = {
    "float": lambda: 1.0,
    "NumPy": lambda: np.float64(1.0),
    "array": lambda: np.array(1.0),
    "float32": tensor,
    "bfloat16": lambda: tensor(dtype=torch.bfloat16),
    "requires a gradient": lambda: tensor(requires_grad=True),
    "inference": torch.inference_mode()(tensor),
}


def stepped(adapter):
    adapter.optimizer.step()
    for _ in range(3):
        adapter.step()


def loaded(optimizer, rate):
    adapter = scheduler(optimizer, giving(rate))
    adapter.load_state_dict(adapter.state_dict() | {"last_epoch": 3, "_step_count": 4})


def group_added(optimizer, rate):
    group = optimizer.param_groups.pop()
    adapter = scheduler(optimizer, giving(rate), last_epoch=1)
    optimizer.step()
    adapter.step()
    optimizer.add_param_group({"params": group["params"], "lr": group["lr"]})


# Each way in: it sets 0.5, then, where it goes on, the rate of interest.
WAYS = {
    "set_rate": set_rate,
    "scheduler": lambda optimizer, rate: scheduler(optimizer, giving(rate), last_epoch=2),
    "step": lambda optimizer, rate: stepped(scheduler(optimizer, giving(rate))),
    "one a group": lambda optimizer, rate: stepped(
        scheduler(optimizer, [giving(rate), giving(rate) * 1.0])
    ),
    "a state": loaded,
    "a later group": group_added,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("rate", "holder"),
    [(rate, "float") for rate in NUMBERS] + [(0.25, holder) for holder in HOLDERS],
    ids=repr,
)
def test_a_number_is_written_as_a_plain_one(way, holder, rate):
    optimizer = sgd(HOLDERS[holder](), groups=2)
    first = optimizer.param_groups[0]["lr"]
    WAYS[way](optimizer, rate)
    value = float(rate.item()) if isinstance(rate, np.ndarray) else value_of(rate)
    assert lrs(optimizer) == [value] * 2
    held = optimizer.param_groups[0]["lr"]
    assert held is first if isinstance(first, torch.Tensor) else type(held) is float


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rate", NO_RATES, ids=repr)
def test_what_is_no_rate_is_refused(way, rate):
    optimizer = sgd(0.5, groups=2)
    error = (TypeError, ValueError)
    with pytest.raises(error, match=r"rate.* must be a finite number of at least 0, got"):
        WAYS[way](optimizer, rate)
    assert set(lrs(optimizer)) == {0.5}
    assert len(optimizer.param_groups) == (1 if way == "a later group" else 2)


def test_the_refusal_names_schedule_and_step():
    adapter = scheduler(sgd(0.5), giving(NAN).warmup(1, start_lr=0.5))
    stepped(adapter)
    with pytest.raises(ValueError, match=r"rate of Warmup\(schedule=Given\(.*at step 4 .*nan"):
        adapter.step()


CANNOT_HOLD = {
    "integers": (lambda: tensor(1), 0.5, TypeError),
    "several": (lambda: tensor([1.0, 2.0]), 0.5, TypeError),
    "sparse": (lambda: tensor([1.0]).to_sparse(), 0.5, TypeError),
    "meta": (lambda: tensor(1.0, device="meta"), 0.5, TypeError),
    "float16": (lambda: tensor(0.5, dtype=torch.float16), 1e5, ValueError),
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
    assert len(optimizer.param_groups) == (1 if way == "a later group" else 2)


def test_groups_that_share_a_tensor():
    first = tensor(1.0, dtype=torch.float64)
    optimizer = sgd(first, groups=2)
    # Another tensor of the same memory.
    optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": first.view(1)})
    schedules = [L.Exponential(rate, decay_rate=0.5) for rate in (0.1, 0.01, 0.1)]
    adapter = scheduler(optimizer, schedules)
    for step in range(4):
        assert lrs(optimizer) == adapter.get_last_lr() == [s(step) for s in schedules]
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


# A failed call changes nothing


def longer(optimizer):
    optimizer.add_param_group({"params": [torch.nn.Parameter(tensor())], "lr": 9.0})


def unholdable(optimizer):
    optimizer.param_groups[1]["lr"] = tensor(1)


TWO = [DECAY, L.Constant(0.1)]
FOREIGN = {  # what is made of the state of a scheduler
    "one schedule for all": lambda s: scheduler(sgd(0.5, groups=2), DECAY).state_dict(),
    "the others' order": lambda s: scheduler(sgd(0.5, groups=2), TWO[::-1]).state_dict(),
    "a plateau": lambda s: s | {"schedule": L.Plateau(0.1).to_dict()},
    "PyTorch's": lambda s: t.StepLR(sgd(0.1), 5).state_dict(),
    "one without its step": lambda s: {key: s[key] for key in s.keys() - {"last_epoch"}},
    "a step that is no number": lambda s: s | {"last_epoch": "3"},
    "other groups": lambda s: s | {"held": [0.1]},
    "no rate": lambda s: s | {"held": [0.1, NAN]},
}
# What is done to the optimizer before, the call, and what the refusal says.
BAD_CALLS = {
    "groups that do not match": (longer, lambda a: a.step(), "list of 3.*got 2"),
    "a tensor of integers": (unholdable, lambda a: a.step(), "'lr' that is a tensor"),
    "a warning that is an error": (None, lambda a: a.step(3), "epoch parameter"),
} | {
    f"step({epoch!r})": (None, lambda a, epoch=epoch: a.step(epoch), "epoch must be")
    for epoch in ("x", -5, 1.5, True, 2**60)
} | {
    f"the state of {name}": (None, lambda a, f=f: a.load_state_dict(f(a.state_dict())), "state")
    for name, f in FOREIGN.items()
}  # fmt: skip


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_call_that_fails(case, steps):
    optimizer = sgd(0.5, groups=2)
    adapter = scheduler(optimizer, TWO)
    optimizer.step()
    for _ in range(steps):
        adapter.step()
    spoil, call, message = BAD_CALLS[case]
    if spoil:
        spoil(optimizer)
    before = picture(optimizer, adapter)
    with pytest.raises((TypeError, ValueError, UserWarning), match=message):
        call(adapter)
    assert picture(optimizer, adapter) == before


def raises(*_):
    raise OSError("no rate")


FAILING = [
    (lambda o: scheduler(o, [DECAY]), ValueError, "list of 2.*got 1"),
    (lambda o: scheduler(o, [DECAY, 0.1]), TypeError, r"schedule must be .*0\.1"),
    (lambda o: scheduler(o, L.Plateau(0.1)), TypeError, "schedule must be .*Plateau"),
    (lambda o: scheduler(o, DECAY, -2), ValueError, "last_epoch .*-2"),
    (lambda o: scheduler(o, DECAY, last_epoch=2**53), ValueError, "last_epoch"),
    (lambda o: scheduler(DECAY, DECAY), TypeError, "optimizer must be"),
    (lambda o: scheduler(o, [DECAY, giving(NAN)], last_epoch=2), ValueError, "rate of Given"),
    (lambda o: scheduler(o, type("Own", (L.Schedule,), {"rate": raises})()), OSError, "no rate"),
    # A step that PyTorch cannot wrap:
    (lambda o: (setattr(o, "step", print), scheduler(o, DECAY)), AttributeError, "__func__"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), FAILING)
def test_a_constructor_that_fails(make, error, message):
    optimizer = sgd(0.5, groups=2)
    with pytest.raises(error, match=message):
        make(optimizer)
    assert all("initial_lr" not in group for group in optimizer.param_groups)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert "add_param_group" not in vars(optimizer)
    assert vars(optimizer).get("step", print) is print
