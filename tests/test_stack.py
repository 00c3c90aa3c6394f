"""Stack: each network gives what it gives alone: outputs, gradients and running statistics."""

import copy
import itertools
from collections import OrderedDict

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from lrsched.lab.models import Stack
from torch import nn

from lrsched import lab
from lrsched.lab import lenet

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


def separate():
    """The same layers to look at, but two linear ones."""
    linears = nn.Linear(64, 64), nn.Linear(64, 64)
    return nn.Sequential(
        nn.Flatten(), linears[0], nn.ReLU(), linears[1], nn.ReLU(), nn.Linear(64, 5)
    )


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
        ([reusing(), separate()], ValueError, "networks must differ in their weights alone"),
        (
            [lab.mlp(norm="before"), lab.mlp(norm="after")],
            ValueError,
            "networks must differ in their weights alone",
        ),
        (
            [lab.mlp(norm="after"), lab.mlp(norm="after", momentum=0.2)],
            ValueError,
            "networks must differ in their weights alone",
        ),
        (
            [nn.Sequential(nn.BatchNorm1d(3, momentum=None), nn.Linear(3, 1))],
            TypeError,
            "normalisations with a momentum, got BatchNorm1d.*momentum=None",
        ),
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


# Normalisation


def twice():
    """One normalisation at two places."""
    norm = nn.BatchNorm1d(6)
    return nn.Sequential(nn.Linear(5, 6), norm, nn.Tanh(), nn.Linear(6, 6), norm, nn.Linear(6, 2))


def without_shift():
    norm = nn.BatchNorm1d(6)
    norm.bias = None
    return nn.Sequential(nn.Linear(5, 6), norm, nn.Tanh(), nn.Linear(6, 2))


def around(*norms):
    """Normalisations behind layers of 5, 6, 6 and 2 units."""
    return nn.Sequential(
        norms[0], nn.Linear(5, 6), norms[1], nn.Tanh(), nn.Linear(6, 6), nn.ReLU(), norms[2],
        nn.Linear(6, 2), norms[3],
    )  # fmt: skip


def everywhere(**settings):
    return lambda: around(*(nn.BatchNorm1d(units, **settings) for units in (5, 6, 6, 2)))


def mixed():
    """Every kind of normalisation in one network."""
    return around(
        nn.BatchNorm1d(5, affine=False, momentum=0.5),
        nn.BatchNorm1d(6, track_running_stats=False),
        nn.BatchNorm1d(6, eps=0.3, momentum=0.0),
        nn.BatchNorm1d(2, affine=False, track_running_stats=False),
    )


ROWS = {
    f"mlp, {depth} layers, {activation}, {norm}": (
        lambda arguments=(5, depth, 4, 2, activation, norm): lab.mlp(*arguments)
    )
    for depth in (0, 1, 3)
    for activation in ("tanh", "relu")
    for norm in ("before", "after", None)
    if depth or (activation, norm) == ("tanh", None)
} | {
    "everywhere": everywhere(),
    "everywhere, momentum 0": everywhere(momentum=0.0),
    "everywhere, momentum 1": everywhere(momentum=1.0),
    "everywhere, momentum 1 as an integer": everywhere(momentum=1),
    "everywhere, large eps": everywhere(eps=0.5),
    "everywhere, without weights": everywhere(affine=False),
    "everywhere, without running statistics": everywhere(track_running_stats=False),
    "everywhere, with neither": everywhere(affine=False, track_running_stats=False),
    "without shift": without_shift,
    "mixed": mixed,
    "one at two places": twice,
    "two in a row": lambda: nn.Sequential(
        nn.BatchNorm1d(5), nn.BatchNorm1d(5, eps=0.1), nn.Linear(5, 2)
    ),
    "nothing but a normalisation": lambda: nn.Sequential(nn.BatchNorm1d(5)),
    "activation first": lambda: nn.Sequential(
        nn.Tanh(), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2), nn.Tanh(), nn.BatchNorm1d(2)
    ),
    "in place": lambda: nn.Sequential(
        nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Linear(6, 2)
    ),
    "flat first": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(5), nn.Linear(5, 2)),
    "flat in between": lambda: nn.Sequential(
        nn.Linear(5, 6), nn.Flatten(), nn.BatchNorm1d(6), nn.Flatten(), nn.ReLU(), nn.Flatten()
    ),
}
IMAGES = {
    "images": lambda: nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 7), nn.BatchNorm1d(7), nn.ReLU(),
        nn.Linear(7, 3),
    ),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 3, 2), nn.Flatten(),
        nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 4), nn.BatchNorm1d(4), nn.ReLU(),
        nn.Linear(4, 3),
    ),
    "convolutions alone": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 6), nn.Tanh(), nn.Flatten(), nn.BatchNorm1d(27)
    ),
    "pooling": lambda: nn.Sequential(
        nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3)
    ),
}  # fmt: skip


def shaken(network):
    """The network with scales, shifts and running statistics as none starts with."""
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d):
            for p in layer.parameters():
                nn.init.normal_(p, 0.5)
            if layer.track_running_stats:
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
                layer.num_batches_tracked.random_(100)
    return network


def normalised(make, count=3, dtype=DOUBLE):
    """Networks, all different."""
    torch.manual_seed(1)
    return [shaken(make().to(dtype)) for _ in range(count)]


def inputs_for(name, own, dtype=DOUBLE, batch=17, count=3):
    shape = (5,) if name in ROWS else (1, 8, 8)
    return 1.5 * torch.randn(*[count] * own, batch, *shape, dtype=dtype) + 0.5


def check_batch(stack, networks, x, own, rtol, atol):
    """Outputs, gradients and statistics beside those of the networks alone."""
    before = x.clone()
    outputs, grads = gradients(stack, x)
    assert torch.equal(x, before)
    every = slopes(outputs)
    statistics = {name for name, _ in networks[0].named_buffers()}
    assert set(stack.buffers) == statistics
    for k, network in enumerate(networks):
        network.zero_grad()
        expected = network((x[k] if own else x).clone())
        expected.backward(every[k])
        torch.testing.assert_close(outputs[k], expected.detach(), rtol=rtol, atol=atol)
        assert set(grads) == {name for name, _ in network.named_parameters()}
        # What normalisation takes away again has no gradient but rounding.
        largest = max(1, *(float(p.grad.abs().max()) for p in network.parameters()))
        for name, p in network.named_parameters():
            torch.testing.assert_close(grads[name][k], p.grad, rtol=rtol, atol=atol * largest)
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(stack.buffers[name][k], buffer, rtol=rtol, atol=atol)


def untouched(stack, work):
    """Do something that leaves the statistics as they are."""
    before = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    result = work()
    assert all(torch.equal(before[name], stack.buffers[name]) for name in before)
    return result


def check_modes(networks, name, own, dtype=DOUBLE, rtol=1e-10, atol=1e-11):
    """Training, evaluation, precise statistics, and training again."""
    stack, count = Stack(networks), len(networks)
    assert stack.mode == "train"
    for batch in (17, 17, 5, 40):
        for network in networks:
            network.train()
        x = inputs_for(name, own, dtype, batch, count)
        stack.mode = "train"
        check_batch(stack, networks, x, own, rtol, atol)

        x = inputs_for(name, own, dtype, batch, count)
        for network in networks:
            network.eval()
        stack.mode = "eval"
        untouched(stack, lambda x=x: check_batch(stack, networks, x, own, rtol, atol))

        of_the_batch = [copy.deepcopy(network).train() for network in networks]
        stack.mode = "precise"
        outputs = untouched(stack, lambda x=x: stack(x))
        for k, network in enumerate(of_the_batch):
            expected = network(x[k] if own else x)
            torch.testing.assert_close(outputs[k], expected, rtol=rtol, atol=atol)


SHARED_OR_OWN = pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
EVERY = {**ROWS, **IMAGES}


@SHARED_OR_OWN
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("count", [1, 3])
def test_normalised_rows(name, count, own):
    check_modes(normalised(ROWS[name], count), name, own)


@SHARED_OR_OWN
@pytest.mark.parametrize("name", ROWS)
def test_normalised_rows_in_single_precision(name, own):
    check_modes(normalised(ROWS[name], dtype=torch.float32), name, own, torch.float32, 2e-3, 2e-4)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("count", [1, 3])
def test_normalised_images(name, count):
    check_modes(normalised(IMAGES[name], count), name, own=False)


@st.composite
def row_layers(draw):
    """What makes layers for rows of 4 features."""
    made, features = [], 4
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["linear", "tanh", "relu", "norm", "norm", "flatten"]))
        match kind:
            case "linear":
                units = draw(st.integers(1, 5))
                made.append((nn.Linear, (features, units, draw(st.booleans()))))
                features = units
            case "norm":
                momentum = draw(st.sampled_from([0.0, 0.01, 0.1, 0.9, 1.0]))
                eps = draw(st.sampled_from([1e-3, 0.1, 1.0]))
                rest = draw(st.booleans()), draw(st.booleans())
                made.append((nn.BatchNorm1d, (features, eps, momentum, *rest)))
            case _:
                made.append(({"tanh": nn.Tanh, "relu": nn.ReLU, "flatten": nn.Flatten}[kind], ()))
    return [*made, (nn.Linear, (features, 2))]


@given(
    made=row_layers(), count=st.integers(1, 4), batches=st.lists(st.integers(4, 20), max_size=3),
    own=st.booleans(), mode=st.sampled_from(["train", "eval"]),
)  # fmt: skip
def test_any_normalised_architecture(made, count, batches, own, mode):
    networks = [
        shaken(nn.Sequential(*(make(*arguments) for make, arguments in made)).double())
        for _ in range(count)
    ]
    stack = Stack(networks)
    stack.mode = mode
    for batch in batches:
        x = torch.randn(*[count] * own, batch, 4, dtype=DOUBLE)
        for network in networks:
            network.train(mode == "train")
        check_batch(stack, networks, x, own, 1e-7, 1e-8)


@pytest.mark.parametrize("name", EVERY)
def test_a_network_with_its_statistics(name):
    networks = normalised(EVERY[name])
    stack = Stack(networks)
    for k, network in enumerate(networks):
        single = stack.network(k)
        assert single.state_dict().keys() == network.state_dict().keys()
        for key, value in network.state_dict().items():
            assert torch.equal(single.state_dict()[key], value)
            assert single.state_dict()[key].dtype == value.dtype
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    stack(inputs_for(name, own=False))
    for network, state in zip(networks, before, strict=True):
        torch.testing.assert_close(network.state_dict(), state, rtol=0, atol=0)  # copied
    tracked = "running_mean" in str(list(stack.buffers))
    for k in range(3):
        single = stack.network(k)
        changed = single.state_dict()
        assert any(not torch.equal(changed[key], before[k][key]) for key in changed) == tracked
        for key, buffer in stack.buffers.items():
            assert torch.equal(changed[key], buffer[k])
            changed[key].zero_()  # a copy too
        assert all(buffer[k].any() for key, buffer in stack.buffers.items() if "var" in key)


def test_the_running_statistics_are_of_all_batches():
    """By hand: momentum 0.5, the unbiased variance."""
    network = nn.Sequential(nn.BatchNorm1d(1, momentum=0.5), nn.Linear(1, 1))
    stack = Stack([network, network])
    stack(torch.tensor([[1.0], [3.0]]))
    stack(torch.tensor([[[5.0], [5.0]], [[0.0], [4.0]]]))
    assert stack.buffers["0.running_mean"].tolist() == [[3.0], [1.5]]
    assert stack.buffers["0.running_var"].tolist() == [[0.75], [4.75]]
    assert stack.buffers["0.num_batches_tracked"].tolist() == [2, 2]


def test_normalised_networks_many_times():
    one, two = normalised(ROWS["mlp, 3 layers, tanh, before"], 2)
    order = [two, one, two, two, one]
    stack = Stack(order)
    for _ in range(3):
        x = inputs_for("everywhere", own=False)
        outputs, grads = gradients(stack, x)
        expected = [copy.deepcopy(network) for network in order]
    check_modes(expected, "everywhere", own=True)
    for same in (0, 2, 3), (1, 4):
        for k in same[1:]:
            assert torch.equal(outputs[same[0]], outputs[k])
            for buffer in stack.buffers.values():
                assert torch.equal(buffer[same[0]], buffer[k])
    assert not torch.equal(outputs[0], outputs[1])
    assert grads.keys() == stack.parameters.keys()


@pytest.mark.parametrize("mode", ["train", "precise"])
@SHARED_OR_OWN
def test_a_batch_of_one_cannot_be_normalised(mode, own):
    """As PyTorch says."""
    (network,) = normalised(ROWS["mlp, 1 layers, relu, after"], 1)
    stack = Stack([network] * 3)
    x = inputs_for("everywhere", own, batch=1)
    with pytest.raises(ValueError, match="more than 1 value per channel") as theirs:
        network(x[0] if own else x)
    stack.mode = mode
    with pytest.raises(ValueError, match="more than 1 value per channel") as ours:
        stack(x)
    assert type(ours.value) is type(theirs.value)
    stack.mode = "eval"
    network.eval()
    expected = network(x[1] if own else x)
    torch.testing.assert_close(stack(x)[1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", EVERY)
def test_a_broken_normalised_network_leaves_the_others_alone(name, dtype, value, mode):
    """To the last bit: outputs, gradients and statistics."""
    networks = normalised(EVERY[name], 4, dtype)
    x = inputs_for(name, own=False, dtype=dtype)
    stacks = []
    for broken in (False, True):
        if broken:
            with torch.no_grad():
                for p in networks[2].parameters():
                    p.fill_(value)
                for buffer in networks[2].buffers():
                    if buffer.is_floating_point():
                        buffer.fill_(value)
        stack = Stack(networks)
        stack.mode = mode
        stacks.append((*gradients(stack, x), stack.buffers))
    others = [0, 1, 3]
    (clean, clean_grads, clean_buffers), (outputs, grads, buffers) = stacks
    assert torch.equal(outputs[others], clean[others])
    for key in clean_grads:
        assert torch.equal(grads[key][others], clean_grads[key][others])
    for key in clean_buffers:
        assert torch.equal(buffers[key][others], clean_buffers[key][others])
        assert clean_buffers[key].isfinite().all()
        assert not buffers[key][2].isfinite().all() or "num" in key
    if value != value:
        assert outputs[2].isnan().any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_inputs_of_one_network(value):
    networks = normalised(ROWS["everywhere"], 3)
    x = inputs_for("everywhere", own=True)
    other = x.clone()
    other[1, 4, 2] = value
    clean, broken = Stack(networks), Stack(networks)
    for left, right in zip(gradients(clean, x), gradients(broken, other), strict=True):
        pairs = [(left, right)] if torch.is_tensor(left) else [(left[k], right[k]) for k in left]
        for one, two in pairs:
            assert torch.equal(one[[0, 2]], two[[0, 2]])
    for key in clean.buffers:
        assert torch.equal(clean.buffers[key][[0, 2]], broken.buffers[key][[0, 2]])
    assert broken.buffers["0.running_mean"][1].isfinite().tolist() == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert clean.buffers["0.running_mean"].isfinite().all()


def check_parts(networks, sizes, features, batch, own):
    """The networks in one stack beside the same in stacks of these sizes.

    To rounding: matrix libraries choose their programs by the processor and by the number of
    the matrices.
    """
    count, dtype = len(networks), networks[0][-1].weight.dtype
    single = dtype == torch.float32
    rounding = {"rtol": 1e-3, "atol": 1e-4} if single else {"rtol": 1e-9, "atol": 1e-10}
    parts = torch.arange(count).split(sizes)
    whole, stacks = Stack(networks), [Stack([networks[k] for k in part]) for part in parts]
    for mode in ("train", "train", "precise", "eval"):
        x = torch.randn(*[count] * own, batch, features, dtype=dtype)
        for stack in (whole, *stacks):
            stack.mode = mode
            for p in stack.parameters.values():
                p.grad = None
        outputs = whole(x)
        outputs.square().sum().backward()
        for part, stack in zip(parts, stacks, strict=True):
            of_part = stack(x[part] if own else x)
            of_part.square().sum().backward()
            torch.testing.assert_close(of_part, outputs[part], **rounding)
            for name, p in stack.parameters.items():
                grad = whole.parameters[name].grad[part]
                scale = grad.abs().max().clamp(min=1)  # by which sums that cancel are rounded
                torch.testing.assert_close(p.grad / scale, grad / scale, **rounding)
            for name, buffer in stack.buffers.items():
                torch.testing.assert_close(buffer, whole.buffers[name][part], **rounding)


@given(
    sizes=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    dtype=st.sampled_from([torch.float32, DOUBLE]),
    arguments=st.tuples(
        st.integers(1, 8),
        st.integers(0, 3),
        st.integers(1, 20),
        st.integers(1, 3),
        st.sampled_from(["tanh", "relu"]),
        st.sampled_from([None, "before", "after"]),
    ),
    batch=st.integers(2, 60),
    own=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_parts_of_any_size_give_the_same(sizes, dtype, arguments, batch, own, seed):
    torch.manual_seed(seed)
    networks = [shaken(lab.mlp(*arguments).to(dtype)) for _ in range(sum(sizes))]
    check_parts(networks, sizes, arguments[0], batch, own)


@SHARED_OR_OWN
@pytest.mark.parametrize("batch", [2, 10, 50])
@pytest.mark.parametrize("norm", [None, "before", "after"])
def test_small_networks_give_the_same_even_alone(norm, batch, own):
    torch.manual_seed(0)
    networks = [shaken(lab.mlp(norm=norm)) for _ in range(9)]
    check_parts(networks, [1, 5, 1, 2], 5, batch, own)


# Each network's own inputs


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_own_inputs_of_images_made_flat(batch):
    """A Flatten layer finds nothing to do."""
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double() for _ in range(3)]
    x = torch.randn(3, batch, 4, dtype=DOUBLE)
    outputs = Stack(networks)(x)
    assert outputs.shape == (3, batch, 3)
    for k, network in enumerate(networks):
        torch.testing.assert_close(outputs[k], network(x[k]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_own_inputs_for_another_number_of_networks(count):
    stack = Stack(normalised(ROWS["everywhere"], 3))
    message = rf"inputs must be \[batch, ...\] or \[3, batch, features\], got \[{count}, 6, 5\]"
    with pytest.raises(ValueError, match=message):
        stack(torch.zeros(count, 6, 5, dtype=DOUBLE))


@pytest.mark.parametrize(
    "layers",
    [
        [nn.BatchNorm1d(1)],
        [nn.BatchNorm1d(1, affine=False, track_running_stats=False)],
        [nn.Conv2d(1, 3, 3), nn.BatchNorm1d(3)],
        [nn.Conv2d(1, 3, 3), nn.BatchNorm1d(3, affine=False, track_running_stats=False)],
        [nn.Conv2d(1, 3, 3), nn.Linear(6, 2)],
        [nn.Linear(8, 2)],
    ],
)
def test_images_that_are_not_flat(layers):
    stack = Stack([nn.Sequential(*layers)] * 3)
    with pytest.raises(ValueError, match="networks must have a Flatten layer between images"):
        stack(torch.zeros(2, 1, 8, 8))


# The networks of the lab


ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("norm", [None, "before", "after"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp(depth, norm, activation):
    network = lab.mlp(7, depth, 6, 3, activation, norm, momentum=0.25)
    block = {
        None: [nn.Linear, ACTIVATIONS[activation]],
        "before": [nn.Linear, nn.BatchNorm1d, ACTIVATIONS[activation]],
        "after": [nn.Linear, ACTIVATIONS[activation], nn.BatchNorm1d],
    }[norm]
    assert [type(layer) for layer in network] == block * depth + [nn.Linear]
    linears = [layer for layer in network if isinstance(layer, nn.Linear)]
    units = [7, *[6] * depth, 3]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [
        *itertools.pairwise(units)
    ]
    assert all(layer.bias is not None for layer in linears)
    for layer in network:
        if isinstance(layer, nn.BatchNorm1d):
            assert (layer.num_features, layer.momentum, layer.eps) == (6, 0.25, 1e-5)
            assert layer.affine
            assert layer.track_running_stats
    assert len({id(layer) for layer in network}) == len(network)
    assert network(torch.zeros(4, 7)).shape == (4, 3)


def test_mlp_by_default():
    """That of the book: 3 hidden layers of 4 units for 5 features."""
    assert str(lab.mlp()) == str(lab.mlp(5, 3, 4, 1, "tanh", None, 0.1))
    assert sum(p.numel() for p in lab.mlp().parameters()) == 24 + 20 + 20 + 5
    assert [m.momentum for m in lab.mlp(norm="after") if isinstance(m, nn.BatchNorm1d)] == [0.1] * 3


def test_mlps_that_differ_in_norm_alone_start_alike():
    starts = []
    for norm in (None, "before", "after"):
        torch.manual_seed(3)
        network = lab.mlp(norm=norm)
        starts.append([layer.state_dict() for layer in network if isinstance(layer, nn.Linear)])
        starts[-1].append({"next": torch.rand(3)})  # and draw as much
        for layer in network:
            if isinstance(layer, nn.BatchNorm1d):
                assert (layer.weight == 1).all()
                assert not layer.bias.any()
    for other in starts[1:]:
        torch.testing.assert_close(other, starts[0], rtol=0, atol=0)
    torch.manual_seed(4)
    assert not torch.equal(lab.mlp()[0].weight, starts[0][0]["weight"])


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"features": 0}, ValueError),
        ({"features": 5.0}, TypeError),
        ({"depth": -1}, ValueError),
        ({"depth": None}, TypeError),
        ({"depth": 1.5}, TypeError),
        ({"width": 0}, ValueError),
        ({"width": True}, TypeError),
        ({"outputs": 0}, ValueError),
        ({"outputs": "1"}, TypeError),
        ({"activation": "sigmoid"}, ValueError),
        ({"activation": None}, TypeError),
        ({"activation": nn.Tanh}, TypeError),
        ({"norm": "batch"}, ValueError),
        ({"norm": True}, TypeError),
        ({"momentum": -0.1}, ValueError),
        ({"momentum": 1.01}, ValueError),
        ({"momentum": float("nan")}, ValueError),
        ({"momentum": None}, TypeError),
        ({"momentum": "0.1"}, TypeError),
    ],
)
def test_wrong_arguments_of_mlp(wrong, error):
    ((name, value),) = wrong.items()
    with pytest.raises(error, match=rf"^{name} must be .*got {value!r}"):
        lab.mlp(**wrong)


@pytest.mark.parametrize("momentum", [0, 1, 0.0, 1.0])
def test_the_momentum_may_be_at_its_ends(momentum):
    assert lab.mlp(norm="before", momentum=momentum)[1].momentum == momentum


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
