"""Plateau: PyTorch's decisions, Keras's with the documented settings, and its state."""

import copy
import dataclasses
import json
import math
import pickle
from fractions import Fraction
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from native import sgd, t

# Values on a coarse grid, so that ties and thresholds are met often.
GRID = st.integers(0, 12).map(lambda n: n / 4)
METRICS = st.lists(GRID | st.floats(0, 3), max_size=60)
SETTINGS = st.fixed_dictionaries(
    {
        "factor": st.floats(0, 0.95),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([0.0, 1e-4, 0.1, 0.25]),
        "cooldown": st.integers(0, 4),
        "min_lr": st.sampled_from([0.0, 1e-3, 0.05]),
        "mode": st.sampled_from(["min", "max"]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "eps": st.sampled_from([0.0, 1e-8, 1e-2]),
    }
)
SPECIAL = [[], [math.nan], [math.inf], [-math.inf]]


def torch_rates(settings, metrics, lr=0.1):
    optimizer = sgd(lr)
    scheduler = t.ReduceLROnPlateau(optimizer, **settings)
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("below", [0, 2])
@pytest.mark.parametrize("special", SPECIAL)
@given(settings=SETTINGS, metrics=METRICS, position=st.integers(0, 60))
def test_same_decisions_as_torch(special, below, settings, metrics, position):
    """Below zero with absolute thresholds; relative ones differ on purpose, as shown further on."""
    if below:
        settings = settings | {"threshold_mode": "abs"}
    metrics = [metric - below for metric in metrics]
    metrics[position:position] = special
    if special and settings["threshold_mode"] == "rel":
        settings = settings | {"threshold": 0.1}
    plateau = L.Plateau(0.1, **settings)
    assert [plateau.update(metric) for metric in metrics] == torch_rates(settings, metrics)


@pytest.mark.parametrize(
    ("mode", "metrics"), [("max", [-1.0, -1.05, -1.1]), ("min", [-1.0, -0.95, -0.9])]
)
def test_a_worse_negative_metric_is_no_better_one(mode, metrics):
    settings = {"factor": 0.5, "patience": 0, "threshold": 0.2, "mode": mode}
    plateau = L.Plateau(0.1, **settings)
    assert [plateau.update(metric) for metric in metrics] == [0.1, 0.05, 0.025]
    assert torch_rates(settings, metrics) == [0.1, 0.1, 0.1]  # torch: each one the best


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # from Keras
@given(
    factor=st.sampled_from([0.5, 0.25, 0.1]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 4),
    min_delta=st.sampled_from([0.0, 0.1, 0.25]),
    min_lr=st.sampled_from([0.0, 1e-3]),
    mode=st.sampled_from(["min", "max"]),
    metrics=st.lists(GRID, max_size=60),  # Keras compares in float32
)
def test_same_decisions_as_keras(factor, patience, cooldown, min_delta, min_lr, mode, metrics):
    """With the settings that the documentation of Plateau gives."""
    optimizer = keras.optimizers.SGD(0.1)
    theirs = keras.callbacks.ReduceLROnPlateau(
        "loss", factor, patience, mode=mode, min_delta=min_delta, cooldown=cooldown, min_lr=min_lr
    )
    theirs.set_model(SimpleNamespace(optimizer=optimizer, metrics=[]))
    theirs.on_train_begin()
    ours = L.Plateau(
        0.1, factor=factor, patience=max(patience - 1, 0), threshold=min_delta,
        cooldown=max(cooldown - 1, 0), min_lr=min_lr, mode=mode, threshold_mode="abs", eps=0,
    )  # fmt: skip
    for epoch, metric in enumerate(metrics):
        theirs.on_epoch_end(epoch, {"loss": metric})
        assert ours.update(metric) == pytest.approx(float(optimizer.learning_rate), rel=1e-5)


@pytest.mark.parametrize("special", SPECIAL)
@given(settings=SETTINGS, metrics=METRICS, cut=st.integers(0, 60))
def test_state_through_json(special, settings, metrics, cut):
    metrics[cut // 2 : cut // 2] = special
    whole, before, after = (L.Plateau(0.1, **settings) for _ in range(3))
    rates = [whole.update(metric) for metric in metrics]
    for metric in metrics[:cut]:
        before.update(metric)
    after.load_state_dict(json.loads(json.dumps(before.state_dict(), allow_nan=False)))
    assert after == before
    assert after.lr == before.lr
    assert [after.update(metric) for metric in metrics[cut:]] == rates[cut:]
    assert after.state_dict() == whole.state_dict()


STATE = L.Plateau(0.1).state_dict()


@pytest.mark.parametrize(
    "state",
    [
        None, {"lr": 0.1}, STATE | {"more": 1}, STATE | {"lr": -1}, STATE | {"bad_updates": -1},
        STATE | {"cooldown_left": None}, STATE | {"best": "x"},
    ],
)  # fmt: skip
def test_a_wrong_state_is_refused_and_changes_nothing(state):
    plateau = L.Plateau(0.1)
    plateau.update(1.0)
    before = plateau.state_dict()
    with pytest.raises((TypeError, ValueError)):
        plateau.load_state_dict(state)
    assert plateau.state_dict() == before


@pytest.mark.parametrize("metric", [1, np.array([1.5]), Fraction(3, 2), torch.tensor([1.5])])
def test_metrics_of_any_type(metric):
    plateau = L.Plateau(0.1, patience=0, factor=0.5)
    assert [plateau.update(metric), plateau.update(metric)] == [0.1, 0.05]
    assert type(plateau.best) is float


@pytest.mark.parametrize("metric", [None, "1.0", True, [1.0], np.ones(2), torch.tensor(True)])
def test_metrics_that_are_no_numbers(metric):
    plateau = L.Plateau(0.1, patience=0)
    with pytest.raises(TypeError, match="metric"):
        plateau.update(metric)
    assert plateau == L.Plateau(0.1, patience=0)


def test_as_a_value():
    """Printed and saved are the arguments, as at the start; compared is the state too."""
    plateau = L.Plateau(0.1, patience=2, mode="max")
    for used in (False, True):
        assert repr(plateau) == "Plateau(base_lr=0.1, patience=2, mode='max')"
        assert plateau.to_dict() == {
            "class": "Plateau", "base_lr": 0.1, "factor": 0.1, "patience": 2, "threshold": 1e-4,
            "cooldown": 0, "min_lr": 0.0, "mode": "max", "threshold_mode": "rel", "eps": 1e-8,
        }  # fmt: skip
        again = L.from_dict(json.loads(json.dumps(plateau.to_dict())))
        assert (again == plateau) is not used
        assert again == dataclasses.replace(plateau) == L.Plateau(0.1, patience=2, mode="max")
        assert copy.deepcopy(plateau) == pickle.loads(pickle.dumps(plateau)) == plateau
        plateau.update(1.0)
    with pytest.raises(TypeError, match="unhashable"):
        hash(plateau)
