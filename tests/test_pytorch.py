"""The PyTorch adapter: rates as a real optimizer holds them, resuming, order, composition."""

import copy
import io
import itertools
import json

import pytest
import torch
from hypothesis import given

import lrsched as L
import lrsched.pytorch
from drawn import EXAMPLES, SCHEDULES
from lrsched.pytorch import scheduler
from native import close, lrs, rates_of, sgd, t

OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {"momentum": 0.9}),
    "Adam": (torch.optim.Adam, {}),
    "AdamW": (torch.optim.AdamW, {"foreach": True}),
    "SGD with a tensor": (torch.optim.SGD, {"tensor": torch.float64}),
    # As capturable optimizers hold it; capturable itself needs an accelerator.
    "AdamW with a tensor": (torch.optim.AdamW, {"tensor": torch.float32, "foreach": False}),
}  # fmt: skip
WARM_COSINE = L.Cosine(0.3, 20).warmup(5, start_lr=0.01)


def make(name="SGD", groups=1):
    cls, options = OPTIMIZERS[name]
    options = dict(options)
    dtype = options.pop("tensor", None)
    lr = torch.tensor(1.0, dtype=dtype) if dtype else 1.0
    return sgd(lr, groups, cls, **options)


def advance(optimizer, adapter, steps):
    """Train, and return the rates of each step and the weights at the end."""
    rates = []
    for _ in range(steps):
        rates.append(lrs(optimizer))
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = parameter.detach() * 0.1 + 0.01
        optimizer.step()
        adapter.step()
    weights = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
    return rates, weights


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_the_optimizer_holds_the_rate_of_the_schedule(schedule):
    optimizer = sgd(7.0)
    adapter = scheduler(optimizer, schedule)
    for step in range(60):
        assert lrs(optimizer) == adapter.get_last_lr() == [schedule(step)]
        assert adapter.last_epoch == step
        optimizer.step()
        adapter.step()


@given(schedule=SCHEDULES)
def test_any_schedule(schedule):
    optimizer = sgd(7.0)
    rates = rates_of(optimizer, scheduler(optimizer, schedule), 20)
    assert list(rates) == [schedule(step) for step in range(20)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    optimizer = make(name)
    held = optimizer.param_groups[0]["lr"]
    adapter = scheduler(optimizer, WARM_COSINE)
    for step in range(30):
        lr = optimizer.param_groups[0]["lr"]
        if "tensor" in name:
            assert lr is held
            assert float(lr) == float(torch.tensor(WARM_COSINE(step), dtype=held.dtype))
        else:
            assert type(lr) is float
            assert lr == WARM_COSINE(step)
        assert adapter.get_last_lr() == [float(lr)]
        assert all(type(rate) is float for rate in adapter.get_last_lr())
        optimizer.step()
        adapter.step()
    assert lr is optimizer.param_groups[0]["lr"] or "tensor" not in name


def test_the_rates_are_used():
    """The weights move by the rate times the gradient."""
    optimizer = sgd(7.0)
    adapter = scheduler(optimizer, WARM_COSINE)
    weight = optimizer.param_groups[0]["params"][0]
    for step in range(30):
        before = weight.detach().clone()
        optimizer.step()
        close((before - weight.detach()).numpy(), [0.5 * WARM_COSINE(step)] * 2)
        adapter.step()


# Groups

GROUPS = [
    [L.Constant(0.1), WARM_COSINE, WARM_COSINE * 0.5],
    [WARM_COSINE * 0.5, WARM_COSINE * 0.25, L.StepDecay(0.1, 3)],
    (WARM_COSINE, WARM_COSINE, WARM_COSINE),
    [L.Exponential(1.0, decay_rate=2.0) * 1e30, L.Constant(0.1) * 0, L.Constant(0.0)],
]


@pytest.mark.parametrize("schedules", GROUPS)
def test_one_schedule_per_group(schedules):
    optimizer = make(groups=3)
    adapter = scheduler(optimizer, schedules)
    for step in range(30):
        assert lrs(optimizer) == adapter.get_last_lr() == [s(step) for s in schedules]
        optimizer.step()
        adapter.step()


def test_a_list_does_not_stretch_to_a_later_group():
    optimizer = make(groups=2)
    adapter = scheduler(optimizer, [WARM_COSINE, L.Constant(0.1)])
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 9.0})
    optimizer.step()
    with pytest.raises(ValueError, match=r"list of 3.*got 2"):
        adapter.step()


# Resuming


def saved_and_loaded(state, how):
    if how == "json":
        return json.loads(json.dumps(state, allow_nan=False))
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


ORDERS = list(itertools.permutations(["make", "load optimizer", "load scheduler"]))
ORDERS = [order for order in ORDERS if order.index("make") < order.index("load scheduler")]


@pytest.mark.parametrize("how", ["torch.save", "json"])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ", ".join(order))
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_resuming_in_mid_run_is_exact(name, order, how, cut):
    """The same rates and the same weights, bit for bit, as without the interruption."""
    schedules = [WARM_COSINE, L.CosineRestarts(0.1, 3, t_mul=1.1) * 0.5]
    whole = make(name, groups=2)
    rates, weights = advance(whole, scheduler(whole, schedules), 25)

    first = make(name, groups=2)
    adapter = scheduler(first, schedules)
    advance(first, adapter, cut)
    state = saved_and_loaded(adapter.state_dict(), how)
    optimizer_state = saved_and_loaded(first.state_dict(), "torch.save")
    parameters = [p.detach().clone() for group in first.param_groups for p in group["params"]]

    second = make(name, groups=2)
    for group, parameter in zip(second.param_groups, parameters, strict=True):
        group["params"][0].data.copy_(parameter)
    for what in order:
        if what == "make":
            resumed = scheduler(second, schedules)
        elif what == "load optimizer":
            second.load_state_dict(optimizer_state)
        else:
            resumed.load_state_dict(state)
    rates_2, weights_2 = advance(second, resumed, 25 - cut)
    assert rates_2 == rates[cut:]
    assert all(torch.equal(a, b) for a, b in zip(weights, weights_2, strict=True))
    assert resumed.state_dict() == saved_and_loaded(resumed.state_dict(), how)


@pytest.mark.parametrize("loaded_first", [True, False])
def test_last_epoch(loaded_first):
    """PyTorch's own way of resuming, which gives wrong rates with most of its schedulers."""
    optimizer = make(groups=2)
    if loaded_first:
        old = make(groups=2)
        advance(old, scheduler(old, L.Constant(0.5)), 10)
        optimizer.load_state_dict(old.state_dict())
    adapter = scheduler(optimizer, WARM_COSINE, last_epoch=9)
    assert adapter.last_epoch == 10
    rates, _ = advance(optimizer, adapter, 10)
    assert rates == [[WARM_COSINE(step)] * 2 for step in range(10, 20)]


def test_state_is_plain_and_small():
    optimizer = make(groups=2)
    state = scheduler(optimizer, [WARM_COSINE, L.Constant(0.1)]).state_dict()
    assert state["last_epoch"] == 0
    assert [L.from_dict(item) for item in state["schedule"]] == [WARM_COSINE, L.Constant(0.1)]
    assert len(json.dumps(state)) < 500


def test_a_state_is_not_shared():
    optimizer = make()
    adapter = scheduler(optimizer, WARM_COSINE)
    state = adapter.state_dict()
    before = copy.deepcopy(state)
    advance(optimizer, adapter, 5)
    assert state == before
    adapter.load_state_dict(state)
    assert state == before
    assert lrs(optimizer) == [0.01]
    advance(optimizer, adapter, 2)
    assert state == before


# Torch's ways


def test_order_warning():
    optimizer = make()
    adapter = scheduler(optimizer, WARM_COSINE)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        adapter.step()
    assert lrs(optimizer) == [WARM_COSINE(1)]
    adapter.step()  # warned once
    assert lrs(optimizer) == [WARM_COSINE(2)]


def test_step_with_an_epoch():
    optimizer = make()
    adapter = scheduler(optimizer, WARM_COSINE)
    optimizer.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        adapter.step(12)
    assert lrs(optimizer) == [WARM_COSINE(12)]
    adapter.step()
    assert lrs(optimizer) == [WARM_COSINE(13)]


def test_is_a_scheduler():
    adapter = scheduler(make(groups=2), WARM_COSINE)
    assert isinstance(adapter, torch.optim.lr_scheduler.LRScheduler)
    assert adapter.schedule == WARM_COSINE
    assert adapter.get_lr() == [WARM_COSINE(0)] * 2


def test_a_schedule_made_anew_on_a_used_optimizer():
    """The base rate of an earlier scheduler leaves no trace."""
    optimizer = sgd(0.1)
    advance(optimizer, scheduler(optimizer, L.Constant(0.5)), 5)
    rates, _ = advance(optimizer, scheduler(optimizer, WARM_COSINE), 5)
    assert rates == [[WARM_COSINE(step)] for step in range(5)]


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)])
def test_no_drift(lr):
    """Torch multiplies the rate again and again and loses digits; see the native rate."""
    steps, gamma = 100_000, 0.9999
    schedule = L.Exponential(0.1, decay_rate=gamma)
    errors = []
    for build in (lambda o: t.ExponentialLR(o, gamma), lambda o: scheduler(o, schedule)):
        optimizer = sgd(copy.deepcopy(lr))
        adapter = build(optimizer)
        optimizer.step()
        for _ in range(steps):
            adapter.step()
        errors.append(abs(lrs(optimizer)[0] / schedule(steps) - 1))
    native, ours = errors
    assert ours == 0 if isinstance(lr, float) else ours < 1e-7
    assert native > (0 if isinstance(lr, float) else 1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam])
def test_a_compiled_optimizer_step(cls):
    """The rate is a tensor, so that a new one reaches the compiled code without recompiling."""
    from torch._dynamo.testing import CompileCounter

    def train(compiled):
        torch.compiler.reset()
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = cls([parameter], lr=torch.tensor(0.1))
        held = optimizer.param_groups[0]["lr"]
        adapter = scheduler(optimizer, WARM_COSINE)
        compilations = CompileCounter()  # counts, and runs eagerly
        update = torch.compile(optimizer.step, backend=compilations) if compiled else optimizer.step
        rates = []
        for _ in range(12):
            parameter.grad = parameter.detach() * 0.5
            rates.append(held.item())
            update()
            adapter.step()
        return parameter.detach(), rates, compilations.frame_count

    weights, rates, compiled_once = train(compiled=True)
    expected, _, _ = train(compiled=False)
    assert rates == [torch.tensor(WARM_COSINE(step)).item() for step in range(12)]
    torch.testing.assert_close(weights, expected)
    assert compiled_once <= 2  # the first step makes Adam's state
