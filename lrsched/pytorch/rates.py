"""Rates, and other numbers, as PyTorch optimizers hold them: written, checked and read."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..arguments import Real, number

__all__ = [
    "LR",
    "RATE",
    "Entry",
    "check_tensors",
    "checked",
    "current",
    "held",
    "separate",
    "set_rate",
    "write",
]

RATE = Real(low=0, largest=math.inf)


class Entry(NamedTuple):
    """Where parameter groups hold a number: under a key or, as Adam's betas, within a tuple."""

    key: str
    item: int | None = None

    def __str__(self) -> str:
        return self.key if self.item is None else f"{self.key}[{self.item}]"

    def of(self, group: dict[str, Any]) -> Any:
        value, item = group[self.key], self.item
        return value if item is None else value[item]

    def put(self, group: dict[str, Any], value: Any) -> None:
        key, item = self
        if item is not None:
            items = group[key]
            value = (*items[:item], value, *items[item + 1 :])
        group[key] = value


LR = Entry("lr")


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


def checked(name: str, rate: Any, range: Real = RATE) -> float:
    """A rate as a float, of whatever holds one finite number of at least 0, or of a range."""
    return float(range(name, number(name, rate, range.wanted)))


def write(
    groups: list[dict[str, Any]], rates: list[float], apart: bool = False, entry: Entry = LR
) -> list[Any]:
    """Set the rates of parameter groups; with ``apart``, none shares its tensor with another.

    Returns them as the groups hold them then.
    """
    if not check_tensors(groups, rates, entry):
        for group, rate in zip(groups, rates, strict=True):
            entry.put(group, rate)
        return rates
    if apart:
        separate(groups, entry)
    with torch.inference_mode():  # which can write any tensor, one that requires a gradient too
        for group, rate in zip(groups, rates, strict=True):
            value = entry.of(group)
            if isinstance(value, Tensor):
                value.fill_(rate)
            else:
                entry.put(group, rate)
    return held(groups, entry)


def check_tensors(groups: list[dict[str, Any]], rates: list[float], entry: Entry = LR) -> bool:
    """Whether any rate is held as a tensor. One that cannot hold that of its group is refused."""
    tensors = False
    for group, rate in zip(groups, rates, strict=True):
        lr = entry.of(group)
        if not isinstance(lr, Tensor):
            continue
        tensors = True
        kind = "rate" if entry is LR else "value"
        usable = lr.is_floating_point() and lr.layout == torch.strided and not lr.is_meta
        if not usable or lr.numel() != 1:
            raise TypeError(
                f"optimizer: an '{entry}' that is a tensor must be a dense floating-point tensor "
                f"of one element, to hold the {kind} {rate!r}, got {lr!r}"
            )
        if rate > torch.finfo(lr.dtype).max:
            raise ValueError(
                f"optimizer: an '{entry}' that is a tensor must be able to hold the {kind} "
                f"{rate!r}, got one of {lr.dtype}, which ends at {torch.finfo(lr.dtype).max:g}"
            )
    return tensors


def separate(groups: list[dict[str, Any]], entry: Entry = LR) -> None:
    """Give groups that share a tensor, or its memory, one each."""
    taken = set()
    for group in groups:
        lr = entry.of(group)
        if isinstance(lr, Tensor):
            if lr.data_ptr() in taken:
                lr = current(lr).requires_grad_(lr.requires_grad)
                entry.put(group, lr)
            taken.add(lr.data_ptr())


def held(groups: list[dict[str, Any]], entry: Entry = LR) -> list[Any]:
    """The rates that groups have now."""
    return [current(entry.of(group)) for group in groups]


def current(lr: Any) -> Any:
    """A rate as it is now: plain, and apart from the optimizer's."""
    if isinstance(lr, Tensor):
        return lr.detach().clone()
    try:
        return number("lr", lr)
    except TypeError:  # an optimizer's own sign, such as None
        return lr
