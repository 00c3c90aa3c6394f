"""Searches that many workers share, by Optuna.

    python -m lrsched.lab.search --study lrsched.book.studies:grid --trials 4

starts a worker. The same line starts another one, on this machine or on any that reaches the
storage; together they run so many trials, and what one has finished the others see. A worker
that is killed loses the trial it was in and nothing else: the others, or one started later, run
that trial again.

Optuna keeps the study, draws the values and prunes. What is here is what it leaves open: which
trials count, so that any number of workers end with exactly the trials that were asked for;
samplers whose draws do not depend on who draws; signs of life; and a journal that outlives
whoever dies while writing to it.
"""

from .samplers import grid, random, tpe
from .storage import open_storage
from .study import SearchError, Study
from .worker import work

__all__ = ["SearchError", "Study", "grid", "open_storage", "random", "tpe", "work"]
