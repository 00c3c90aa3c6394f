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
    assert len(set(network)) == len(network)  # none at two places
    linears = [str(layer) for layer in network if isinstance(layer, nn.Linear)]
    pairs = itertools.pairwise([7, *[6] * depth, 3])
    assert linears == [str(nn.Linear(*pair)) for pair in pairs]
    norms = {str(layer) for layer in network if isinstance(layer, nn.BatchNorm1d)}
    assert norms <= {str(nn.BatchNorm1d(6, momentum=0.25))}
    assert network(torch.zeros(4, 7)).shape == (4, 3)


def test_mlp_by_default():
    """That of the book: 3 hidden layers of 4 units for 5 features."""
    assert str(lab.mlp()) == str(lab.mlp(5, 3, 4, 1, "tanh", None, 0.1))
    assert str(lab.mlp(norm="after")) == str(lab.mlp(norm="after", momentum=0.1))


def test_mlps_that_differ_in_norm_alone_start_alike():
    starts = []
    for norm in (None, "before", "after"):
        torch.manual_seed(3)
        network = lab.mlp(norm=norm)
        starts.append([layer.state_dict() for layer in network if isinstance(layer, nn.Linear)])
        starts[-1].append({"next": torch.rand(3)})  # and draw as much
    for other in starts[1:]:
        torch.testing.assert_close(other, starts[0], rtol=0, atol=0)


# By argument: values out of its range, and at last one of a wrong kind.
WRONG = {
    lab.mlp: {
        "features": (0, 5.0), "depth": (-1, 1.5), "width": (0, True), "outputs": (0, "1"),
        "activation": ("sigmoid", nn.Tanh), "norm": ("batch", True),
        "momentum": (-0.1, 1.01, float("nan"), "0.1"),
    },
    lab.transformer: {
        "side": (0, 28.0), "classes": (0, None), "patch": (0, 7.0), "width": (0, 32.0),
        "heads": (0, True), "depth": (0, 1.5), "norm": ("batch", None),
        "activation": ("tanh", nn.ReLU),
    },
    lenet: {"side": (3, 8.0), "classes": (1, None), "width": (0, True)},
    perceptron: {"side": (0, 8.0), "classes": (0, None), "width": (0, True)},
}  # fmt: skip
CASES = [
    (make, name, value, TypeError if value is values[-1] else ValueError)
    for make, arguments in WRONG.items()
    for name, values in arguments.items()
    for value in values
]


@pytest.mark.parametrize(("make", "name", "value", "error"), CASES)
def test_wrong_arguments(make, name, value, error):
    with pytest.raises(error, match=rf"^{name} must be .*got {value!r}"):
        make(**{name: value})


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
