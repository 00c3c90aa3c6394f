"""Many networks of one kind as one program."""

import copy
import functools
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import (
    Form,
    MeanOverTokens,
    Own,
    Tokens,
    encoded,
    for_tokens,
    linear,
    normalised,
    printed,
    split,
)

__all__ = ["Stack", "normalises"]

LAYERS = (
    nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.LayerNorm, nn.ReLU, nn.GELU, nn.Tanh, nn.MaxPool2d,
    nn.Flatten, nn.TransformerEncoderLayer, Tokens, MeanOverTokens,
)  # fmt: skip


class Stack:
    r"""Networks of one architecture, computed side by side as one program.

    The first convolution of :math:`R` networks is one convolution with :math:`R` times the
    channels, each further one a grouped convolution, each linear layer a batched matrix
    product, also within a transformer, and each batch normalisation one with :math:`R` times
    the units. Nothing flows from one network to another, so each is the network that it would
    be alone, up to the rounding of sums in another order.

    Args:
        networks: ``nn.Sequential`` of ``Conv2d``, ``Linear``, ``BatchNorm1d``, ``LayerNorm``,
            ``ReLU``, ``GELU``, ``Tanh``, ``MaxPool2d`` and ``Flatten`` layers and of those of
            :func:`transformer`, all alike. Their weights are copied.
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
            another layer, one that does not fit behind the one before, or a transformer layer
            with dropout, other activations than ReLU and GELU, or without ``batch_first``.
        ValueError: no network, or networks that differ in more than their weights.

    >>> from lrsched.lab import lenet
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
            if (printed(network), _names(network)) != (printed(networks[0]), _names(networks[0])):
                raise ValueError(
                    "networks must differ in their weights alone, got\n"
                    f"{printed(networks[0])}\nand\n{printed(network)}"
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
            for name, layer in self._template.named_modules(remove_duplicate=False)
            if name and "." not in name
        ]

    def _compile(self) -> list[Form]:
        """What to do for each layer, and at last to give the outputs of each network."""
        forms: list[Form] = []
        kind, fresh = "inputs", False
        parts = self.layers()
        for position, (_, layer) in enumerate(parts[:-1]):
            if isinstance(layer, nn.ReLU) and isinstance(parts[position + 1][1], nn.MaxPool2d):
                # The two commute exactly, and after pooling there is a quarter left to do.
                parts[position : position + 2] = parts[position + 1], parts[position]
        for name, layer in parts:
            form, kind, fresh = self._form(name, layer, kind, fresh)
            forms.append(form)
        outputs = {"columns": _turned, "maps": self._each}
        return [*forms, outputs[kind]] if kind in outputs else forms

    def _form(self, name: str, layer: nn.Module, kind: str, fresh: bool) -> tuple[Form, str, bool]:
        """What to do for a layer, the kind of its outputs, and whether these are fresh.

        Args:
            name, layer: the layer.
            kind: that of what the layer is given. Inputs: [batch, ...], the same for all
                networks. Maps: [batch, networks * channels, height, width]. Columns: [networks,
                features, batch]; so ordered, the values of a unit lie together, which is what
                batch normalisation and small matrix products are fastest on. Tokens: [networks,
                batch, tokens, width].
            fresh: whether its values may be overwritten.
        """
        own = self._own(name, layer)
        match layer, kind:
            case nn.Conv2d(), "inputs" | "maps":
                return self._convolution(layer, own, kind == "inputs"), "maps", True
            case nn.Linear(), "tokens":
                return for_tokens(linear(own)), "tokens", False
            case nn.Linear(), _:
                return self._linear(own), "columns", True
            case nn.BatchNorm1d(), "inputs" | "maps" | "columns":
                # The outputs are a view: to overwrite it costs a copy.
                return self._normalisation(name, layer, own), "columns", False
            case nn.LayerNorm(), "tokens":
                return for_tokens(normalised(layer, own)), "tokens", False
            case nn.LayerNorm(), _:
                normalise = normalised(layer, own)
                return lambda x: _turned(normalise(_turned(self._columns(x)))), "columns", False
            case nn.MaxPool2d(), "inputs" | "maps":
                return self._pooling(layer), kind, True
            case nn.ReLU(), _:
                return F.relu_ if fresh else F.relu, kind, False
            case nn.Tanh(), _:
                return torch.tanh_ if fresh else torch.tanh, kind, False
            case nn.GELU(), _:
                return functools.partial(F.gelu, approximate=layer.approximate), kind, False
            case nn.Flatten(start_dim=1, end_dim=-1), _:
                flat = {"inputs": _flat, "maps": self._flat_maps, "tokens": _flat_tokens}
                return flat.get(kind, _same), kind if kind == "inputs" else "columns", False
            case Tokens(), "inputs" | "maps":
                return split(own, 1 if kind == "inputs" else self.size), "tokens", False
            case nn.TransformerEncoderLayer(), "tokens":
                return encoded(layer, own), "tokens", False
            case MeanOverTokens(), "tokens":
                return lambda x: _turned(x.mean(2)), "columns", False
        if isinstance(layer, LAYERS) and not isinstance(layer, nn.Flatten):
            raise TypeError(
                f"networks must have layers that fit behind one another, got {kind} for {layer}"
            )
        raise TypeError(
            f"networks must be made of {', '.join(kind.__name__ for kind in LAYERS[:-1])} and "
            f"{LAYERS[-1].__name__} layers, got {layer}"
        )

    def _own(self, name: str, layer: nn.Module) -> Own:
        """The weights of a layer by their names in it."""
        names = [each for each, _ in layer.named_parameters(remove_duplicate=False)]
        if not {f"{name}.{each}" for each in names} <= self.parameters.keys():
            raise TypeError(
                f"networks must share layers as a whole, no single weights of them, got {layer}"
            )
        return {each: self.parameters[f"{name}.{each}"] for each in names}

    def _convolution(self, layer: nn.Conv2d, own: Own, shared: bool) -> Form:
        plain = (layer.groups, layer.padding_mode, layer.dilation) == (1, "zeros", (1, 1))
        if not plain or isinstance(layer.padding, str):
            raise TypeError(
                "networks must have convolutions of one group, without dilation, padded by "
                f"numbers of zeros, got {layer}"
            )
        weight, bias = own["weight"], own.get("bias")
        stride, padding = layer.stride, cast(tuple[int, int], layer.padding)
        groups = 1 if shared else self.size

        def convolve(x: Tensor) -> Tensor:
            flat = None if bias is None else bias.flatten()
            return F.conv2d(x, weight.flatten(0, 1), flat, stride, padding, 1, groups)

        return convolve

    def _linear(self, own: Own) -> Form:
        weight, bias = own["weight"], own.get("bias")

        def multiply(x: Tensor) -> Tensor:
            x = self._columns(x)
            if bias is None:
                return torch.bmm(weight, x)
            return torch.baddbmm(bias[:, :, None], weight, x)

        return multiply

    def _normalisation(self, name: str, layer: nn.BatchNorm1d, own: Own) -> Form:
        if layer.momentum is None:
            raise TypeError(f"networks must have normalisations with a momentum, got {layer}")
        weight, bias = own.get("weight"), own.get("bias")
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
                "networks must have a Flatten layer between images and the first Linear, "
                f"BatchNorm1d or LayerNorm layer, got {self._template}"
            )
        return x.t().expand(self.size, *x.shape[::-1]) if x.dim() == 2 else x

    def _pooling(self, layer: nn.MaxPool2d) -> Form:
        settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        return lambda x: F.max_pool2d(x, *cast(Any, settings))

    def _each(self, maps: Tensor) -> Tensor:
        """Those of each network, [networks, batch, channels, height, width]."""
        batch, channels, height, width = maps.shape
        each = maps.view(batch, self.size, channels // self.size, height, width)
        return each.transpose(0, 1)

    def _flat_maps(self, maps: Tensor) -> Tensor:
        return _turned(self._each(maps).flatten(2))

    def __call__(self, inputs: Tensor) -> Tensor:
        """The outputs of all networks, [networks, batch, ...].

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


def _same(x: Tensor) -> Tensor:
    return x


def _turned(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def _flat_tokens(x: Tensor) -> Tensor:
    return _turned(x.flatten(2))


def _flat(x: Tensor) -> Tensor:
    return x if x.dim() == 3 else x.flatten(1)  # each network's own rows are flat already
