"""The PyTorch adapter: rates as a real optimizer holds them, resuming, order, composition."""

import io
import itertools
import json

import pytest
import torch
from hypothesis import given

import lrsched as L
from drawn import SCHEDULES
from lrsched.pytorch import scheduler
from native import lrs, sgd

OPTIMIZERS = {
    "SGD": lambda groups=1: sgd(1.0, groups, momentum=0.9),
    "Adam": lambda groups=1: sgd(1.0, groups, torch.optim.Adam),
    "AdamW": lambda groups=1: sgd(1.0, groups, torch.optim.AdamW, foreach=True),
    "SGD with a tensor": lambda groups=1: sgd(torch.tensor(1.0, dtype=torch.float64), groups),
    # As capturable optimizers hold it; capturable itself needs an accelerator.
    "AdamW with a tensor": lambda groups=1: sgd(torch.tensor(1.0), groups, torch.optim.AdamW),
}
WARM_COSINE = L.Cosine(0.3, 20).warmup(5, start_lr=0.01)


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


@given(schedule=SCHEDULES)
def test_the_optimizer_holds_and_uses_the_rate_of_the_schedule(schedule):
    optimizer = sgd(7.0)
    adapter = scheduler(optimizer, schedule)
    weight = optimizer.param_groups[0]["params"][0]
    for step in range(20):
        rate = schedule(step)
        assert lrs(optimizer) == adapter.get_last_lr() == adapter.get_lr() == [rate]
        assert adapter.last_epoch == step
        weight.data.zero_()
        optimizer.step()
        assert weight.tolist() == [-0.5 * rate] * 2  # moved by the rate times the gradient
        adapter.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    optimizer = OPTIMIZERS[name]()
    held = optimizer.param_groups[0]["lr"]
    adapter = scheduler(optimizer, WARM_COSINE)
    assert isinstance(adapter, torch.optim.lr_scheduler.LRScheduler)
    for step in range(30):
        lr, rate = optimizer.param_groups[0]["lr"], WARM_COSINE(step)
        if "tensor" in name:
            assert lr is held
            rate = torch.tensor(rate, dtype=held.dtype).item()
        else:
            assert type(lr) is float
        assert adapter.get_last_lr() == [float(lr)] == [rate]
        assert type(adapter.get_last_lr()[0]) is float
        optimizer.step()
        adapter.step()


# Groups

GROUPS = [
    [L.Constant(0.1), WARM_COSINE, WARM_COSINE * 0.5],
    [WARM_COSINE * 0.5, WARM_COSINE * 0.25, L.StepDecay(0.1, 3)],
    [L.Exponential(1.0, decay_rate=1e12) * 1e30, L.Constant(0.1) * 0, L.Constant(0.0)],
]


@pytest.mark.parametrize("schedules", GROUPS)
def test_one_schedule_per_group(schedules):
    optimizer = sgd(1.0, groups=3)
    adapter = scheduler(optimizer, schedules)
    for step in range(30):
        assert lrs(optimizer) == adapter.get_last_lr() == [s(step) for s in schedules]
        optimizer.step()
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
    whole = OPTIMIZERS[name](groups=2)
    rates, weights = advance(whole, scheduler(whole, schedules), 25)

    first = OPTIMIZERS[name](groups=2)
    adapter = scheduler(first, schedules)
    _, parameters = advance(first, adapter, cut)
    state = saved_and_loaded(adapter.state_dict(), how)
    optimizer_state = saved_and_loaded(first.state_dict(), "torch.save")

    second = OPTIMIZERS[name](groups=2)
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
    optimizer = sgd(1.0, groups=2)
    if loaded_first:
        old = sgd(1.0, groups=2)
        advance(old, scheduler(old, L.Constant(0.5)), 10)
        optimizer.load_state_dict(old.state_dict())
    adapter = scheduler(optimizer, WARM_COSINE, last_epoch=9)
    assert adapter.last_epoch == 10
    assert adapter.base_lrs == [1.0] * 2  # the optimizer's own, as it was made
    rates, _ = advance(optimizer, adapter, 10)
    assert rates == [[WARM_COSINE(step)] * 2 for step in range(10, 20)]


def test_a_state_is_plain_and_not_shared():
    optimizer = sgd(1.0, groups=2)
    schedules = [WARM_COSINE, L.Constant(0.1)]
    adapter = scheduler(optimizer, schedules)
    state = adapter.state_dict()
    assert [L.from_dict(item) for item in state["schedule"]] == schedules
    before = json.dumps(state)
    assert len(before) < 500
    advance(optimizer, adapter, 5)
    assert json.dumps(state) == before
    adapter.load_state_dict(state)
    assert lrs(optimizer) == [0.01, 0.1]
    advance(optimizer, adapter, 2)
    assert json.dumps(state) == before


# Torch's ways


def test_warnings_of_torch():
    optimizer = sgd(1.0)
    adapter = scheduler(optimizer, WARM_COSINE)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        adapter.step()
    assert lrs(optimizer) == [WARM_COSINE(1)]
    adapter.step()  # warned once
    assert lrs(optimizer) == [WARM_COSINE(2)]
    with pytest.warns(UserWarning, match="epoch parameter"):
        adapter.step(12)
    assert lrs(optimizer) == [WARM_COSINE(12)]
    adapter.step()
    assert lrs(optimizer) == [WARM_COSINE(13)]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own
@pytest.mark.parametrize("cls", [torch.optim.SGD, torch.optim.Adam])
def test_a_compiled_optimizer_step(cls):
    """The rate is a tensor, so that a new one reaches the compiled code without recompiling."""
    compilations = []

    def counted(graph, _):
        compilations.append(graph)
        return graph  # to be run as it is

    def train(compiled):
        torch.compiler.reset()
        optimizer = sgd(torch.tensor(0.1, dtype=torch.float64), cls=cls)
        adapter = scheduler(optimizer, WARM_COSINE)
        if compiled:
            optimizer.step = torch.compile(optimizer.step, backend=counted)
        return advance(optimizer, adapter, 12)

    (rates, weights), (_, expected) = train(True), train(False)
    assert rates == [[WARM_COSINE(step)] for step in range(12)]
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=0)
    assert 1 <= len(compilations) <= 2  # the first step makes Adam's state
