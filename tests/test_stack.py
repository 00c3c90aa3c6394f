"""Stack: each network gives what it gives alone, outputs and gradients."""

from collections import OrderedDict

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from lrsched.lab import lenet
from lrsched.lab.models import Stack

DOUBLE = torch.float64


def mlp(activation=nn.ReLU, bias=True):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 20, bias=bias),
        activation(),
        nn.Linear(20, 15, bias=bias),
        activation(),
        nn.Linear(15, 10, bias=bias),
    )


def padded():
    return nn.Sequential(
        nn.Conv2d(1, 3, (5, 3), stride=(1, 2), padding=(2, 0)),
        nn.Tanh(),
        nn.Conv2d(3, 4, 3, stride=2, padding=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(60, 5, bias=False),
    )


def reusing():
    """One ReLU and one linear layer, each at two places."""
    relu, linear = nn.ReLU(), nn.Linear(64, 64)
    return nn.Sequential(nn.Flatten(), linear, relu, linear, relu, nn.Linear(64, 5))


def named():
    return nn.Sequential(
        OrderedDict(flat=nn.Flatten(), first=nn.Linear(64, 7), act=nn.Tanh(), last=nn.Linear(7, 3))
    )


# The layers, and the sides of the images that they are for.
EXAMPLES = {
    "LeNet": (lenet, 28),
    "LeNet for 8x8": (lambda: lenet(8), 8),
    "LeNet, wide": (lambda: lenet(12, 3, width=2), 12),
    "MLP, ReLU": (mlp, 8),
    "MLP, Tanh": (lambda: mlp(nn.Tanh), 8),
    "MLP without bias": (lambda: mlp(bias=False), 8),
    "strides and padding": (padded, 8),
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 8),
    "activations first": (
        lambda: nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Flatten(), nn.ReLU(), nn.Linear(64, 10)),
        8,
    ),
    "pooling first": (
        lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)),
        8,
    ),
    "pooling twice": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(), nn.Linear(8, 4),
        ),
        8,
    ),
    "flat twice": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Flatten(), nn.Linear(72, 4), nn.Flatten()
        ),
        8,
    ),
    "one channel": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)
        ),
        8,
    ),
    "flat at the end": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten()), 8),
    "layers at two places": (reusing, 8),
    "named layers": (named, 8),
    "ReLU in place": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(inplace=True)), 8,
    ),
}  # fmt: skip
ALL = pytest.mark.parametrize("name", EXAMPLES)


def example(name, count=3, dtype=DOUBLE, batch=6):
    """Networks, and images for them."""
    torch.manual_seed(0)
    make, side = EXAMPLES[name]
    return [make().to(dtype) for _ in range(count)], torch.randn(batch, 1, side, side, dtype=dtype)


def slopes(outputs):
    """Different, for each output of each network."""
    return torch.linspace(-1, 2, outputs.numel(), dtype=outputs.dtype).view_as(outputs)


def gradients(stack, x):
    """The outputs, and the gradients by name."""
    for p in stack.parameters.values():
        p.grad = None
    outputs = stack(x)
    outputs.backward(slopes(outputs))
    return outputs.detach(), {name: p.grad for name, p in stack.parameters.items()}


def check(networks, x, rtol=1e-10, atol=1e-12):
    stack = Stack(networks)
    before = x.clone()
    outputs, grads = gradients(stack, x)
    assert torch.equal(x, before)
    assert outputs.dtype == x.dtype
    every = slopes(outputs)
    for k, network in enumerate(networks):
        network.zero_grad()
        expected = network(x.clone())
        expected.backward(every[k])
        torch.testing.assert_close(outputs[k], expected.detach(), rtol=rtol, atol=atol)
        assert set(grads) == {name for name, _ in network.named_parameters()}
        for name, p in network.named_parameters():
            torch.testing.assert_close(
                grads[name][k], p.grad, rtol=rtol, atol=atol * max(1, float(p.grad.abs().max()))
            )


@ALL
@pytest.mark.parametrize("count", [1, 2, 5])
def test_equals_the_networks_alone(name, count):
    check(*example(name, count))


@ALL
def test_equals_the_networks_alone_in_single_precision(name):
    check(*example(name, dtype=torch.float32), rtol=1e-4, atol=1e-5)


@st.composite
def layers(draw):
    """Layers, and an input for them."""
    side, channels = draw(st.integers(3, 9)), draw(st.integers(1, 3))
    x = torch.randn(draw(st.integers(1, 4)), channels, side, side, dtype=DOUBLE)
    activations = st.sampled_from([[], [nn.ReLU()], [nn.Tanh()], [nn.ReLU(), nn.ReLU()]])
    small = st.integers(1, 3)
    made = [*draw(activations)]
    for _ in range(draw(st.integers(0, 2))):
        kernel = draw(st.tuples(small, small))
        wider = draw(st.integers(1, 4))
        made.append(
            nn.Conv2d(
                channels,
                wider,
                kernel,
                stride=draw(st.tuples(small, small)),
                padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
                bias=draw(st.booleans()),
            )
        )
        channels = wider
        made += draw(activations)
        if draw(st.booleans()):
            width = draw(st.integers(1, 3))
            made.append(
                nn.MaxPool2d(
                    width,
                    draw(small),
                    draw(st.integers(0, width // 2)),
                    ceil_mode=draw(st.booleans()),
                )
            )
            made += draw(activations)
    made.append(nn.Flatten())
    made += draw(activations)
    try:
        features = nn.Sequential(*made).double()(x).shape[1]
    except RuntimeError:  # nothing is left of the image
        assume(False)
    for _ in range(draw(st.integers(1, 3))):
        units = draw(st.integers(1, 5))
        made += [nn.Linear(features, units, bias=draw(st.booleans())), *draw(activations)]
        features = units
    return made, x


@given(drawn=layers(), count=st.integers(1, 4))
def test_any_architecture(drawn, count):
    made, x = drawn
    networks = []
    for _ in range(count):
        networks.append(nn.Sequential(*made).double())
        for p in networks[-1].parameters():
            nn.init.normal_(p)
        made = [type(layer)(*arguments(layer)) for layer in made]
    check(networks, x)


def arguments(layer):
    """What makes a layer of the same kind."""
    match layer:
        case nn.Linear():
            return layer.in_features, layer.out_features, layer.bias is not None
        case nn.Conv2d():
            return (
                *(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride),
                *(layer.padding, 1, 1, layer.bias is not None),
            )
        case nn.MaxPool2d():
            return layer.kernel_size, layer.stride, layer.padding, 1, False, layer.ceil_mode
    return ()


def test_rows_as_inputs():
    """Images need not be images: [batch, features]."""
    torch.manual_seed(0)
    networks = [
        nn.Sequential(nn.Tanh(), nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 2)).double()
        for _ in range(3)
    ]
    check(networks, torch.randn(5, 7, dtype=DOUBLE))


@ALL
def test_network(name):
    networks, x = example(name)
    stack = Stack(networks)
    for k, network in enumerate(networks):
        single = stack.network(k)
        assert str(single) == str(network)
        torch.testing.assert_close(single.state_dict(), network.state_dict(), rtol=0, atol=0)
        assert torch.equal(single(x.clone()), network(x.clone()))


def test_weights_are_copied():
    networks, x = example("LeNet for 8x8")
    before = [network(x).detach() for network in networks]
    stack = Stack(networks)
    outputs = stack(x).detach()
    singles = [stack.network(k) for k in range(3)]
    with torch.no_grad():
        for p in stack.parameters.values():
            p.add_(1)
    assert all(torch.equal(n(x), b) for n, b in zip(networks, before, strict=True))
    assert all(torch.equal(n(x), b) for n, b in zip(singles, before, strict=True))
    assert not torch.allclose(stack(x), outputs)
    present = stack.network(1)
    torch.testing.assert_close(present(x), stack(x)[1], rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        for p in stack.parameters.values():
            p.sub_(1)
        for network in [*networks, *singles, present]:
            for p in network.parameters():
                p.zero_()
    torch.testing.assert_close(stack(x), outputs, rtol=1e-10, atol=1e-12)


def test_one_network_many_times():
    """As a training starts."""
    networks, x = example("LeNet for 8x8", 1)
    stack = Stack(networks * 4)
    with torch.no_grad():
        next(iter(stack.parameters.values()))[2] += 1
    outputs = stack(x)
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[3])
    assert not torch.equal(outputs[0], outputs[2])


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_broken_network_leaves_the_others_alone(name, dtype, value):
    """To the last bit."""
    networks, x = example(name, 4, dtype)
    clean = gradients(Stack(networks), x)
    with torch.no_grad():
        for p in networks[2].parameters():
            p.fill_(value)
    broken = gradients(Stack(networks), x)
    others = [0, 1, 3]
    assert torch.equal(broken[0][others], clean[0][others])
    for key in clean[1]:
        assert torch.equal(broken[1][key][others], clean[1][key][others])
    if value != value:
        assert broken[0][2].isnan().all() or "ReLU in place" in name


@pytest.mark.parametrize(
    "parts",
    [
        [nn.ReLU()],
        [nn.Flatten(), nn.ReLU()],
        [nn.ReLU(), nn.MaxPool2d(1)],
        [nn.MaxPool2d(1), nn.ReLU()],
        [nn.Flatten(), nn.Flatten(), nn.ReLU()],
        [nn.Tanh(), nn.ReLU()],
    ],
)
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_the_input_is_not_changed(parts, form):
    network = nn.Sequential(*parts, nn.Flatten(), nn.Linear(64, 3)).double()
    x = torch.randn(5, 1, 8, 8, dtype=DOUBLE).contiguous(memory_format=form)
    before = x.clone()
    with torch.no_grad():
        Stack([network] * 2)(x)
    Stack([network] * 2)(x).sum().backward()
    assert torch.equal(x, before)


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("networks", "error", "message"),
    [
        ([], ValueError, "networks must hold at least one"),
        ([nn.Linear(64, 10)], TypeError, "networks must be .*Sequential, got a Linear"),
        ([mlp(), nn.Tanh()], TypeError, "networks must be .*Sequential, got a Tanh"),
        ([Doubled(nn.Flatten(), nn.Linear(64, 10))], TypeError, "Sequential, got a Doubled"),
        ([None], TypeError, "Sequential, got a NoneType"),
        ([mlp(), mlp(nn.Tanh)], ValueError, "networks must differ in their weights alone"),
        ([mlp(), mlp(bias=False)], ValueError, "networks must differ in their weights alone"),
        ([lenet(8), lenet(8, 3)], ValueError, "networks must differ in their weights alone"),
        ([nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 2))], TypeError, "Dropout"),
        ([nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))], TypeError, "BatchNorm2d"),
        ([nn.Sequential(nn.Flatten(0), nn.Linear(4, 2))], TypeError, "Flatten.start_dim=0"),
        ([nn.Sequential(nn.Flatten(1, 2), nn.Linear(4, 2))], TypeError, "end_dim=2"),
        ([nn.Sequential(mlp())], TypeError, "Sequential"),
        ([nn.Sequential(nn.Conv2d(2, 2, 3, groups=2))], TypeError, "one group"),
        ([nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2))], TypeError, "without dilation"),
        ([nn.Sequential(nn.Conv2d(1, 2, 3, padding="same"))], TypeError, "padded by numbers"),
        ([nn.Sequential(nn.Conv2d(1, 2, 3, padding="valid"))], TypeError, "padded by numbers"),
        (
            [nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"))],
            TypeError,
            "zeros",
        ),
    ],
)
def test_wrong_networks(networks, error, message):
    with pytest.raises(error, match=message):
        Stack(networks)


@pytest.mark.parametrize("index", [3, -1, -3, 0.5, None])
def test_wrong_index(index):
    stack = Stack(example("MLP, ReLU")[0])
    with pytest.raises(IndexError, match=f"index must be from 0 to 2, got {index!r}"):
        stack.network(index)


def test_lenet():
    for side in (4, 5, 8, 11, 12, 13, 28, 32):
        assert lenet(side, 7, 2)(torch.zeros(3, 1, side, side)).shape == (3, 7)
    # As in the text: 6 * 26 + 16 * 151 + 120 * 401 + 84 * 121 + 10 * 85.
    assert sum(p.numel() for p in lenet().parameters()) == 61_706


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"side": 3}, ValueError),
        ({"side": 8.0}, TypeError),
        ({"classes": 1}, ValueError),
        ({"classes": None}, TypeError),
        ({"width": 0}, ValueError),
        ({"width": True}, TypeError),
    ],
)
def test_wrong_arguments_of_lenet(wrong, error):
    ((name, value),) = wrong.items()
    with pytest.raises(error, match=f"{name} must be .*got {value!r}"):
        lenet(**wrong)
