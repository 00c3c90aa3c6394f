"""The networks of the lab: their layers, sizes and arguments."""

import itertools

import pytest
import torch
from torch import nn

from lrsched import lab
from lrsched.lab import lenet, perceptron

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


WRONG = [
    *((lab.mlp, *case) for case in (
        ({"features": 0}, ValueError), ({"features": 5.0}, TypeError), ({"depth": -1}, ValueError),
        ({"depth": None}, TypeError), ({"depth": 1.5}, TypeError), ({"width": 0}, ValueError),
        ({"width": True}, TypeError), ({"outputs": 0}, ValueError), ({"outputs": "1"}, TypeError),
        ({"activation": "sigmoid"}, ValueError), ({"activation": None}, TypeError),
        ({"activation": nn.Tanh}, TypeError), ({"norm": "batch"}, ValueError),
        ({"norm": True}, TypeError), ({"momentum": -0.1}, ValueError),
        ({"momentum": 1.01}, ValueError), ({"momentum": float("nan")}, ValueError),
        ({"momentum": None}, TypeError), ({"momentum": "0.1"}, TypeError),
    )),
    *((lenet, *case) for case in (
        ({"side": 3}, ValueError), ({"side": 8.0}, TypeError), ({"classes": 1}, ValueError),
        ({"classes": None}, TypeError), ({"width": 0}, ValueError), ({"width": True}, TypeError),
    )),
    *((perceptron, *case) for case in (
        ({"side": 0}, ValueError), ({"side": 8.0}, TypeError), ({"classes": 0}, ValueError),
        ({"width": 0}, ValueError), ({"width": None}, TypeError),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("make", "wrong", "error"), WRONG)
def test_wrong_arguments(make, wrong, error):
    ((name, value),) = wrong.items()
    with pytest.raises(error, match=rf"^{name} must be .*got {value!r}"):
        make(**wrong)


@pytest.mark.parametrize("momentum", [0, 1, 0.0, 1.0])
def test_the_momentum_may_be_at_its_ends(momentum):
    assert lab.mlp(norm="before", momentum=momentum)[1].momentum == momentum


def test_lenet():
    for side in (4, 5, 8, 11, 12, 13, 28, 32):
        assert lenet(side, 7, 2)(torch.zeros(3, 1, side, side)).shape == (3, 7)
    # As in the text: 6 * 26 + 16 * 151 + 120 * 401 + 84 * 121 + 10 * 85.
    assert sum(p.numel() for p in lenet().parameters()) == 61_706


def test_perceptron():
    network = perceptron(8, 3, 5)
    assert [type(layer) for layer in network] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    assert network[1].out_features == 5
