"""The plain training loop that the tests compare with: one network, by PyTorch alone."""

import copy
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import mse_loss

from lrsched.lab import SGD, Adam, AdamW

# With a small eps, Adam divides tiny gradients by their own size: rounding decides signs.
DECAYS = st.just(0.0) | st.floats(1e-4, 0.1)
OPTIMIZERS = (
    st.builds(SGD, st.floats(0, 0.9), DECAYS)
    | st.builds(SGD, st.floats(0.1, 0.9), DECAYS, st.just(True))
    | st.builds(Adam, st.floats(0, 0.95), st.floats(0, 0.999), st.floats(1e-3, 0.1), DECAYS)
    | st.builds(AdamW, st.floats(0, 0.95), st.floats(0, 0.999), st.floats(1e-3, 0.1), DECAYS)
)


class Trained(NamedTuple):
    """What a training gave; of each step the loss and the outputs before its update."""

    network: nn.Module
    losses: torch.Tensor  # [steps]
    outputs: list[torch.Tensor]
    rates: list[float]  # that the updates used


def native(rule, parameters, lr=1.0):
    """PyTorch's own optimizer for one of the lab."""
    if isinstance(rule, Adam):
        betas = rule.beta1, rule.beta2
        return getattr(torch.optim, type(rule).__name__)(
            parameters, lr, betas, rule.eps, rule.weight_decay
        )
    settings = {"weight_decay": rule.weight_decay, "nesterov": rule.nesterov}
    return torch.optim.SGD(parameters, lr, rule.momentum, **settings)


def train(
    network, optimizer, epochs, *, criterion=mse_loss, rates=None, scheduler=None,
    end=lambda: None,
):  # fmt: skip
    """Train a network, in place.

    Args:
        network: any module.
        optimizer: one of PyTorch's, of its parameters.
        epochs: for each epoch its batches, pairs of inputs and targets.
        criterion: the loss; ``cross_entropy`` for labels.
        rates: the rate of each step; None: that of the optimizer.
        scheduler: what has a ``step()`` to call after each update.
        end: called after each epoch, say to measure, or to step a scheduler that counts epochs.

    Returns:
        A :class:`Trained`.
    """
    losses, every_output, applied = [], [], []
    (group,), rates = optimizer.param_groups, None if rates is None else iter(rates)
    for batches in epochs:
        network.train()
        for inputs, targets in batches:
            if rates:
                group["lr"] = float(next(rates))
            optimizer.zero_grad()
            outputs = network(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            applied.append(group["lr"])
            optimizer.step()
            if scheduler:
                scheduler.step()
            losses.append(loss.detach())
            every_output.append(outputs.detach())
        end()
    return Trained(network, torch.stack(losses), every_output, applied)


@torch.no_grad()
def error(network, inputs, targets, mode="eval", criterion=mse_loss):
    """The loss on some samples, and the network stays as it is.

    In the mode "precise" it normalises by their own statistics, else by the running ones.
    """
    return criterion(copy.deepcopy(network).train(mode == "precise")(inputs), targets)
