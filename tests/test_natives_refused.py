"""Schedulers of PyTorch that cannot be read: each refused by a sentence that says why."""

import math

import pytest
from torch.optim import lr_scheduler as t

import lrsched as L
from lrsched import natives
from lrsched.pytorch import read
from native import refused, sgd

# Of a scheduler inside another that is made before the optimizer has made a step.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")


class Ordinary(t.StepLR):
    """Nothing of its own but a name."""


class Own(t.StepLR):
    def get_lr(self):
        return [0.1]


class Alone(t.LRScheduler):
    def get_lr(self):
        return [0.1]


def patched(optimizer):
    scheduler = t.StepLR(optimizer, 5)
    scheduler.get_lr = lambda: [0.1]
    return scheduler


def json_loaded(optimizer):
    scheduler = t.MultiStepLR(optimizer, [5])
    scheduler.load_state_dict(scheduler.state_dict() | {"milestones": {"5": 1}})
    return scheduler


def in_sequence(*parts, milestones):
    return lambda o: t.SequentialLR(o, [part(o) for part in parts], milestones)


def chained(*members):
    return lambda o: t.ChainedScheduler([member(o) for member in members])


STEP, COSINE = (lambda o: t.StepLR(o, 5)), (lambda o: t.CosineAnnealingLR(o, 9))
EXPONENTIAL = lambda o: t.ExponentialLR(o, 0.9)  # noqa: E731
PAIR = in_sequence(STEP, STEP, milestones=[5])
REFUSED = [
    (lambda o: t.LambdaLR(o, lambda step: 0.9**step), TypeError, "LambdaLR .*function.*Schedule"),
    (lambda o: t.MultiplicativeLR(o, lambda step: 0.9), TypeError, "MultiplicativeLR .*function"),
    (lambda o: t.CyclicLR(o, 0.1, 0.2, scale_fn=math.cos, cycle_momentum=False), TypeError,
     "scale_fn"),
    (lambda o: Own(o, 5), TypeError, r"Own .*get_lr\(\).*lrsched.Schedule"),
    (Alone, TypeError, "Alone .*lrsched.Schedule"),
    (patched, TypeError, r"get_lr\(\)"),
    (json_loaded, ValueError, "milestones.*'5'"),
    (lambda o: t.StepLR(o, 2.5), ValueError, "step_size.*whole.*2.5"),
    (lambda o: t.StepLR(o, 5, -0.5), ValueError, "gamma.*-0.5"),
    (lambda o: t.LinearLR(o, total_iters=2.5), ValueError, "total_iters.*2.5"),
    (lambda o: t.CosineAnnealingLR(o, 5, -0.1), ValueError, "end_lr.*-0.1"),
    (lambda o: t.CosineAnnealingLR(o, math.nan), ValueError, "T_max.*nan"),
    (lambda o: t.OneCycleLR(o, 1.0, 3, cycle_momentum=False), ValueError, "pct_start"),
    (in_sequence(STEP, PAIR, milestones=[9]), ValueError, "come first"),
    (in_sequence(STEP, chained(STEP), milestones=[9]), ValueError, "come first"),
    (in_sequence(chained(EXPONENTIAL), STEP, milestones=[9]), ValueError, "one step too many"),
    (in_sequence(STEP, STEP, STEP, milestones=[9, 5]), ValueError, r"order, got \[9, 5\]"),
    (in_sequence(STEP, STEP, milestones=[2.5]), ValueError, "milestones.*2.5"),
    (in_sequence(in_sequence(STEP, STEP, milestones=[1]), STEP, milestones=[9]), ValueError,
     "ahead"),
    (in_sequence(STEP, lambda o: t.LinearLR(o, total_iters=0), milestones=[9]), ValueError,
     "total_iters=0"),
    (chained(EXPONENTIAL, COSINE), ValueError, "CosineAnnealingLR.*T_max"),
    (chained(lambda o: t.CosineAnnealingWarmRestarts(o, 5), EXPONENTIAL), ValueError,
     "WarmRestarts does not multiply"),
    (chained(STEP, lambda o: t.CyclicLR(o, 0.1, 0.2, cycle_momentum=False)), ValueError,
     "put it first"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_refused(make, error, message):
    scheduler = make(sgd(0.1))
    for reading in (read, natives.read):
        refused(reading, scheduler, error, message)


def test_a_subclass_with_nothing_of_its_own():
    assert read(Ordinary(sgd(0.1), 5)) == L.StepDecay(0.1, 5)


@pytest.mark.parametrize("wrong", [None, "StepLR", t.StepLR, sgd(0.1), L.StepDecay(0.1, 5), 0.1])
def test_no_scheduler(wrong):
    with pytest.raises(TypeError, match="scheduler must be"):
        read(wrong)
