"""``lab.SGD`` and ``lab.Adam``: the updates of PyTorch's own, for networks side by side."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import reference
from lrsched.lab import SGD, Adam
from lrsched.lab.optimizers import StackOptimizer
from lrsched.pytorch import set_rate

DECAYS = st.just(0.0) | st.floats(1e-4, 0.1)
OPTIMIZERS = (
    st.builds(SGD, st.floats(0, 0.99), DECAYS)
    | st.builds(SGD, st.floats(0.1, 0.99), DECAYS, st.just(True))
    | st.builds(Adam, st.floats(0, 0.99), st.floats(0, 0.9999), st.floats(1e-8, 1e-2), DECAYS)
)


@given(
    optimizer=OPTIMIZERS,
    rates=st.lists(
        st.lists(st.sampled_from([0.0, 0.5, 0.25, 2.0**-10, 1.5]), min_size=6, max_size=6),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 1000),
)
def test_an_update_is_that_of_pytorch(optimizer, rates, seed):
    """In double precision, with rates that single precision holds too: no rounding to hide in."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    networks = len(rates)
    stacked = {"matrix": drawn(networks, 3, 2), "vector": drawn(networks, 4)}
    single = [[nn.Parameter(p[k].clone()) for p in stacked.values()] for k in range(networks)]
    natives = [reference.native(optimizer, parameters) for parameters in single]
    ours = StackOptimizer(optimizer, stacked)
    for step in range(6):
        grads = [drawn(*p.shape) for p in stacked.values()]
        for p, grad in zip(stacked.values(), grads, strict=True):
            p.grad = grad.clone()
        now = torch.tensor([line[step] for line in rates], dtype=torch.float64)
        used = ours.step(now)
        assert used.dtype == torch.float32
        assert torch.equal(used.double(), now)
        for k, native in enumerate(natives):
            set_rate(native, rates[k][step])
            for p, grad in zip(single[k], grads, strict=True):
                p.grad = grad[k].clone()
            native.step()
            for whole, p in zip(stacked.values(), single[k], strict=True):
                torch.testing.assert_close(whole[k], p.detach(), rtol=1e-9, atol=1e-10)
    assert ours.steps == 6
    ours.zero_grad()
    with pytest.raises(RuntimeError, match="needs gradients: call backward"):
        ours.step(now)


@given(optimizer=OPTIMIZERS)
def test_the_native_optimizer(optimizer):
    """The settings of the one that the tests make by hand."""
    ours, theirs = (
        make([nn.Parameter(torch.zeros(1))], lr=0.5)
        for make in (optimizer.native, lambda *given, lr: reference.native(optimizer, *given, lr))
    )
    assert type(ours) is type(theirs)
    assert ours.defaults == theirs.defaults


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
    ],
)
def test_wrong_optimizers(make, error, message):
    with pytest.raises(error, match=message):
        make()
