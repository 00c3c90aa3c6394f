"""What the chapters experiment with: data, networks, training of many runs side by side, records.

``pip install 'lrsched[lab]'``. The rest of the package never imports it.
"""

from .claims import interval, verdict
from .data import Data, DataError, Split, digits, fashion_mnist
from .editions import Plan, edition, plan
from .history import History, Run
from .models import Stack, lenet
from .optimizers import SGD, Adam
from .records import experiment, record
from .training import fastest, train

__all__ = [
    "SGD",
    "Adam",
    "Data",
    "DataError",
    "History",
    "Plan",
    "Run",
    "Split",
    "Stack",
    "digits",
    "edition",
    "experiment",
    "fashion_mnist",
    "fastest",
    "interval",
    "lenet",
    "plan",
    "record",
    "train",
    "verdict",
]
