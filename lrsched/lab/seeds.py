"""What a seed decides: the first weights, and the order of the samples."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .machine import undisturbed

__all__ = ["Network", "fingerprint", "initial", "made", "order"]

Network = Callable[[], nn.Sequential]


def initial(network: Network, seed: int) -> nn.Sequential:
    """The network with the weights that PyTorch draws after ``torch.manual_seed(seed)``.

    They are drawn from a generator of their own, in this thread alone. So neither the global
    generator, nor what other threads draw from it, nor a ``torch.manual_seed`` within
    ``network`` has a say, and drawing leaves the global one as it was. Nor have the default
    device and dtype of the caller: the network is made on the CPU, in float32, but for what it
    names itself.
    """
    on_cpu = torch.get_default_device().type == "cpu"  # then it costs time to say so
    with undisturbed(), nullcontext() if on_cpu else torch.device("cpu"), _Drawing(seed):
        return network()


class _Drawing(TorchFunctionMode):
    """In here all functions of PyTorch draw from generators of their own, and make float32."""

    DRAW = frozenset((
        "bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_",
        "kaiming_uniform_", "log_normal_", "multinomial", "normal", "normal_", "poisson", "rand",
        "rand_like", "randint", "randint_like", "randn", "randn_like", "random_", "randperm",
        "uniform_",
    ))  # fmt: skip
    MAKE = frozenset((
        "empty", "eye", "linspace", "logspace", "ones", "rand", "randn", "zeros"
    ))  # fmt: skip

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in self.MAKE and kwargs.get("dtype") is None and kwargs.get("out") is None:
            kwargs = kwargs | {"dtype": torch.float32}
        if name in self.DRAW and kwargs.get("generator") is None:
            try:
                return func(*args, **kwargs | {"generator": self._generator(args, kwargs)})
            except TypeError:  # older ones of PyTorch, for rand_like and the like, take none
                pass
        return func(*args, **kwargs)

    def _generator(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Generator:
        """The generator for the device of what is drawn, the global one's twin."""
        tensors = (each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))
        device = next((each.device for each in tensors), kwargs.get("device"))
        fresh = torch.Generator("cpu" if device is None else device)
        return self.generators.setdefault(fresh.device, fresh.manual_seed(self.seed))


def order(samples: int, seed: int, epoch: int) -> Tensor:
    """The order of the samples in an epoch, which the seed decides."""
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))


def made(name: str, make: Any, seed: int) -> nn.Sequential:
    """The check for an argument that makes a network: what it makes for a seed."""
    if isinstance(make, nn.Module) or not callable(make):
        raise TypeError(f"{name} must be a function that makes a network, got {make!r}")
    network = initial(make, seed)
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"{name} must make a torch.nn.Sequential, got {network!r}")
    return network


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """The first 16 digits of the SHA-256 of weights: the same layers may have others."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
