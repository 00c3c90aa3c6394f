"""The recorded rates are those of the updates: what a weight with the gradient 1 fell by."""

import copy
import pickle
import weakref

import keras
import numpy as np
import pytest
import torch
from keras.callbacks import LambdaCallback, ReduceLROnPlateau
from keras.optimizers import SGD
from torch.optim import lr_scheduler

import lrsched as L
import lrsched.keras
from keras_training import LINE, Training
from lrsched.pytorch import record, scheduler, set_rate

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def sgd(lr=0.5, groups=1, kind=torch.optim.SGD, **settings):
    weights = [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(groups)]
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    return kind([{"params": [weight]} for weight in weights], lr=lr, **settings)


def fall(optimizer, step=None):
    """How far each weight falls in a step."""
    held = [group["params"][0] for group in optimizer.param_groups]
    before = torch.cat(held).detach().clone()
    (step or optimizer.step)()
    return (before - torch.cat(held)).tolist()


def by_hand(optimizer):
    rates = iter([0.25, 0.125, 0.0, 2.0, 0.5])
    return lambda *_: set_rate(optimizer, next(rates))


WAYS = {  # what is called after each update
    "by hand": by_hand,
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5).step,
    "ours": lambda o: scheduler(o, L.Cosine(0.5, decay_steps=4).warmup(2)).step,
    "in a pre-hook": lambda o: o.register_step_pre_hook(by_hand(o)) and (lambda: None),
    "in a post-hook": lambda o: o.register_step_post_hook(by_hand(o)) and (lambda: None),
}


@pytest.mark.parametrize("held", [float, torch.tensor], ids=["float", "tensor"])
@pytest.mark.parametrize("first", [True, False], ids=["recorded first", "recorded last"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_torch(way, first, held):
    optimizer = sgd(held(0.5))
    recorder = record(optimizer) if first else None
    go_on = way(optimizer)
    recorder = recorder or record(optimizer)
    fallen = []
    for _ in range(5):
        fallen += fall(optimizer)
        go_on()
    np.testing.assert_allclose(recorder.rates, fallen, rtol=1e-14, atol=1e-15)


def test_torch_groups():
    optimizer = sgd(groups=2)
    recorder, fallen, schedules = record(optimizer), [], scheduler(optimizer, [LINE, 0.5 * LINE])
    assert recorder.rates.shape == (0, 2)
    for _ in range(3):
        fallen.append(fall(optimizer))
        schedules.step()
    np.testing.assert_array_equal(recorder.rates, fallen)
    optimizer.add_param_group(sgd(0.125).param_groups[0])
    fallen = [[*row, np.nan] for row in fallen] + [fall(optimizer)]
    np.testing.assert_array_equal(recorder.rates, fallen)


class Nested(torch.optim.SGD):
    """Its step calls its parent's, which has hooks, too."""

    def step(self, closure=None):
        return super().step(closure)


@pytest.mark.parametrize("kind", [torch.optim.SGD, Nested, torch.optim.Adam, torch.optim.LBFGS])
def test_torch_optimizers(kind):
    """With closures, of which LBFGS asks several times in one update; steps that fail are none."""
    optimizer = sgd(kind=kind)
    line, other = scheduler(optimizer, LINE), record(optimizer)
    with record(optimizer) as recorder:
        for _ in range(4):
            with pytest.raises(ZeroDivisionError):
                optimizer.step(lambda: 1 / 0)
            optimizer.step(lambda: torch.tensor(1.0))
            line.step()
    for each in (recorder, other):
        np.testing.assert_array_equal(each.rates, LINE(range(4)))


@pytest.mark.parametrize("fused", [False, True])
def test_torch_scaler(fused):
    """A fused optimizer is called, and skips the update itself."""
    optimizer = sgd(fused=fused)
    (weight,) = optimizer.param_groups[0]["params"]
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    recorder, fallen = record(optimizer), []
    for step, bad in enumerate([False, True, False, True]):
        set_rate(optimizer, LINE(step))
        optimizer.zero_grad()
        scaler.scale(weight.sum()).backward()
        weight.grad *= torch.inf if bad else 1
        fallen += fall(optimizer, lambda: scaler.step(optimizer))
        scaler.update()
    assert recorder.rates.tolist() == pytest.approx([fallen[0], fallen[2]])


def test_torch_leaves_no_trace():
    optimizer = sgd()
    state = str(optimizer.state_dict())
    with record(optimizer) as recorder:
        for each in (optimizer, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
            each.step()
            assert str(each.state_dict()) == state
    recorder.remove()
    optimizer.step()
    assert recorder.rates.tolist() == [0.5]

    recorder, alive = record(optimizer), weakref.ref(optimizer)
    del optimizer
    assert alive() is None  # at once: no cycle holds it
    with pytest.raises(TypeError, match=r"optimizer must be a torch\.optim\.Optimizer, got None"):
        record(alive())


ONES = np.ones((5, 1), "float32")
OVERFLOW = np.where(np.arange(5) == 1, np.inf, 1).astype("float32")[:, None]
RATES = {
    "number": 0.5,
    "function": lambda: 0.25,
    "ours": lrsched.keras.schedule(LINE),
    "theirs": keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [1.0, 0.5, 0.125]),
}
EACH_RATE = pytest.mark.parametrize("rate", RATES.values(), ids=RATES)


def trained(optimizer, *callbacks, x=ONES, fits=(2,), **how):
    """How far the weight fell in each batch of these fits, of so many epochs."""
    training = Training("optimizer", lambda _: optimizer, **how)
    for epochs in fits:
        training.fit(x, first=callbacks, epochs=epochs)
    return np.array(training.falls.all)


@EACH_RATE
@pytest.mark.parametrize("scaled", [False, True], ids=["", "scaled"])
@pytest.mark.parametrize("summed", [None, 2])
def test_keras(rate, scaled, summed):
    """In two epochs, and in a second fit. With loss scaling an infinite batch is skipped."""
    optimizer = SGD(rate, gradient_accumulation_steps=summed)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
    recorder = lrsched.keras.Recorder()
    fallen = trained(optimizer, recorder, x=OVERFLOW if scaled else ONES, fits=[2, 1])
    np.testing.assert_array_equal(recorder.rates, fallen[fallen != 0])


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras does it elsewhere alone")
@EACH_RATE
@pytest.mark.parametrize("size", [2, 3, 8])
def test_keras_steps_per_execution(size, rate):
    recorder = lrsched.keras.Recorder()
    trained(SGD(rate), recorder, run_eagerly=False, steps_per_execution=size)
    np.testing.assert_array_equal(recorder.rates, trained(SGD(rate)))


def halve(epoch_or_batch, logs):
    halving.model.optimizer.learning_rate *= 0.5


halving = LambdaCallback(on_train_batch_end=halve)
OTHERS = {
    "at an epoch's end": lambda: ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=1e9),
    "at a batch's begin": lambda: lrsched.keras.callback(LINE, per="batch"),
    "at a batch's end": lambda: halving,
}


@pytest.mark.parametrize("other", OTHERS)
def test_keras_beside_other_callbacks(other):
    """Before them in the list; and behind those that set no rate at a batch's end."""
    for place in [0] if other == "at a batch's end" else [0, 1]:
        callbacks, recorder = [OTHERS[other]()], lrsched.keras.Recorder()
        callbacks.insert(place, recorder)
        fallen = trained(SGD(0.5), *callbacks, fits=[4])
        np.testing.assert_allclose(recorder.rates, fallen, rtol=1e-6)
        assert len(set(recorder.rates)) > 1


class Countless(SGD):
    variables = ()


def test_keras_refuses_what_cannot_be_known():
    several = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(SGD()))
    for optimizer, message in (
        (several, "have one learning_rate"),
        (Countless(), "a Recorder needs"),
    ):
        with pytest.raises(TypeError, match=message):
            trained(optimizer, lrsched.keras.Recorder())
