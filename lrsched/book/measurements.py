"""Experiments of several trainings, kept as one table with a row for each run."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import lab
from ..lab import Data, Results, Run
from ..lab.runs import Rule
from . import records
from .editions import Plan
from .experiments import arguments, recording

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Measurements"]

METRICS = ("train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")

SIZES = {"group": 32}  # the fastest for small networks

More = Callable[[Results], Mapping[str, Sequence[Any]]]


class Measurements:
    """An experiment in progress: trained part by part, each with settings of its own.

    Args:
        plan: which experiment, and how large.
        columns: the names of what tells its cases apart, such as "optimizer" and "rate".
    """

    def __init__(self, plan: Plan, *columns: str) -> None:
        self.plan, self.columns = plan, columns
        self._data = plan.data
        self._parts: dict[str, Results] = {}
        self._rows: list[pd.DataFrame] = []

    def train(
        self,
        part: str,
        cases: Mapping[tuple[Any, ...], Rule],
        *,
        data: Data | None = None,
        seeds: Sequence[int] | None = None,
        more: More | None = None,
        **settings: Any,
    ) -> Results:
        """Train each case from each seed, and keep a row for each run.

        Args:
            part: what these trainings are called among those of the experiment.
            cases: the rule that gives the rates, by the values of the columns.
            data: the samples; None: those of the plan.
            seeds: the seeds; None: those of the plan.
            more: further columns, computed from the results.
            **settings: further arguments of :func:`lrsched.lab.train`.
        """
        labels = {", ".join(map(str, case)): case for case in cases}
        runs = [
            Run(label, cases[case], seed)
            for seed in (range(self.plan.seeds) if seeds is None else seeds)
            for label, case in labels.items()
        ]
        how = arguments(self.plan, part) | settings
        how |= {
            "group": 32,
            "chunk": how["batch_size"],
        } | settings  # the fastest for small networks
        results = lab.train(runs, self._data if data is None else data, **how)
        self._parts[part] = results
        values = [labels[str(run.label)] for run in runs]
        self._rows.append(self._table(part, results, values, more))
        return results

    def table(self) -> "pd.DataFrame":
        """All rows. ``make record`` also writes them as the record of the experiment.

        Beside the columns of the cases there are the part, the seed, the schedule as it is
        written, the step at which the run diverged (or -1), and the metrics after the last epoch.
        """
        import pandas as pd

        table = pd.concat(self._rows, ignore_index=True)
        if recording():
            records.write_parts(self.plan.name, self._parts, table)
        table.attrs = records.described_parts(self._parts)
        return table

    def _table(
        self, part: str, results: Results, cases: Sequence[tuple[Any, ...]], more: More | None
    ) -> "pd.DataFrame":
        import pandas as pd

        columns: dict[str, Any] = dict(zip(self.columns, zip(*cases, strict=True), strict=True))
        columns["part"] = part
        columns["seed"] = [run.seed for run in results.runs]
        columns["schedule"] = [str(run.schedule) for run in results.runs]
        columns["diverged"] = np.asarray(results.diverged)
        columns |= {metric: results.metrics[metric][-1] for metric in METRICS}
        columns |= more(results) if more else {}
        return pd.DataFrame(columns)
