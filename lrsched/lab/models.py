"""Networks, and many networks of one kind as one program."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import Choice, OrNone, Real, Whole

__all__ = ["Stack", "lenet", "mlp", "perceptron"]

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


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


def mlp(
    features: int = 5,
    depth: int = 3,
    width: int = 4,
    outputs: int = 1,
    activation: str = "tanh",
    norm: str | None = None,
    momentum: float = 0.1,
) -> nn.Sequential:
    """A fully connected network, with or without batch normalisation.

    ``depth`` hidden layers of ``width`` units, then a linear layer. ``norm="before"``
    normalises what goes into each activation, ``norm="after"`` what comes out of it; the
    parameters are the same. Weights start as PyTorch draws them, from its global generator,
    and normalisation draws none: networks that differ in ``norm`` alone start alike.

    Args:
        features, outputs: the numbers of inputs and outputs, at least 1.
        depth: the number of hidden layers, at least 0.
        width: the units of each, at least 1.
        activation: "tanh" or "relu".
        norm: None, "before" or "after".
        momentum: the share of the newest batch in the running statistics, from 0 to 1, as
            PyTorch counts it; Keras names what is left, 1 - momentum.

    Raises:
        TypeError or ValueError: an argument out of its range.

    Ioffe and Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift*, 2015.

    >>> mlp(depth=1, norm="before")
    Sequential(
      (0): Linear(in_features=5, out_features=4, bias=True)
      (1): BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, ...)
      (2): Tanh()
      (3): Linear(in_features=4, out_features=1, bias=True)
    )
    """
    features = Whole(low=1)("features", features)
    depth = Whole()("depth", depth)
    width = Whole(low=1)("width", width)
    outputs = Whole(low=1)("outputs", outputs)
    activate = ACTIVATIONS[Choice(tuple(ACTIVATIONS))("activation", activation)]
    norm = OrNone(Choice(("before", "after")))("norm", norm)
    momentum = float(Real(low=0, largest=1)("momentum", momentum))

    def normalised(where: str) -> list[nn.Module]:
        return [nn.BatchNorm1d(width, momentum=momentum)] if norm == where else []

    layers: list[nn.Module] = []
    for inputs in [features, *[width] * depth][:depth]:
        layers += [
            nn.Linear(inputs, width), *normalised("before"), activate(), *normalised("after"),
        ]  # fmt: skip
    return nn.Sequential(*layers, nn.Linear(width if depth else features, outputs))


def perceptron(side: int = 28, classes: int = 10, width: int = 64) -> nn.Sequential:
    """One hidden layer with ReLU between an image and its classes.

    Args:
        side: the side of the square, one-channel images in pixels, at least 1.
        classes: the number of outputs, at least 1.
        width: the units of the hidden layer, at least 1.

    Raises:
        TypeError or ValueError: an argument that is not whole or too small.

    >>> perceptron(8)
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Linear(in_features=64, out_features=64, bias=True)
      (2): ReLU()
      (3): Linear(in_features=64, out_features=10, bias=True)
    )
    """
    side = Whole(low=1)("side", side)
    classes = Whole(low=1)("classes", classes)
    width = Whole(low=1)("width", width)
    return nn.Sequential(nn.Flatten(), *mlp(side**2, 1, width, classes, "relu"))


class Stack:
    r"""Networks of one architecture, computed side by side as one program.

    The first convolution of :math:`R` networks is one convolution with :math:`R` times the
    channels, each further one a grouped convolution, each linear layer a batched matrix
    product, and each normalisation one with :math:`R` times the units. Nothing flows from one
    network to another, so each is the network that it would be alone, up to the rounding of
    sums in another order.

    Args:
        networks: ``nn.Sequential`` of ``Conv2d``, ``Linear``, ``BatchNorm1d``, ``ReLU``,
            ``Tanh``, ``MaxPool2d`` and ``Flatten`` layers, all alike. Their weights are copied.
        device: where to compute; None: where the first network is.

    Attributes:
        parameters: the weights by their names in the networks, each with the networks along a
            new first axis.
        buffers: the running statistics of ``BatchNorm1d`` likewise.
        mode: what ``BatchNorm1d`` normalises by. "train": the statistics of the batch, which
            also go into the running ones; "eval": the running statistics; "precise": those of
            the inputs, and nothing is kept. With all training samples as the inputs the last
            is what Wu and Johnson call PreciseBN (*Rethinking "Batch" in BatchNorm*, 2021).

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
        different = list(dict.fromkeys(networks))  # thousands of runs may start from a few
        for network in different:
            if getattr(type(network), "forward", None) is not nn.Sequential.forward:
                raise TypeError(
                    f"networks must be torch.nn.Sequential, got a {type(network).__name__}"
                )
            if (str(network), _names(network)) != (str(networks[0]), _names(networks[0])):
                raise ValueError(
                    "networks must differ in their weights alone, got\n"
                    f"{networks[0]}\nand\n{network}"
                )
        self.size = len(networks)
        self.mode = "train"
        self._template = copy.deepcopy(networks[0])
        place = {network: index for index, network in enumerate(different)}
        index = torch.tensor([place[network] for network in networks], device="cpu")

        def stacked(tensors: Iterable[Tensor]) -> Tensor:
            every = torch.stack([tensor.detach() for tensor in tensors])
            return every[index.to(every.device)].to(device or every.device)

        self.parameters: dict[str, Tensor] = {}
        for name, _ in networks[0].named_parameters():
            weights = stacked(network.get_parameter(name) for network in different)
            if weights.dim() == 5 and weights.shape[:2].numel() > 1:
                # Of a convolution: the order of channels_last, but for a single output channel,
                # which some of PyTorch's convolutions refuse in it.
                weights = weights.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
            self.parameters[name] = weights.requires_grad_()
        self.buffers = {
            name: stacked(network.get_buffer(name) for network in different)
            for name, _ in networks[0].named_buffers()
        }
        self._layers = self._compile()

    def layers(self) -> list[tuple[str, nn.Module]]:
        """The layers of a network by name; one that stands at two places has its first at both."""
        first: dict[nn.Module, str] = {}
        return [
            (first.setdefault(layer, name), layer)
            for name, layer in self._template._modules.items()
            if layer is not None
        ]

    def _compile(self) -> list[Callable[[Tensor], Tensor]]:
        """What to do for each layer. A layer's input is one of three kinds.

        Shared: [batch, ...], the same for all networks. Maps: [batch, networks * channels,
        height, width]. Columns: [networks, features, batch]; so ordered, the values of a unit
        lie together, which is what normalisation and small matrix products are fastest on.
        """
        layers: list[Callable[[Tensor], Tensor]] = []
        kind, fresh = "shared", False  # fresh: the values may be overwritten
        parts = self.layers()
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
                    kind, fresh = "columns", True
                case nn.BatchNorm1d():
                    layers.append(self._normalisation(name, layer))
                    kind, fresh = "columns", False  # a view: to overwrite it costs a copy
                case nn.MaxPool2d():
                    layers.append(self._pooling(layer))
                    fresh = True
                case nn.ReLU():
                    layers.append(F.relu_ if fresh else F.relu)
                    fresh = False
                case nn.Tanh():
                    layers.append(torch.tanh_ if fresh else torch.tanh)
                    fresh = False
                case nn.Flatten(start_dim=1, end_dim=-1):
                    if kind == "maps":
                        layers.append(self._flat_maps)
                        kind = "columns"
                    elif kind == "shared":
                        layers.append(_flat)
                    fresh = False
                case _:
                    raise TypeError(
                        "networks must be made of Conv2d, Linear, BatchNorm1d, ReLU, Tanh, "
                        f"MaxPool2d and Flatten layers, got {layer}"
                    )
        if kind == "columns":
            layers.append(lambda x: x.transpose(1, 2))
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
            x = self._columns(x)
            if bias is None:
                return torch.bmm(weight, x)
            return torch.baddbmm(bias[:, :, None], weight, x)

        return multiply

    def _normalisation(self, name: str, layer: nn.BatchNorm1d) -> Callable[[Tensor], Tensor]:
        if layer.momentum is None:
            raise TypeError(f"networks must have normalisations with a momentum, got {layer}")
        weight, bias = (self.parameters.get(f"{name}.{part}") for part in ("weight", "bias"))
        mean, variance, count = (
            self.buffers.get(f"{name}.{part}")
            for part in ("running_mean", "running_var", "num_batches_tracked")
        )
        momentum, eps = layer.momentum, layer.eps

        def normalise(x: Tensor) -> Tensor:
            x = self._columns(x)
            scale, shift = (None if p is None else p.flatten() for p in (weight, bias))
            running = (mean, variance) if self.mode != "precise" else (None, None)
            running_mean, running_variance = (None if b is None else b.view(-1) for b in running)
            if count is not None and self.mode == "train":
                count.add_(1)
            by_batch = self.mode == "train" or running_mean is None
            # All units of all networks as the channels of one sample, which lies as x does.
            units = x.reshape(1, -1, x.shape[2])
            units = F.batch_norm(
                units, running_mean, running_variance, scale, shift, by_batch, momentum, eps
            )
            return units.view(x.shape)

        return normalise

    def _columns(self, x: Tensor) -> Tensor:
        if x.dim() > 3:
            raise ValueError(
                "networks must have a Flatten layer between images and the first Linear or "
                f"BatchNorm1d layer, got {self._template}"
            )
        return x.t().expand(self.size, *x.shape[::-1]) if x.dim() == 2 else x

    def _pooling(self, layer: nn.MaxPool2d) -> Callable[[Tensor], Tensor]:
        settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        return lambda x: F.max_pool2d(x, *cast(Any, settings))

    def _flat_maps(self, maps: Tensor) -> Tensor:
        batch, channels, height, width = maps.shape
        split = maps.view(batch, self.size, channels // self.size, height, width)
        return split.transpose(0, 1).reshape(self.size, batch, -1).transpose(1, 2)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The outputs of all networks, [networks, batch, outputs].

        Inputs are the same for all, [batch, ...], or each network's own, [networks, batch,
        features].
        """
        if inputs.dim() == 3 and len(inputs) != self.size:
            raise ValueError(
                f"inputs must be [batch, ...] or [{self.size}, batch, features], "
                f"got {list(inputs.shape)}"
            )
        x = inputs.transpose(1, 2) if inputs.dim() == 3 else inputs
        for layer in self._layers:
            x = layer(x)
        return x

    def network(self, index: int) -> nn.Sequential:
        """One of the networks by itself, with a copy of its present weights."""
        if index not in range(self.size):
            raise IndexError(f"index must be from 0 to {self.size - 1}, got {index!r}")
        network = copy.deepcopy(self._template).to(next(iter(self.parameters.values())).device)
        with torch.no_grad():
            for name, weights in self.parameters.items():
                network.get_parameter(name).copy_(weights[index])
            for name, statistics in self.buffers.items():
                network.get_buffer(name).copy_(statistics[index])
        return network


def normalises(network: nn.Module) -> bool:
    """Whether a network needs its batches whole, and of more than one sample."""
    return any(isinstance(layer, nn.BatchNorm1d) for layer in network.modules())


def _names(network: nn.Module) -> list[str]:
    """Of all weights and statistics: fewer where a layer is at two places."""
    return [name for name, _ in (*network.named_parameters(), *network.named_buffers())]


def _flat(x: Tensor) -> Tensor:
    return x if x.dim() == 3 else x.flatten(1)  # each network's own rows are flat already
