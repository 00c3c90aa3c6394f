"""What the compiled loop works on: the layout of the memory, the networks' state, and threads."""

import functools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..optimizers import SGD, Adam, AdamW, StackOptimizer
from ..stack import Stack
from . import kernels
from .kernels import EVAL, LAYER, LINEAR, NORM, PRECISE, RELU, TANH, Epoch, Places, Rule
from .lanes import LANES, Memory

__all__ = ["Loop"]

TILE = 40  # rows evaluated at once: their activations stay in the first cache

KINDS = {nn.Linear: LINEAR, nn.BatchNorm1d: NORM, nn.Tanh: TANH, nn.ReLU: RELU}
MODES = {"eval": EVAL, "precise": PRECISE}

Blocks = NDArray[np.int64]  # numbers of networks, [blocks, LANES]
Check = tuple[Tensor, Tensor, str]  # inputs, targets, mode: see Loop.errors


class Loop:
    """Trains and evaluates the networks of a stack in compiled code, in place.

    Neither its neighbours nor the number of threads change a bit of a network's results.

    Args:
        stack: the networks, of a kind that :func:`loop` knows.

    Attributes:
        lanes: how many networks each thread holds at once.
    """

    lanes = LANES

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._layout = functools.cache(functools.partial(Layout, stack))
        self._threads = Threads()

    @torch.no_grad()
    def train(
        self,
        optimizer: StackOptimizer,
        inputs: Tensor,
        targets: Tensor,
        orders: Tensor,
        seed_of: Tensor,
        rates: Tensor,
        batch_size: int,
        checks: Sequence[Check] = (),
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Train all networks for one epoch.

        Args:
            optimizer: that of the stack; ``rates`` are used instead of its own.
            inputs, targets: the samples, [samples, features] and [samples, outputs], float32.
            orders: the order of the samples for each seed, [seeds, samples], int64.
            seed_of: the row of ``orders`` for each network, [networks].
            rates: [steps, networks].
            batch_size: samples for one update; the last batch may be smaller.
            checks: inputs, targets and mode of what to give to :meth:`errors` after the last
                update.

        Returns:
            The mean squared error on each batch before its update, and the rate that the update
            loaded and applied, each [steps, networks], float32; and the errors of each check.

        Raises:
            ValueError: rates for another number of updates than an epoch has, or samples of
                other numbers of inputs or outputs than the networks have.
        """
        updates = math.ceil(orders.shape[1] / batch_size)
        if len(rates) != updates:
            raise ValueError(
                f"rates must be of the {updates} updates of an epoch, got {len(rates)}"
            )
        batch_size = min(batch_size, orders.shape[1])
        layout = self._layout(len(optimizer.state), inputs.shape[1], targets.shape[1], batch_size)
        samples = _array(inputs), _array(targets), _array(orders), _array(seed_of)
        epoch = Epoch(*samples, _array(rates.float()), batch_size, optimizer.steps)
        tensors = _state(self.stack, optimizer)
        state = _flat(tensors)
        losses = torch.empty(rates.shape, dtype=torch.float32, device="cpu")
        applied = torch.empty_like(losses)
        arguments = _rule(optimizer), epoch, _array(state), _array(losses), _array(applied)
        moments = sum(t[0].numel() for ts in optimizer.state.values() for t in ts)
        errors, check = self._checking(_array(state), moments, checks)

        def work(blocks: Blocks) -> None:
            kernels.train(blocks, layout.memory(), layout.layers, layout.places, *arguments)
            check(blocks)

        # 16 networks of one seed share their rows: that is faster.
        self._threads.share(seed_of.argsort(stable=True), work)
        sizes = [tensor[0].numel() for tensor in tensors]
        for tensor, new in zip(tensors, torch.split(state, sizes, dim=1), strict=True):
            tensor.copy_(new.view(tensor.shape))
        for name, layer in _layers(self.stack):
            if isinstance(layer, nn.BatchNorm1d):
                self.stack.buffers[f"{name}.num_batches_tracked"] += updates
        optimizer.steps += updates
        return losses, applied, errors

    @torch.no_grad()
    def errors(self, inputs: Tensor, targets: Tensor, mode: str) -> Tensor:
        """The mean squared error of each network, [networks], float32; NaN without samples.

        Args:
            inputs, targets: the samples, [samples, features] and [samples, outputs], float32.
            mode: "eval" or "precise", as of :class:`Stack`.

        Raises:
            KeyError: another mode.
            ValueError: samples of other numbers of inputs or outputs than the networks have.
        """
        state = _array(_flat(_state(self.stack)))
        (means,), check = self._checking(state, 0, [(inputs, targets, mode)])
        self._threads.share(torch.arange(self.stack.size, device="cpu"), check)
        return means

    def _checking(
        self, state: Memory, moments: int, checks: Sequence[Check]
    ) -> tuple[list[Tensor], Callable[[Blocks], None]]:
        """The mean squared errors of each check, and what computes them for some blocks."""
        size = self.stack.size
        errors = [torch.full((size,), torch.nan, dtype=torch.float32, device="cpu") for _ in checks]
        calls: list[tuple[Layout, tuple[Any, ...]]] = []
        for means, (inputs, targets, mode) in zip(errors, checks, strict=True):
            if len(inputs):
                tile = len(inputs) if mode == "precise" else min(TILE, len(inputs))
                layout = self._layout(None, inputs.shape[1], targets.shape[1], tile)
                arrays = map(_array, (inputs, targets, means))
                calls.append((layout, (state, moments, *arrays, tile, MODES[mode])))

        def work(blocks: Blocks) -> None:
            for layout, arguments in calls:
                kernels.errors(blocks, layout.memory(), layout.layers, layout.places, *arguments)

        return errors, work


class Layout:
    """Where everything lies in the memory of a block.

    Args:
        stack: the networks.
        moments: how many the optimizer keeps of each weight; None: to evaluate only. Then the
            outputs of layers are forgotten as soon as they are used.
        features, outputs: the numbers of inputs and outputs of a network.
        rows: the most rows computed at once.

    Attributes:
        layers: what the kernels know of each layer.
        places: what else lies where.

    Raises:
        ValueError: other numbers of inputs and outputs than the networks have.
    """

    def __init__(
        self, stack: Stack, moments: int | None, features: int, outputs: int, rows: int
    ) -> None:
        self.size = 0
        at = {name: self._take(p[0].numel()) for name, p in stack.parameters.items()}
        parameters = self.size
        self._take(parameters * (moments or 0))
        for name, statistics in stack.buffers.items():
            if statistics.is_floating_point():
                at[name] = self._take(statistics[0].numel())
        gradient = self._take(parameters)
        layers = _layers(stack)
        widths = [layer.out_features for _, layer in layers if isinstance(layer, nn.Linear)]
        most = max(features, *widths, 0) * rows
        inputs, slopes, others = (self._take(most) for _ in range(3))
        x, spare, width, overwrite = inputs, slopes, features, False
        program = []
        for name, layer in layers:
            needed = getattr(layer, "in_features", getattr(layer, "num_features", width))
            if width != needed:
                raise ValueError(f"{layer} must have {needed} inputs, got {width}")
            units = layer.out_features if isinstance(layer, nn.Linear) else width
            y, batch = x, -1
            if isinstance(layer, nn.BatchNorm1d):
                batch = self._take(2 * units)
            if moments is None:
                if isinstance(layer, nn.Linear):
                    y, spare = spare, x
            elif isinstance(layer, nn.Linear | nn.BatchNorm1d) or not overwrite:
                y = self._take(units * rows)
            # Neither a linear layer nor a normalisation needs its outputs on the way back.
            overwrite = isinstance(layer, nn.Linear | nn.BatchNorm1d)
            parts = ("weight", "bias", "running_mean", "running_var")
            own = [at.get(f"{name}.{part}", -1) for part in parts]
            settings = getattr(layer, "momentum", 0.0), getattr(layer, "eps", 0.0)
            program.append((KINDS[type(layer)], width, units, x, y, *own, batch, *settings))
            x, width = y, units
        if width != outputs:
            raise ValueError(f"targets must have {width} columns, got {outputs}")
        self.layers = np.array(program, LAYER)
        goal, extra = self._take(width * rows), self._take(1)
        self.places = Places(parameters, gradient, inputs, slopes, others, goal, extra)

    def _take(self, size: int) -> int:
        self.size += size
        return self.size - size

    def memory(self) -> Memory:
        """Zeros, from an address on that no vector crosses a line of the cache."""
        memory = np.zeros((self.size + 1) * LANES, np.float32)
        begin = -(memory.ctypes.data // 4) % LANES
        return memory[begin : begin + self.size * LANES]


class Threads:
    """As many as PyTorch uses, kept from one call to the next."""

    def __init__(self) -> None:
        self._made_for: tuple[int, int] | None = None

    def share(self, order: Tensor, work: Callable[[Blocks], None]) -> None:
        """Give the networks, in this order and in blocks, to the work, on all threads."""
        networks = order.numpy()
        missing = -len(networks) % LANES  # the last block computes its last network repeatedly
        blocks = np.append(networks, networks[-1:].repeat(missing)).reshape(-1, LANES)
        count = torch.get_num_threads()
        parts = np.array_split(blocks, min(4 * count, len(blocks)))  # a slow one delays little
        list(self._pool(count).map(work, parts))

    def _pool(self, count: int) -> ThreadPoolExecutor:
        key = os.getpid(), count  # a forked child has none of its parent's threads
        if self._made_for != key:
            # A thread begins with the arithmetic of the one that starts it, which may have
            # flushed denormal numbers to zero.
            self._executor = ThreadPoolExecutor(
                count, initializer=torch.set_flush_denormal, initargs=(False,)
            )
            self._made_for = key
        return self._executor


def _rule(optimizer: StackOptimizer) -> Rule:
    match optimizer.rule:
        case SGD() as rule:
            return Rule(
                False, rule.momentum_at(0), 0.0, rule.weight_decay, False, rule.nesterov, 0.0
            )
        case Adam() as rule:
            decoupled, betas = isinstance(rule, AdamW), (rule.beta1, rule.beta2)
            return Rule(True, *betas, rule.weight_decay, decoupled, False, rule.eps)
    raise TypeError(f"optimizer must be one that the loop was made for, got {optimizer.rule!r}")


def _layers(stack: Stack) -> list[tuple[str, nn.Module]]:
    """The layers that compute something: rows are flat already."""
    return [(name, layer) for name, layer in stack.layers() if not isinstance(layer, nn.Flatten)]


def _state(stack: Stack, optimizer: StackOptimizer | None = None) -> list[Tensor]:
    """Weights, moments, and running statistics, each [networks, ...]."""
    moments = [] if optimizer is None else [t for ts in optimizer.state.values() for t in ts]
    statistics = [b for b in stack.buffers.values() if b.is_floating_point()]
    return [*stack.parameters.values(), *moments, *statistics]


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten(1) for tensor in tensors], dim=1)


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().contiguous().numpy()
    return array
