"""``lab.SGD``, ``lab.Adam`` and ``lab.AdamW``: the updates of PyTorch's own, side by side."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import OneCycleLR

import lrsched as L
import reference
from experiments import IMAGES, ROWS, batches, flat, mlp
from lrsched import lab, value
from lrsched.lab import SGD, Adam, AdamW
from lrsched.lab.optimizers import StackOptimizer
from lrsched.pytorch import set_rate


@given(
    optimizer=reference.OPTIMIZERS,
    networks=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_an_update_is_that_of_pytorch(optimizer, networks, seed):
    """In double precision, with rates that single precision holds too: no rounding to hide in."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    values = torch.tensor([0.0, 0.5, 0.25, 2.0**-10, 1.5], dtype=torch.float64)
    rates = values[torch.randint(5, (6, networks), generator=generator)]
    stacked = {"matrix": drawn(networks, 3, 2), "vector": drawn(networks, 4)}
    single = [[nn.Parameter(p[k].clone()) for p in stacked.values()] for k in range(networks)]
    natives = [reference.native(optimizer, parameters) for parameters in single]
    ours = StackOptimizer(optimizer, stacked)
    for now in rates:
        grads = [drawn(*p.shape) for p in stacked.values()]
        for p, grad in zip(stacked.values(), grads, strict=True):
            p.grad = grad.clone()
        used = ours.step(now)
        assert used.dtype == torch.float32
        assert torch.equal(used.double(), now)
        for k, native in enumerate(natives):
            set_rate(native, float(now[k]))
            for p, grad in zip(single[k], grads, strict=True):
                p.grad = grad[k].clone()
            native.step()
            for whole, p in zip(stacked.values(), single[k], strict=True):
                torch.testing.assert_close(whole[k], p.detach(), rtol=1e-9, atol=1e-10)
    assert ours.steps == 6
    ours.zero_grad()
    with pytest.raises(RuntimeError, match="needs gradients: call backward"):
        ours.step(now)


@given(optimizer=reference.OPTIMIZERS)
def test_the_native_optimizer(optimizer):
    """The settings of the one that the tests make by hand."""
    parameters = [nn.Parameter(torch.zeros(1))]
    assert repr(optimizer.native(parameters, 0.5)) == repr(
        reference.native(optimizer, parameters, 0.5)
    )


@pytest.mark.parametrize("optimizer", [SGD(), Adam(), AdamW()], ids=repr)
def test_the_defaults_are_those_of_pytorch(optimizer):
    parameters = [nn.Parameter(torch.zeros(1))]
    theirs = getattr(torch.optim, type(optimizer).__name__)(parameters, 0.5)
    assert optimizer.native(parameters, 0.5).defaults == theirs.defaults
    if not isinstance(optimizer, SGD):
        assert optimizer.native(parameters).defaults["lr"] == 0.001


def test_a_decay_of_its_own():
    """As values: AdamW is another than Adam with the same settings, and no decay makes it Adam."""
    assert AdamW() != Adam(weight_decay=0.01)
    assert repr(AdamW(weight_decay=0.1)) == "AdamW(weight_decay=0.1)"
    assert value.from_dict(AdamW(0.5).to_dict()) == AdamW(0.5)
    weights = []
    for optimizer in (AdamW(weight_decay=0), Adam()):
        stacked = {"p": torch.linspace(-1, 1, 6).view(2, 3)}
        stacked["p"].grad = torch.ones(2, 3)
        StackOptimizer(optimizer, stacked).step(torch.tensor([0.1, 0.2]))
        weights.append(stacked["p"])
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(momentum=1.0), ValueError, "SGD: momentum .*below 1"),
        (lambda: SGD(momentum=-0.1), ValueError, r"SGD: momentum .*-0\.1"),
        (lambda: SGD(momentum="0"), TypeError, "SGD: momentum .*'0'"),
        (lambda: SGD(weight_decay=-1), ValueError, "SGD: weight_decay .*-1"),
        (lambda: SGD(nesterov=1), TypeError, "SGD: nesterov .*1"),
        (lambda: SGD(nesterov=True), ValueError, "SGD: momentum must be above 0 with nesterov"),
        (lambda: Adam(beta1=1), ValueError, "Adam: beta1 .*below 1"),
        (lambda: Adam(beta2=1.5), ValueError, "Adam: beta2 .*below 1"),
        (lambda: Adam(eps=-1e-8), ValueError, "Adam: eps .*-1e-08"),
        (lambda: Adam(weight_decay=float("nan")), ValueError, "Adam: weight_decay .*nan"),
        (lambda: AdamW(weight_decay=-0.1), ValueError, r"AdamW: weight_decay .*-0\.1"),
        (lambda: AdamW(beta1=1), ValueError, "AdamW: beta1 .*below 1"),
    ],
)
def test_wrong_optimizers(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("rows", [False, True], ids=["images", "rows"])
def test_a_momentum_that_is_cycled_is_that_of_one_cycle_lr(nesterov, rows):
    """Networks side by side, each with its own peak, against PyTorch's ``OneCycleLR``."""
    data, make = (ROWS, mlp(activation="relu")) if rows else (IMAGES, lambda: flat("r"))
    steps = 2 * -(-len(data.train) // 8)
    shape = L.OneCycle(1.0, steps, pct_start=0.4)
    runs = [lab.Run(f"{peak}", shape * peak) for peak in (0.05, 0.02)]
    optimizer = SGD(momentum=shape.momentum(), nesterov=nesterov)
    results = lab.train(
        runs, data, epochs=2, batch_size=8, optimizer=optimizer, network=make, group=2
    )

    for place, run in enumerate(runs):
        torch.manual_seed(0)
        network, losses = make(), []
        native = torch.optim.SGD(network.parameters(), 1.0, momentum=0.9, nesterov=nesterov)
        scheduler = OneCycleLR(native, float(run.label), steps, pct_start=0.4)
        criterion = mse_loss if rows else cross_entropy
        for epoch in range(2):
            for inputs, targets in batches(data.train, 0, epoch, 8):
                loss = criterion(network(inputs), targets)
                native.zero_grad()
                loss.backward()
                native.step()
                losses.append(loss.item())
                if len(losses) < steps:
                    scheduler.step()
        np.testing.assert_allclose(results.losses[:, place], losses, rtol=2e-3, atol=1e-5)


def test_a_schedule_of_momentum():
    up = L.Linear(0.5, 1.5, decay_steps=10)
    optimizer = SGD(momentum=up, weight_decay=0.1)
    assert optimizer.momentum_at(3) == up(3)
    assert optimizer.moments == ("velocity",)
    native = optimizer.native([nn.Parameter(torch.zeros(1))], 0.5)
    assert native.param_groups[0]["momentum"] == 0.5
    with pytest.raises(ValueError, match=r"SGD: momentum at step 5 must be .*, got 1.0"):
        optimizer.momentum_at(5)
    assert SGD(momentum=up) == SGD(momentum=up) != SGD(momentum=0.5)
    assert SGD(momentum=0.5).momentum_at(7) == 0.5


@pytest.mark.parametrize("data", [IMAGES, ROWS], ids=["images", "rows"])
def test_a_momentum_that_grows_too_large_is_refused_before_training(data, tmp_path):
    """At whatever step; a step later it is never asked for."""
    steps = 2 * -(-len(data.train) // 8)
    how = {"epochs": 2, "batch_size": 8, "checkpoint": tmp_path / "a"}
    how["network"] = mlp() if data is ROWS else lambda: flat("r")

    def train(last):
        momentum = L.PiecewiseConstant([last], [0.5, 1.0])
        return lab.train([lab.Run("a", L.Constant(0.01))], data, optimizer=SGD(momentum), **how)

    with pytest.raises(ValueError, match=rf"SGD: momentum at step {steps - 1} must be .*1\.0"):
        train(steps - 1)
    assert not list(tmp_path.iterdir())
    assert train(steps).epochs == 2
