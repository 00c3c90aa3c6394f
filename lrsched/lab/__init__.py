"""Experiments: data, networks, training of many runs side by side, results, statistics.

``pip install 'lrsched[lab]'``. The rest of the package, but for ``lrsched.book``, never imports it.
"""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .data import Data, Regression, Rows, Split, digits, polynomial
from .fashion import fashion_mnist
from .networks import lenet, mlp, perceptron, transformer
from .optimizers import SGD, Adam, AdamW
from .results import Results
from .runs import Run
from .stack import Stack
from .states import State
from .statistics import interval, ratio
from .sweeps import sweep
from .trainer import train

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Data",
    "Regression",
    "Results",
    "Rows",
    "Run",
    "Split",
    "Stack",
    "State",
    "digits",
    "fashion_mnist",
    "interval",
    "lenet",
    "mlp",
    "perceptron",
    "polynomial",
    "ratio",
    "sweep",
    "train",
    "transformer",
]
