"""Stack: each network gives what it gives alone, beside any others; and what is refused."""

import copy
import functools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

import stacks
from lrsched import lab
from lrsched.lab import Stack
from stacks import DOUBLE, EVERY, SINGLE, built, check_batch, gradients, inputs_for, networks

# The same inputs for all networks, or for each its own, which are rows.
CASES = [(name, False) for name in EVERY] + [(name, True) for name in stacks.ROWS]


def untouched(stack, work):
    """Do something that leaves the statistics as they are."""
    before = copy.deepcopy(stack.buffers)
    result = work()
    torch.testing.assert_close(stack.buffers, before, rtol=0, atol=0)
    return result


@pytest.mark.parametrize(("count", "dtype"), [(1, DOUBLE), (3, DOUBLE), (3, SINGLE)])
@pytest.mark.parametrize(("name", "own"), CASES)
def test_equals_the_networks_alone(name, own, count, dtype):
    """Training, evaluation, precise statistics, and training again."""
    near = {"rtol": 1e-10, "atol": 1e-11} if dtype == DOUBLE else {"rtol": 2e-3, "atol": 2e-4}
    nets = networks(EVERY[name], count, dtype)
    stack = Stack(nets)
    assert stack.mode == "train"
    for batch in (17, 17, 5, 40):
        for stack.mode in ("train", "eval"):
            x = inputs_for(name, own, dtype, batch, count)
            for network in nets:
                network.train(stack.mode == "train")
            check = functools.partial(check_batch, stack, nets, x, own, **near)
            check() if stack.mode == "train" else untouched(stack, check)
        stack.mode = "precise"
        outputs = untouched(stack, functools.partial(stack, x))
        for k, network in enumerate(nets):
            expected = copy.deepcopy(network).train()((x[k] if own else x).clone())
            torch.testing.assert_close(outputs[k], expected, **near)


@st.composite
def architectures(draw):
    """What makes networks, and the shape of an input."""
    small = st.integers(1, 3)
    side, pair = draw(st.integers(3, 9)), st.tuples(small, small)
    made, shape = [*draw(st.sampled_from(["", "r", "t", "rr"]))], (draw(small), side, side)
    for _ in range(draw(st.integers(0, 2))):
        pads = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        units, bias = draw(st.integers(1, 4)), draw(st.booleans())
        made += [(units, draw(pair), draw(pair), pads, 1, 1, bias)]
        made += draw(st.sampled_from(["", "r", "t", "rr"]))
        if draw(st.booleans()):
            width = draw(small)
            pool = width, draw(small), draw(st.integers(0, width // 2)), 1, False
            made += [functools.partial(nn.MaxPool2d, *pool, draw(st.booleans()))]
    norms = stacks.NORMS + stacks.FORGETFUL
    make = functools.partial(built, shape, *made, "f", *draw(stacks.parts(2, norms)))
    try:
        make()
    except RuntimeError:  # nothing is left of the image
        assume(False)
    return make, shape


@given(
    drawn=architectures(), count=st.sampled_from([1, 2, 3, 40]),
    mode=st.sampled_from(["train", "eval"]), batches=st.lists(st.integers(4, 20), max_size=3),
)  # fmt: skip
def test_any_architecture(drawn, count, batches, mode):
    make, shape = drawn
    nets = [network.train(mode == "train") for network in networks(make, count, DOUBLE)]
    stack = Stack(nets)
    stack.mode = mode
    for batch in batches:
        x = torch.randn(batch, *shape, dtype=DOUBLE)
        check_batch(stack, nets, x, False, 1e-7, 1e-8)


@pytest.mark.parametrize("name", EVERY)
def test_a_network_is_a_copy(name):
    """As is the stack of those that it was made from, with their statistics."""
    nets = networks(EVERY[name], 3, DOUBLE)
    before, stack = copy.deepcopy(nets), Stack(nets)
    gradients(stack, inputs_for(name))
    with torch.no_grad():
        for p in stack.parameters.values():
            p.add_(1)
    for k, (network, old) in enumerate(zip(nets, before, strict=True)):
        torch.testing.assert_close(network.state_dict(), old.state_dict(), rtol=0, atol=0)
        single = stack.network(k)
        assert str(single) == str(network)
        present = single.state_dict()
        for key, tensor in (stack.parameters | stack.buffers).items():
            assert torch.equal(present[key], tensor[k])
            present[key].zero_()
        assert all(p[k].any() for p in stack.parameters.values())


@pytest.mark.parametrize("mode", ["train", "precise"])
@pytest.mark.parametrize("own", [False, True])
def test_a_batch_of_one_cannot_be_normalised(mode, own):
    """As PyTorch says."""
    stack = Stack(networks(EVERY["deep"], 3, DOUBLE))
    stack.mode = mode
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        stack(inputs_for("deep", own, batch=1))


# A broken neighbour


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
@pytest.mark.parametrize("name", EVERY)
def test_a_broken_network_leaves_the_others_alone(name, dtype, mode):
    """To the last bit: outputs, gradients and statistics."""
    x, others = inputs_for(name, dtype=dtype), [0, 1, 3]

    def work(value):
        nets = networks(EVERY[name], 4, dtype)
        with torch.no_grad():
            for tensor in nets[2].state_dict().values():
                if tensor.is_floating_point() and value is not None:
                    tensor.fill_(value)
        stack = Stack(nets)
        stack.mode = mode
        outputs, grads = gradients(stack, x)
        return {"outputs": outputs, **grads, **stack.buffers}

    clean = work(None)
    for value in (torch.nan, torch.inf, 1e30):
        broken = work(value)
        for key, values in clean.items():
            assert torch.equal(values[others], broken[key][others])
            assert values.isfinite().all()
        assert broken["outputs"][2].isnan().any() or value == value or "in place" in name


# What is refused


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def separate():
    """As ``sharing`` to look at, but no layer is at two places."""
    return built((3,), 4, 4, {}, "r", 4, {}, "r", 2)


ALIKE = "networks must differ in their weights alone"
WRONG = [
    ([], ValueError, "networks must hold at least one network, got none"),
    ([lab.mlp(), nn.Tanh()], TypeError, "networks must be .*Sequential, got a Tanh"),
    ([Doubled(nn.Flatten(), nn.Linear(64, 10))], TypeError, "Sequential, got a Doubled"),
    ([lab.mlp(), lab.mlp(width=3)], ValueError, ALIKE),
    ([stacks.sharing(), separate()], ValueError, ALIKE),
    ([lab.mlp(norm="after"), lab.mlp(norm="after", momentum=0.2)], ValueError, ALIKE),
]
LAYERS = [
    (nn.BatchNorm1d(3, momentum=None), "with a momentum, got BatchNorm1d.*=None"),
    (nn.Dropout(), "must be made of .* layers, got Dropout"),
    (nn.Flatten(1, 2), "must be made of .* layers, got Flatten.*end_dim=2"),
    (nn.Sequential(nn.Flatten()), "must be made of .* layers, got Sequential"),
    (nn.Conv2d(2, 2, 3, groups=2), "one group"),
    (nn.Conv2d(1, 2, 3, dilation=2), "without dilation"),
    (nn.Conv2d(1, 2, 3, padding="same"), "padded by numbers"),
    (nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "zeros"),
]
WRONG += [([nn.Sequential(layer, nn.Linear(3, 1))], TypeError, text) for layer, text in LAYERS]


@pytest.mark.parametrize(("nets", "error", "message"), WRONG)
def test_wrong_networks(nets, error, message):
    with pytest.raises(error, match=message):
        Stack(nets)


@pytest.mark.parametrize("index", [3, -1, 0.5])
def test_wrong_index(index):
    with pytest.raises(IndexError, match=f"index must be from 0 to 2, got {index!r}"):
        Stack([lab.mlp()] * 3).network(index)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_own_inputs_for_another_number_of_networks(count):
    message = rf"inputs must be \[batch, ...\] or \[3, batch, features\], got \[{count}, 6, 5\]"
    with pytest.raises(ValueError, match=message):
        Stack([lab.mlp(norm="before")] * 3)(torch.zeros(count, 6, 5))


NORMS = [nn.BatchNorm1d(3), nn.BatchNorm1d(3, affine=False, track_running_stats=False)]


@pytest.mark.parametrize("before", [[], [nn.Conv2d(1, 3, 3)]])
@pytest.mark.parametrize("layer", [nn.Linear(6, 2), *NORMS])
def test_images_that_are_not_flat(before, layer):
    stack = Stack([nn.Sequential(*before, layer)] * 3)
    with pytest.raises(ValueError, match="networks must have a Flatten layer between images"):
        stack(torch.zeros(2, 1 if before else 3, 8, 8))
