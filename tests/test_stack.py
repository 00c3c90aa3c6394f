"""Stack: each network gives what it gives alone: outputs, gradients and running statistics."""

import copy
import functools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from lrsched.lab import Stack, lenet
from stacks import (
    ALL,
    CASES,
    DOUBLE,
    IMAGES,
    SINGLE,
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    Pool,
    check_batch,
    example,
    gradients,
    inputs_for,
    of,
    shaken,
)


def untouched(stack, work):
    """Do something that leaves the statistics as they are."""
    before = copy.deepcopy(stack.buffers)
    result = work()
    torch.testing.assert_close(stack.buffers, before, rtol=0, atol=0)
    return result


def check_modes(networks, name, own, dtype=DOUBLE, rtol=1e-10, atol=1e-11):
    """Training, evaluation, precise statistics, and training again."""
    stack, count = Stack(networks), len(networks)
    assert stack.mode == "train"
    for batch in (17, 17, 5, 40):
        for stack.mode in ("train", "eval"):
            x = inputs_for(name, own, dtype, batch, count)
            for network in networks:
                network.train(stack.mode == "train")
            check = functools.partial(check_batch, stack, networks, x, own, rtol, atol)
            check() if stack.mode == "train" else untouched(stack, check)
        stack.mode = "precise"
        outputs = untouched(stack, functools.partial(stack, x))
        for k, network in enumerate(networks):
            expected = copy.deepcopy(network).train()((x[k] if own else x).clone())
            torch.testing.assert_close(outputs[k], expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "own"), CASES)
def test_equals_the_networks_alone(name, own):
    for count in (1, 3):
        check_modes(example(name, count), name, own)


@pytest.mark.parametrize(("name", "own"), CASES)
def test_equals_the_networks_alone_in_single_precision(name, own):
    check_modes(example(name, dtype=SINGLE), name, own, SINGLE, 2e-3, 2e-4)


@pytest.mark.parametrize("side", [28, 12])
def test_lenet(side):
    torch.manual_seed(1)
    networks = [lenet(side, 3, 28 // side).double() for _ in range(2)]
    x = torch.randn(3, 1, side, side, dtype=DOUBLE)
    check_batch(Stack(networks), networks, x, False, 1e-10, 1e-11)


@st.composite
def layers(draw):
    """What makes layers, and the shape of an input."""
    small = st.integers(1, 3)
    made, channels, side = [], draw(small), draw(st.integers(3, 9))
    shape = channels, side, side
    activation = st.sampled_from([(), ((nn.ReLU,),), ((nn.Tanh,),), ((nn.ReLU,), (nn.ReLU,))])
    made += draw(activation)
    for _ in range(draw(st.integers(0, 2))):
        wider, width = draw(st.integers(1, 4)), draw(small)
        pads = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        pairs = draw(st.tuples(small, small)), draw(st.tuples(small, small)), pads
        made += [(Conv, channels, wider, *pairs, 1, 1, draw(st.booleans())), *draw(activation)]
        channels = wider
        if draw(st.booleans()):
            pool = width, draw(small), draw(st.integers(0, width // 2)), 1, False
            made += [(Pool, *pool, draw(st.booleans())), *draw(activation)]
    made.append((Flatten,))
    try:
        features = of(*made)()(torch.zeros(1, *shape)).shape[1]
    except RuntimeError:  # nothing is left of the image
        assume(False)
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from([Linear, BatchNorm, Flatten, None]))
        if kind is Linear:
            units = draw(st.integers(1, 5))
            made.append((Linear, features, units, draw(st.booleans())))
            features = units
        elif kind is BatchNorm:
            momentum = draw(st.sampled_from([0.0, 0.01, 0.1, 0.9, 1.0]))
            eps = draw(st.sampled_from([1e-3, 0.1, 1.0]))
            made.append(
                (BatchNorm, features, eps, momentum, *draw(st.tuples(*[st.booleans()] * 2)))
            )
        else:
            made += [(Flatten,)] if kind else draw(activation)
    return of(*made, (Linear, features, 2)), shape


@given(
    drawn=layers(), count=st.integers(1, 4), batches=st.lists(st.integers(4, 20), max_size=3),
    mode=st.sampled_from(["train", "eval"]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_any_architecture(drawn, count, batches, mode, seed):
    torch.manual_seed(seed)
    make, shape = drawn
    networks = [shaken(make().double()).train(mode == "train") for _ in range(count)]
    stack = Stack(networks)
    stack.mode = mode
    for batch in batches:
        x = torch.randn(batch, *shape, dtype=DOUBLE)
        check_batch(stack, networks, x, False, 1e-7, 1e-8)


# Copies


@ALL
def test_a_network_is_a_copy(name):
    """As is the stack of those that it was made from, with their statistics."""
    networks, x = example(name), inputs_for(name)
    stack = Stack(networks)
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    singles = [stack.network(k) for k in range(3)]
    for single, network, state in zip(singles, networks, before, strict=True):
        assert str(single) == str(network)
        torch.testing.assert_close(single.state_dict(), state, rtol=0, atol=0)
        assert torch.equal(single.eval()(x.clone()), network.eval()(x.clone()))
        network.train()
    outputs, _ = untouched(Stack(networks), lambda: gradients(stack, x))
    with torch.no_grad():
        for p in stack.parameters.values():
            p.add_(1)
    for k, (network, state) in enumerate(zip(networks, before, strict=True)):
        torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)
        present = stack.network(k).state_dict()
        for key, tensor in (stack.parameters | stack.buffers).items():
            assert torch.equal(present[key], tensor[k])
            present[key].zero_()
        assert all(p[k].any() for p in stack.parameters.values())
    assert torch.equal(Stack(networks)(x), outputs)


def test_one_network_many_times():
    """As a training starts."""
    name = "mlp, 3 layers, tanh, before"
    one, two = example(name, 2)
    stack = Stack([two, one, two, two, one])
    for _ in range(3):
        outputs, _ = gradients(stack, inputs_for(name))
    for same in (0, 2, 3), (1, 4):
        for values in (outputs, *stack.buffers.values()):
            assert all(torch.equal(values[same[0]], values[k]) for k in same[1:])
    assert not torch.equal(outputs[0], outputs[1])
    with torch.no_grad():
        next(iter(stack.parameters.values()))[2] += 1
    outputs = stack(inputs_for(name))
    assert torch.equal(outputs[0], outputs[3])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", IMAGES)
def test_the_input_is_not_changed(name, form):
    stack = Stack(example(name, 2))
    x = inputs_for(name).contiguous(memory_format=form)
    with torch.no_grad():
        gradients(stack, x)  # it looks


# Normalisation


def test_the_running_statistics_are_of_all_batches():
    """By hand: momentum 0.5, the unbiased variance."""
    network = nn.Sequential(BatchNorm(1, momentum=0.5), Linear(1, 1))
    stack = Stack([network, network])
    stack(torch.tensor([[1.0], [3.0]]))
    stack(torch.tensor([[[5.0], [5.0]], [[0.0], [4.0]]]))
    assert stack.buffers["0.running_mean"].tolist() == [[3.0], [1.5]]
    assert stack.buffers["0.running_var"].tolist() == [[0.75], [4.75]]
    assert stack.buffers["0.num_batches_tracked"].tolist() == [2, 2]


@pytest.mark.parametrize("mode", ["train", "precise"])
@pytest.mark.parametrize("own", [False, True])
def test_a_batch_of_one_cannot_be_normalised(mode, own):
    """As PyTorch says."""
    (network,) = example("mlp, 1 layers, relu, after", 1)
    stack, x = Stack([network] * 3), inputs_for("mixed", own, batch=1)
    stack.mode = mode
    for compute in (stack, network):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            compute(x[0] if own and compute is network else x)
    stack.mode = "eval"
    expected = network.eval()(x[1] if own else x)
    torch.testing.assert_close(stack(x)[1], expected, rtol=1e-12, atol=1e-12)
