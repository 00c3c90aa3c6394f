"""The argument that makes networks: checked, by label, and an example of each."""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .data import Data, Regression
from .networks import lenet
from .plain import labelled
from .seeds import Network, made
from .stack import Stack
from .task import Task

__all__ = ["example", "makers_of"]


def makers_of(network: Any, data: Data | Regression) -> dict[str, Network]:
    """What makes each network, by label."""
    if network is None and isinstance(data, Data):
        return {"": functools.partial(lenet, data.side, len(data.classes))}
    if not isinstance(network, Mapping):
        return {"": network}
    if not network:
        raise ValueError("network must hold at least one network, got none")
    makers = labelled("network", network)
    if "" in makers and len(makers) > 1:
        raise ValueError("network must have a label for each of several, got '' for one")
    return makers


def example(label: str, make: Any, task: Task) -> nn.Sequential:
    """The network of seed 0."""
    name = f"network[{label!r}]" if label else "network"
    network = made(name, make, 0)
    own = Stack([network], "cpu")  # knows all its layers
    if not own.parameters:
        raise ValueError(f"{name} must make a network with weights to train, got {network!r}")
    example = task.example.cpu()
    own.mode = "eval"
    try:
        with torch.no_grad():
            outputs = own(torch.cat([example, example]))  # a normalisation may need as many
    except (IndexError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} must take inputs of shape {list(example.shape)}, got: {error}"
        ) from error
    task.check_outputs(name, [1, *outputs.shape[2:]])
    return network
