"""Learning-rate schedules as values, the same in PyTorch, Keras and NumPy.

>>> import lrsched
>>> schedule = lrsched.Cosine(0.3, decay_steps=20).warmup(5)
>>> schedule(10)
0.2560660171779821

``lrsched.pytorch`` and ``lrsched.keras`` hand a schedule to an optimizer.
"""

from typing import TYPE_CHECKING, Any

from . import arguments, natives, plotting  # noqa: F401  # lrsched.arguments, without an import
from .compositions import Clipped, PerEpoch, Product, Repeat, Scaled, Warmup
from .cosines import Cosine, CosineAnnealing, CosineRestarts, LinearCosine
from .cycles import CycleMomentum, Cyclical, OneCycle, WarmupStableDecay
from .decays import (
    Exponential,
    Factor,
    InverseTime,
    Linear,
    NaturalExponential,
    Polynomial,
    Power,
)
from .noise import NoisyLinearCosine
from .piecewise import Constant, MultiStep, PiecewiseConstant, StepDecay
from .plateau import Plateau
from .schedule import Schedule
from .sequence import Sequence
from .value import from_dict

if TYPE_CHECKING:
    from .diagnosis import Diagnosis, diagnose
    from .text import from_text

__all__ = [
    "Clipped",
    "Constant",
    "Cosine",
    "CosineAnnealing",
    "CosineRestarts",
    "CycleMomentum",
    "Cyclical",
    "Diagnosis",
    "Exponential",
    "Factor",
    "InverseTime",
    "Linear",
    "LinearCosine",
    "MultiStep",
    "NaturalExponential",
    "NoisyLinearCosine",
    "OneCycle",
    "PerEpoch",
    "PiecewiseConstant",
    "Plateau",
    "Polynomial",
    "Power",
    "Product",
    "Repeat",
    "Scaled",
    "Schedule",
    "Sequence",
    "StepDecay",
    "Warmup",
    "WarmupStableDecay",
    "diagnose",
    "from_dict",
    "from_text",
]

# Submodules for users; of these, the ones that load a framework are there once imported.
_SUBMODULES = ["arguments", "keras", "lab", "natives", "plotting", "pytorch"]


def __dir__() -> list[str]:
    loaded = [name for name in _SUBMODULES if name in globals()]
    return sorted([*__all__, *loaded, "__version__"])


def __getattr__(name: str) -> Any:
    """What is loaded on demand, so that importing the schedules stays quick."""
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        return version("lrsched")
    if name in ("Diagnosis", "diagnose"):
        from . import diagnosis

        value = getattr(diagnosis, name)
    elif name == "from_text":
        from .text import from_text as value
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
