"""Networks, and many networks of one kind as one program."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import Whole

__all__ = ["Stack", "lenet"]


def lenet(side: int = 28, classes: int = 10, width: int = 1) -> nn.Sequential:
    """The LeNet of 1998 with today's parts: ReLU, and the largest value in place of the mean.

    Two convolutions of 6 and 16 channels with 5 by 5 kernels, each followed by a ReLU and by
    pooling over 2 by 2, then fully connected layers of 120, 84 and ``classes`` units. Weights
    start as PyTorch draws them, from its global generator.

    Args:
        side: the side of the square, one-channel images in pixels, at least 4. From 12 on the
            second convolution has no padding, as in the original; smaller images would leave
            it nothing to see, so there it pads by 2.
        classes: the number of outputs.
        width: multiplies the channels and the units of the hidden layers.

    Raises:
        TypeError or ValueError: an argument that is not whole or too small.

    LeCun, Bottou, Bengio and Haffner, *Gradient-based learning applied to document
    recognition*, 1998.

    >>> lenet()(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    side = Whole(low=4)("side", side)
    classes = Whole(low=2)("classes", classes)
    width = Whole(low=1)("width", width)
    padding = 0 if side >= 12 else 2
    left = (side // 2 - 4 + 2 * padding) // 2
    return nn.Sequential(
        nn.Conv2d(1, 6 * width, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6 * width, 16 * width, 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * width * left**2, 120 * width),
        nn.ReLU(),
        nn.Linear(120 * width, 84 * width),
        nn.ReLU(),
        nn.Linear(84 * width, classes),
    )


class Stack:
    r"""Networks of one architecture, computed side by side as one program.

    All see the same inputs. The first convolution of :math:`R` networks is one convolution
    with :math:`R` times the channels, each further one a grouped convolution, and each linear
    layer a batched matrix product. Nothing flows from one network to another, so each is the
    network that it would be alone, up to the rounding of sums in another order.

    Args:
        networks: ``nn.Sequential`` of ``Conv2d``, ``Linear``, ``ReLU``, ``Tanh``,
            ``MaxPool2d`` and ``Flatten`` layers, all alike. Their weights are copied.
        device: where to compute; None: where the first network is.

    Attributes:
        parameters: the weights by their names in the networks, each with the networks along a
            new first axis.

    Raises:
        TypeError: a network that is no ``nn.Sequential`` or has a ``forward`` of its own, or has
            another layer.
        ValueError: no network, or networks that differ in more than their weights.

    >>> stack = Stack([lenet() for _ in range(3)])
    >>> stack(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([3, 2, 10])
    """

    def __init__(
        self, networks: Sequence[nn.Sequential], device: torch.device | str | None = None
    ) -> None:
        if not networks:
            raise ValueError("networks must hold at least one network, got none")
        for network in networks:
            if getattr(type(network), "forward", None) is not nn.Sequential.forward:
                raise TypeError(
                    f"networks must be torch.nn.Sequential, got a {type(network).__name__}"
                )
            if str(network) != str(networks[0]):
                raise ValueError(
                    "networks must differ in their weights alone, got\n"
                    f"{networks[0]}\nand\n{network}"
                )
        self.size = len(networks)
        self._template = copy.deepcopy(networks[0])
        self.parameters: dict[str, Tensor] = {}
        for name, first in networks[0].named_parameters():
            each = [network.get_parameter(name).detach() for network in networks]
            stacked = torch.stack(each).to(device or first.device)
            if stacked.dim() == 5 and stacked.shape[:2].numel() > 1:
                # Of a convolution: the order of channels_last, but for a single output channel,
                # which some of PyTorch's convolutions refuse in it.
                stacked = stacked.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
            self.parameters[name] = stacked.requires_grad_()
        self._layers = self._compile()

    def _compile(self) -> list[Callable[[Tensor], Tensor]]:
        """What to do for each layer. A layer's input is one of three kinds.

        Shared: [batch, channels, height, width], the same for all networks. Maps: [batch,
        networks * channels, height, width]. Rows: [networks, batch, features].
        """
        layers: list[Callable[[Tensor], Tensor]] = []
        kind, fresh = "shared", False  # fresh: the values may be overwritten
        first: dict[nn.Module, str] = {}  # a layer at two places has one name, its first
        parts = [(first.setdefault(layer, name), layer) for name, layer in
                 self._template._modules.items() if layer is not None]  # fmt: skip
        for position, (_, layer) in enumerate(parts[:-1]):
            if isinstance(layer, nn.ReLU) and isinstance(parts[position + 1][1], nn.MaxPool2d):
                # The two commute exactly, and after pooling there is a quarter left to do.
                parts[position : position + 2] = parts[position + 1], parts[position]
        for name, layer in parts:
            match layer:
                case nn.Conv2d():
                    layers.append(self._convolution(name, layer, kind == "shared"))
                    kind, fresh = "maps", True
                case nn.Linear():
                    layers.append(self._linear(name))
                    kind, fresh = "rows", True
                case nn.MaxPool2d():
                    layers.append(self._pooling(layer))
                    fresh = True
                case nn.ReLU():
                    layers.append(F.relu_ if fresh else F.relu)
                    fresh = False
                case nn.Tanh():
                    layers.append(torch.tanh)
                    fresh = False
                case nn.Flatten(start_dim=1, end_dim=-1):
                    if kind == "maps":
                        layers.append(self._rows)
                        kind = "rows"
                    elif kind == "shared":
                        layers.append(_flat)
                    fresh = False
                case _:
                    raise TypeError(
                        "networks must be made of Conv2d, Linear, ReLU, Tanh, MaxPool2d and "
                        f"Flatten layers, got {layer}"
                    )
        return layers

    def _convolution(self, name: str, layer: nn.Conv2d, shared: bool) -> Callable[[Tensor], Tensor]:
        plain = (layer.groups, layer.padding_mode, layer.dilation) == (1, "zeros", (1, 1))
        if not plain or isinstance(layer.padding, str):
            raise TypeError(
                "networks must have convolutions of one group, without dilation, padded by "
                f"numbers of zeros, got {layer}"
            )
        weight, bias = self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias")
        stride, padding = layer.stride, cast(tuple[int, int], layer.padding)
        groups = 1 if shared else self.size

        def convolve(x: Tensor) -> Tensor:
            flat = None if bias is None else bias.flatten()
            return F.conv2d(x, weight.flatten(0, 1), flat, stride, padding, 1, groups)

        return convolve

    def _linear(self, name: str) -> Callable[[Tensor], Tensor]:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias")

        def multiply(x: Tensor) -> Tensor:
            if x.dim() == 2:
                x = x.expand(self.size, *x.shape)
            if bias is None:
                return torch.bmm(x, weight.transpose(1, 2))
            return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))

        return multiply

    def _pooling(self, layer: nn.MaxPool2d) -> Callable[[Tensor], Tensor]:
        settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        return lambda x: F.max_pool2d(x, *cast(Any, settings))

    def _rows(self, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        split = maps.view(batch, self.size, channels // self.size, height, width)
        return split.transpose(0, 1).reshape(self.size, batch, -1)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The outputs of all networks, [networks, batch, outputs], for inputs [batch, ...]."""
        for layer in self._layers:
            inputs = layer(inputs)
        return inputs

    def network(self, index: int) -> nn.Sequential:
        """One of the networks by itself, with a copy of its present weights."""
        if index not in range(self.size):
            raise IndexError(f"index must be from 0 to {self.size - 1}, got {index!r}")
        network = copy.deepcopy(self._template).to(next(iter(self.parameters.values())).device)
        with torch.no_grad():
            for name, weights in self.parameters.items():
                network.get_parameter(name).copy_(weights[index])
        return network


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)
