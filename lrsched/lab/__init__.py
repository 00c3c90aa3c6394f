"""Experiments: data, networks, training of many runs side by side, results, statistics.

``pip install 'lrsched[lab]'``. The rest of the package never imports it.
"""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .data import Data, DataError, Regression, Rows, Split, digits, fashion_mnist, polynomial
from .history import History, Run
from .models import Stack, lenet, mlp, perceptron
from .optimizers import SGD, Adam
from .statistics import interval, ratio
from .sweeps import sweep
from .training import fastest, train

__all__ = [
    "SGD",
    "Adam",
    "Data",
    "DataError",
    "History",
    "Regression",
    "Rows",
    "Run",
    "Split",
    "Stack",
    "digits",
    "fashion_mnist",
    "fastest",
    "interval",
    "lenet",
    "mlp",
    "perceptron",
    "polynomial",
    "ratio",
    "sweep",
    "train",
]
