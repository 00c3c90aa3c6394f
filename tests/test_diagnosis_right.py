"""A right run is never accused: in float64, in float32, and by the frameworks' own schedules."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
import lrsched.keras
import lrsched.pytorch
from drawn import EXAMPLES
from faulted import COSINE, DRAWN
from keras_training import Training
from native import TORCH, rates_of, sgd
from native_functions import KERAS, keras_made

UPDATES = st.integers(1, 300)


@given(schedule=DRAWN, updates=UPDATES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ours(schedule, updates, dtype):
    with np.errstate(over="ignore"):
        rates = schedule(np.arange(updates)).astype(dtype)
    if np.isfinite(rates).all():
        assert L.diagnose(rates, schedule).fault == "none"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_tensors(schedule, dtype):
    rates = torch.tensor(schedule(np.arange(60)), dtype=dtype)
    assert L.diagnose(rates, schedule).fault == "none"
    assert L.diagnose(list(rates), schedule).fault == "none"


@pytest.mark.parametrize("tensor", [False, True], ids=["float", "float32 tensor"])
@pytest.mark.parametrize("name", TORCH)
@given(data=st.data())
def test_schedulers_of_pytorch(name, tensor, data):
    arguments = data.draw(TORCH[name].arguments)
    lr = arguments["lr"]
    optimizer = sgd(torch.tensor(lr) if tensor else lr)
    arguments["lr"] = float(torch.tensor(lr)) if tensor else lr
    updates = arguments.get("total_steps", 200)
    if tensor and name == "CosineAnnealingLR":
        updates = arguments["T_max"]  # where it turns, its recursion divides by almost 0
    if tensor and name in ("OneCycleLR", "CyclicLR"):
        return  # they set numbers
    theirs = TORCH[name].made(optimizer, **arguments)
    planned = lrsched.pytorch.read(theirs)
    assert L.diagnose(rates_of(optimizer, theirs, updates), planned).fault == "none"


@pytest.mark.parametrize("name", KERAS)
@given(data=st.data(), long=st.integers(1, 3000), first=st.just(0) | st.integers(0, 2**25))
def test_schedules_of_keras(name, data, long, first):
    """Which compute in float32. A Keras restart may come late: its logarithm errs."""
    arguments = data.draw(KERAS[name])
    if "decay_steps" in arguments:
        arguments["decay_steps"] *= long
    steps = first + np.arange(20)
    if name == "CosineDecayRestarts":
        steps = np.arange(1, arguments["first_decay_steps"] - 1)
    theirs = keras_made(name, arguments)
    rates = [float(theirs(int(step))) for step in steps]
    planned = lrsched.keras.read(theirs)
    assert L.diagnose(rates, planned, steps=steps).fault == "none"


def test_recorders():
    recorder = lrsched.keras.Recorder()
    training = Training("schedule")
    training.fit(20, last=[recorder])
    schedule = training.model.optimizer.learning_rate
    assert len(recorder.rates) == 20
    assert L.diagnose(recorder.rates, L.Linear(1.0, 0.0, decay_steps=64)).fault == "none"
    del schedule
    optimizer = sgd(0.1)
    scheduler = lrsched.pytorch.scheduler(optimizer, COSINE)
    with lrsched.pytorch.record(optimizer) as recorder:
        for _ in range(100):
            optimizer.step()
            scheduler.step()
    assert L.diagnose(recorder.rates, COSINE) == L.diagnose(recorder, COSINE)
    assert L.diagnose(recorder, COSINE).fault == "none"


def test_keras_history():
    """One rate an epoch, beside a schedule over epochs."""
    by_epoch = L.Cosine(0.5, 6)
    training = Training("epoch")
    training.callback = lrsched.keras.callback(by_epoch, "epoch")
    history = training.fit(2, epochs=6)
    for each in (history["learning_rate"], history, training.model.history):
        assert L.diagnose(each, by_epoch).fault == "none"
    assert L.diagnose(history["learning_rate"], by_epoch * 0.5).factor == pytest.approx(2)


@pytest.mark.parametrize("rate", [0.9, 0.999, 0.999999])
def test_long_decays_in_float32(rate):
    """Rounding the argument alone moves late rates by far more than a last digit."""
    import keras

    native = keras.optimizers.schedules.ExponentialDecay(0.1, 1, rate)
    steps = np.arange(0, 2_000_000, 100_000) + 17
    rates = native(steps.astype(np.float32)).numpy()
    assert L.diagnose(rates, L.Exponential(0.1, decay_rate=rate), steps=steps).fault == "none"


def test_roundings_that_add_up():
    """A float32 rate that is multiplied ten thousand times is off by more than by once."""
    length = 10_000
    rates = np.empty(length, np.float32)
    rates[0] = 0.1
    for step in range(1, length):
        rates[step] = rates[step - 1] * np.float32(0.9999)
    found = L.diagnose(rates, L.Exponential(0.1, decay_rate=float(np.float32(0.9999))))
    assert found.fault == "none"
    assert not np.allclose(rates, found.run.planned, rtol=1e-6)
