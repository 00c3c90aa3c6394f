"""Tokens and attention: layers for one network, and what they compute for many at once."""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "Form",
    "MeanOverTokens",
    "Own",
    "Tokens",
    "encoded",
    "for_tokens",
    "linear",
    "normalised",
    "printed",
    "split",
]

Own = Mapping[str, Tensor]  # the weights of a layer by name, each [networks, ...]
Form = Callable[[Tensor], Tensor]


class Tokens(nn.Module):
    """Each place of an image as a token: its channels, plus a learned vector for the place.

    Behind a convolution whose stride is its kernel, these are the patches of an image.
    The vectors start as PyTorch draws them, normal with a standard deviation of 0.02.

    Args:
        count: the number of places.
        width: the number of channels.

    >>> Tokens(16, 32)(torch.zeros(2, 32, 4, 4)).shape
    torch.Size([2, 16, 32])
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(count, width))
        nn.init.normal_(self.positions, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2) + self.positions

    def extra_repr(self) -> str:
        count, width = self.positions.shape
        return f"{count}, {width}"


class MeanOverTokens(nn.Module):
    """The mean of the tokens, [batch, tokens, width] to [batch, width].

    >>> MeanOverTokens()(torch.zeros(2, 16, 32)).shape
    torch.Size([2, 32])
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def printed(network: nn.Module) -> str:
    """The network as PyTorch prints it, and what it leaves out of its transformer layers.

    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    >>> print(printed(nn.Sequential(layer)).splitlines()[-1])
    (0): heads=2, norm_first=False, activation=relu
    """
    lines = [str(network)]
    for name, layer in network.named_modules():
        if isinstance(layer, nn.TransformerEncoderLayer):
            heads = getattr(layer.self_attn, "num_heads", None)
            activation = getattr(layer.activation, "__name__", layer.activation)
            lines.append(
                f"({name}): heads={heads}, norm_first={layer.norm_first}, activation={activation}"
            )
    return "\n".join(lines)


# For many networks: rows are [networks, rows, width], tokens [networks, batch, tokens, width]


def for_tokens(form: Form) -> Form:
    """The same for tokens as for rows."""
    return lambda x: form(x.flatten(1, 2)).view(*x.shape[:3], -1)


def linear(own: Own) -> Form:
    """A linear layer for rows."""
    weight, bias = own["weight"], own.get("bias")

    def multiply(rows: Tensor) -> Tensor:
        if bias is None:
            return torch.bmm(rows, weight.transpose(1, 2))
        return torch.baddbmm(bias[:, None], rows, weight.transpose(1, 2))

    return multiply


def normalised(layer: nn.LayerNorm, own: Own) -> Form:
    """A normalisation of each of the rows."""
    if len(layer.normalized_shape) != 1:
        raise TypeError(f"networks must have normalisations over one axis, got {layer}")
    weight, bias = own.get("weight"), own.get("bias")

    def normalise(rows: Tensor) -> Tensor:
        rows = F.layer_norm(rows, layer.normalized_shape, eps=layer.eps)
        if weight is None:
            return rows
        if bias is None:
            return rows * weight[:, None]
        return torch.addcmul(bias[:, None], rows, weight[:, None])

    return normalise


def split(own: Own, networks: int) -> Form:
    """Tokens of maps, [batch, networks * channels, height, width].

    Args:
        own: the weights.
        networks: of how many the maps are; 1 if all share them.
    """
    positions = own["positions"]

    def tokens(maps: Tensor) -> Tensor:
        if maps.dim() != 4:
            raise ValueError(
                "networks must have a Tokens layer for images alone, got inputs of shape "
                f"{list(maps.shape)}"
            )
        batch, channels, height, width = maps.shape
        places = maps.reshape(batch, networks, channels // networks, height * width)
        return places.permute(1, 0, 3, 2).contiguous() + positions[:, None]

    return tokens


def encoded(layer: nn.TransformerEncoderLayer, own: Own) -> Form:
    """A transformer layer for tokens."""
    _check(layer)
    attend, feed = _attention(layer, own), _feed_forward(layer, own)
    norm1 = normalised(layer.norm1, _below("norm1", own))
    norm2 = normalised(layer.norm2, _below("norm2", own))
    norm_first = layer.norm_first

    def encode(x: Tensor) -> Tensor:
        count, rows = x.shape[2], x.flatten(1, 2)
        if norm_first:
            rows = attend(norm1(rows), count).add_(rows)
            rows = feed(norm2(rows)).add_(rows)
        else:
            rows = norm1(attend(rows, count).add_(rows))
            rows = norm2(feed(rows).add_(rows))
        return rows.view(x.shape)

    return encode


def _attention(layer: nn.TransformerEncoderLayer, own: Own) -> Callable[[Tensor, int], Tensor]:
    """Self-attention for rows of so many tokens each.

    On the CPU, for as few tokens, matrix products cost less than PyTorch's fused attention.
    """
    part = _below("self_attn", own)
    names = {"in_proj_weight": "weight", "in_proj_bias": "bias"}
    project = linear({names[name]: p for name, p in part.items() if name in names})
    merge = linear(_below("out_proj", part))
    heads = layer.self_attn.num_heads
    scale = 1 / math.sqrt(layer.self_attn.head_dim)

    def attend(rows: Tensor, count: int) -> Tensor:
        each = project(rows).view(-1, count, 3, heads, rows.shape[2] // heads)
        # Of each head of each sample of each network a matrix, [count, width of a head].
        q, k, v = each.permute(2, 0, 3, 1, 4).flatten(1, 2)
        nothing = q.new_empty(1, 1, 1)
        scores = torch.baddbmm(nothing, q, k.transpose(1, 2), beta=0, alpha=scale)
        seen = torch.bmm(scores.softmax(2), v).view(-1, heads, count, q.shape[2])
        return merge(seen.transpose(1, 2).reshape(rows.shape))

    return attend


def _feed_forward(layer: nn.TransformerEncoderLayer, own: Own) -> Form:
    first, second = (linear(_below(name, own)) for name in ("linear1", "linear2"))
    if _is_gelu(layer.activation):
        return lambda rows: second(F.gelu(first(rows)))
    return lambda rows: second(F.relu_(first(rows)))


def _is_gelu(activation: object) -> bool:
    """Whether it is GELU; not the one by tanh, for which PyTorch takes the other to evaluate."""
    exact = isinstance(activation, nn.GELU) and activation.approximate == "none"
    return activation is F.gelu or exact


def _check(layer: nn.TransformerEncoderLayer) -> None:
    """Refuse what is no transformer layer as PyTorch makes it, or has other settings."""
    attention = layer.self_attn
    kinds = nn.MultiheadAttention, nn.Linear, nn.Linear, nn.LayerNorm, nn.LayerNorm
    parts = attention, layer.linear1, layer.linear2, layer.norm1, layer.norm2
    dropouts = layer.dropout, layer.dropout1, layer.dropout2
    if (
        type(layer) is not nn.TransformerEncoderLayer
        or any(type(part) is not kind for part, kind in zip(parts, kinds, strict=True))
        or not attention.batch_first
        or attention.in_proj_weight is None
        or attention.bias_k is not None
        or attention.add_zero_attn
        or any(getattr(dropout, "p", 0.0) for dropout in dropouts)
        or attention.dropout
        or not (
            layer.activation is F.relu
            or isinstance(layer.activation, nn.ReLU)
            or _is_gelu(layer.activation)
        )
    ):
        raise TypeError(
            "networks must have transformer layers as PyTorch makes them, with batch_first=True, "
            f"dropout=0 and the activation relu or gelu, got {printed(layer)}"
        )


def _below(name: str, own: Own) -> dict[str, Tensor]:
    """The weights of a part of a layer."""
    start = f"{name}."
    return {key.removeprefix(start): p for key, p in own.items() if key.startswith(start)}
