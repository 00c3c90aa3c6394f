"""The code of a schedule makes an object with the same rates, at all steps, in any framework."""

import dataclasses
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched as L
import lrsched.keras
import lrsched.pytorch
from drawn import BY_CLASS, CLASSES, EXAMPLES, SCHEDULES, lengths_in, steps_around
from lrsched import natives
from lrsched.natives.lines import WIDTH
from native import lrs, rates_of, sgd

ANY = SCHEDULES | st.one_of(*BY_CLASS.values())
every_example = pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)


def made(schedule, framework, **names):
    """What the code makes, given the usual imports."""
    names |= {"torch": torch, "keras": keras, "lrsched": L}
    exec(schedule.code(framework), names)
    return names["scheduler" if framework == "pytorch" else "schedule"]


def largest(schedule):
    """The highest of its own rates and those inside: what rounding is measured by."""
    inside = [held for held in vars(schedule).values() if isinstance(held, tuple | L.Schedule)]
    items = [x for held in inside for x in (held if isinstance(held, tuple) else [held])]
    rates = [getattr(schedule, f.name) for f in dataclasses.fields(schedule) if "_lr" in f.name]
    rates += [*getattr(schedule, "values", ()), schedule(0)]
    return max([rate or 0.0 for rate in rates] + [largest(x) for x in items if callable(x)])


def check_pytorch(schedule, steps):
    optimizer = sgd(123.0)
    theirs = rates_of(optimizer, made(schedule, "pytorch", optimizer=optimizer), steps)
    ours = [schedule(step) for step in range(steps)]
    np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-11 * largest(schedule))


def check_keras(schedule):
    theirs = made(schedule, "keras")
    steps = [t for t in steps_around(*list(lengths_in(schedule))[:3]) if t < 30_000][:20]
    with np.errstate(over="ignore"):
        ours = np.array([schedule(step) for step in steps]).astype(np.float32)
    rates = [float(theirs(step)) for step in steps]
    np.testing.assert_allclose(rates, ours, rtol=1e-4, atol=3e-5 * largest(schedule))


@every_example
def test_examples(schedule):
    check_pytorch(schedule, 300)
    check_keras(schedule)
    assert made(schedule, "lrsched") == schedule


@settings(max_examples=200)
@given(schedule=ANY)
def test_pytorch(schedule):
    check_pytorch(schedule, 150)
    assert made(schedule, "lrsched") == schedule


@settings(max_examples=60)
@given(schedule=ANY)
def test_keras(schedule):
    check_keras(schedule)


NATIVE = {
    "pytorch": [
        L.Constant(0.3), L.StepDecay(0.3, 5), L.MultiStep(0.3, [5, 9]),
        L.Linear(0.1, 0.3, decay_steps=9),
        L.Exponential(0.3, decay_rate=0.9), L.Exponential(0.3, decay_rate=0.5, decay_steps=9),
        L.NaturalExponential(0.3, decay_rate=0.1, decay_steps=9), L.Polynomial(0.3, 9, power=2),
        L.Factor(0.3, factor=0.9, floor_lr=0.1), L.Cosine(0.3, 9), L.Cosine(0.3, 9, end_lr=0.1),
        L.CosineAnnealing(0.3, 9), L.CosineRestarts(0.3, 9), L.Cyclical(0.1, 0.3, step_size_up=4),
        L.OneCycle(0.3, 20), L.PiecewiseConstant([5, 9], [0.1, 0.3, 0.2]),
        L.Cosine(0.3, 9).warmup(4, start_lr=0.1), L.Cosine(0.3, 9).warmup(4, start_lr=0.1) * 0.5,
        L.Cosine(0.3, 3).per_epoch(4, smooth=True), L.StepDecay(0.3, 2).per_epoch(4),
        L.WarmupStableDecay(0.3, warmup_steps=0, stable_steps=5, decay_steps=9),
        L.Sequence([L.Sequence([L.Constant(0.1), L.Cosine(0.3, 9)], [3]), L.Constant(0.2)], [5]),
        L.Linear(0.1, 0.3, decay_steps=9) * L.StepDecay(1.0, 5),
        L.Exponential(0.3, decay_rate=0.5, decay_steps=9, staircase=True),
        L.NaturalExponential(0.3, decay_rate=0.5, decay_steps=9, staircase=True),
        L.Polynomial(0.3, 9, end_lr=0.1), L.Factor(0.3, factor=0.9),
        L.PiecewiseConstant([5], [0.1, 0.3]),
    ],
    "keras": [
        L.Constant(0.3), L.StepDecay(0.3, 5), L.MultiStep(0.3, [5, 9]),
        L.Linear(0.1, 0.3, decay_steps=9),
        L.Exponential(0.3, decay_rate=0.9), L.Exponential(0.3, decay_rate=0.9999, decay_steps=2),
        L.NaturalExponential(0.3, decay_rate=0.1, decay_steps=9),
        L.InverseTime(0.3, decay_rate=0.5),
        L.Power(0.3, power=1, decay_steps=5), L.Polynomial(0.3, 9, cycle=True), L.Cosine(0.3, 9),
        L.CosineRestarts(0.3, 9, t_mul=1, m_mul=0.5), L.PiecewiseConstant([1, 9], [0.1, 0.3, 0.2]),
        L.Cosine(0.3, 9).warmup(4), L.Factor(0.3, factor=0.9),
        L.Cosine(0.3, 9).warmup(4) * 0.5, L.StepDecay(0.3, 2).per_epoch(4),
        L.Sequence([L.Linear(0.1, 0.3, decay_steps=4), L.Cosine(0.3, 9, end_lr=0.1)], [4]),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("framework", "schedule"),
    [(framework, schedule) for framework, each in NATIVE.items() for schedule in each],
)
def test_what_the_framework_itself_has(framework, schedule):
    assert "lrsched" not in schedule.code(framework)
    check_pytorch(schedule, 60) if framework == "pytorch" else check_keras(schedule)


SCALES = {"Scaled", "PerEpoch"}  # which go into what they hold


def test_the_table_tells_what_is_written():
    for framework, schedules in NATIVE.items():
        rows = [row for row in natives.table() if row.framework == framework]
        said = {(cls, row.name) for row in rows if row.write for cls in (*row.ours, *row.also)}
        # A plateau is tested below; OneCycleLR stands inside a SequentialLR.
        said = {
            (cls, name) for cls, name in said if (cls != "Plateau" and "OneCycleLR" not in name)
        }
        shown = set()
        for schedule in schedules:
            used = re.search(r" = (keras|torch)[\w.]+", schedule.code(framework))[0][3:]
            shown |= {(type(schedule).__name__, used)}
        assert {pair for pair in shown if pair[0] not in SCALES} == said


REASONS = [
    ("pytorch", L.Cosine(0.3, 20).warmup(5), "LinearLR cannot start at a rate of 0."),
    ("pytorch", L.StepDecay(0.3, 2.5), "StepLR counts whole steps, not 2.5."),
    ("pytorch", L.Exponential(0.3, decay_rate=2), "infinite"),
    ("pytorch", L.CosineRestarts(0.3, 5, m_mul=0.5), "height of the waves"),
    ("pytorch", L.Sequence([L.StepDecay(0.3, 5), L.StepDecay(0.1, 5)], [9]), "base rates"),
    ("pytorch", L.Sequence([L.StepDecay(0.3, 5), L.Power(0.1)], [9]), "none for Power"),
    ("pytorch", L.Cyclical(0.1, 0.3, step_size_up=5, mode="triangular2"), "1,024 cycles"),
    ("pytorch", L.Power(0.3) * L.Power(1.0), "multiplies by no Power"),
    ("keras", L.CosineRestarts(0.3, 5), "logarithm"),
    ("keras", L.StepDecay(0.3, 2.5), "whole steps, not 2.5"),
    ("keras", L.StepDecay(0.3, 2).warmup(5), "its only warmup"),
    ("keras", L.Cosine(0.0, 5, end_lr=0.1), "share of the base rate"),
    ("keras", L.PiecewiseConstant([2**40], [0.1, 0.2]), "32 bits"),
    ("keras", L.StepDecay(0.3, 2, gamma=0.9999), "float32"),
    ("keras", L.OneCycle(0.3, 20), "with these rates."),
]  # fmt: skip


@pytest.mark.parametrize(("framework", "schedule", "reason"), REASONS)
def test_else_the_adapter_and_why(framework, schedule, reason):
    comment, _, code = schedule.code(framework).partition("\nschedule")
    assert reason in comment.replace("\n# ", " ")
    assert all(line.startswith("# ") for line in comment.splitlines())
    assert f"lrsched.{framework}.schedule" in code


def test_every_class_is_written_for_pytorch_or_by_the_adapter_alone():
    """So that a new class is thought of here."""
    natively = {type(schedule) for schedule in NATIVE["pytorch"]}
    other = {
        "InverseTime", "Power", "LinearCosine", "NoisyLinearCosine", "Clipped", "Repeat",
        "CycleMomentum",
    }  # fmt: skip
    assert CLASSES - natively == {getattr(L, name) for name in other}


# How it is written


@every_example
@pytest.mark.skipif(not shutil.which("ruff", path=sys.exec_prefix + "/bin"), reason="needs ruff")
def test_as_a_formatter_would(schedule, tmp_path):
    codes = [schedule.code(framework) for framework in ("pytorch", "keras", "lrsched")]
    text = "\n".join(codes) + "\n"
    file = tmp_path / "code.py"
    file.write_text(text)
    ruff = [sys.exec_prefix + "/bin/ruff", "format", "--isolated", f"--line-length={WIDTH}", file]
    subprocess.run(ruff, check=True, capture_output=True)
    assert file.read_text() == text


class Thinning(L.Schedule):
    base_lr: float
    kind: str = "it's"

    def rate(self, xp, t):
        return self.base_lr * 0.5**t


def test_a_class_of_ones_own():
    own = Thinning(0.5, kind='"')
    for schedule in (own, own * 0.5, own.warmup(3), Thinning(0.5)):
        assert schedule.code("lrsched").startswith(f"from {__name__} import Thinning\n")
        assert made(schedule, "lrsched") == schedule
        check_pytorch(schedule, 10)
        check_keras(schedule)
    here = type("Here", (Thinning,), {"__module__": "__main__"})
    assert here(0.5).code("lrsched") == "schedule = Here(0.5)"


@pytest.mark.parametrize("wrong", ["tensorflow", "", "PyTorch"])
def test_another_framework(wrong):
    for value in (L.Constant(0.1), L.Plateau(0.1)):
        with pytest.raises(ValueError, match="framework must be one of 'pytorch', 'keras'"):
            value.code(wrong)
    with pytest.raises(TypeError, match="framework"):
        L.Constant(0.1).code(None)


def test_plateau():
    plateau = L.Plateau(0.5, factor=0.3, patience=1, threshold=0.01, cooldown=1, min_lr=0.01)
    optimizer = sgd(123.0)
    theirs = made(plateau, "pytorch", optimizer=optimizer)
    assert lrsched.pytorch.read(theirs) == plateau == made(plateau, "lrsched")
    for metric in [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8]:
        theirs.step(metric)
        assert plateau.update(metric) == pytest.approx(lrs(optimizer)[0])
    names = {"lrsched": L}
    assert "# Keras has no callback with these rates" in plateau.code("keras")
    exec(plateau.code("keras"), names)
    assert names["callback"].plateau.to_dict() == plateau.to_dict()
    other = L.Plateau(0.5, patience=2, threshold_mode="abs", cooldown=2, mode="max", eps=0)
    names = {"keras": keras}
    exec(other.code("keras"), names)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    names["callback"].set_model(model)
    assert lrsched.keras.read(names["callback"]) == other
