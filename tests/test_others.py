"""Other numbers of a PyTorch optimizer on a schedule: momentum, weight decay and the rest."""

import copy
import io
import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import lrsched as L
import native
from lrsched.pytorch import read, scheduler
from native import close, lrs, sgd, t

RATE, UP = L.Constant(0.1), L.Linear(0.0, 0.9, decay_steps=9)
DECAY = L.Exponential(0.5, decay_rate=0.9)
MOMENTS = {"SGD": "momentum", "Adam": "betas"}
MAKE = {
    "SGD": lambda groups=1, **how: sgd(1.0, groups, **{"momentum": 0.5} | how),
    "Adam": lambda groups=1, **how: sgd(1.0, groups, torch.optim.Adam, **how),
}


def numbers(optimizer, key):
    """What each group holds under a key; the first item of several."""
    held = [group[key] for group in optimizer.param_groups]
    return [float(each[0] if isinstance(each, tuple) else each) for each in held]


def run(optimizer, adapter, steps, key="momentum"):
    """Rates, and what is held under a key, of each step; and the weights at the end."""
    seen = []
    for _ in range(steps):
        seen.append([lrs(optimizer), numbers(optimizer, key)])
        optimizer.step()
        adapter.step()
    weights = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
    return seen, weights


# Against torch: its cycles of the momentum


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("name", [name for name in native.TORCH if "Cycl" in name])
@given(data=st.data())
def test_cycles_of_rate_and_momentum_are_those_of_torch(name, kind, data):
    """With the default ranges of the momentum, and with others; the weights agree, too."""
    made, key = native.TORCH[name], MOMENTS[kind]
    arguments = data.draw(made.arguments)
    # Without momentum of its own, which PyTorch would ignore all the same.
    native_optimizer, optimizer = MAKE[kind](groups=2), MAKE[kind](groups=2)
    theirs = made.made(native_optimizer, cycle_momentum=True, **arguments)
    cycle = read(theirs)
    assume(isinstance(cycle, L.Cyclical | L.OneCycle))  # else three phases leave no third
    ours = scheduler(optimizer, cycle, momentum=cycle.momentum())
    steps = arguments.get("total_steps", 100)
    seen, weights = run(optimizer, ours, steps - 1, key)
    expected, native_weights = run(native_optimizer, theirs, steps - 1, key)
    close(np.array(seen), np.array(expected))
    torch.testing.assert_close(weights, native_weights, rtol=1e-7, atol=1e-9)
    assert all(group["betas"][1] == 0.999 for group in optimizer.param_groups if key == "betas")


@given(low=st.floats(0, 0.9), width=st.floats(0, 0.09), total=st.integers(25, 100))
def test_ranges_of_the_momentum(low, width, total):
    one, other = sgd(1.0, momentum=0.5), sgd(1.0, momentum=0.5)
    limits = {"base_momentum": low, "max_momentum": low + width}
    theirs = t.OneCycleLR(one, 0.3, total, **limits)
    cycle = L.OneCycle(0.3, total)
    ours = scheduler(other, cycle, momentum=cycle.momentum(**limits))
    close(np.array(run(other, ours, total - 1)[0]), np.array(run(one, theirs, total - 1)[0]))


@given(
    cycle=st.sampled_from([
        L.OneCycle(0.3, 25), L.OneCycle(0.3, 25, three_phase=True), L.Cyclical(0, 1, step_size_up=5)
    ]),
)  # fmt: skip
def test_the_momentum_moves_against_the_rate(cycle):
    momentum = cycle.momentum(base_momentum=0.2, max_momentum=0.6)
    peak = max(range(1000), key=lambda k: cycle(k / 10)) / 10
    assert momentum(0) == 0.6
    assert momentum(peak) == pytest.approx(0.2, abs=1e-3)
    assert L.from_dict(json.loads(json.dumps(momentum.to_dict()))) == momentum


# Any entry


ENTRIES = [
    (torch.optim.SGD, "momentum", "momentum"), (torch.optim.SGD, "dampening", "dampening"),
    (torch.optim.SGD, "weight_decay", "weight_decay"), (torch.optim.Adam, "eps", "eps"),
    (torch.optim.Adam, "beta1", "betas"), (torch.optim.AdamW, "momentum", "betas"),
    (torch.optim.RMSprop, "alpha", "alpha"), (torch.optim.RMSprop, "weight_decay", "weight_decay"),
    (torch.optim.Adadelta, "rho", "rho"), (torch.optim.NAdam, "momentum_decay", "momentum_decay"),
    (torch.optim.ASGD, "lambd", "lambd"), (torch.optim.LBFGS, "tolerance_grad", "tolerance_grad"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "name", "key"), ENTRIES)
def test_any_number_of_any_optimizer(cls, name, key):
    optimizer = sgd(0.1, cls=cls)
    before = {k: v for k, v in optimizer.param_groups[0].items() if k not in ("params", key)}
    adapter = scheduler(optimizer, RATE, **{name: UP})
    for step in range(12):
        assert numbers(optimizer, key) == [UP(step)]
        optimizer.step(lambda: torch.tensor(1.0))
        adapter.step()
    assert {k: v for k, v in optimizer.param_groups[0].items() if k in before} == before


def test_the_second_beta_and_several_at_once():
    optimizer = sgd(0.1, cls=torch.optim.AdamW)
    half = L.Constant(0.5)
    adapter = scheduler(optimizer, DECAY, beta2=UP, beta1=half, weight_decay=DECAY)
    for step in range(5):
        (group,) = optimizer.param_groups
        assert group["betas"] == (0.5, UP(step))
        assert group["weight_decay"] == group["lr"] == DECAY(step)
        optimizer.step()
        adapter.step()


def test_an_entry_of_ones_own():
    optimizer = sgd(0.1, groups=2)
    for group in optimizer.param_groups:
        group["noise"] = 1
    scheduler(optimizer, RATE, noise=[UP, DECAY])
    assert numbers(optimizer, "noise") == [0.0, 0.5]
    _adapter = scheduler(optimizer, RATE, noise=DECAY)
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="each parameter group must have a 'noise'"):
        optimizer.add_param_group({"params": [weight]})
    assert len(optimizer.param_groups) == 2
    optimizer.add_param_group({"params": [weight], "noise": 3})
    assert numbers(optimizer, "noise") == [0.5] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_held_as_tensors(dtype):
    """In place; groups of different schedules that share one tensor are given one each."""

    def tensor(value):
        return torch.tensor(value, dtype=dtype)

    betas = tensor(0.9), tensor(0.99)
    adam = sgd(tensor(0.1), 2, torch.optim.Adam, betas=betas, foreach=False)
    decay = tensor(0.5)
    optimizers = adam, sgd(0.1, 2, weight_decay=decay)
    each = [UP, UP * 0.5]
    adapters = scheduler(adam, RATE, beta1=each), scheduler(optimizers[1], RATE, weight_decay=UP)
    for step in range(4):
        first, second = (group["betas"][0] for group in adam.param_groups)
        assert (first is betas[0], second is betas[0]) == (True, False)
        expected = [tensor(schedule(step)).item() for schedule in each]
        assert [first.item(), second.item()] == expected
        held = [group["weight_decay"] for group in optimizers[1].param_groups]
        assert all(each is decay for each in held)
        assert decay.item() == tensor(UP(step)).item()
        for optimizer, adapter in zip(optimizers, adapters, strict=True):
            optimizer.step()
            adapter.step()
        assert adam.param_groups[0]["betas"][1] is betas[1]


# Groups, resuming, company


def test_one_schedule_per_group_and_a_later_group():
    optimizer = sgd(0.1, groups=2)
    adapter = scheduler(optimizer, RATE, momentum=UP, weight_decay=[UP * 0.5, DECAY])
    optimizer.step()
    adapter.step()
    assert numbers(optimizer, "momentum") == [UP(1)] * 2
    assert numbers(optimizer, "weight_decay") == [UP(1) * 0.5, DECAY(1)]
    single = sgd(0.1)
    again = scheduler(single, RATE, momentum=UP)
    single.step()
    again.step()
    single.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "momentum": 0.3})
    assert numbers(single, "momentum") == [UP(1)] * 2
    assert again.state_dict()["others"]["momentum"]["held"] is None
    again.step()
    assert numbers(single, "momentum") == [UP(2)] * 2


@pytest.mark.filterwarnings("ignore:Seems like:UserWarning")  # of any copy before its first step
@pytest.mark.parametrize("how", ["torch.save", "json", "copy", "pickle"])
@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_resuming_is_exact(kind, how, cut):
    key, entries = MOMENTS[kind], {"momentum": UP, "weight_decay": [DECAY, DECAY * 0.5]}
    whole = MAKE[kind](groups=2)
    seen, weights = run(whole, scheduler(whole, DECAY, **entries), 15, key)
    optimizer = MAKE[kind](groups=2)
    adapter = scheduler(optimizer, DECAY, **entries)
    run(optimizer, adapter, cut, key)
    if how in ("copy", "pickle"):
        pair = optimizer, adapter
        again = copy.deepcopy(pair) if how == "copy" else pickle.loads(pickle.dumps(pair))
    else:
        state = adapter.state_dict()
        if how == "json":
            state = json.loads(json.dumps(state, allow_nan=False))
        file = io.BytesIO()
        torch.save([optimizer.state_dict(), state], file)
        file.seek(0)
        states = torch.load(file, weights_only=True)
        again = [MAKE[kind](groups=2)]
        for old, new in zip(optimizer.param_groups, again[0].param_groups, strict=True):
            new["params"][0].data.copy_(old["params"][0].data)
        again.append(scheduler(again[0], DECAY, **entries))
        for what, saved in zip(again, states, strict=True):
            what.load_state_dict(saved)
    for group in again[0].param_groups:  # a copy has no gradients
        group["params"][0].grad = torch.full_like(group["params"][0], 0.5)
    rest, final = run(*again, 15 - cut, key)
    assert rest == seen[cut:]
    assert all(torch.equal(a, b) for a, b in zip(weights, final, strict=True))


def test_last_epoch():
    optimizer = sgd(0.1)
    adapter = scheduler(optimizer, DECAY, 4, momentum=UP)
    seen, _ = run(optimizer, adapter, 4)
    assert seen == [[[DECAY(step)], [UP(step)]] for step in range(5, 9)]


@pytest.mark.parametrize("cut", range(7))
def test_in_a_sequence(cut):
    """Whose turn it is sets them; a state resumes in any step of it."""

    def sequence(optimizer):
        parts = [
            scheduler(optimizer, RATE, momentum=UP, dampening=L.Constant(0.0)),
            scheduler(optimizer, DECAY, momentum=L.Constant(0.25)),
            t.ConstantLR(optimizer, 0.5, 100),
        ]
        return t.SequentialLR(optimizer, parts, [3, 5])

    optimizer, other = sgd(1.0), sgd(1.0)
    together = sequence(optimizer)
    seen = []
    for step in range(7):
        seen.append([lrs(optimizer), numbers(optimizer, "momentum")])
        if step == cut:
            state = copy.deepcopy(together.state_dict())
        optimizer.step()
        together.step()
    assert [each[1] for each in seen] == [[UP(step)] for step in range(3)] + [[0.25]] * 4
    assert [each[0] for each in seen[:5]] == [[0.1]] * 3 + [[DECAY(0)], [DECAY(1)]]
    again = sequence(other)
    again.load_state_dict(state)
    for expected in seen[cut:]:
        assert [lrs(other), numbers(other, "momentum")] == expected
        other.step()
        again.step()


# What is refused, and changes nothing


def picture(optimizer):
    return [
        {key: str(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


def adam(**how):
    return sgd(0.1, 2, torch.optim.Adam, **how)


def with_betas_of_integers():
    optimizer = adam()
    for group in optimizer.param_groups:
        group["betas"] = (torch.tensor(0), torch.tensor(1))
    return optimizer


REFUSED = [
    (sgd, {"momentumm": UP}, TypeError, "no number 'momentumm'.* momentum, dampening, weight_de"),
    (sgd, {"lr": UP}, TypeError, "no number 'lr'"),
    (sgd, {"params": UP}, TypeError, "no number 'params'"),
    (sgd, {"nesterov": UP}, TypeError, "no number 'nesterov'"),
    (sgd, {"foreach": UP}, TypeError, "no number 'foreach'"),
    (sgd, {"beta1": UP}, TypeError, "no number 'beta1'"),
    (adam, {"betas": UP}, TypeError, "no number 'betas'; .* momentum, beta1, beta2, eps"),
    (adam, {"beta3": UP}, TypeError, "no number 'beta3'"),
    (adam, {"momentum": UP, "beta1": UP}, TypeError, r"momentum and beta1 are one entry"),
    (sgd, {"momentum": 0.9}, TypeError, "momentum must be a schedule or a list .*0.9"),
    (sgd, {"momentum": [UP, 0.9]}, TypeError, "momentum must be a schedule or a list"),
    (sgd, {"momentum": [UP, UP]}, ValueError, "momentum must be .* a list of 1, .* got 2"),
    (adam, {"beta2": L.Constant(1.0)}, ValueError, r"the beta2 of Constant.* step 0 .*below 1"),
    (adam, {"momentum": [UP, L.Constant(0.8) * 1.5]}, ValueError, "the momentum of Scaled.*1.2"),
    (lambda: sgd(0.1, cls=torch.optim.Adadelta), {"rho": L.Constant(1.1)}, ValueError, "rho of"),
    (lambda: sgd(0.1, cls=torch.optim.LBFGS), {"max_iter": UP}, TypeError, "no number 'max_iter'"),
    (with_betas_of_integers, {"beta1": UP}, TypeError, r"'betas\[0\]' that is a tensor"),
    (sgd, {"momentum": UP, "plateau": 0.5}, TypeError, "plateau must be a Plateau or a list"),
]


@pytest.mark.parametrize(("make", "given", "error", "message"), REFUSED)
def test_refused(make, given, error, message):
    optimizer = make(0.1) if make is sgd else make()
    before = picture(optimizer)
    with pytest.raises(error, match=message):
        scheduler(optimizer, RATE, **given)
    assert picture(optimizer) == before
    assert "add_param_group" not in vars(optimizer)


@pytest.mark.parametrize("entry", ["lr", "beta1"])
def test_a_step_that_fails_changes_nothing(entry):
    """Below 1 at first; a rate that the tensor cannot hold."""
    rising = L.Linear(0.0, 1.5, decay_steps=3)
    optimizer = adam()
    if entry == "lr":
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(0.1, dtype=torch.float16)
        adapter = scheduler(optimizer, rising * 1e5, beta1=UP)
    else:
        adapter = scheduler(optimizer, DECAY, eps=UP, beta1=rising)
    optimizer.step()
    adapter.step()
    before = picture(optimizer), json.dumps(adapter.state_dict())
    with pytest.raises(ValueError, match="float16" if entry == "lr" else "the beta1 of"):
        adapter.step()
    assert (picture(optimizer), json.dumps(adapter.state_dict())) == before


FOREIGN = {
    "none": lambda s: s | {"others": {}},
    "more": lambda s: s | {"others": s["others"] | {"eps": s["others"]["momentum"]}},
    "no dict": lambda s: s | {"others": [1]},
    "no state": lambda s: s | {"others": {"momentum": 0.9}},
    "another": lambda s: s | {"others": {"momentum": s["others"]["momentum"] | {"schedule": {}}}},
    "other groups": lambda s: s | {"others": {"momentum": s["others"]["momentum"] | {"held": [1]}}},
    "another schedule": lambda s: (
        s | {"others": {"momentum": s["others"]["momentum"] | {"schedule": DECAY.to_dict()}}}
    ),
    "not a number": lambda s: (
        s | {"others": {"momentum": s["others"]["momentum"] | {"held": [0.1, float("nan")]}}}
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_state_is_refused_and_changes_nothing(case):
    optimizer = sgd(0.1, groups=2)
    adapter = scheduler(optimizer, DECAY, momentum=UP)
    optimizer.step()
    adapter.step()
    before = picture(optimizer), json.dumps(adapter.state_dict())
    with pytest.raises((TypeError, ValueError), match=r"state_dict"):
        adapter.load_state_dict(FOREIGN[case](adapter.state_dict()))
    assert (picture(optimizer), json.dumps(adapter.state_dict())) == before
