"""A plateau over the groups of a PyTorch optimizer: from their own rates, and on any schedule."""

import copy
import io
import json
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from drawn import SCHEDULES
from lrsched.pytorch import plateau, record, scheduler, set_rate
from native import lrs, sgd, t
from test_plateau import METRICS, SETTINGS

HALVES = L.Plateau(factor=0.5, patience=0)
FLAT = [1.0, 1.0, 1.0]  # two falls
OWN = [0.1, 0.01, 1e-7]


def optimizer_of(rates, held=float):
    optimizer = sgd(1.0, len(rates))
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = held(rate)
    return optimizer


# From their own rates: PyTorch's ReduceLROnPlateau, exactly


@given(
    settings=SETTINGS,
    metrics=st.lists(
        st.sampled_from([0.5, 1.0, 1.1, 2.0, math.nan]) | st.floats(0, 3), max_size=60
    ),
    rates=st.lists(st.sampled_from([0.0, 1e-7, 1e-3, 0.01, 0.1, 2.0]), min_size=1, max_size=4),
    floors=st.none() | st.lists(st.sampled_from([0.0, 1e-3, 0.05, 0.5]), min_size=4, max_size=4),
    late=st.integers(0, 60),
)
def test_own_rates_are_those_of_torch(settings, metrics, rates, floors, late):
    """Each group's, with one lowest rate or one each; rates set by hand; a group added later."""
    native_optimizer, optimizer = optimizer_of(rates), optimizer_of(rates)
    ours = L.Plateau(**settings)
    if floors:
        floors = floors[: len(rates)]
        settings = settings | {"min_lr": floors}
        ours = [L.Plateau(**settings | {"min_lr": floor}) for floor in floors]
    theirs = t.ReduceLROnPlateau(native_optimizer, **settings)
    adapter = plateau(optimizer, ours)
    for epoch, metric in enumerate(metrics):
        for each, made in ((native_optimizer, theirs), (optimizer, adapter)):
            if epoch == late:
                each.param_groups[0]["lr"] = 0.3
                if not floors:
                    each.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
            made.step(metric)
        assert lrs(optimizer) == lrs(native_optimizer) == adapter.get_last_lr()
    assert adapter.last_epoch == theirs.last_epoch


def test_own_rates_beside_a_scheduler_of_torch():
    """One that goes on from the rate that it finds, as beside PyTorch's plateau."""
    rates = []
    for make in (lambda o: plateau(o, HALVES), lambda o: t.ReduceLROnPlateau(o, "min", 0.5, 0)):
        optimizer = optimizer_of(OWN)
        decay, falls = t.StepLR(optimizer, 2), make(optimizer)
        rates.append([])
        for _ in range(8):
            optimizer.step()
            decay.step()
            falls.step(1.0)
            rates[-1].append(lrs(optimizer))
    assert rates[0] == rates[1]


# On a schedule


@given(schedule=SCHEDULES, metrics=METRICS, settings=SETTINGS, per=st.integers(1, 4))
def test_on_any_schedule(schedule, metrics, settings, per):
    """The rate is that of the schedule times the share, at each step and in between."""
    factor = L.Plateau(**settings)
    optimizer = sgd(7.0, groups=2)
    adapter = scheduler(optimizer, [schedule, L.Constant(0.5)], plateau=L.Plateau(**settings))
    step = 0
    for metric in metrics[:20]:
        for _ in range(per):
            optimizer.step()
            adapter.step()
            step += 1
        adapter.update(metric)
        share = factor.update(metric)
        assert lrs(optimizer) == [schedule(step) * share, 0.5 * share] == adapter.get_last_lr()
        assert adapter.get_lr() == lrs(optimizer)
        assert adapter.plateaus == (factor,)
    assert factor.base_lr == 1.0


@given(settings=SETTINGS, metrics=METRICS)
def test_on_a_constant_rate_it_is_the_plateau_itself(settings, metrics):
    """With the base rate of the schedule its settings are rates, as PyTorch's."""
    native_optimizer, optimizer = sgd(0.1), sgd(0.1)
    theirs = t.ReduceLROnPlateau(native_optimizer, **settings)
    adapter = scheduler(optimizer, L.Constant(0.1), plateau=L.Plateau(0.1, **settings))
    for metric in metrics:
        theirs.step(metric)
        adapter.update(metric)
        assert lrs(optimizer) == pytest.approx(lrs(native_optimizer), rel=1e-12)


def test_the_updates_use_the_lowered_rates():
    cosine = L.Cosine(0.4, 6).warmup(2, start_lr=0.1)
    optimizer = sgd(1.0)
    adapter = scheduler(optimizer, cosine, plateau=HALVES)
    with record(optimizer) as recorder:
        for step in range(8):
            optimizer.step()
            adapter.step()
            if step in (2, 4):
                adapter.update(1.0)
    shares = [1.0] * 5 + [0.5] * 3
    assert recorder.rates.tolist() == [cosine(k) * share for k, share in enumerate(shares)]


def test_one_each():
    optimizer = sgd(1.0, groups=2)
    floors = [L.Plateau(factor=0.5, patience=0, min_lr=low) for low in (0.4, 0.0)]
    adapter = scheduler(optimizer, L.Constant(0.1), plateau=floors)
    for metric in [*FLAT, 1.0]:
        adapter.update(metric)
    assert lrs(optimizer) == pytest.approx([0.04, 0.0125])
    assert [each.lr for each in floors] == [1.0, 1.0]  # the scheduler has copies


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shared", [True, False])
def test_rates_held_as_tensors(shared, dtype):
    rate = torch.tensor(0.1, dtype=dtype)
    made = {
        "own": lambda o: plateau(o, HALVES if shared else [HALVES, L.Plateau(factor=0.1)]),
        "schedule": lambda o: scheduler(
            o, L.Constant(0.1), plateau=HALVES if shared else [HALVES, L.Plateau(factor=0.1)]
        ),
    }
    for how, make in made.items():
        optimizer = sgd(rate.clone(), groups=2)
        held = optimizer.param_groups[0]["lr"]
        adapter = make(optimizer)
        for metric in FLAT:
            adapter.step(metric) if how == "own" else adapter.update(metric)
        assert optimizer.param_groups[0]["lr"] is held
        assert lrs(optimizer) == pytest.approx([0.025, 0.025 if shared else 0.1])
        assert (optimizer.param_groups[1]["lr"] is held) == shared


def test_a_later_group():
    """On a schedule the rate of the others; else its own, until the next fall."""
    optimizer = sgd(0.1)
    adapter = scheduler(optimizer, L.Constant(0.1), plateau=HALVES)
    own = optimizer_of([0.1])
    falls = plateau(own, HALVES)
    for metric in FLAT:
        adapter.update(metric)
        falls.step(metric)
    for each in (optimizer, own):
        each.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 8.0})
    assert (lrs(optimizer), lrs(own)) == ([0.025, 0.025], [0.025, 8.0])
    adapter.update(1.0)
    falls.step(1.0)
    assert (lrs(optimizer), lrs(own)) == ([0.0125, 0.0125], [0.0125, 4.0])


def test_in_a_sequence_it_waits_for_its_turn():
    optimizer = sgd(1.0)
    parts = [
        t.ConstantLR(optimizer, 0.5, 100),
        scheduler(optimizer, L.Constant(0.2), plateau=HALVES),
        t.ConstantLR(optimizer, 0.25, 100),
    ]
    together = t.SequentialLR(optimizer, parts, [2, 4])
    rates = []
    for _ in range(6):
        rates.append(lrs(optimizer)[0])
        optimizer.step()
        together.step()
        parts[1].update(1.0)
    assert rates == [0.5, 0.5, 0.1, 0.05, 0.25, 0.25]


def test_a_rate_set_by_hand_stays_until_the_next_step():
    optimizer = sgd(1.0)
    adapter = scheduler(optimizer, L.Constant(0.2), plateau=HALVES)
    set_rate(optimizer, 0.7)
    adapter.update(1.0)
    adapter.update(1.0)
    assert lrs(optimizer) == [0.7]
    optimizer.step()
    adapter.step()
    assert lrs(optimizer) == [0.1]


# Resuming, copies


BOTH = [HALVES, L.Plateau(factor=0.1, patience=1, cooldown=1)]
KINDS = [
    lambda o: plateau(o, BOTH),
    lambda o: plateau(o, HALVES),
    lambda o: scheduler(o, L.Cosine(0.4, 9), plateau=BOTH),
    lambda o: scheduler(o, L.Cosine(0.4, 9), plateau=HALVES),
]


def go_on(optimizer, adapter, losses):
    rates = []
    for loss in losses:
        optimizer.step()
        if hasattr(adapter, "update"):
            adapter.step()
            adapter.update(loss)
        else:
            adapter.step(loss)
        rates.append(lrs(optimizer))
    return rates


LOSSES = [1.0, 0.9, 0.95, 0.8, 0.8, 0.9, math.nan, 0.7, 0.75, 0.9]


@pytest.mark.filterwarnings("ignore:Seems like:UserWarning")  # of any copy before its first step
@pytest.mark.parametrize("how", ["json", "torch.save", "copy", "pickle"])
@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("cut", [0, 1, 4, 7])
def test_resuming_is_exact(cut, kind, how):
    whole = optimizer_of([0.1, 0.2])
    rates = go_on(whole, KINDS[kind](whole), LOSSES)
    first = optimizer_of([0.1, 0.2])
    adapter = KINDS[kind](first)
    go_on(first, adapter, LOSSES[:cut])
    if how in ("copy", "pickle"):
        pair = first, adapter
        second, again = copy.deepcopy(pair) if how == "copy" else pickle.loads(pickle.dumps(pair))
    else:
        state = adapter.state_dict()
        if how == "json":
            state = json.loads(json.dumps(state, allow_nan=False))
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        second = optimizer_of([0.1, 0.2])
        again = KINDS[kind](second)
        again.load_state_dict(torch.load(file, weights_only=True))
    assert again.get_last_lr() == lrs(second) == lrs(first)
    assert go_on(second, again, LOSSES[cut:]) == rates[cut:]
    assert lrs(first) == (rates[cut - 1] if cut else KINDS[kind](first).get_last_lr())


# What is refused, and changes nothing


@pytest.mark.parametrize("wrong", [None, 0.5, L.Plateau, [], [HALVES], [HALVES, 0.5], "ab"])
def test_no_plateau(wrong):
    optimizer = optimizer_of([0.1, 0.2])
    with pytest.raises((TypeError, ValueError), match="plateau must be "):
        plateau(optimizer, wrong)
    if wrong is not None:
        with pytest.raises((TypeError, ValueError), match="plateau must be "):
            scheduler(optimizer, L.Constant(0.1), plateau=wrong)
    assert lrs(optimizer) == [0.1, 0.2]
    assert all("initial_lr" not in group for group in optimizer.param_groups)


def spoiled(optimizer, adapter):
    optimizer.param_groups[1]["lr"] = torch.tensor(1)


def longer(optimizer, adapter):
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})


def none(optimizer, adapter):
    optimizer.param_groups[1]["lr"] = None


BAD = {
    "no number": (lambda o, a: None, "1.0", "metric must be a number, got '1.0'"),
    "several": (lambda o, a: None, torch.ones(2), "metric must be a number"),
    "a tensor of integers": (spoiled, 1.0, "'lr' that is a tensor"),
    "no rate": (none, 1.0, "rate of parameter group 1"),
    "groups that do not match": (longer, 1.0, "plateau must be .* a list of 3, .* got 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_step_that_fails(case):
    spoil, metric, message = BAD[case]
    optimizer = optimizer_of([0.1, 0.2])
    adapter = plateau(optimizer, [HALVES, HALVES])
    adapter.step(1.0)
    spoil(optimizer, adapter)
    before = str(optimizer.param_groups), copy.deepcopy(adapter.plateaus), adapter.last_epoch
    with pytest.raises((TypeError, ValueError), match=message):
        adapter.step(metric)
    assert (str(optimizer.param_groups), adapter.plateaus, adapter.last_epoch) == before


def test_an_update_that_fails():
    optimizer = sgd(1.0)
    plain = scheduler(optimizer, L.Constant(0.1))
    with pytest.raises(TypeError, match="made with plateau="):
        plain.update(1.0)
    adapter = scheduler(optimizer, L.Constant(0.1), plateau=HALVES)
    adapter.update(1.0)
    before = json.dumps(adapter.state_dict())
    for metric in ("1.0", None, True, [1.0]):
        with pytest.raises(TypeError, match="metric must be a number"):
            adapter.update(metric)
    assert json.dumps(adapter.state_dict()) == before


FOREIGN = {
    "none": lambda s: s | {"plateau": None},
    "a list": lambda s: s | {"plateau": [s["plateau"]]},
    "two": lambda s: s | {"plateau": [s["plateau"]] * 2},
    "other settings": lambda s: (
        s | {"plateau": s["plateau"] | {"settings": L.Plateau(factor=0.1).to_dict()}}
    ),
    "no state": lambda s: s | {"plateau": s["plateau"] | {"state": {}}},
    "no settings": lambda s: s | {"plateau": {"state": {}}},
    "a negative rate": lambda s: (
        s | {"plateau": s["plateau"] | {"state": s["plateau"]["state"] | {"lr": -1.0}}}
    ),
    "no plateau": lambda s: s | {"plateau": "x"},
    "less": lambda s: {"plateau": s["plateau"]},
    "of torch": lambda s: t.ReduceLROnPlateau(sgd(0.1)).state_dict(),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("kind", [1, 3])
def test_a_foreign_state(kind, case):
    optimizer = optimizer_of([0.1, 0.2])
    adapter = KINDS[kind](optimizer)
    go_on(optimizer, adapter, FLAT)
    before = json.dumps(adapter.state_dict())
    with pytest.raises((TypeError, ValueError), match="state"):
        adapter.load_state_dict(FOREIGN[case](adapter.state_dict()))
    assert json.dumps(adapter.state_dict()) == before
    with pytest.raises((TypeError, ValueError), match="state"):  # nor one of another kind
        adapter.load_state_dict(KINDS[4 - kind](optimizer).state_dict())


@pytest.mark.parametrize("rates", [[0.1], [0.1, -1.0], [0.1, "x"], 0.1])
def test_a_state_with_other_rates(rates):
    optimizer = optimizer_of([0.1, 0.2])
    adapter = plateau(optimizer, HALVES)
    with pytest.raises((TypeError, ValueError), match=r"state_dict\['rates'\]"):
        adapter.load_state_dict(adapter.state_dict() | {"rates": rates})
    assert lrs(optimizer) == [0.1, 0.2]
