"""Networks for the tests of stacks, and each of them beside itself alone."""

import functools
from collections import OrderedDict

import pytest
import torch
from torch import nn

from lrsched import lab
from lrsched.lab import lenet

DOUBLE = torch.float64
SINGLE = torch.float32
BatchNorm, Conv, Flatten, Linear, Pool = (
    nn.BatchNorm1d, nn.Conv2d, nn.Flatten, nn.Linear, nn.MaxPool2d,
)  # fmt: skip


def of(*layers):
    """What makes networks of layers, each a type or a type with its arguments."""

    def make():
        made = (layer if isinstance(layer, tuple) else (layer,) for layer in layers)
        return nn.Sequential(*(kind(*arguments) for kind, *arguments in made))

    return make


def mlp(activation=nn.ReLU, bias=True):
    return of(Flatten, (Linear, 64, 20, bias), activation, (Linear, 20, 15, bias), activation,
              (Linear, 15, 10, bias))()  # fmt: skip


def reusing():
    """One ReLU and one linear layer, each at two places."""
    relu, linear = nn.ReLU(), Linear(64, 64)
    return nn.Sequential(Flatten(), linear, relu, linear, relu, Linear(64, 5))


def twice():
    """One normalisation at two places."""
    norm = BatchNorm(6)
    return nn.Sequential(Linear(5, 6), norm, nn.Tanh(), Linear(6, 6), norm, Linear(6, 2))


def without_shift():
    norm = BatchNorm(6)
    norm.bias = None
    return nn.Sequential(Linear(5, 6), norm, nn.Tanh(), Linear(6, 2))


def named():
    return nn.Sequential(
        OrderedDict(flat=Flatten(), first=Linear(64, 7), act=nn.Tanh(), last=Linear(7, 3))
    )


def around(*norms):
    """Normalisations behind layers of 5, 6, 6 and 2 units."""
    return nn.Sequential(
        norms[0], Linear(5, 6), norms[1], nn.Tanh(), Linear(6, 6), nn.ReLU(), norms[2],
        Linear(6, 2), norms[3],
    )  # fmt: skip


def everywhere(**settings):
    return around(*(BatchNorm(units, **settings) for units in (5, 6, 6, 2)))


def mixed():
    """Every kind of normalisation in one network."""
    return around(
        BatchNorm(5, affine=False, momentum=0.5),
        BatchNorm(6, track_running_stats=False),
        BatchNorm(6, eps=0.3, momentum=0.0),
        BatchNorm(2, affine=False, track_running_stats=False),
    )


ROWS = {
    f"mlp, {depth} layers, {activation}, {norm}": functools.partial(
        lab.mlp, 5, depth, 4, 2, activation, norm
    )
    for depth in (0, 1, 3)
    for activation in ("tanh", "relu")
    for norm in ("before", "after", None)
    if depth or (activation, norm) == ("tanh", None)
} | {
    f"everywhere, {settings}": functools.partial(everywhere, **settings)
    for settings in (
        {}, {"momentum": 0.0}, {"momentum": 1.0}, {"momentum": 1}, {"eps": 0.5}, {"affine": False},
        {"track_running_stats": False}, {"affine": False, "track_running_stats": False},
    )
} | {
    "without shift": without_shift,
    "mixed": mixed,
    "one at two places": twice,
    "two in a row": of((BatchNorm, 5), (BatchNorm, 5, 0.1), (Linear, 5, 2)),
    "nothing but a normalisation": of((BatchNorm, 5)),
    "activation first": of(nn.Tanh, (BatchNorm, 5), nn.ReLU, (Linear, 5, 2), nn.Tanh,
                           (BatchNorm, 2)),
    "in place": of((Linear, 5, 6), (BatchNorm, 6), (nn.ReLU, True), (Linear, 6, 2)),
    "flat first": of(Flatten, (BatchNorm, 5), (Linear, 5, 2)),
    "flat in between": of((Linear, 5, 6), Flatten, (BatchNorm, 6), Flatten, nn.ReLU, Flatten),
}  # fmt: skip
# Of one channel, 8 by 8 pixels.
IMAGES = {
    "LeNet": lambda: lenet(8),
    "MLP, ReLU": mlp,
    "MLP, Tanh": lambda: mlp(nn.Tanh),
    "MLP without bias": lambda: mlp(bias=False),
    "strides and padding": of((Conv, 1, 3, (5, 3), (1, 2), (2, 0)), nn.Tanh,
                              (Conv, 3, 4, 3, 2, 2, 1, 1, False), nn.ReLU, Flatten,
                              (Linear, 60, 5, False)),
    "linear": of(Flatten, (Linear, 64, 10)),
    "activations first": of(nn.ReLU, nn.Tanh, Flatten, nn.ReLU, (Linear, 64, 10)),
    "pooling first": of((Pool, 3, 2, 1), nn.ReLU, Flatten, (Linear, 16, 4)),
    "pooling twice": of((Conv, 1, 2, 3), nn.ReLU, (Pool, 2), (Pool, 2, None, 0, 1, False, True),
                        Flatten, (Linear, 8, 4)),
    "flat twice": of((Conv, 1, 2, 3), Flatten, Flatten, (Linear, 72, 4), Flatten),
    "one channel": of((Conv, 1, 2, 3), (Conv, 2, 1, 3), nn.ReLU, Flatten, (Linear, 16, 4)),
    "flat at the end": of((Conv, 1, 2, 3), nn.Tanh, Flatten),
    "layers at two places": reusing,
    "named layers": named,
    "ReLU in place": of(Flatten, (Linear, 64, 5), (nn.ReLU, True)),
    "normalised": of(Flatten, (BatchNorm, 64), (Linear, 64, 7), (BatchNorm, 7), nn.ReLU,
                     (Linear, 7, 3)),
    "convolutions": of((Conv, 1, 2, 3), nn.ReLU, (Pool, 2), (Conv, 2, 3, 2), Flatten,
                       (BatchNorm, 12), nn.Tanh, (Linear, 12, 4), (BatchNorm, 4), nn.ReLU,
                       (Linear, 4, 3)),
    "convolutions alone": of((Conv, 1, 3, 6), nn.Tanh, Flatten, (BatchNorm, 27)),
    "pooling": of((Pool, 2), Flatten, (BatchNorm, 16), (Linear, 16, 3)),
}  # fmt: skip
EVERY = ROWS | IMAGES
ALL = pytest.mark.parametrize("name", EVERY)
# The same inputs for all networks, or for each its own, which are rows.
CASES = [(name, False) for name in EVERY] + [(name, True) for name in ROWS]


def shaken(network):
    """The network with scales, shifts and running statistics as none starts with."""
    for layer in network:
        if isinstance(layer, BatchNorm):
            for p in layer.parameters():
                nn.init.normal_(p, 0.5)
            if layer.track_running_stats:
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
                layer.num_batches_tracked.random_(100)
    return network


def example(name, count=3, dtype=DOUBLE):
    """Networks, all different."""
    torch.manual_seed(1)
    return [shaken(EVERY[name]().to(dtype)) for _ in range(count)]


def inputs_for(name, own=False, dtype=DOUBLE, batch=17, count=3):
    shape = (5,) if name in ROWS else (1, 8, 8)
    return 1.5 * torch.randn(*[count] * own, batch, *shape, dtype=dtype) + 0.5


def slopes(outputs):
    """Different, for each output of each network."""
    return torch.linspace(-1, 2, outputs.numel(), dtype=outputs.dtype).view_as(outputs)


def gradients(stack, x):
    """The outputs, and the gradients by name; the inputs stay as they are."""
    before = x.clone()
    for p in stack.parameters.values():
        p.grad = None
    outputs = stack(x)
    if outputs.requires_grad:
        outputs.backward(slopes(outputs))
    torch.testing.assert_close(x, before, rtol=0, atol=0, equal_nan=True)
    return outputs.detach(), {name: p.grad for name, p in stack.parameters.items()}


def check_batch(stack, networks, x, own, rtol, atol):
    """Outputs, gradients and statistics beside those of the networks alone."""
    close = functools.partial(torch.testing.assert_close, rtol=rtol)
    outputs, grads = gradients(stack, x)
    every = slopes(outputs)
    assert set(stack.buffers) == {name for name, _ in networks[0].named_buffers()}
    for k, network in enumerate(networks):
        network.zero_grad()
        expected = network((x[k] if own else x).clone())
        if expected.requires_grad:
            expected.backward(every[k])
        close(outputs[k], expected.detach(), atol=atol)
        own_grads = {name: p.grad for name, p in network.named_parameters()}
        assert grads.keys() == own_grads.keys()
        # What normalisation takes away again has no gradient but rounding.
        largest = max([1.0, *(float(grad.abs().max()) for grad in own_grads.values())])
        for name, grad in own_grads.items():
            close(grads[name][k], grad, atol=atol * largest)
        for name, buffer in network.named_buffers():
            close(stack.buffers[name][k], buffer, atol=atol)
