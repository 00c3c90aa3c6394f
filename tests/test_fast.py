"""The compiled loop: each network as if trained alone by PyTorch, with numba and without."""

import copy
import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import reference
from loops import MODES, Lesson, together, trained
from lrsched.lab import SGD, Adam, AdamW, Stack, fast, lenet, mlp
from stacks import DOUBLE, HANDMADE, built, networks, parts

KINK = 2e-5  # nearer to it float32 may take the other side, and learn something else
LESSON = Lesson(3, 2, 23, 9, size=70)


class Watched(nn.Sequential):
    """Notes how near the inputs of a ReLU came to its kink while it was trained."""

    nearest = np.inf

    def forward(self, x):
        exact = False  # zeros that are no rounding of anything
        for layer in self:
            if isinstance(layer, nn.ReLU):
                distances = x.detach().abs()
                distances = distances[distances != 0] if exact else distances
                if self.training:
                    self.nearest = min([self.nearest, *distances.flatten().tolist()])
                exact = True
            elif isinstance(layer, nn.Linear | nn.BatchNorm1d):
                exact = False
            x = layer(x)
        return x


MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq", "velocity": "momentum_buffer"}


def alone(network, rule, lesson, index, dtype):
    """The same for one network by the plain loop, and how near it was to a kink."""
    network = Watched(*copy.deepcopy(network).to(dtype))
    optimizer = reference.native(rule, network.parameters())
    (inputs, targets), evaluated = (
        [x.to(dtype) for x in samples] for samples in (lesson.samples, lesson.evaluated)
    )
    orders = [orders[lesson.seed_of[index]].split(lesson.batch) for orders in lesson.orders]
    epochs = [[(inputs[rows], targets[rows]) for rows in order] for order in orders]
    errors = []
    trained = reference.train(
        network, optimizer, epochs, rates=lesson.rates[:, :, index].float().flatten(),
        end=lambda: errors.append([reference.error(network, *evaluated, mode) for mode in MODES]),
    )  # fmt: skip
    results = {}
    for epoch, losses in enumerate(trained.losses.view(2, -1)):
        results[f"loss {epoch}"] = losses
        results |= {f"{mode} {epoch}": e for mode, e in zip(MODES, errors[epoch], strict=True)}
    results |= {name: p.detach() for name, p in network.named_parameters()}
    results |= dict(network.named_buffers())
    for moment in rule.moments:
        for name, p in network.named_parameters():
            results[f"{moment} of {name}"] = optimizer.state[p][MOMENTS[moment]]
    return results, network.nearest


def distance(ours, exact):
    return float((ours.double() - exact).abs().max() / (exact.abs().max() + 0.01))


def agrees(make, rule, lesson, least):
    """As near to float64 as PyTorch's float32 is, for so many networks of the lesson at least."""
    nets, compared = networks(make, len(lesson.seed_of)), 0
    results = together(nets, rule, lesson)
    for index, network in enumerate(nets):
        exact, nearest = alone(network, rule, lesson, index, DOUBLE)
        if nearest < KINK:
            continue
        compared += 1
        theirs, _ = alone(network, rule, lesson, index, torch.float32)
        assert results.keys() == theirs.keys()
        slack = max(distance(theirs[name], exact[name]) for name in exact)
        for name, tensor in results.items():
            assert (tensor.dtype, tensor[index].shape) == (theirs[name].dtype, theirs[name].shape)
            if not tensor.is_floating_point():
                assert torch.equal(tensor[index], theirs[name]), name
                continue
            assert distance(tensor[index], exact[name]) <= 1e-4 + 50 * slack, (index, name)
    assert compared >= least
    return compared


RULES = [
    SGD(), SGD(0.9), SGD(0.5, 0.1, nesterov=True), SGD(weight_decay=0.1),
    Adam(eps=1e-3), Adam(0.5, 0.9, 1e-2, 0.1), AdamW(0.8, 0.9, 1e-2, 2.5),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("kind", HANDMADE)
def test_handmade(kind, rule):
    """Batches of 9, 9 and 5 rows."""
    agrees(HANDMADE[kind], rule, Lesson(3, 2, rows=23, batch=9, size=3), least=1)


def test_the_default_adam():
    agrees(lambda: mlp(3, 1, outputs=2), Adam(), Lesson(3, 2, 23, 9, 5, rate=0.01), least=5)


@pytest.mark.parametrize("batch", range(2, 12))
def test_batch_sizes(batch):
    """Sums and products are computed some rows at a time, and then the rows left over."""
    for name in ("linear layers in a row", "norm first and last"):
        agrees(HANDMADE[name], SGD(), Lesson(3, 2, 2 * batch, batch, size=1), least=1)


@pytest.mark.parametrize("rows", [1, 2, 39, 40, 41, 80, 81, 83])
@pytest.mark.parametrize("norm", [None, "before"])
def test_evaluated_rows(rows, norm):
    lesson = Lesson(3, 3, 12, 5, size=2, evaluated=5 if rows == 1 and norm else rows)
    agrees(lambda: mlp(3, 2, 5, outputs=3, norm=norm), SGD(), lesson, least=2)


@settings(max_examples=max(10, settings.default.max_examples // 2))
@given(st.data(), st.integers(1, 9), st.integers(1, 4), st.sampled_from([*RULES, SGD(0.3, 0.05)]))
def test_drawn(data, features, outputs, rule):
    draw = data.draw
    make = functools.partial(built, (features,), *draw(parts(outputs)))
    least = 4 if any(True for _ in make().buffers()) else 1  # few rows are hard to normalise
    last = draw(st.integers(least, 13))
    batch = draw(st.integers(last, 15))
    rows = last + batch * draw(st.integers(0, 3))
    size = draw(st.sampled_from([1, 3, 17]))
    lesson = Lesson(features, outputs, rows, batch, size, seeds=draw(st.integers(1, 3)), rate=0.02)
    assume(agrees(make, rule, lesson, least=0))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_nan_is_passed_on(activation):
    """A single hidden unit that is NaN, and no more, makes the loss NaN."""
    stack = Stack([mlp(3, 1, 4, activation=activation, outputs=2) for _ in range(2)])
    with torch.no_grad():
        stack.parameters["0.bias"][0, 2] = torch.nan
    losses, _, errors = trained(stack, LESSON.evaluated, torch.zeros(2, 2), 25)
    for values in (*errors, *losses):
        assert values.isnan().tolist() == [True, False]


def test_rates_that_float32_rounds():
    values = [0.1, 1 / 3, 0.0, 1e-40, 1e-300, 1e300, 5e-8, 1 - 1e-12, 16777217.0]
    rates = torch.tensor([values, values[::-1]], dtype=DOUBLE)
    stack = Stack(networks(lambda: mlp(3, 1, outputs=2), len(values)))
    before = stack.parameters["0.weight"].detach().clone()
    _, applied, _ = trained(stack, LESSON.samples, rates, 12)
    assert applied.dtype == torch.float32
    assert torch.equal(applied, rates.float())
    assert torch.isinf(applied).sum() == 2
    assert (stack.parameters["0.weight"][0] != before[0]).any()


def test_refused():
    stack = Stack([mlp(3, outputs=2)] * 2)
    loop, (inputs, targets) = fast.loop(stack), LESSON.samples
    with pytest.raises(ValueError, match="must have 3 inputs, got 2"):
        loop.errors(inputs[:, :2], targets, "eval")
    with pytest.raises(ValueError, match="targets must have 2 columns, got 1"):
        loop.errors(inputs, targets[:, :1], "eval")
    with pytest.raises(KeyError):
        loop.errors(inputs, targets, "train")
    for updates in (2, 4):
        with pytest.raises(ValueError, match=f"rates must be of the 3 updates .* got {updates}"):
            trained(stack, LESSON.samples, torch.zeros(updates, 2), 9)


class Own(nn.Linear):
    """A layer whose ``forward`` could be anything."""


def test_supported():
    linear, still = nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)
    refused = [
        lenet(), mlp().double(), mlp(norm="after").double(), mlp(width=65), mlp(65),
        nn.Sequential(linear, still), nn.Sequential(linear, nn.BatchNorm1d(3).double()),
        nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), linear), nn.Sequential(linear, Own(3, 3)),
    ]  # fmt: skip
    assert [network for network in refused if fast.loop(Stack([network]))] == []
    for make in (*HANDMADE.values(), lambda: mlp(64, width=64)):
        assert fast.loop(Stack([make()])).lanes == 16


SWEEP = """
import json, sys
from lrsched import lab
from lrsched.lab import fast
assert not {"numba", "llvmlite"} & sys.modules.keys()  # before a loop is asked for
sys.modules.update(dict.fromkeys(sys.argv[1:]))  # None: not to be found
networks = {"0": lab.mlp, "1": lambda: lab.mlp(norm="before")}
table = lab.sweep(networks, [0.1, 0.01], 2, lab.polynomial(samples=320), epochs=2).table()
print(json.dumps([fast.loop(lab.Stack([lab.mlp()])) is None, table.to_numpy(float).tolist()]))
"""


def test_without_numba_the_same_to_rounding():
    def swept(*without):
        command = [sys.executable, "-c", SWEEP, *without]
        environment = os.environ | {"TQDM_DISABLE": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    missing, expected = swept()
    assert not missing
    for without in ("numba", "llvmlite"):
        missing, table = swept(without)
        assert missing
        np.testing.assert_allclose(table, expected, rtol=2e-4, atol=1e-6)
        assert table != expected
