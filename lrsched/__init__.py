"""Learning-rate schedules as values, the same in PyTorch, Keras and NumPy.

>>> import lrsched
>>> schedule = lrsched.Cosine(0.3, decay_steps=20).warmup(5)
>>> schedule(10)
0.2560660171779821

``lrsched.pytorch`` and ``lrsched.keras`` hand a schedule to an optimizer.
"""

from typing import Any

from .composition import Clipped, PerEpoch, Scaled, Sequence, Warmup
from .plateau import Plateau
from .schedule import Schedule, from_dict
from .schedules import (
    Constant,
    Cosine,
    CosineAnnealing,
    CosineRestarts,
    Cyclical,
    Exponential,
    Factor,
    InverseTime,
    Linear,
    LinearCosine,
    MultiStep,
    NaturalExponential,
    NoisyLinearCosine,
    OneCycle,
    PiecewiseConstant,
    Polynomial,
    Power,
    StepDecay,
    WarmupStableDecay,
)

__all__ = [
    "Clipped",
    "Constant",
    "Cosine",
    "CosineAnnealing",
    "CosineRestarts",
    "Cyclical",
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
    "Scaled",
    "Schedule",
    "Sequence",
    "StepDecay",
    "Warmup",
    "WarmupStableDecay",
    "from_dict",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # looked up on demand: the metadata module is slow to import
        from importlib.metadata import version

        return version("lrsched")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
