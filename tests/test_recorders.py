"""The recorded rates are those of the updates: what a weight with the gradient 1 fell by."""

import copy
import pickle
import weakref

import keras
import numpy as np
import pytest
import torch
from keras.callbacks import LambdaCallback, LearningRateScheduler, ReduceLROnPlateau
from torch.optim import lr_scheduler

import lrsched as L
import lrsched.keras
from lrsched.pytorch import record, scheduler, set_rate

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LINE = L.Linear(1.0, 0.0, decay_steps=16)  # exact in float32


def weights(count=1):
    made = [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(count)]
    for weight in made:
        weight.grad = torch.ones_like(weight)
    return made


def sgd(lr=0.5, groups=1, **settings):
    return torch.optim.SGD([{"params": [w]} for w in weights(groups)], lr=lr, **settings)


def fall(optimizer, step=None):
    """How far each weight falls in a step."""
    held = [group["params"][0] for group in optimizer.param_groups]
    before = torch.cat(held).detach().clone()
    (step or optimizer.step)()
    return (before - torch.cat(held)).tolist()


def by_hand(optimizer):
    rates = iter([0.25, 0.125, 0.0, 2.0, 0.5])
    return lambda: set_rate(optimizer, next(rates))


def in_hook(register, optimizer):
    set_next = by_hand(optimizer)
    register(lambda *_: set_next())
    return lambda: None


WAYS = {  # what is called after each update
    "by hand": by_hand,
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5).step,
    "ours": lambda o: scheduler(o, L.Cosine(0.5, decay_steps=4).warmup(2)).step,
    "in a pre-hook": lambda o: in_hook(o.register_step_pre_hook, o),
    "in a post-hook": lambda o: in_hook(o.register_step_post_hook, o),
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
    optimizer.add_param_group({"params": weights(), "lr": 0.125})
    fallen = [[*row, np.nan] for row in fallen] + [fall(optimizer)]
    np.testing.assert_array_equal(recorder.rates, fallen)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "LBFGS"])
def test_torch_optimizers(kind):
    """With closures, of which LBFGS asks several times in one update."""
    optimizer = getattr(torch.optim, kind)(weights(), lr=0.5)
    line = scheduler(optimizer, LINE)
    with record(optimizer) as recorder:
        for _ in range(4):
            optimizer.step(lambda: torch.tensor(1.0))
            line.step()
    np.testing.assert_array_equal(recorder.rates, LINE(range(4)))


class Nested(torch.optim.SGD):
    def step(self, closure=None):
        return super().step(closure)


def test_torch_counts_each_update_once():
    """Also where a step calls its parent's, which has hooks too; not one that fails."""
    sgd().step()
    optimizer = Nested(weights(), lr=0.5)
    recorder, other = record(optimizer), record(optimizer)
    optimizer.step()
    with pytest.raises(ZeroDivisionError):
        optimizer.step(lambda: 1 / 0)
    optimizer.step()
    assert recorder.rates.tolist() == other.rates.tolist() == [0.5, 0.5]


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


@keras.saving.register_keras_serializable()
def prediction(y, predicted):
    return predicted  # a loss whose gradient is that of the prediction


ONES = np.ones((5, 1), "float32")
OVERFLOW = np.where(np.arange(5) == 1, np.inf, 1).astype("float32")[:, None]
RATES = {
    "number": 0.5,
    "ours": lrsched.keras.schedule(LINE),
    "theirs": keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [1.0, 0.5, 0.125]),
}


def model_with(rate, scaled=False, settings=None, **how):
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.layers.Input((1,)), layer])
    optimizer = keras.optimizers.SGD(rate, **settings or {})
    wrapped = keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer
    model.compile(wrapped, prediction, **how)
    return model


def fit(model, *callbacks, x=ONES, epochs=2):
    """How far the weight fell in each batch."""
    held = [model.get_weights()[0].item()]
    look = LambdaCallback(
        on_train_batch_end=lambda batch, logs: held.append(model.get_weights()[0].item())
    )
    how = {"batch_size": 1, "epochs": epochs, "shuffle": False, "verbose": 0}
    model.fit(x, x, callbacks=[*callbacks, look], **how)
    return -np.diff(held)


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("scaled", [False, True], ids=["", "scaled"])
@pytest.mark.parametrize("settings", [{}, {"gradient_accumulation_steps": 2}], ids=str)
def test_keras(rate, scaled, settings):
    """In two epochs, and in a second fit. With loss scaling an infinite batch is skipped."""
    model, recorder = model_with(rate, scaled, settings), lrsched.keras.Recorder()
    x = OVERFLOW if scaled else ONES
    fallen = np.concatenate([fit(model, recorder, x=x), fit(model, recorder, x=x, epochs=1)])
    np.testing.assert_array_equal(recorder.rates, fallen[fallen != 0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras does it there alone")
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES)
@pytest.mark.parametrize("size", [2, 3, 8])
def test_keras_steps_per_execution(size, rate):
    model, recorder = model_with(rate, steps_per_execution=size), lrsched.keras.Recorder()
    fit(model, recorder)
    np.testing.assert_array_equal(recorder.rates, fit(model_with(rate)))


def halve(moment):
    def act(batch, logs):
        callback.model.optimizer.learning_rate *= 0.5

    callback = LambdaCallback(**{moment: act})
    return callback


OTHERS = {
    "at an epoch's begin": lambda: LearningRateScheduler(LINE),
    "at an epoch's end": lambda: ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=1e9),
    "at a batch's begin": lambda: halve("on_train_batch_begin"),
    "at a batch's end": lambda: halve("on_train_batch_end"),
    "ours": lambda: lrsched.keras.callback(LINE, per="batch"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_keras_beside_other_callbacks(other):
    """Before them in the list; and behind those that set no rate at a batch's end."""
    for place in [0] if other == "at a batch's end" else [0, 1]:
        callbacks, recorder = [OTHERS[other]()], lrsched.keras.Recorder()
        callbacks.insert(place, recorder)
        fallen = fit(model_with(0.5), *callbacks, epochs=4)
        np.testing.assert_allclose(recorder.rates, fallen, rtol=1e-6)
        assert len(set(recorder.rates)) > 1


class Countless(keras.optimizers.SGD):
    @property
    def variables(self):
        return []


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD())),
            "must have one learning_rate",
        ),
        (Countless(), "a Recorder needs an optimizer whose variables"),
    ],
)
def test_keras_refuses_what_cannot_be_known(optimizer, message):
    model = model_with(0.1)
    model.compile(optimizer, "mse")
    with pytest.raises(TypeError, match=message):
        fit(model, lrsched.keras.Recorder())


def test_keras_asks_a_function_once_more():
    recorder = lrsched.keras.Recorder()
    fit(model_with(lambda: 0.25), recorder)
    assert set(recorder.rates) == {0.25}
