"""A schedule is read from text, and nothing is executed."""

import re

import pytest
from hypothesis import given

import lrsched as L
from drawn import EXAMPLES, SCHEDULES
from lrsched.arguments import Rate

COSINE = L.Cosine(0.3, 1200)


@given(schedule=SCHEDULES)
def test_what_is_printed_is_read(schedule):
    assert L.from_text(repr(schedule)) == schedule


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_every_class_is_read(schedule):
    assert L.from_text(f"  {schedule!r}\n") == schedule


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("lrsched.Cosine(0.3, 1200)", COSINE),
        ("Cosine(3e-1, decay_steps=1_200).warmup(50)", COSINE.warmup(50)),
        ("Cosine(0.3, 12 * 100).warmup(2**5, start_lr=+0.1)", COSINE.warmup(32, start_lr=0.1)),
        ("Cosine(0.6 / 2, 1201 - 1) * 0.5", COSINE * 0.5),
        ("Cosine(0.3, 1200) * Constant(0.5)", COSINE * L.Constant(0.5)),
        ("(0.1 + 0.4) * Cosine(0.3, 9600 // 8).clip(max_lr=0.2)", COSINE.clip(max_lr=0.2) * 0.5),
        ("Cosine(0.3,\n  1200).per_epoch(10, smooth=True)", COSINE.per_epoch(10, smooth=True)),
        ("MultiStep(0.1, [30, 60])", L.MultiStep(0.1, (30, 60))),
        (
            'Sequence([Constant(0.1).warmup(5, shape="constant"), Cosine(0.3, 1200)], (9,))',
            L.Sequence([L.Constant(0.1).warmup(5, shape="constant"), COSINE], [9]),
        ),
    ],
)
def test_what_users_write(text, schedule):
    assert L.from_text(text) == schedule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Cosin(0.3, 1200)", "Cosin is no schedule of lrsched; allowed are"),
        ("Cosine(0.3, steps)", "steps is not understood"),
        ("open('x')", "open is no schedule"),
        ("__import__('os').system('x')", "is nothing that may be called"),
        ("lrsched.from_dict({})", "lrsched.from_dict is no schedule"),
        ("os.Cosine(0.3, 1200)", "is nothing that may be called"),
        ("Cosine(0.3, 1200).to_dict()", "is nothing that may be called"),
        ("Cosine(0.3, 1200).plot(10)", "is nothing that may be called"),
        ("Cosine(0.3, 1200).__class__(1)", "is nothing that may be called"),
        ("(5).warmup(3)", "is no method of a schedule"),
        ("Cosine(*[0.3, 1200])", r"\*\[0.3, 1200\] is not understood"),
        ("Cosine(**{})", "unpacks arguments"),
        ("[Cosine(0.3, s) for s in [1]]", "is not understood"),
        ("lambda: 1", "is not understood"),
        ("(x := Constant(1))", "is not understood"),
        ("f'{1}'", "is not understood"),
        ("1j", "is not understood"),
        ("...", "is not understood"),
        ("Cosine(0.3, 1200", "is no expression"),
        ("x = 1", "is no expression"),
        ("", "is no expression"),
        ("Constant(0.1)\0", "is no expression"),
        ("Constant(0.1) + Constant(0.1)", "is no number to compute with"),
        ("Constant(0.1) * True", "is no number to compute with"),
        ("-Constant(0.1)", "is no number to compute with"),
        ("Constant('a' * 10**9)", "is no number to compute with"),
        ("Constant([1] * 3)", "is no number to compute with"),
        ("Constant(1 / 0)", "cannot be computed"),
        ("Constant(2.0 ** 10000)", "cannot be computed"),
        ("Constant(9 ** 9 ** 9)", "is too large"),
        ("Constant(" + "*".join(["10**300"] * 9) + ")", "is too large"),
        ("Constant((-8) ** 0.5)", "no real number"),
        ("0.3", "0.3 is no schedule"),
        ("[Constant(0.1)]", "is no schedule"),
        ("Plateau(0.1)", "Plateau is no schedule"),
        ("Schedule()", "Schedule is no schedule"),
        ("Constant(-0.1)", "base_lr must be a finite number of at least 0, got -0.1"),
        ("Constant(1e999)", "base_lr must be a finite number"),
        ("Constant(0.1)" + ".warmup(1)" * 101, "nested more than 100 levels"),
        ("Constant(" + "(" * 3000 + "1" + ")" * 3000 + ")", "nested|no expression"),
        ("-" * 50_000 + "1", "nested"),
        ("Constant(0.1)" + " " * 100_000, "more than 100,000 characters"),
    ],
    ids=lambda text: text[:40].replace("\0", "0"),
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        L.from_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "needs a string, got None"),
        (b"Constant(0.1)", "needs a string"),
        ("Cosine(0.3)", "decay_steps"),
        ("Cosine(0.3, 20, 0.01)", "end_lr must be given by keyword"),
        ("Constant('0.1')", "base_lr must be"),
        ("Constant(True)", "base_lr must be"),
    ],
)
def test_wrong_kinds(text, message):
    with pytest.raises(TypeError, match=message):
        L.from_text(text)


def test_a_schedule_of_ones_own_is_known_by_its_name():
    text = "Halved(0.8).warmup(5)"
    with pytest.raises(ValueError, match="Halved is no schedule"):
        L.from_text(text)

    class Halved(L.Schedule):
        base_lr: Rate

        def rate(self, xp, t):
            return self.base_lr * 2.0**-t

    assert L.from_text(text) == Halved(0.8).warmup(5)

    class Other(Halved):
        pass

    Other.__name__ = "Halved"  # two of one name
    with pytest.raises(ValueError, match=re.escape("is the name of 2 schedules")):
        L.from_text(text)
