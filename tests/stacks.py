"""Small networks of every shape, and networks of a stack beside themselves alone."""

import functools
from collections import OrderedDict

import torch
from hypothesis import strategies as st
from torch import nn

from lrsched import lab
from lrsched.lab.attention import MeanOverTokens, Tokens

DOUBLE, SINGLE = torch.float64, torch.float32

PARTS = {"t": nn.Tanh, "r": nn.ReLU, "i": lambda: nn.ReLU(inplace=True), "f": nn.Flatten,
         "g": nn.GELU, "m": MeanOverTokens}  # fmt: skip
POOL = functools.partial(nn.MaxPool2d, 2)


def built(shape, *parts):
    """A network for inputs of a shape, and what it makes of them fits from part to part.

    Units make a linear layer, without bias if negative; a tuple a convolution, settings a
    normalisation, "l" one of layers, "p" tokens with positions, and a function whatever it makes.
    """
    layers, x = [], torch.zeros(2, *shape)
    for part in parts:
        match part:
            case int():
                layer = nn.Linear(x.shape[-1], abs(part), bias=part > 0)
            case tuple():
                layer = nn.Conv2d(x.shape[1], *part)
            case dict():
                layer = nn.BatchNorm1d(x.shape[1], **part)
            case "l":
                layer = nn.LayerNorm(x.shape[-1])
            case "p":
                layer = Tokens(x.shape[2:].numel(), x.shape[1])
            case _:
                layer = PARTS.get(part, part)()
        x = layer.eval()(x)
        layers.append(layer.train())
    return nn.Sequential(*layers)


def sharing():
    """A linear layer, an activation and a normalisation, each at two places."""
    linear, act, norm = nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)
    return nn.Sequential(nn.Linear(3, 4), linear, norm, act, linear, norm, act, nn.Linear(4, 2))


def encoder(width, heads=1, **settings):
    """A transformer layer of PyTorch's, as a stack knows it, but for these settings."""
    settings = {"dim_feedforward": 7, "dropout": 0.0, "batch_first": True} | settings
    return functools.partial(nn.TransformerEncoderLayer, width, heads, **settings)


def without_shift():
    network = built((3,), 6, {}, "t", 2)
    network[1].bias = None
    return network


def named():
    return nn.Sequential(OrderedDict(flat=nn.Flatten(), first=nn.Linear(64, 7), act=nn.Tanh()))


NORMS = [
    {}, {"affine": False, "eps": 1e-2}, {"momentum": 0.4}, {"momentum": 1.0, "eps": 0.1},
    {"momentum": 0.0},
]  # fmt: skip
NORM, PLAIN, LATE, LAST, FIRST = NORMS
# Three features and two outputs, as the compiled loop knows them.
HANDMADE = {
    name: functools.partial(built, (3,), *parts)
    for name, parts in {
        "no bias": [-6, "t", -5, "r", -2],
        "affine=False": [6, PLAIN, "t", 2],
        "bias alone of none": [-6, LATE, "r", 2],
        "norm first and last": [NORM, 5, "t", 2, NORM],
        "norm alone": [NORM, 2],
        "norms in a row": [4, FIRST, LAST, 2],
        "tanh first and last": ["t", 2, "t"],
        "ReLU first and last": ["r", NORM, 4, "t", 2, "r"],
        "activations in a row": [4, "t", "r", "t", "t", NORM, "r", "r", 2],
        "linear layers in a row": [9, 1, 7, 2],
        "flat": ["f", 5, "f", "r", NORM, "f", 2, "f"],
        "in place": [5, "i", 4, NORM, "i", 2],
    }.items()
}
HANDMADE |= {"shared": sharing, "deep": lambda: lab.mlp(3, 4, 5, outputs=2, norm="after")}
# Those of which nothing is kept, and which need a stack.
FORGETFUL = [{"track_running_stats": False}, {"affine": False, "track_running_stats": False}]
ROWS = HANDMADE | {
    "forgetful": functools.partial(built, (3,), FORGETFUL[0], 6, FORGETFUL[1], "t", 2, NORM),
    "without shift": without_shift,
    "nothing but a normalisation": functools.partial(built, (3,), {"momentum": 1}),
    "layers normalised": functools.partial(built, (3,), "l", 6, "l", "r", -5, "t", "l", {}, 2, "l"),
    "layers normalised without weights": functools.partial(
        built, (3,), 5, functools.partial(nn.LayerNorm, 5, 1e-2, False), "t", -4,
        functools.partial(nn.LayerNorm, (4,), bias=False), 2,
    ),
    "GELU": functools.partial(built, (3,), "g", 5, "g", "f", functools.partial(nn.GELU, "tanh"), 2),
}  # fmt: skip
# Of one channel, 8 by 8 pixels.
IMAGES = {
    "LeNet": lambda: lab.lenet(8),
    "named layers": named,
    "transformer": lambda: lab.transformer(8, patch=4, width=8, heads=2, depth=2),
    "transformer, norm after": lambda: lab.transformer(
        8, patch=2, width=6, heads=3, depth=2, norm="after", activation="relu"
    ),
} | {
    name: functools.partial(built, (1, 8, 8), *parts)
    for name, parts in {
        "MLP": ["f", 20, "r", -15, "t", 10],
        "strides and padding": [(3, (5, 3), (1, 2), (2, 0)), "t", (4, 3, 2, 2, 1, 1, False), "r",
                                "f", -5],
        "activations first": ["r", "t", "f", "r", 10],
        "pooling first": [POOL, (2, 3), "t", "f", 4],
        "pooling in between": [(2, 3), POOL, "r", (3, 2), "t", POOL, "f", 4],
        "pooling that overlaps": [(2, 3), "r", lambda: nn.MaxPool2d(3, 2, 1), "f", 4],
        "pooling with ceil": [(2, 2), "r", lambda: nn.MaxPool2d(2, ceil_mode=True), "f", 4],
        "flat twice": [(2, 3), "f", "f", 4, "f"],
        "one channel": [(2, 3), (1, 3), "r", "f", 4],
        "flat at the end": [(2, 3), "t", "f"],
        "ReLU in place": ["f", 5, "i", 2, "i"],
        "convolutions": [(2, 3), "r", POOL, (3, 2), "f", NORM, "t", 4, NORM, "r", 3],
        "pooling alone": [POOL, "f", NORM, 3],
        "convolution at the end": [(2, 3), "r", (3, 2)],
        "tokens": [(3, 3), "r", POOL, "p", "l", -4, "t", 6, "r", encoder(6, 2), "g", "f", 3],
        "a token a pixel": ["p", 4, encoder(4, norm_first=True, bias=False), "m", NORM, "t", 3],
        "tokens at the end": [(4, 4, 4), "p", encoder(4, 2, activation=nn.GELU()), "l", -2],
        "modules to activate": [(4, 4, 4), "t", "p", encoder(4, activation=nn.ReLU()), "m", "l"],
    }.items()
}  # fmt: skip

EVERY = ROWS | IMAGES

BETWEEN = ["", "t", "r", "nt", "nr", "tn", "rn", "trf", "rnnt"]  # n: normalised


@st.composite
def parts(draw, outputs, norms=NORMS):
    """Of a network of up to five linear layers."""
    chosen = []
    for units in [None, *draw(st.lists(st.integers(1, 9), max_size=4)), outputs]:
        chosen += [units * draw(st.sampled_from([1, -1]))] if units else []
        for part in draw(st.sampled_from(BETWEEN)):
            chosen.append(draw(st.sampled_from(norms)) if part == "n" else part)
    return chosen


def networks(make, size, dtype=SINGLE):
    """Networks whose weights and running statistics all differ."""
    torch.manual_seed(size)
    nets = [make().to(dtype) for _ in range(size)]
    with torch.no_grad():
        for network in nets:
            for p in network.parameters():
                p.add_(torch.randn_like(p), alpha=0.2)
            for name, buffer in network.named_buffers():
                if name.endswith("running_var"):
                    buffer.uniform_(0.5, 2)
                elif name.endswith("running_mean"):
                    buffer.normal_(0, 0.3)
                else:
                    buffer.fill_(int(torch.randint(9, ())))
    return nets


def inputs_for(name, own=False, dtype=DOUBLE, batch=17, count=3):
    shape = (3,) if name in ROWS else (1, 8, 8)
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


def check_batch(stack, nets, x, own, rtol, atol):
    """Outputs, gradients and statistics beside those of the networks alone."""
    close = functools.partial(torch.testing.assert_close, rtol=rtol)
    outputs, grads = gradients(stack, x)
    every = slopes(outputs)
    assert set(stack.buffers) == {name for name, _ in nets[0].named_buffers()}
    for k, network in enumerate(nets):
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
