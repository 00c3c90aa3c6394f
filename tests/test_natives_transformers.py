"""The schedules of Hugging Face's transformers have the rates that the page of names says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from lrsched.book.names import OTHERS
from native import close, rates_of, sgd

optimization = pytest.importorskip(
    "transformers.optimization", reason="transformers is not installed"
)

NAMES = {each.name: each for each in OTHERS if each.library == "transformers"}
ADAPTIVE = {"get_greedy_schedule", "get_adafactor_schedule"}  # follow what happens, or Adafactor
STEPS = 130

LR = st.floats(1e-4, 10)
WARMUP = st.integers(0, 30)
LENGTH = st.integers(1, 60)  # without the warmup
SHARE = st.floats(0, 1)


def sample(**arguments):
    return st.fixed_dictionaries({"lr": LR, "w": WARMUP} | arguments)


def lengths(d):
    return {"num_warmup_steps": d["w"], "num_training_steps": d["w"] + d["length"]}


# Of each: what is drawn, their arguments, and ours as the page writes it.
CASES = {
    "constant_schedule": (sample(), lambda d: {}, lambda lr, **d: L.Constant(lr)),
    "constant_schedule_with_warmup": (
        sample(), lambda d: {"num_warmup_steps": d["w"]},
        lambda lr, w: L.Constant(lr).warmup(w),
    ),
    "linear_schedule_with_warmup": (
        sample(length=LENGTH), lengths,
        lambda lr, w, length: L.Linear(lr, 0, decay_steps=length).warmup(w),
    ),
    "polynomial_decay_schedule_with_warmup": (
        sample(length=LENGTH, end=st.floats(0, 0.99), power=st.floats(0.3, 4)),
        lambda d: lengths(d) | {"lr_end": d["end"] * d["lr"], "power": d["power"]},
        lambda lr, w, length, end, power: L.Polynomial(
            lr, length, end_lr=end * lr, power=power
        ).warmup(w),
    ),
    "cosine_schedule_with_warmup": (
        sample(length=LENGTH, cycles=st.floats(0.2, 4)),
        lambda d: lengths(d) | {"num_cycles": d["cycles"]},
        lambda lr, w, length, cycles: L.CosineAnnealing(lr, length / (2 * cycles)).warmup(w),
    ),
    "cosine_with_min_lr_schedule_with_warmup": (
        sample(length=LENGTH, cycles=st.floats(0.2, 4), low=SHARE),
        lambda d: lengths(d) | {"num_cycles": d["cycles"], "min_lr": d["low"] * d["lr"]},
        lambda lr, w, length, cycles, low: L.CosineAnnealing(
            lr, length / (2 * cycles), end_lr=low * lr
        ).warmup(w),
    ),
    "cosine_with_hard_restarts_schedule_with_warmup": (
        # Waves of whole steps: elsewhere rounding decides on which side of a restart a step is.
        st.tuples(st.integers(1, 5), st.integers(1, 12)).flatmap(
            lambda drawn: sample(cycles=st.just(drawn[0]), length=st.just(drawn[0] * drawn[1]))
        ),
        lambda d: lengths(d) | {"num_cycles": d["cycles"]},
        lambda lr, w, length, cycles: (
            L.Cosine(lr, length / cycles).repeat(length / cycles, times=cycles).warmup(w)
        ),
    ),
    "inverse_sqrt_schedule": (
        sample(timescale=st.none() | st.integers(1, 100)),
        lambda d: {"num_warmup_steps": d["w"], "timescale": d["timescale"]},
        lambda lr, w, timescale: L.Power(
            lr, power=0.5, decay_steps=timescale or w or 10_000
        ).warmup(w),
    ),
    "wsd_schedule": (
        sample(
            stable=WARMUP, length=LENGTH, low=SHARE,
            kind=st.sampled_from(["linear", "cosine", "1-sqrt"]),
        ),
        lambda d: {
            "num_warmup_steps": d["w"], "num_stable_steps": d["stable"],
            "num_decay_steps": d["length"], "min_lr_ratio": d["low"], "decay_type": d["kind"],
        },
        lambda lr, w, stable, length, low, kind: L.WarmupStableDecay(
            lr, warmup_steps=0, stable_steps=stable, decay_steps=length, end_lr=low * lr,
            decay=kind,
        ).warmup(w, start_lr=low * lr),
    ),
}  # fmt: skip


def theirs(name, lr, **arguments):
    """The rates that an optimizer really holds."""
    optimizer = sgd(lr)
    scheduler = getattr(optimization, name)(optimizer, **arguments)
    return rates_of(optimizer, scheduler, STEPS)


def test_the_table_names_all_of_transformers():
    functions = {name for name in dir(optimization) if name.startswith("get_")}
    assert functions - {"get_scheduler"} - ADAPTIVE == NAMES.keys()
    apart = {
        "get_reduce_on_plateau_schedule",
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    }
    assert {f"get_{name}" for name in CASES} == NAMES.keys() - apart


def test_the_table_names_classes_of_ours():
    for each in OTHERS:
        assert (each.ours == "") == (each.written == "")
        assert not each.ours or issubclass(getattr(L, each.ours), L.Schedule | L.Plateau)
        assert not each.written or f"{each.ours}(" in each.written or ".repeat(" in each.written


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
def test_rates(name, data):
    """Before, at and after the end, as an optimizer applies them."""
    draw, arguments, ours = CASES[name]
    drawn = data.draw(draw)
    schedule = ours(**drawn)
    close(theirs(f"get_{name}", drawn["lr"], **arguments(drawn)), schedule(np.arange(STEPS)))


def test_defaults_that_the_page_tells():
    """Half a wave, an end of 1e-7, a fall by a cosine, a scale of 10,000."""
    steps = np.arange(STEPS)
    for name, given_, ours in (
        ("cosine_schedule_with_warmup", {"num_training_steps": 50}, L.CosineAnnealing(0.3, 40)),
        ("polynomial_decay_schedule_with_warmup", {"num_training_steps": 50},
         L.Polynomial(0.3, 40, end_lr=1e-7)),
        ("cosine_with_hard_restarts_schedule_with_warmup", {"num_training_steps": 50},
         L.Cosine(0.3, 40)),
        ("inverse_sqrt_schedule", {}, L.Power(0.3, power=0.5, decay_steps=10)),
        ("wsd_schedule", {"num_stable_steps": 20, "num_decay_steps": 20},
         L.WarmupStableDecay(0.3, warmup_steps=0, stable_steps=20, decay_steps=20,
                             decay="cosine")),
    ):  # fmt: skip
        close(theirs(f"get_{name}", 0.3, num_warmup_steps=10, **given_), ours.warmup(10)(steps))
    close(
        theirs("get_inverse_sqrt_schedule", 0.3, num_warmup_steps=0),
        L.Power(0.3, power=0.5, decay_steps=10_000)(steps),
    )


def test_the_one_that_is_a_step_ahead():
    name = "get_cosine_with_min_lr_schedule_with_warmup_lr_rate"
    rates = theirs(name, 0.3, num_warmup_steps=10, num_training_steps=50, min_lr=0.03)
    close(rates[:10], 0.03 * np.arange(1, 11))
    wave = L.CosineAnnealing(0.3, 40, end_lr=0.03)
    close(rates[10:], wave(np.arange(1, STEPS - 9)))


def test_the_plateau_is_that_of_pytorch():
    optimizer = sgd(0.3)
    scheduler = optimization.get_reduce_on_plateau_schedule(optimizer)
    plateau = L.Plateau(0.3)
    for metric in np.concatenate([np.linspace(2, 1, 9), np.ones(30)]):
        scheduler.step(metric)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(plateau.update(metric))
    assert plateau.lr < 0.01
