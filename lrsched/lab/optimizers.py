"""Optimizers as values: one description makes PyTorch's own optimizer, or updates a stack.

A new optimizer is a subclass of :class:`Optimizer`, and its name in ``lrsched/lab/__init__.py``.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..arguments import AsFloat, Flag, Number, Real
from ..schedule import Schedule
from ..value import Value

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "StackOptimizer"]

_share = AsFloat(Real(low=0, high=1))
Share = Annotated[float, _share]


def _share_or_schedule(name: str, value: Any) -> float | Schedule:
    """The check for a momentum: a share, or a schedule of such."""
    return value if isinstance(value, Schedule) else float(_share(name, value))


class Optimizer(Value, abstract=True):
    """The settings of an optimizer, and how it updates many networks at once."""

    @property
    def moments(self) -> tuple[str, ...]:
        """The names of what is remembered for each weight, in the shape of the weights."""
        return ()

    def check_steps(self, first: int, steps: int) -> None:
        """Raise ValueError for a setting that one of so many steps, from the first, cannot use."""

    def native(self, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        """PyTorch's own optimizer with these settings."""
        raise NotImplementedError

    def update(self, p: Tensor, g: Tensor, rate: Tensor, moments: list[Tensor], step: int) -> None:
        """Update weights in place.

        Args:
            p: the weights, [networks, ...].
            g: their gradients, likewise.
            rate: the rate of each network, with one axis for each of ``p``.
            moments: what is remembered, by the order of :attr:`moments`, updated in place.
            step: the number of this update, from 1.
        """
        raise NotImplementedError


class SGD(Optimizer):
    r"""Stochastic gradient descent.

    .. math:: v \leftarrow \mu v + g + \lambda w, \qquad w \leftarrow w - \eta v

    Args:
        momentum: :math:`\mu`, from 0 to below 1; or a schedule that gives it at each step, such as
            ``OneCycle(...).momentum()``, the same for all runs.
        weight_decay: :math:`\lambda`, at least 0.
        nesterov: if true, the update is :math:`\eta (g + \lambda w + \mu v)`.

    Raises:
        TypeError or ValueError: an argument out of its range.

    The same as ``torch.optim.SGD`` without dampening. What :meth:`native` makes of a schedule of
    momentum starts at its first value: ``lrsched.pytorch.scheduler(optimizer, ..., momentum=)``
    moves it.
    """

    momentum: Annotated[float | Schedule, _share_or_schedule] = 0.0
    weight_decay: Number = 0.0
    nesterov: Flag = False

    def prepare(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: momentum must be above 0 with nesterov=True, got 0.0")

    @property
    def moments(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def momentum_at(self, step: int) -> float:
        """The momentum of the update at a step, counted from 0.

        Raises ValueError for a schedule that gives one that is not from 0 to below 1 there.
        """
        if isinstance(self.momentum, Schedule):
            return float(_share(f"SGD: momentum at step {step}", self.momentum(step)))
        return self.momentum

    def check_steps(self, first: int, steps: int) -> None:
        if isinstance(self.momentum, Schedule):
            values = np.asarray(self.momentum(np.arange(first, first + steps)))
            for place in np.flatnonzero(~((values >= 0) & (values < 1)))[:1]:
                self.momentum_at(first + int(place))  # which says what is wrong

    def native(self, parameters: Iterable[nn.Parameter], lr: float = 0.1) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=lr,
            momentum=self.momentum_at(0),
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def update(self, p: Tensor, g: Tensor, rate: Tensor, moments: list[Tensor], step: int) -> None:
        if self.weight_decay:
            g = g.add(p, alpha=self.weight_decay)
        if self.momentum:
            (velocity,) = moments
            momentum = self.momentum_at(step - 1)
            velocity.mul_(momentum).add_(g)
            g = g.add(velocity, alpha=momentum) if self.nesterov else velocity
        p.addcmul_(g, rate, value=-1)


class Adam(Optimizer):
    r"""Adam, by Kingma and Ba.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        w \leftarrow w - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        beta1, beta2: the decays of the two moments, from 0 to below 1.
        eps: :math:`\epsilon`, at least 0.
        weight_decay: times the weights added to the gradient, at least 0.

    Raises:
        TypeError or ValueError: an argument out of its range.

    The same as ``torch.optim.Adam``.
    """

    _pytorch: ClassVar[type[torch.optim.Adam]] = torch.optim.Adam

    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Number = 1e-8
    weight_decay: Number = 0.0

    @property
    def moments(self) -> tuple[str, ...]:
        return ("mean", "square")

    def native(
        self, parameters: Iterable[nn.Parameter], lr: float = 0.001
    ) -> torch.optim.Optimizer:
        return self._pytorch(
            parameters,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
        )

    def update(self, p: Tensor, g: Tensor, rate: Tensor, moments: list[Tensor], step: int) -> None:
        if self.weight_decay:
            g = g.add(p, alpha=self.weight_decay)
        self._move(p, g, rate, moments, step)

    def _move(self, p: Tensor, g: Tensor, rate: Tensor, moments: list[Tensor], step: int) -> None:
        """Update weights in place, without decay."""
        mean, square = moments
        mean.lerp_(g, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        scale = (square / (1 - self.beta2**step)).sqrt_().add_(self.eps)
        p.addcdiv_(mean * rate, scale, value=-1 / (1 - self.beta1**step))


class AdamW(Adam):
    r"""Adam with weight decay that goes by the rate alone, by Loshchilov and Hutter.

    .. math:: w \leftarrow (1 - \eta \lambda) w

    and then the update of :class:`Adam` without weight decay.

    Args:
        beta1, beta2: the decays of the two moments, from 0 to below 1.
        eps: as of :class:`Adam`, at least 0.
        weight_decay: :math:`\lambda`, at least 0.

    Raises:
        TypeError or ValueError: an argument out of its range.

    The same as ``torch.optim.AdamW``. *Decoupled Weight Decay Regularization*, 2019.
    """

    _pytorch: ClassVar[type[torch.optim.Adam]] = torch.optim.AdamW

    weight_decay: Number = 0.01

    def update(self, p: Tensor, g: Tensor, rate: Tensor, moments: list[Tensor], step: int) -> None:
        if self.weight_decay:
            p.mul_(1 - rate.to(p.dtype) * self.weight_decay)
        self._move(p, g, rate, moments, step)


class StackOptimizer:
    """Updates the weights of a :class:`Stack`, each network with a rate of its own.

    Attributes:
        state: the moments by name, each a list of tensors in the order of the weights.
        steps: the updates done.
    """

    def __init__(self, rule: Optimizer, parameters: Mapping[str, Tensor]) -> None:
        self.rule = rule
        self.parameters = list(parameters.values())
        self.state = {
            name: [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
            for name in rule.moments
        }
        self.steps = 0

    @torch.no_grad()
    def step(self, rates: Tensor) -> Tensor:
        """One update by the gradients of the weights, with a rate for each network.

        Returns the rates as the update used them, float32, [networks].
        """
        self.steps += 1
        used = rates.float()
        for index, p in enumerate(self.parameters):
            if p.grad is None:
                raise RuntimeError("step() needs gradients: call backward() first")
            moments = [tensors[index] for tensors in self.state.values()]
            self.rule.update(p, p.grad, used.view(-1, *[1] * (p.dim() - 1)), moments, self.steps)
        return used

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None
