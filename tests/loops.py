"""Small networks of every shape, and what the compiled loop makes of a stack of them."""

import copy
import functools
import math

import torch
from torch import nn

from lrsched.lab import SGD, Stack, fast, mlp
from lrsched.lab.optimizers import StackOptimizer

MODES = "eval", "precise"


class Task:
    """Samples, their order and the rates of two epochs, for networks of some seeds."""

    def __init__(self, features, outputs, rows, batch, size, seeds=3, evaluated=50, rate=0.05):
        g = torch.Generator().manual_seed(size)

        def samples(count):
            x = torch.randn(count, features, generator=g)
            y = torch.sin(x @ torch.randn(features, outputs, generator=g))
            return x, y + 0.3 * torch.randn(count, outputs, generator=g)

        self.samples, self.evaluated = samples(rows), samples(evaluated)
        self.batch, self.steps = batch, math.ceil(rows / batch)
        self.orders = [
            torch.stack([torch.randperm(rows, generator=g) for _ in range(seeds)]) for _ in range(2)
        ]
        self.seed_of = torch.randint(seeds, (size,), generator=g)
        self.rates = rate * torch.rand(2, self.steps, size, dtype=torch.float64, generator=g)

    def of(self, chosen):
        """The same for some of the networks, in this order."""
        task = copy.copy(self)
        task.seed_of, task.rates = self.seed_of[chosen], self.rates[:, :, chosen]
        return task


def networks(make, size):
    """Networks whose weights and running statistics all differ."""
    torch.manual_seed(size)
    nets = [make() for _ in range(size)]
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


def together(nets, rule, task):
    """All that two epochs give for all networks, by name, each [networks, ...]."""
    stack = Stack(nets)
    loop, optimizer = fast.loop(stack, rule), StackOptimizer(rule, stack.parameters)
    results = {}
    for epoch, orders in enumerate(task.orders):
        losses, applied, errors = loop.train(
            optimizer, *task.samples, orders, task.seed_of, task.rates[epoch], task.batch,
            [(*task.evaluated, mode) for mode in MODES],
        )  # fmt: skip
        assert torch.equal(applied, task.rates[epoch].float())
        assert optimizer.steps == (epoch + 1) * task.steps
        results[f"loss {epoch}"] = losses.T
        results |= {f"{mode} {epoch}": each for mode, each in zip(MODES, errors, strict=True)}
    results |= {name: p.detach() for name, p in stack.parameters.items()} | stack.buffers
    for moment, tensors in optimizer.state.items():
        for name, tensor in zip(stack.parameters, tensors, strict=True):
            results[f"{moment} of {name}"] = tensor
    return results


PARTS = {"t": nn.Tanh, "r": nn.ReLU, "i": lambda: nn.ReLU(inplace=True), "f": nn.Flatten}


def built(features, *parts):
    """Units make a linear layer, without bias if negative; settings a normalisation."""
    layers, width = [], features
    for part in parts:
        if isinstance(part, int):
            layers.append(nn.Linear(width, abs(part), bias=part > 0))
            width = abs(part)
        else:
            layers.append(PARTS[part]() if isinstance(part, str) else nn.BatchNorm1d(width, **part))
    return nn.Sequential(*layers)


def sharing():
    """A linear layer and a normalisation, each at two places."""
    linear, norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
    return nn.Sequential(
        nn.Linear(3, 4), linear, norm, nn.Tanh(), linear, norm, nn.ReLU(), nn.Linear(4, 2)
    )


NORMS = [
    {}, {"affine": False, "eps": 1e-2}, {"momentum": 0.4}, {"momentum": 1.0, "eps": 0.1},
    {"momentum": 0.0},
]  # fmt: skip
NORM, PLAIN, LATE, LAST, FIRST = NORMS
HANDMADE = {
    name: functools.partial(built, 3, *parts)
    for name, parts in {
        "linear": [2],
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
        "flat": ["f", 5, "f", "r", "f", 2, "f"],
        "in place": [5, "i", 4, NORM, "i", 2],
    }.items()
}
HANDMADE |= {"shared": sharing, "deep": lambda: mlp(3, 4, 5, outputs=2, norm="after")}


def trained(stack, samples, rates, batch, checks=None, rule=None):
    """An epoch in the order of the samples."""
    checks = [(*samples, mode) for mode in MODES] if checks is None else checks
    order, seeds = torch.arange(len(samples[0]))[None], torch.zeros(stack.size, dtype=torch.int64)
    optimizer = StackOptimizer(rule or SGD(), stack.parameters)
    return fast.loop(stack).train(optimizer, *samples, order, seeds, rates, batch, checks)
