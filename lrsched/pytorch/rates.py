"""Rates as PyTorch optimizers hold them: written, checked and read."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..arguments import Real, number

__all__ = ["RATE", "check_tensors", "checked", "current", "separate", "set_rate", "write"]

RATE = Real(low=0, largest=math.inf)


def set_rate(optimizer: Optimizer, rate: Any) -> None:
    """Set the rate of all parameter groups, in place where it is held as a tensor.

    For rates that are no function of the step:
    ``set_rate(optimizer, plateau.update(validation_loss))``.

    Raises TypeError for a rate that is no number (an array or a tensor of one element is
    one), ValueError for one that is negative, infinite or NaN, and both as :func:`scheduler`
    does for tensors that cannot hold it; the optimizer is then as it was.
    """
    groups = optimizer.param_groups
    write(groups, [checked("rate", rate)] * len(groups))


def checked(name: str, rate: Any) -> float:
    """A rate as a float, of whatever holds one finite number of at least 0."""
    return float(RATE(name, number(name, rate, RATE.wanted)))


def write(groups: list[dict[str, Any]], rates: list[float], apart: bool = False) -> None:
    """Set the rates of parameter groups; with ``apart``, none shares its tensor with another."""
    check_tensors(groups, rates)
    if apart:
        separate(groups)
    with torch.inference_mode():  # which can write any tensor, one that requires a gradient too
        for group, rate in zip(groups, rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def check_tensors(groups: list[dict[str, Any]], rates: list[float]) -> None:
    """Refuse a tensor that cannot hold the rate of its group."""
    for group, rate in zip(groups, rates, strict=True):
        lr = group["lr"]
        if not isinstance(lr, Tensor):
            continue
        usable = lr.is_floating_point() and lr.layout == torch.strided and not lr.is_meta
        if not usable or lr.numel() != 1:
            raise TypeError(
                "optimizer: an 'lr' that is a tensor must be a dense floating-point tensor of "
                f"one element, to hold the rate {rate!r}, got {lr!r}"
            )
        if rate > torch.finfo(lr.dtype).max:
            raise ValueError(
                f"optimizer: an 'lr' that is a tensor must be able to hold the rate {rate!r}, "
                f"got one of {lr.dtype}, which ends at {torch.finfo(lr.dtype).max:g}"
            )


def separate(groups: list[dict[str, Any]]) -> None:
    """Give groups that share a tensor, or its memory, one each."""
    taken = set()
    for group in groups:
        lr = group["lr"]
        if isinstance(lr, Tensor):
            if lr.data_ptr() in taken:
                group["lr"] = current(lr).requires_grad_(lr.requires_grad)
            taken.add(group["lr"].data_ptr())


def current(lr: Any) -> Any:
    """A rate as it is now: plain, and apart from the optimizer's."""
    if isinstance(lr, Tensor):
        return lr.detach().clone()
    try:
        return number("lr", lr)
    except TypeError:  # an optimizer's own sign, such as None
        return lr
