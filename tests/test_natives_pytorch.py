"""What is read from PyTorch's schedulers is what they do; and so is what is written of it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as t
from torch.optim import swa_utils

import lrsched as L
import lrsched.pytorch
import native
from lrsched import natives
from lrsched.pytorch import read
from native import close, lrs, rates_of, sgd

ROWS = {row.name.rpartition(".")[-1]: row for row in natives.table() if row.framework == "pytorch"}
# Of a scheduler inside another that is made before the optimizer has made a step.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
DRIFT = {"rtol": 1e-9, "atol": 1e-11}  # of torch's own, which multiplies step by step


def made(name, arguments, optimizer=None):
    optimizer = optimizer or sgd(arguments["lr"])
    return optimizer, native.TORCH[name].made(optimizer, **arguments)


def written(schedule, optimizer):
    """The scheduler that the code of a schedule makes."""
    names = {"torch": torch, "lrsched": L, "optimizer": optimizer}
    exec(schedule.code("pytorch"), names)
    return names["scheduler"]


def test_the_table_names_all_of_torch():
    exported = {*t.__all__, "SWALR"} - {"LRScheduler"}
    assert {name for name in dir(swa_utils) if name.endswith("LR")} == {"SWALR"}
    assert exported == ROWS.keys()
    refused = {"LambdaLR", "MultiplicativeLR", "ReduceLROnPlateau"}
    assert native.TORCH.keys() == exported - refused


@pytest.mark.parametrize("name", native.TORCH)
@given(data=st.data())
def test_step_by_step(name, data):
    arguments = data.draw(native.TORCH[name].arguments)
    steps = arguments.get("total_steps", 250)
    optimizer, scheduler = made(name, arguments)
    schedule = read(scheduler)
    begin = data.draw(st.integers(1, steps - 1))
    theirs = [*rates_of(optimizer, scheduler, begin)]
    assert read(scheduler) == schedule
    theirs += [*rates_of(optimizer, scheduler, steps - begin)]
    close(schedule(range(steps)), theirs, **DRIFT)
    other = sgd(123.0)
    rewritten = written(schedule, other)
    close(rates_of(other, rewritten, 300), schedule(range(300)), **DRIFT)


@pytest.mark.parametrize("name", native.TORCH)
@given(data=st.data())
def test_whole_after_loading(name, data):
    """Into a scheduler that was made with other arguments, on another optimizer."""
    arguments = data.draw(native.TORCH[name].arguments)
    optimizer, scheduler = made(name, arguments)
    rates_of(optimizer, scheduler, 7)
    other, loaded = made(name, data.draw(native.TORCH[name].arguments))
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    loaded.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    if name != "CyclicLR" or loaded.mode == arguments["mode"]["mode"]:
        assert read(loaded) == read(scheduler)


LONG = {
    "StepLR": {"step_size": 30, "gamma": 0.97},
    "MultiStepLR": {"milestones": [100, 5000, 9999], "gamma": 0.1},
    "ExponentialLR": {"gamma": 0.999},
    "LinearLR": {"start_factor": 0.1, "end_factor": 1.0, "total_iters": 9000},
    "PolynomialLR": {"total_iters": 9000, "power": 2.0},
    "CosineAnnealingLR": {"T_max": 37, "low": 0.1},
    "CosineAnnealingWarmRestarts": {"T_0": 10, "T_mult": 3, "low": 0.0},
    "CyclicLR": {"top": 5.0, "step_size_up": 7, "step_size_down": 11, "mode": native.MODES[1]},
    "OneCycleLR": {"total_steps": 10_000},
}


@pytest.mark.parametrize("name", LONG)
def test_10_000_steps(name):
    optimizer, scheduler = made(name, {"lr": 0.3} | LONG[name])
    close(read(scheduler)(range(10_000)), rates_of(optimizer, scheduler, 10_000), **DRIFT)


def test_one_cycle_goes_on_where_torch_raises():
    ours = read(t.OneCycleLR(sgd(0.1), 1.0, 10, pct_start=0.5, cycle_momentum=False))
    assert ours(10) == ours(2**53 - 1) == ours(9)


# What arguments are read as


READ = [
    (lambda o: t.StepLR(o, 30), L.StepDecay(0.1, 30)),
    (lambda o: t.MultiStepLR(o, [80, 30]), L.MultiStep(0.1, [30, 80])),
    (lambda o: t.MultiStepLR(o, [5, 5, 9], 0.5), L.PiecewiseConstant([5, 9], [0.1, 0.025, 0.0125])),
    (lambda o: t.MultiStepLR(o, [0, 9], 0.5), L.MultiStep(0.05, [9], gamma=0.5)),
    (lambda o: t.ConstantLR(o, 0.5, 4), L.PiecewiseConstant([4], [0.05, 0.1])),
    (lambda o: t.ConstantLR(o, 0.5, 0), L.Constant(0.05)),
    (lambda o: t.LinearLR(o, 0.5, 1.0, 4), L.Linear(0.05, 0.1, decay_steps=4)),
    (lambda o: t.LinearLR(o, 0.5, 1.0, 0), L.Constant(0.05)),
    (lambda o: t.CosineAnnealingLR(o, 9, 0.01), L.CosineAnnealing(0.1, 9, end_lr=0.01)),
    (lambda o: t.CyclicLR(o, 0.1, 0.3, 7, 11, cycle_momentum=False),
     L.Cyclical(0.1, 0.3, step_size_up=7, step_size_down=11)),
    (lambda o: t.CyclicLR(o, 0.1, 0.3, 2.3, cycle_momentum=False),
     L.Cyclical(0.1, 0.3, step_size_up=2.3)),
    (lambda o: t.OneCycleLR(o, 0.3, 70, cycle_momentum=False), L.OneCycle(0.3, 70)),
    (lambda o: t.OneCycleLR(o, 0.3, 50, pct_start=1.0, cycle_momentum=False),
     L.Cosine(0.3 / 25, 49, end_lr=0.3)),
    (lambda o: swa_utils.SWALR(o, 0.05, 5, "linear"), L.Linear(0.1, 0.05, decay_steps=5)),
    (lambda o: t.ChainedScheduler([t.StepLR(o, 5)]), L.StepDecay(0.1, 5)),
    (lambda o: t.ChainedScheduler([t.StepLR(o, 5), t.CosineAnnealingWarmRestarts(o, 9)]),
     L.CosineRestarts(0.1, 9, t_mul=1)),
    (lambda o: t.ChainedScheduler([t.LinearLR(o, 0.5, 1.0, 4), t.CosineAnnealingLR(o, 9)]),
     L.Linear(0.05, 0.1, decay_steps=4) * L.CosineAnnealing(1.0, 9)),
    (lambda o: lrsched.pytorch.scheduler(o, L.Power(0.3)), L.Power(0.3)),
    # The later of two that begin at the same step; those before step 0.
    (lambda o: t.SequentialLR(o, [t.StepLR(o, 2), t.StepLR(o, 3), t.StepLR(o, 4)], [5, 5]),
     L.Sequence([L.StepDecay(0.1, 2), L.StepDecay(0.1, 4)], [5])),
    (lambda o: t.SequentialLR(o, [t.StepLR(o, 2), t.StepLR(o, 3)], [0]), L.StepDecay(0.1, 3)),
    # Peers' oddities: the clock of an inner one runs ahead, OneCycleLR sets all base rates.
    (lambda o: t.SequentialLR(
        o, [t.SequentialLR(o, [t.StepLR(o, 2), t.StepLR(o, 3)], [5]), t.StepLR(o, 4)], [9]),
     L.Sequence([L.Sequence([L.StepDecay(0.1, 2), L.StepDecay(0.1, 3)], [4]), L.StepDecay(0.1, 4)],
                [9])),
    (lambda o: t.SequentialLR(
        o, [t.LinearLR(o, 0.5, 1.0, 4), t.OneCycleLR(o, 0.5, 20, cycle_momentum=False)], [4]),
     L.Sequence([L.Linear(0.01, 0.02, decay_steps=4), L.OneCycle(0.5, 20)], [4])),
    (lambda o: t.SequentialLR(o, [t.StepLR(o, 2, 0.5), swa_utils.SWALR(o, 0.3, 5)], [4]),
     L.Sequence([L.StepDecay(0.1, 2, gamma=0.5), L.Cosine(0.05, 5, end_lr=0.3)], [4])),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), READ, ids=[repr(case[1])[:60] for case in READ])
def test_read_as(make, expected):
    optimizer = sgd(0.1)
    scheduler = make(optimizer)
    assert read(scheduler) == natives.read(scheduler) == expected
    close(rates_of(optimizer, scheduler, 20), expected(range(20)))


@pytest.mark.parametrize("last_epoch", [0, 30, 1000])
def test_made_with_last_epoch(last_epoch):
    optimizer = sgd(0.001)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    for make, expected in (
        (lambda: t.StepLR(optimizer, 30, last_epoch=last_epoch), L.StepDecay(0.1, 30)),
        (lambda: t.CosineAnnealingLR(optimizer, 100, last_epoch=last_epoch),
         L.CosineAnnealing(0.1, 100)),
        (lambda: t.ExponentialLR(optimizer, 0.9, last_epoch), L.Exponential(0.1, decay_rate=0.9)),
        (lambda: lrsched.pytorch.scheduler(optimizer, L.Power(0.3), last_epoch), L.Power(0.3)),
    ):  # fmt: skip
        assert read(make()) == expected


@pytest.mark.parametrize("name", sorted(native.TORCH.keys() - {"OneCycleLR", "CyclicLR"}))
@given(data=st.data())
def test_a_rate_that_is_a_tensor(name, data):
    arguments = data.draw(native.TORCH[name].arguments)
    lr = torch.tensor(arguments["lr"], dtype=torch.float64)
    optimizer, scheduler = made(name, arguments, sgd(lr))
    schedule = read(scheduler)
    close(rates_of(optimizer, scheduler, 60), schedule(range(60)), **DRIFT)
    assert read(scheduler) == schedule


class Holding(L.Schedule):
    held: object

    def rate(self, xp, t):
        return xp.full_like(t, 0.1)


def test_groups():
    """A list where they differ, else one schedule."""
    optimizer = sgd(0.1, groups=3)
    optimizer.param_groups[1]["lr"] = 0.2
    assert read(t.StepLR(optimizer, 5)) == [L.StepDecay(lr, 5) for lr in (0.1, 0.2, 0.1)]
    both = sgd(0.1, groups=2)
    assert read(t.StepLR(both, 5)) == L.StepDecay(0.1, 5)
    peaks = t.OneCycleLR(both, [0.3, 0.6], 50, cycle_momentum=False)
    assert read(peaks) == [L.OneCycle(peak, 50) for peak in (0.3, 0.6)]
    cycles = t.CyclicLR(both, [0.1, 0.2], [0.3, 0.6], 5, cycle_momentum=False)
    assert read(cycles) == [
        L.Cyclical(low, top, step_size_up=5) for low, top in ((0.1, 0.3), (0.2, 0.6))
    ]
    holds_array = Holding(np.arange(2))
    assert read(lrsched.pytorch.scheduler(both, [holds_array, Holding(np.arange(2))]))[0] == (
        holds_array
    )
    for schedules in ([L.Power(0.1), L.Power(0.2)], [L.Power(0.1), L.Power(0.1)], L.Power(0.1)):
        expected = schedules if schedules == [L.Power(0.1), L.Power(0.2)] else L.Power(0.1)
        assert read(lrsched.pytorch.scheduler(both, schedules)) == expected


def test_our_own_of_a_product_is_written_as_a_chain():
    rise, fall = L.Linear(0.05, 0.1, decay_steps=4), L.Exponential(1.0, decay_rate=0.9)
    optimizer = sgd(123.0)
    scheduler = written(rise * fall, optimizer)
    assert type(scheduler) is t.ChainedScheduler
    assert read(scheduler) == rise * fall


# Compositions, any of them: read as what they do, or refused


def _small(name, *arguments):
    """Without a rate of one's own: an argument of that kind is a share of it."""
    return st.tuples(st.just(name), *arguments)


FEW = st.integers(1, 12)
LEAVES = st.one_of(
    _small("StepLR", FEW, st.sampled_from([0.5, 1.1, 0.0])),
    _small("MultiStepLR", st.lists(st.integers(-1, 20), max_size=4), st.just(0.5)),
    _small("ConstantLR", st.sampled_from([0.3, 1.0]), st.integers(0, 12)),
    _small("LinearLR", st.sampled_from([0.3, 1.0]), st.sampled_from([1.0, 0.3, 0.0]),
           st.integers(0, 12)),
    _small("ExponentialLR", st.sampled_from([0.9, 1.05])),
    _small("PolynomialLR", st.integers(0, 12), st.sampled_from([1.0, 2.0])),
    _small("CosineAnnealingLR", FEW, st.sampled_from([0.0, 0.01])),
    _small("CosineAnnealingWarmRestarts", FEW, st.integers(1, 3)),
    _small("CyclicLR", st.just(0.05), st.just(0.4), FEW),
    _small("OneCycleLR", st.just(0.4), st.just(200)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.tuples(
        st.sampled_from(["SequentialLR", "SequentialLR", "ChainedScheduler"]),
        st.lists(inner, min_size=1, max_size=3),
        st.lists(st.integers(0, 12), min_size=2, max_size=2),
    ),
    max_leaves=5,
)


def grown(optimizer, name, *arguments):
    cls = getattr(t, name)
    if not isinstance(arguments[0], list) or name == "MultiStepLR":
        options = {"cycle_momentum": False} if name in ("CyclicLR", "OneCycleLR") else {}
        return cls(optimizer, *arguments, **options)
    parts = [grown(optimizer, *part) for part in arguments[0]]
    if name == "ChainedScheduler":
        return cls(parts, optimizer)
    lengths = arguments[1]
    milestones = [sum(lengths[: k + 1]) for k in range(len(parts) - 1)]
    return cls(optimizer, parts, milestones)


@given(tree=TREES)
def test_compositions(tree):
    optimizer = sgd(0.3)
    try:
        scheduler = grown(optimizer, *tree)
    except (NotImplementedError, ZeroDivisionError):  # PyTorch's own
        assume(False)
    try:
        schedule = read(scheduler)
    except ValueError as error:
        assert "cannot be read" in str(error)  # noqa: PT017
    else:
        theirs = rates_of(optimizer, scheduler, 60)
        close(schedule(range(60)), theirs, **DRIFT)
        assert read(scheduler) == schedule


# Plateau


@given(
    settings=st.fixed_dictionaries({
        "factor": st.floats(0, 0.9), "patience": st.integers(0, 3), "cooldown": st.integers(0, 2),
        "threshold": st.sampled_from([0.0, 1e-2]), "min_lr": st.floats(0, 2),
        "mode": st.sampled_from(["min", "max"]), "threshold_mode": st.sampled_from(["rel", "abs"]),
    }),
    metrics=st.lists(st.floats(0.1, 2), min_size=1, max_size=40),
    begin=st.integers(0, 40),
)  # fmt: skip
def test_plateau_in_its_present_state(settings, metrics, begin):
    optimizer = sgd(1.0)
    theirs = t.ReduceLROnPlateau(optimizer, **settings)
    for metric in metrics[:begin]:
        theirs.step(metric)
    ours = read(theirs)
    assert isinstance(ours, L.Plateau)
    for metric in metrics[begin:]:
        theirs.step(metric)
        assert ours.update(metric) == pytest.approx(lrs(optimizer)[0], rel=1e-12)


def test_plateau_of_groups():
    optimizer = sgd(1.0, groups=2)
    plateau = t.ReduceLROnPlateau(optimizer, min_lr=[0.1, 0.2])
    assert [each.min_lr for each in read(plateau)] == [0.1, 0.2]
    assert read(t.ReduceLROnPlateau(optimizer)) == L.Plateau(1.0)
