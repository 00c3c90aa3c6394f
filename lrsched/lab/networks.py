"""Networks that experiments train."""

from torch import nn

from ..arguments import Choice, OrNone, Real, Whole
from .attention import MeanOverTokens, Tokens

__all__ = ["lenet", "mlp", "perceptron", "transformer"]

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

    >>> import torch
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


def transformer(
    side: int = 28,
    classes: int = 10,
    *,
    patch: int = 7,
    width: int = 32,
    heads: int = 4,
    depth: int = 4,
    norm: str = "before",
    activation: str = "gelu",
) -> nn.Sequential:
    """A small vision transformer, of PyTorch's own layers.

    A square of ``patch`` by ``patch`` pixels is a token: a linear map of its pixels to ``width``
    numbers, plus a learned vector for its place. ``depth`` layers of self-attention and of a
    network with one hidden layer of 4 ``width`` units follow, each added to what it was given;
    then the mean of the tokens, and a linear layer. ``norm="before"`` normalises what goes into
    each of the two parts of a layer, and what comes out of the last (Pre-LN); ``norm="after"``
    normalises each sum, as the first transformer did (Post-LN). Nothing is dropped out. Weights
    start as PyTorch draws them, from its global generator.

    Args:
        side: the side of the square, one-channel images in pixels, a multiple of ``patch``.
        classes: the number of outputs, at least 1.
        patch: the side of a patch in pixels, at least 1.
        width: the numbers of a token, a multiple of ``heads``.
        heads: the heads of attention, at least 1; each sees ``width / heads`` numbers.
        depth: the number of layers, at least 1.
        norm: "before" or "after".
        activation: "gelu" or "relu".

    Raises:
        TypeError or ValueError: an argument out of its range.

    Vaswani et al., *Attention Is All You Need*, 2017; Dosovitskiy et al., *An Image is Worth
    16x16 Words*, 2021; on ``norm``, Xiong et al., *On Layer Normalization in the Transformer
    Architecture*, 2020.

    >>> import torch
    >>> transformer(8, patch=2)(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 10])
    """
    side = Whole(low=1)("side", side)
    classes = Whole(low=1)("classes", classes)
    patch = Whole(low=1)("patch", patch)
    width = Whole(low=1)("width", width)
    heads = Whole(low=1)("heads", heads)
    depth = Whole(low=1)("depth", depth)
    norm = Choice(("before", "after"))("norm", norm)
    activation = Choice(("gelu", "relu"))("activation", activation)
    if side % patch:
        raise ValueError(f"patch must divide side={side}, got {patch}")
    if width % heads:
        raise ValueError(f"heads must divide width={width}, got {heads}")
    first = norm == "before"
    layers = [
        nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.0, activation, batch_first=True, norm_first=first
        )
        for _ in range(depth)
    ]
    return nn.Sequential(
        nn.Conv2d(1, width, patch, stride=patch),
        Tokens((side // patch) ** 2, width),
        *layers,
        *([nn.LayerNorm(width)] if first else []),
        MeanOverTokens(),
        nn.Linear(width, classes),
    )
