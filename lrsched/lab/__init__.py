"""What the chapters experiment with: data, networks, training of many runs side by side, records.

``pip install 'lrsched[lab]'``. The rest of the package never imports it.
"""

from .. import triton_first  # noqa: F401  # before PyTorch

# isort: split
from .claims import interval, ratio, verdict
from .data import Data, DataError, Regression, Rows, Split, digits, fashion_mnist, polynomial
from .editions import Plan, SweepPlan, edition, plan
from .history import History, Run
from .models import Stack, lenet, mlp, perceptron
from .optimizers import SGD, Adam
from .records import experiment, keep, planned_sweep, record, record_table
from .sweeps import sweep
from .training import fastest, train

__all__ = [
    "SGD",
    "Adam",
    "Data",
    "DataError",
    "History",
    "Plan",
    "Regression",
    "Rows",
    "Run",
    "Split",
    "Stack",
    "SweepPlan",
    "digits",
    "edition",
    "experiment",
    "fashion_mnist",
    "fastest",
    "interval",
    "keep",
    "lenet",
    "mlp",
    "perceptron",
    "plan",
    "planned_sweep",
    "polynomial",
    "ratio",
    "record",
    "record_table",
    "sweep",
    "train",
    "verdict",
]
