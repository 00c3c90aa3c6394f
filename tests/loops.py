"""What the compiled loop makes of a stack of networks."""

import copy
import math

import torch

from lrsched.lab import SGD, Stack, fast
from lrsched.lab.optimizers import StackOptimizer

MODES = "eval", "precise"


class Lesson:
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
        lesson = copy.copy(self)
        lesson.seed_of, lesson.rates = self.seed_of[chosen], self.rates[:, :, chosen]
        return lesson


def together(nets, rule, lesson):
    """All that two epochs give for all networks, by name, each [networks, ...]."""
    stack = Stack(nets)
    loop, optimizer = fast.loop(stack, rule), StackOptimizer(rule, stack.parameters)
    results = {}
    for epoch, orders in enumerate(lesson.orders):
        losses, applied, errors = loop.train(
            optimizer, *lesson.samples, orders, lesson.seed_of, lesson.rates[epoch], lesson.batch,
            [(*lesson.evaluated, mode) for mode in MODES],
        )  # fmt: skip
        assert torch.equal(applied, lesson.rates[epoch].float())
        assert optimizer.steps == (epoch + 1) * lesson.steps
        results[f"loss {epoch}"] = losses.T
        for mode, each in zip(MODES, errors, strict=True):
            results[f"{mode} {epoch}"] = each
            assert torch.equal(each, loop.errors(*lesson.evaluated, mode))
    results |= {name: p.detach() for name, p in stack.parameters.items()} | stack.buffers
    for moment, tensors in optimizer.state.items():
        for name, tensor in zip(stack.parameters, tensors, strict=True):
            results[f"{moment} of {name}"] = tensor
    return results


def trained(stack, samples, rates, batch):
    """An epoch in the order of the samples."""
    checks = [(*samples, mode) for mode in MODES]
    order, seeds = torch.arange(len(samples[0]))[None], torch.zeros(stack.size, dtype=torch.int64)
    optimizer = StackOptimizer(SGD(), stack.parameters)
    return fast.loop(stack).train(optimizer, *samples, order, seeds, rates, batch, checks)
