"""What is compiled: forward, backward, update, an epoch of training, and errors.

All that belongs to 16 networks lies in one memory, and all places in it count in vectors. The
values of a unit for the rows of a batch follow one another; ``stride`` is the distance from unit
to unit.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .lanes import (
    LANES,
    Memory,
    Vector,
    compiled,
    compiled_once,
    dot,
    load,
    muladd,
    root,
    same,
    store,
    tanh,
    total,
    where_le,
)

__all__ = [
    "EVAL", "LAYER", "LINEAR", "NORM", "PRECISE", "RELU", "TANH", "TRAIN", "Epoch", "Places",
    "Rule", "errors", "train",
]  # fmt: skip

LINEAR, NORM, TANH, RELU = range(4)
TRAIN, EVAL, PRECISE = range(3)

#: A layer: the numbers of its inputs and units; the places of its inputs x and outputs y, of its
#: weights and running statistics, and of mean and scale of the present batch; -1: it has none.
LAYER = np.dtype(
    [(name, np.int64) for name in (
        "kind", "inputs", "units", "x", "y", "weight", "bias", "running_mean", "running_var",
        "batch",
    )]
    + [("momentum", np.float64), ("eps", np.float64)]
)  # fmt: skip

Integers = NDArray[np.int64]
Layers = NDArray[Any]  # of LAYER


class Places(NamedTuple):
    """Where a block's memory holds what; the weights come first, then their moments."""

    parameters: int  # their number, and so the distance to the first moments
    gradient: int  # of the first weight
    inputs: int
    slopes: int  # of the loss by the outputs of a layer
    others: int  # as much space, for those of the next layer
    targets: int
    extra: int  # one vector for anything


class Epoch(NamedTuple):
    """The samples, and for each network their order and its rates."""

    inputs: Memory  # [samples, features]
    targets: Memory  # [samples, outputs]
    orders: Integers  # [seeds, samples]
    seed_of: Integers  # [networks]
    rates: Memory  # [steps, networks]
    batch: int
    steps: int  # updates before this epoch


class Rule(NamedTuple):
    """The optimizer; for SGD ``beta1`` is the momentum."""

    adam: bool
    beta1: float
    beta2: float
    decay: float
    decoupled: bool  # the decay is no part of the gradient
    nesterov: bool
    eps: float


class Matrix(NamedTuple):
    """Weights by outputs and inputs: their place, and how far apart two outputs or inputs are."""

    weight: int
    across: int
    along: int
    bias: int
    outputs: int
    inputs: int


@compiled
def _product(m: Memory, matrix: Matrix, x: int, y: int, rows: int, stride: int) -> None:
    """y[o, r] = bias[o] + sum of weight[o, i] * x[i, r] over i.

    Four rows at a time: each weight is loaded once for them, and no sum waits for another.
    """
    weight, across, along, bias, outputs, inputs = matrix
    for o in range(outputs):
        start = same(0.0)
        if bias >= 0:
            start = load(m, bias + o)
        fours = rows - rows % 4
        for r in range(0, fours, 4):
            a = b = c = d = start
            for i in range(inputs):
                w = load(m, weight + o * across + i * along)
                k = x + i * stride + r
                a = muladd(w, load(m, k), a)
                b = muladd(w, load(m, k + 1), b)
                c = muladd(w, load(m, k + 2), c)
                d = muladd(w, load(m, k + 3), d)
            k = y + o * stride + r
            store(m, k, a)
            store(m, k + 1, b)
            store(m, k + 2, c)
            store(m, k + 3, d)
        for r in range(fours, rows):
            a = start
            for i in range(inputs):
                w = load(m, weight + o * across + i * along)
                a = muladd(w, load(m, x + i * stride + r), a)
            store(m, y + o * stride + r, a)


@compiled
def _normalise(m: Memory, layer: Any, i: int, rows: int, stride: int, mode: int) -> None:
    """The outputs of one unit of a normalisation."""
    x, y = layer.x + i * stride, layer.y + i * stride
    mean, variance, batch = layer.running_mean + i, layer.running_var + i, layer.batch + i
    if mode == EVAL:
        centre = load(m, mean)
        spread = load(m, variance)
    else:
        centre = total(m, x, rows) / same(rows)
        spread = dot(m, x, centre, x, centre, rows) / same(rows)
    if mode == TRAIN:
        new, old = same(layer.momentum), same(1 - layer.momentum)
        store(m, mean, old * load(m, mean) + new * centre)
        unbiased = spread * same(rows / (rows - 1))
        store(m, variance, old * load(m, variance) + new * unbiased)
    scale = same(1.0) / root(spread + same(layer.eps))
    if mode == TRAIN:
        store(m, batch, centre)
        store(m, batch + layer.units, scale)
    if layer.weight >= 0:
        scale = scale * load(m, layer.weight + i)
    shift = same(0.0) - centre * scale
    if layer.bias >= 0:
        shift = load(m, layer.bias + i) + shift
    for r in range(rows):
        store(m, y + r, muladd(load(m, x + r), scale, shift))


@compiled
def _forward(m: Memory, layers: Layers, rows: int, stride: int, mode: int) -> None:
    """Compute the outputs of all layers."""
    zero = same(0.0)
    for layer in layers:
        kind, units, x, y = layer.kind, layer.units, layer.x, layer.y
        if kind == LINEAR:
            inputs = layer.inputs
            matrix = Matrix(layer.weight, inputs, 1, layer.bias, units, inputs)
            _product(m, matrix, x, y, rows, stride)
            continue
        for i in range(units):
            if kind == NORM:
                _normalise(m, layer, i, rows, stride, mode)
            elif kind == TANH:
                for r in range(rows):
                    store(m, y + r, tanh(load(m, x + r)))
            else:
                for r in range(rows):
                    v = load(m, x + r)
                    store(m, y + r, where_le(v, zero, zero, v))
            x += stride
            y += stride


@compiled
def _linear_back(m: Memory, layer: Any, gradient: int, d: int, rows: int, stride: int) -> None:
    """Add the gradients of a linear layer's weights."""
    zero = same(0.0)
    x, weight, bias, inputs = layer.x, layer.weight, layer.bias, layer.inputs
    for o in range(layer.units):
        if bias >= 0:
            k = gradient + bias + o
            store(m, k, load(m, k) + total(m, d + o * stride, rows))
        for i in range(inputs):
            k = gradient + weight + o * inputs + i
            add = dot(m, d + o * stride, zero, x + i * stride, zero, rows)
            store(m, k, load(m, k) + add)


@compiled
def _normalise_back(
    m: Memory, layer: Any, i: int, gradient: int, d: int, rows: int, stride: int
) -> None:
    """Of one unit of a normalisation: add the gradients of its weights, and replace its slopes."""
    x, k = layer.x + i * stride, d + i * stride
    weight, bias, batch = layer.weight, layer.bias, layer.batch
    centre, scale = load(m, batch + i), load(m, batch + layer.units + i)
    shifts = total(m, k, rows)
    scales = dot(m, k, same(0.0), x, centre, rows) * scale
    slope = scale * scales / same(rows)
    if bias >= 0:
        store(m, gradient + bias + i, load(m, gradient + bias + i) + shifts)
    if weight >= 0:
        store(m, gradient + weight + i, load(m, gradient + weight + i) + scales)
        scale = scale * load(m, weight + i)
    shift = shifts / same(rows)
    for r in range(rows):
        v = load(m, k + r) - shift - (load(m, x + r) - centre) * slope
        store(m, k + r, v * scale)


@compiled
def _backward(m: Memory, layers: Layers, places: Places, rows: int, stride: int) -> None:
    """Add the gradients of the weights to what lies ``places.gradient`` after them."""
    zero, one = same(0.0), same(1.0)
    gradient, d, other = places.gradient, places.slopes, places.others
    for number in range(len(layers) - 1, -1, -1):
        layer = layers[number]
        kind, units, y = layer.kind, layer.units, layer.y
        if kind == LINEAR:
            _linear_back(m, layer, gradient, d, rows, stride)
            if number:
                inputs = layer.inputs
                matrix = Matrix(layer.weight, 1, inputs, -1, inputs, units)
                _product(m, matrix, d, other, rows, stride)
                d, other = other, d
            continue
        for i in range(units):
            k = d + i * stride
            if kind == NORM:
                _normalise_back(m, layer, i, gradient, d, rows, stride)
            elif kind == TANH:
                for r in range(rows):
                    v = load(m, y + r)
                    store(m, k + r, load(m, k + r) * (one - v * v))
            else:
                for r in range(rows):
                    store(m, k + r, where_le(load(m, y + r), zero, zero, load(m, k + r)))
            y += stride


@compiled
def _update(m: Memory, places: Places, rule: Rule, rate: Vector, step: int) -> None:
    """Update the weights as the optimizers' ``update`` does, and forget the gradients."""
    beta1, beta2, eps = rule.beta1, rule.beta2, rule.eps
    first, second = places.parameters, 2 * places.parameters  # from a weight to its moments
    for k in range(places.parameters):
        p, g = load(m, k), load(m, places.gradient + k)
        store(m, places.gradient + k, same(0.0))
        if rule.decoupled:
            p = p - p * (rate * same(rule.decay))
        elif rule.decay:
            g = muladd(same(rule.decay), p, g)
        if rule.adam:
            mean, square = load(m, first + k), load(m, second + k)
            mean = muladd(same(1 - beta1), g - mean, mean)
            square = muladd(same(1 - beta2), g * g, square * same(beta2))
            store(m, first + k, mean)
            store(m, second + k, square)
            scale = root(square / same(1 - beta2**step)) + same(eps)
            g = mean / scale * same(1 / (1 - beta1**step))
        elif beta1:
            velocity = muladd(same(beta1), load(m, first + k), g)
            store(m, first + k, velocity)
            g = muladd(same(beta1), velocity, g) if rule.nesterov else velocity
        store(m, k, p - rate * g)


@compiled
def _squares(m: Memory, y: int, places: Places, outputs: int, rows: int, stride: int) -> Vector:
    """The sum of the squared errors; the errors themselves go where slopes are."""
    squares, zero = same(0.0), same(0.0)
    for o in range(outputs):
        d = places.slopes + o * stride
        for r in range(rows):
            difference = load(m, y + o * stride + r) - load(m, places.targets + o * stride + r)
            store(m, d + r, difference)
        squares = squares + dot(m, d, zero, d, zero, rows)
    return squares


@compiled
def _pack(m: Memory, state: Memory, who: Integers, places: Places, moments: int) -> None:
    """The state of 16 networks, [networks, numbers], into the memory.

    So many moments behind the parameters are left out.
    """
    for n in range(LANES):
        for k in range(state.shape[1] - moments):
            m[k * LANES + n] = state[who[n], k if k < places.parameters else k + moments]


@compiled
def _unpack(m: Memory, state: Memory, who: Integers) -> None:
    for n in range(LANES):
        for k in range(state.shape[1]):
            state[who[n], k] = m[k * LANES + n]


@compiled
def _batch(m: Memory, places: Places, epoch: Epoch, who: Integers, first: int, rows: int) -> None:
    """The next rows of each network's own order into the memory."""
    batch, orders, seed_of = epoch.batch, epoch.orders, epoch.seed_of
    alike = True
    for n in range(LANES):
        alike = alike and seed_of[who[n]] == seed_of[who[0]]
    inputs, targets = epoch.inputs, epoch.targets
    features, outputs = inputs.shape[1], targets.shape[1]
    if alike:
        for r in range(rows):
            row = orders[seed_of[who[0]], first + r]
            for i in range(features):
                store(m, places.inputs + i * batch + r, same(inputs[row, i]))
            for o in range(outputs):
                store(m, places.targets + o * batch + r, same(targets[row, o]))
        return
    for r in range(rows):
        for n in range(LANES):
            row = orders[seed_of[who[n]], first + r]
            for i in range(features):
                m[(places.inputs + i * batch + r) * LANES + n] = inputs[row, i]
            for o in range(outputs):
                m[(places.targets + o * batch + r) * LANES + n] = targets[row, o]


@compiled_once
def train(
    blocks: Integers, m: Memory, layers: Layers, places: Places, rule: Rule, epoch: Epoch,
    state: Memory, losses: Memory, applied: Memory,
) -> None:  # fmt: skip
    """One epoch of the networks of some blocks, [blocks, 16].

    Their state, [networks, numbers], is replaced; into losses and applied, [steps, networks],
    go the loss before each update and the rate that it used.
    """
    outputs, batch, extra = epoch.targets.shape[1], epoch.batch, places.extra
    for who in blocks:
        _pack(m, state, who, places, 0)
        for k in range(places.parameters):
            store(m, places.gradient + k, same(0.0))
        for step in range(len(epoch.rates)):
            first = step * batch
            rows = min(batch, epoch.orders.shape[1] - first)
            _batch(m, places, epoch, who, first, rows)
            _forward(m, layers, rows, batch, TRAIN)
            squares = _squares(m, layers[-1].y, places, outputs, rows, batch)
            for o in range(outputs):
                for k in range(places.slopes + o * batch, places.slopes + o * batch + rows):
                    store(m, k, load(m, k) * same(2 / (rows * outputs)))
            _backward(m, layers, places, rows, batch)
            store(m, extra, squares / same(rows * outputs))
            for n in range(LANES):
                losses[step, who[n]] = m[extra * LANES + n]
                m[extra * LANES + n] = epoch.rates[step, who[n]]
            _update(m, places, rule, load(m, extra), epoch.steps + step + 1)
            for n in range(LANES):  # read back: what the update has loaded
                applied[step, who[n]] = m[extra * LANES + n]
        _unpack(m, state, who)


@compiled_once
def errors(
    blocks: Integers, m: Memory, layers: Layers, places: Places, state: Memory, moments: int,
    inputs: Memory, targets: Memory, means: Memory, tile: int, mode: int,
) -> None:  # fmt: skip
    """The mean squared errors of the networks of some blocks, [blocks, 16], into means.

    So many rows are computed at once. moments: the numbers of the state that are of no use here.
    """
    features, outputs, extra = inputs.shape[1], targets.shape[1], places.extra
    for who in blocks:
        _pack(m, state, who, places, moments)
        squares = same(0.0)
        for first in range(0, len(inputs), tile):
            rows = min(tile, len(inputs) - first)
            for r in range(rows):
                for i in range(features):
                    store(m, places.inputs + i * tile + r, same(inputs[first + r, i]))
                for o in range(outputs):
                    store(m, places.targets + o * tile + r, same(targets[first + r, o]))
            _forward(m, layers, rows, tile, mode)
            squares = squares + _squares(m, layers[-1].y, places, outputs, rows, tile)
        store(m, extra, squares / same(len(inputs) * outputs))
        for n in range(LANES):
            means[who[n]] = m[extra * LANES + n]
