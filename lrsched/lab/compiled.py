"""The epochs of a stack of small fully connected networks, compiled: 16 networks at a time.

For networks of a few units the time of a :class:`Stack` goes into starting operations and into
moving their results through memory. Here one loop does all of an epoch for 16 networks, whose
weights, gradients and activations of a batch stay in the cache: each number is a vector of 16,
one for each network, as wide as the registers of today's processors or a multiple of them.

No network takes part in the arithmetic of another, and all are computed by the same
instructions: neither its neighbours nor the number of threads change a network's result.
"""

import functools
import operator
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable
from numpy.typing import NDArray
from torch import Tensor, nn

from .models import Stack
from .optimizers import Adam, StackOptimizer

__all__ = ["errors", "supported", "train"]

LANES = 16
TILE = 40  # rows evaluated at once: their activations stay in the first cache

LINEAR, NORM, TANH, RELU = range(4)
KINDS = {nn.Linear: LINEAR, nn.BatchNorm1d: NORM, nn.Tanh: TANH, nn.ReLU: RELU}
TRAIN, EVAL, PRECISE = range(3)

Function = TypeVar("Function", bound=Callable[..., Any])
Memory = NDArray[np.float32]
Vector = Any  # of LANES float32: a number of each network, in a register


# The vector as a type of the compiler's. What is written with it needs no recognising of loops
# that could be vectors, and what stays in registers is in plain sight.

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


_lanes = _Lanes()
register_model(_Lanes)(_LanesModel)

for _operator, _instruction in {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}.items():
    type_callable(_operator)(
        lambda context: lambda a, b: _lanes if (a, b) == (_lanes, _lanes) else None
    )
    lower_builtin(_operator, _lanes, _lanes)(
        lambda context, builder, signature, args, name=_instruction: getattr(builder, name)(*args)
    )


def _call(builder: Any, name: str, *vectors: Any) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(vectors))
    name = f"llvm.{name}.v{LANES}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), vectors)


def _muladd(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return _lanes(_lanes, _lanes, _lanes), lambda context, builder, signature, args: _call(
        builder, "fmuladd", *args
    )


def _root(typing: Any, a: Any) -> Any:
    return _lanes(_lanes), lambda context, builder, signature, args: _call(builder, "sqrt", *args)


def _where_le(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<=", args[0], args[1]), args[2], args[3])

    return _lanes(_lanes, _lanes, _lanes, _lanes), generate


def _address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    first = builder.mul(args[1], ir.Constant(args[1].type, LANES))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


def _load(typing: Any, memory: Any, place: Any) -> Any:
    return _lanes(memory, types.intp), lambda context, builder, signature, args: builder.load(
        _address(context, builder, signature, args), align=4
    )


def _store(typing: Any, memory: Any, place: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature, args), align=4)
        return context.get_dummy_value()

    return types.void(memory, types.intp, _lanes), generate


def _same(typing: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = ir.VectorType(ir.IntType(32), LANES)
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(integers, [0] * LANES))

    return _lanes(types.float32), generate


muladd: Callable[[Vector, Vector, Vector], Vector] = intrinsic(_muladd)  # a * b + c
root: Callable[[Vector], Vector] = intrinsic(_root)
#: x where a <= b, else y, and so too where a or b is NaN
where_le: Callable[[Vector, Vector, Vector, Vector], Vector] = intrinsic(_where_le)
load: Callable[[Memory, int], Vector] = intrinsic(_load)  # places count in vectors
store: Callable[[Memory, int, Vector], None] = intrinsic(_store)
same: Callable[[float], Vector] = intrinsic(_same)  # one number, as float32, for all networks


def _compiled(function: Function) -> Function:
    # Strict arithmetic: a network that diverges gives what IEEE 754 says, as in PyTorch.
    made: Function = njit(function, error_model="numpy", nogil=True)
    return made


def _compiled_once(function: Function) -> Function:
    """With all that it calls, kept on disk until this file changes."""
    made: Function = njit(function, error_model="numpy", nogil=True, cache=True)
    return made


# The arithmetic. All that belongs to 16 networks lies in one memory, and all places in it count
# in vectors. The values of a unit for the rows of a batch follow one another; ``stride`` is the
# distance from unit to unit.


@_compiled
def _tanh(x: Vector) -> Vector:
    """x P(x²) / Q(x²), fitted up to 9.02, where tanh becomes 1; relative error below 4e-7."""
    one, end = same(1.0), same(9.5)  # at the end the quotient is safely above 1
    x = where_le(x, same(-9.5), same(-9.5), x)
    x = where_le(end, x, end, x)
    t = x * x
    p = muladd(same(1.33190548e-08), t, same(2.05834688e-05))
    p = muladd(p, t, same(3.49403381e-03))
    p = muladd(p, t, same(1.33797173e-01))
    p = muladd(p, t, same(9.99999979e-01))
    q = muladd(same(7.76201239e-07), t, same(3.28309161e-04))
    q = muladd(q, t, same(2.58710704e-02))
    q = muladd(q, t, same(4.67130326e-01))
    q = muladd(q, t, one)
    y = x * p / q
    y = where_le(y, same(-1.0), same(-1.0), y)
    return where_le(one, y, one, y)


@_compiled
def _total(m: Memory, x: int, rows: int) -> Vector:
    """The sum of the values from x on."""
    a = same(0.0)
    fours = rows - rows % 4
    for r in range(x, x + fours, 4):
        a = a + ((load(m, r) + load(m, r + 1)) + (load(m, r + 2) + load(m, r + 3)))
    for r in range(x + fours, x + rows):
        a = a + load(m, r)
    return a


@_compiled
def _dot(m: Memory, x: int, from_x: Vector, y: int, from_y: Vector, rows: int) -> Vector:
    """The sum of (x - from_x) * (y - from_y) over rows: two sums at a time, for speed."""
    a = b = same(0.0)
    for r in range(0, rows - 1, 2):
        a = muladd(load(m, x + r) - from_x, load(m, y + r) - from_y, a)
        b = muladd(load(m, x + r + 1) - from_x, load(m, y + r + 1) - from_y, b)
    if rows % 2:
        a = muladd(load(m, x + rows - 1) - from_x, load(m, y + rows - 1) - from_y, a)
    return a + b


@_compiled
def _product(
    m: Memory, weight: int, across: int, along: int, bias: int, x: int, y: int,
    outputs: int, inputs: int, rows: int, stride: int,
) -> None:  # fmt: skip
    """y[o, r] = bias[o] + sum of weight[o, i] * x[i, r] over i; across, along: the steps of o, i.

    Four rows at a time: each weight is loaded once for them, and no sum waits for another.
    """
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


@_compiled
def _forward(
    m: Memory, program: NDArray[np.int64], settings: NDArray[np.float64], rows: int, stride: int,
    mode: int,
) -> None:  # fmt: skip
    """Compute the outputs of all layers."""
    for layer in range(len(program)):
        kind, inputs, units, x, y, weight, bias, mean, variance, batch = program[layer]
        if kind == LINEAR:
            _product(m, weight, inputs, 1, bias, x, y, units, inputs, rows, stride)
            continue
        for i in range(units):
            if kind == NORM:
                momentum, eps = settings[layer]
                if mode == EVAL:
                    centre = load(m, mean + i)
                    spread = load(m, variance + i)
                else:
                    centre = _total(m, x, rows) / same(rows)
                    spread = _dot(m, x, centre, x, centre, rows) / same(rows)
                if mode == TRAIN:
                    new, old = same(momentum), same(1 - momentum)
                    store(m, mean + i, old * load(m, mean + i) + new * centre)
                    unbiased = spread * same(rows / (rows - 1))
                    store(m, variance + i, old * load(m, variance + i) + new * unbiased)
                scale = same(1.0) / root(spread + same(eps))
                if mode == TRAIN:
                    store(m, batch + i, centre)
                    store(m, batch + units + i, scale)
                if weight >= 0:
                    scale = scale * load(m, weight + i)
                shift = same(0.0) - centre * scale
                if bias >= 0:
                    shift = load(m, bias + i) + shift
                for r in range(rows):
                    store(m, y + r, muladd(load(m, x + r), scale, shift))
            elif kind == TANH:
                for r in range(rows):
                    store(m, y + r, _tanh(load(m, x + r)))
            else:
                zero = same(0.0)
                for r in range(rows):
                    v = load(m, x + r)
                    store(m, y + r, where_le(v, zero, zero, v))
            x += stride
            y += stride


@_compiled
def _backward(
    m: Memory, program: NDArray[np.int64], gradient: int, d: int, other: int, rows: int,
    stride: int,
) -> None:  # fmt: skip
    """Add the gradients of the weights to what lies ``gradient`` after them.

    d: where the gradients of the outputs are. other: as much space for those of other layers.
    """
    zero = same(0.0)
    for layer in range(len(program) - 1, -1, -1):
        kind, inputs, units, x, y, weight, bias, _, _, batch = program[layer]
        if kind == LINEAR:
            for o in range(units):
                if bias >= 0:
                    k = gradient + bias + o
                    store(m, k, load(m, k) + _total(m, d + o * stride, rows))
                for i in range(inputs):
                    k = gradient + weight + o * inputs + i
                    add = _dot(m, d + o * stride, zero, x + i * stride, zero, rows)
                    store(m, k, load(m, k) + add)
            if layer:
                _product(m, weight, 1, inputs, -1, d, other, inputs, units, rows, stride)
                d, other = other, d
            continue
        for i in range(units):
            k = d + i * stride
            if kind == NORM:
                centre, scale = load(m, batch + i), load(m, batch + units + i)
                shifts = _total(m, k, rows)
                scales = _dot(m, k, zero, x, centre, rows) * scale
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
            elif kind == TANH:
                for r in range(rows):
                    v = load(m, y + r)
                    store(m, k + r, load(m, k + r) * (same(1.0) - v * v))
            else:
                for r in range(rows):
                    store(m, k + r, where_le(load(m, y + r), zero, zero, load(m, k + r)))
            x += stride
            y += stride


@_compiled
def _update(
    m: Memory, parameters: int, gradient: int, rule: NDArray[np.float64], rate: Vector, step: int
) -> None:
    """Update the weights as the optimizers' ``update`` does, and forget the gradients."""
    adam, beta1, beta2, decay, nesterov, eps = rule
    first, second = parameters, 2 * parameters  # from a weight to its moments
    for k in range(parameters):
        p, g = load(m, k), load(m, gradient + k)
        store(m, gradient + k, same(0.0))
        if decay:
            g = muladd(same(decay), p, g)
        if adam:
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
            g = muladd(same(beta1), velocity, g) if nesterov else velocity
        store(m, k, p - rate * g)


@_compiled
def _squares(m: Memory, y: int, goal: int, d: int, outputs: int, rows: int, stride: int) -> Vector:
    """The sum of the squared errors; the errors themselves go to d."""
    squares, zero = same(0.0), same(0.0)
    for o in range(outputs):
        for r in range(o * stride, o * stride + rows):
            store(m, d + r, load(m, y + r) - load(m, goal + r))
        squares = squares + _dot(m, d + o * stride, zero, d + o * stride, zero, rows)
    return squares


@_compiled
def _pack(
    m: Memory, state: Memory, who: NDArray[np.int64], back: bool, parameters: int, moments: int
) -> None:
    """The state of 16 networks, [networks, numbers], into the memory, or back from there.

    So many moments behind the parameters are left out.
    """
    for n in range(LANES):
        for k in range(state.shape[1] - moments):
            column = k if k < parameters else k + moments
            if back:
                state[who[n], column] = m[k * LANES + n]
            else:
                m[k * LANES + n] = state[who[n], column]


@_compiled_once
def _train(
    blocks: NDArray[np.int64], m: Memory, places: NDArray[np.int64], program: NDArray[np.int64],
    settings: NDArray[np.float64], state: Memory, inputs: Memory, targets: Memory,
    orders: NDArray[np.int64], seed_of: NDArray[np.int64], rates: Memory, applied: Memory,
    losses: Memory, batch: int, rule: NDArray[np.float64], steps: int,
) -> None:  # fmt: skip
    """One epoch of the networks of some blocks, [blocks, 16]. steps: the updates before it."""
    parameters, gradient, start, d, other, goal, extra = places
    features, outputs = inputs.shape[1], targets.shape[1]
    for who in blocks:
        _pack(m, state, who, False, parameters, 0)
        for k in range(parameters):
            store(m, gradient + k, same(0.0))
        alike = True
        for n in range(LANES):
            alike = alike and seed_of[who[n]] == seed_of[who[0]]
        for step in range(len(rates)):
            first = step * batch
            rows = min(batch, orders.shape[1] - first)
            if alike:
                seed = seed_of[who[0]]
                for r in range(rows):
                    row = orders[seed, first + r]
                    for i in range(features):
                        store(m, start + i * batch + r, same(inputs[row, i]))
                    for o in range(outputs):
                        store(m, goal + o * batch + r, same(targets[row, o]))
            else:
                for r in range(rows):
                    for n in range(LANES):
                        row = orders[seed_of[who[n]], first + r]
                        for i in range(features):
                            m[(start + i * batch + r) * LANES + n] = inputs[row, i]
                        for o in range(outputs):
                            m[(goal + o * batch + r) * LANES + n] = targets[row, o]
            _forward(m, program, settings, rows, batch, TRAIN)
            squares = _squares(m, program[-1, 4], goal, d, outputs, rows, batch)
            for o in range(outputs):
                for k in range(d + o * batch, d + o * batch + rows):
                    store(m, k, load(m, k) * same(2 / (rows * outputs)))
            _backward(m, program, gradient, d, other, rows, batch)
            store(m, extra, squares / same(rows * outputs))
            for n in range(LANES):
                losses[step, who[n]] = m[extra * LANES + n]
                m[extra * LANES + n] = rates[step, who[n]]
            _update(m, parameters, gradient, rule, load(m, extra), steps + step + 1)
            for n in range(LANES):
                applied[step, who[n]] = m[extra * LANES + n]
        _pack(m, state, who, True, parameters, 0)


@_compiled_once
def _errors(
    blocks: NDArray[np.int64], m: Memory, places: NDArray[np.int64], program: NDArray[np.int64],
    settings: NDArray[np.float64], state: Memory, moments: int, inputs: Memory, targets: Memory,
    found: Memory, tile: int, mode: int,
) -> None:  # fmt: skip
    """The mean squared errors of the networks of some blocks, [blocks, 16]."""
    parameters, _, start, d, _, goal, extra = places
    features, outputs = inputs.shape[1], targets.shape[1]
    for who in blocks:
        _pack(m, state, who, False, parameters, moments)
        squares = same(0.0)
        for first in range(0, len(inputs), tile):
            rows = min(tile, len(inputs) - first)
            for r in range(rows):
                for i in range(features):
                    store(m, start + i * tile + r, same(inputs[first + r, i]))
                for o in range(outputs):
                    store(m, goal + o * tile + r, same(targets[first + r, o]))
            _forward(m, program, settings, rows, tile, mode)
            squares = squares + _squares(m, program[-1, 4], goal, d, outputs, rows, tile)
        store(m, extra, squares / same(len(inputs) * outputs))
        for n in range(LANES):
            found[who[n]] = m[extra * LANES + n]


# What the compiled loops are given: the layout of the memory, and the state of the networks.


def _layers(stack: Stack) -> list[tuple[str, nn.Module]]:
    """The layers that compute something: rows are flat already."""
    return [(name, layer) for name, layer in stack.layers() if not isinstance(layer, nn.Flatten)]


def supported(stack: Stack) -> bool:
    """Whether all of the stack's layers are known here, and it is on the CPU."""
    return all(
        type(layer) in KINDS and getattr(layer, "track_running_stats", True)
        for _, layer in _layers(stack)
    ) and all(p.dtype == torch.float32 and p.device.type == "cpu" for p in _state(stack))


def _state(stack: Stack, optimizer: StackOptimizer | None = None) -> list[Tensor]:
    """Weights, moments, and running statistics, each [networks, ...]."""
    moments = [] if optimizer is None else [t for ts in optimizer.state.values() for t in ts]
    statistics = [b for b in stack.buffers.values() if b.is_floating_point()]
    return [*stack.parameters.values(), *moments, *statistics]


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten(1) for tensor in tensors], dim=1)


class _Plan:
    """Where everything lies in the memory of a block.

    Args:
        stack: the networks.
        moments: how many the optimizer keeps of each weight; None: to evaluate only. Then the
            outputs of layers are forgotten as soon as they are used.
        features, outputs: the numbers of inputs and outputs of a network.
        rows: the most rows computed at once.

    Attributes:
        program: for each layer its kind, inputs and units, the places of its inputs and
            outputs, of weight, bias, running mean and running variance, and of mean and scale
            of the present batch; -1 for what it does not have.
        settings: for each layer momentum and eps.
        places: the number of the parameters, and where are gradients, inputs, gradients of
            outputs (twice), targets, and one vector for anything.

    Raises:
        ValueError: other numbers of inputs and outputs than the networks have.
    """

    def __init__(
        self, stack: Stack, moments: int | None, features: int, outputs: int, rows: int
    ) -> None:
        self.size = 0
        layers = _layers(stack)
        at = {name: self._take(p[0].numel()) for name, p in stack.parameters.items()}
        parameters = self.size
        self._take(parameters * (moments or 0))
        for name, statistics in stack.buffers.items():
            if statistics.is_floating_point():
                at[name] = self._take(statistics[0].numel())
        gradient = self._take(parameters)
        widths = [layer.out_features for _, layer in layers if isinstance(layer, nn.Linear)]
        most = max(features, *widths, 0) * rows
        start = x = self._take(most)
        d, other = self._take(most), self._take(most)
        width, spare, overwrite = features, d, False
        program, settings = [], []
        for name, layer in layers:
            wanted = getattr(layer, "in_features", getattr(layer, "num_features", width))
            if width != wanted:
                raise ValueError(f"{layer} must have {wanted} inputs, got {width}")
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
            program.append([KINDS[type(layer)], width, units, x, y, *own, batch])
            settings.append([getattr(layer, "momentum", 0.0), getattr(layer, "eps", 0.0)])
            x, width = y, units
        if width != outputs:
            raise ValueError(f"targets must have {width} columns, got {outputs}")
        self.program = np.array(program, np.int64)
        self.settings = np.array(settings, np.float64)
        ends = d, other, self._take(width * rows), self._take(1)
        self.places = np.array([parameters, gradient, start, *ends], np.int64)

    def _take(self, size: int) -> int:
        self.size += size
        return self.size - size

    def memory(self) -> Memory:
        """Zeros, from an address on that no vector crosses a line of the cache."""
        memory = np.zeros((self.size + 1) * LANES, np.float32)
        begin = -(memory.ctypes.data // 4) % LANES
        return memory[begin : begin + self.size * LANES]


_plans: WeakKeyDictionary[Stack, dict[Any, _Plan]] = WeakKeyDictionary()


def _plan(stack: Stack, moments: int | None, inputs: Tensor, targets: Tensor, rows: int) -> _Plan:
    made = _plans.setdefault(stack, {})
    key = moments, inputs.shape[1], targets.shape[1], rows
    if key not in made:
        made[key] = _Plan(stack, *key)
    return made[key]


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # A thread begins with the arithmetic of the one that starts it, which may have flushed
    # denormal numbers to zero. These serve all callers.
    return ThreadPoolExecutor(threads, initializer=torch.set_flush_denormal, initargs=(False,))


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of the threads


def _work_through(order: Tensor, work: Callable[[NDArray[np.int64]], None]) -> None:
    """Give the networks, in this order, to the work, in blocks and on all threads."""
    networks = order.numpy()
    missing = -len(networks) % LANES  # the last block computes its last network repeatedly
    blocks = np.append(networks, networks[-1:].repeat(missing)).reshape(-1, LANES)
    threads = torch.get_num_threads()
    parts = np.array_split(blocks, min(4 * threads, len(blocks)))  # a slow one delays little
    list(_pool(threads).map(work, parts))


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().contiguous().numpy()
    return array


Check = tuple[Tensor, Tensor, str]  # inputs, targets, mode: see errors()


def _checking(
    stack: Stack, state: Memory, moments: int, checks: Sequence[Check]
) -> tuple[list[Tensor], Callable[[NDArray[np.int64]], None]]:
    """The mean squared errors of each check, and what computes them for some blocks."""
    found = [
        torch.full((stack.size,), torch.nan, dtype=torch.float32, device="cpu") for _ in checks
    ]
    calls = []
    for errors, (inputs, targets, mode) in zip(found, checks, strict=True):
        if len(inputs):
            tile = len(inputs) if mode == "precise" else min(TILE, len(inputs))
            arrays = _array(inputs), _array(targets), _array(errors)
            number = {"eval": EVAL, "precise": PRECISE}[mode]
            plan = _plan(stack, None, inputs, targets, tile)
            calls.append((plan, (state, moments, *arrays, tile, number)))

    def work(blocks: NDArray[np.int64]) -> None:
        for plan, arguments in calls:
            _errors(blocks, plan.memory(), plan.places, plan.program, plan.settings, *arguments)

    return found, work


@torch.no_grad()
def train(
    stack: Stack,
    optimizer: StackOptimizer,
    inputs: Tensor,
    targets: Tensor,
    orders: Tensor,
    seed_of: Tensor,
    rates: Tensor,
    batch_size: int,
    checks: Sequence[Check] = (),
) -> tuple[Tensor, ...]:
    """Train all networks for one epoch, in place.

    Args:
        stack: the networks, of a :func:`supported` kind.
        optimizer: their optimizer; ``rates`` are used instead of its own.
        inputs, targets: the samples, [samples, features] and [samples, outputs], float32.
        orders: the order of the samples for each seed, [seeds, samples], int64.
        seed_of: the row of ``orders`` for each network, [networks].
        rates: [steps, networks].
        batch_size: samples for one update; the last batch may be smaller.
        checks: what to give to :func:`errors` after the last update.

    Returns:
        The mean squared error on each batch before its update, and the rate that the update
        applied, each [steps, networks], float32; then the errors of each check.

    Raises:
        ValueError: rates for another number of updates than an epoch has, or samples of other
            numbers of inputs or outputs than the networks have.
    """
    updates = -(-orders.shape[1] // batch_size)
    if len(rates) != updates:
        raise ValueError(f"rates must be of the {updates} updates of an epoch, got {len(rates)}")
    rule = optimizer.rule
    if isinstance(rule, Adam):
        numbers = [1, rule.beta1, rule.beta2, rule.weight_decay, 0, rule.eps]
    else:
        numbers = [0, rule.momentum, 0, rule.weight_decay, rule.nesterov, 0]
    batch_size = min(batch_size, orders.shape[1])
    plan = _plan(stack, len(optimizer.state), inputs, targets, batch_size)
    tensors = _state(stack, optimizer)
    state = _flat(tensors)
    losses = torch.empty(rates.shape, dtype=torch.float32, device="cpu")
    applied = torch.empty_like(losses)
    arguments: tuple[Any, ...] = (
        *map(_array, (state, inputs, targets, orders, seed_of, rates.float(), applied, losses)),
        batch_size,
        np.array(numbers, np.float64),
        optimizer.steps,
    )
    moments = sum(t[0].numel() for ts in optimizer.state.values() for t in ts)
    errors, check = _checking(stack, _array(state), moments, checks)

    def work(blocks: NDArray[np.int64]) -> None:
        _train(blocks, plan.memory(), plan.places, plan.program, plan.settings, *arguments)
        check(blocks)

    # 16 networks of one seed share their rows: that is faster.
    _work_through(seed_of.argsort(stable=True), work)
    sizes = [tensor[0].numel() for tensor in tensors]
    for tensor, new in zip(tensors, torch.split(state, sizes, dim=1), strict=True):
        tensor.copy_(new.view(tensor.shape))
    for name, layer in _layers(stack):
        if isinstance(layer, nn.BatchNorm1d):
            stack.buffers[f"{name}.num_batches_tracked"] += len(rates)
    optimizer.steps += len(rates)
    return losses, applied, *errors


@torch.no_grad()
def errors(stack: Stack, inputs: Tensor, targets: Tensor, mode: str) -> Tensor:
    """The mean squared error of each network, [networks], float32; NaN without samples.

    Args:
        stack: the networks, of a :func:`supported` kind.
        inputs, targets: the samples, [samples, features] and [samples, outputs], float32.
        mode: "eval" or "precise", as of :class:`Stack`.
    """
    state = _array(_flat(_state(stack)))
    (found,), check = _checking(stack, state, 0, [(inputs, targets, mode)])
    _work_through(torch.arange(stack.size, device="cpu"), check)
    return found
