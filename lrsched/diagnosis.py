"""Rates that were applied, on trial: are they the schedule's, and if not, what went wrong?"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .applied import Applied, precision, read_rates, read_rounding, read_steps
from .arguments import OrNone, Whole
from .explanations import ENOUGH, Explanation, explanations
from .namespaces import LAST_STEP
from .plotting import axes_in_use, plot_schedule
from .schedule import Schedule, is_schedule
from .sentences import advised, explained, listed, shown

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True, repr=False)
class Diagnosis(Explanation):
    r"""What :func:`diagnose` found. ``str()`` says it in a sentence or two.

    With :math:`f` the schedule and :math:`t` the number of an update, from 0, each ``fault``
    says which rate that update had:

    - "none": :math:`f(t)`;
    - "constant": always the same one, where :math:`f` changes;
    - "early": :math:`f(t + k)` with :math:`k` = ``steps``;
    - "late": :math:`f(t - k)`, and before update :math:`k` any rate;
    - "slow": :math:`f(\lfloor t / m \rfloor)` with :math:`m` = ``times``, 2 or more;
    - "fast": :math:`f(m t)` with :math:`m` = ``times``, 2 or more;
    - "scaled": :math:`c f(t)` with :math:`c` = ``factor``;
    - "stopped": :math:`f(t)` before update ``at``, from there on always the same one;
    - "restarted": :math:`f(t)` before update ``at``, then :math:`f(t - a)` from each :math:`a`
      of ``places`` on, of which ``at`` is the first;
    - "skipped": :math:`f(t - s)`, where :math:`s` of the updates until then, ``steps`` in all,
      had no step of the schedule. Where the rate first shows it stands in ``places``;
    - "unexplained": anything else. Where the schedule went on at another step from update ``at``
      on, :math:`f(t + j k)`, where :math:`j` of the ``places`` have been reached and :math:`k` =
      ``steps``, below 0 if it went back, these numbers and the sentence say so.

    Attributes:
        fault: one of these.
        steps: its number of steps, :math:`k` or :math:`s`; this and the next three are None
            where the fault has no such number.
        times: its multiple, :math:`m`.
        at: the update from which on it stopped, or went on from another step.
        factor: its factor, :math:`c`. With another fault than "scaled" it is that of a group,
            see :func:`diagnose`.
        places: its updates; empty where it has none.
        alternatives: explanations as simple, which give the same rates; they have ``fault``,
            ``steps``, ``times``, ``at``, ``factor`` and ``places``, too.
        first: the first update whose rate is not the one planned. None: there is none.
        planned: the rate that was planned for that update.
        applied: the rate that it had.
        steps_per_epoch: as it was given.
        groups: the diagnosis of each parameter group, if there are several.
        run: the rates and the schedule.
    """

    alternatives: tuple[Explanation, ...] = ()
    first: int | None = None
    planned: float | None = None
    applied: float | None = None
    steps_per_epoch: int | None = None
    groups: tuple["Diagnosis", ...] = ()
    run: Applied = field(kw_only=True, compare=False)

    def __repr__(self) -> str:
        given = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in dataclasses.fields(self)
            if each.name not in ("run", "groups") and getattr(self, each.name) != each.default
        ]
        return f"Diagnosis({', '.join(given)})"

    def __str__(self) -> str:
        each = [str(group) for group in self.groups]
        if len(set(each)) > 1:
            return " ".join(f"Group {k}: {said}" for k, said in enumerate(each))
        return self._fault() if self.fault != "none" else self._innocence()

    def _fault(self) -> str:
        planned, applied = shown(self.planned or 0.0, self.applied or 0.0)
        known = self.steps_per_epoch, int(self.run.steps[-1])
        cause, *others = [
            explained(each, *known)
            for each in (self, *self.alternatives)
            if each is self or each.fault != self.fault
        ]
        alike = [each.steps or each.times for each in self.alternatives if each.fault == self.fault]
        if alike:
            cause += f" ({listed([number or 0 for number in alike], word='or')} would fit as well)"
        if others:
            cause += f" (or, which gives the same rates, {', or '.join(others)})"
        if self.factor is not None and self.fault != "scaled":
            cause += f", times {self.factor:.6g}"
        few = " So few updates prove little." * (len(self.run.rates) < ENOUGH)
        return (
            f"Update {self.first:,}: planned was {planned}, applied {applied}; {cause}. "
            f"{advised(self)}{few}"
        )

    def _innocence(self) -> str:
        run, count = self.run, len(self.run.rates)
        if self.factor is not None:
            run = run.divided(self.factor)
        subject = f"The {count:,} rates are" if count > 1 else "The one rate is"
        times = "" if self.factor is None else f"{self.factor:.6g} times "
        what = f"{subject} {times}{'those' if count > 1 else 'that'} of the schedule"
        if not run.right.all():
            what += ", but for what roundings to float32 have added up to"
        elif run.printed:
            what += ", as far as the printed digits tell"
        if run.close(slice(None), np.zeros(count)).all():
            return f"{what}, which does not change here: most faults would not show."
        if run.close(slice(None), np.minimum(run.steps + 1, LAST_STEP)).all():
            return f"{what}, which changes so little here that a step too many would not show."
        return f"{what}."

    def plot(self, ax: "matplotlib.axes.Axes | None" = None) -> "matplotlib.axes.Axes":
        """Draw the rates that were planned and applied, and where they differ first.

        Args:
            ax: the Matplotlib axes to draw on; None: those in use, or new ones.

        Returns:
            The axes.

        Raises:
            ImportError: without Matplotlib (``pip install lrsched[plot]``).
        """
        ax = axes_in_use(ax)
        each = self.groups or (self,)
        plans = {id(group.run.schedule): k for k, group in reversed(list(enumerate(each)))}
        for k in sorted(plans.values()):
            label = "planned" if len(plans) == 1 else f"planned, group {k}"
            plan = each[k].run.schedule
            plot_schedule(plan, self.run.steps, ax, label=label, linewidth=5, alpha=0.4)
        for k, group in enumerate(each):
            label = f"applied, group {k}" if self.groups else "applied"
            ax.plot(group.run.steps, group.run.rates, "--", label=label)
        if self.first is not None:
            label = f"first difference: update {self.first:,}"
            ax.axvline(self.first, color="#333333", linestyle=":", linewidth=1.2, label=label)
        ax.legend()
        return ax


def diagnose(
    rates: Any,
    schedule: Schedule | Sequence[Schedule],
    steps_per_epoch: int | None = None,
    *,
    steps: Any = None,
    rounding: Any = 0.0,
) -> Diagnosis:
    """Say whether rates that were applied are those of a schedule, and if not, what went wrong.

    The simplest explanation of all rates wins. In this order: "none"; "constant"; those with
    one number, "early", "late" after a start at the first rate, "slow", "fast", "scaled"; those
    that begin right, "stopped", "restarted"; "skipped"; "late" after other rates; else it is
    "unexplained". Those of one rank that fit alike are all named, the first of them as the
    ``fault``, the others as ``alternatives``: a periodic schedule can be early by one step or by
    a period more, an exponential decay early or scaled.

    Rates are the same if they differ by rounding alone. That is 1e-9 of a rate plus 1e-12 of
    the largest rate planned so far. Where all rates are float32 numbers, whatever their dtype,
    they were computed in float32: then it is 1e-6 of the largest rate, plus what rounding the
    schedule's arguments to float32 would change, plus what the rate changes in a small part of a
    step (less than a quarter). From step 2**22 on float32 does not tell neighbouring steps apart,
    and neither does this. A dtype of 16 bits is granted one unit in its last place. A fault that
    moves no rate by more than this is not seen; where none at all would be seen, ``str()`` says
    so.

    Args:
        rates: the rates that the updates used, in order: [updates], or [updates, groups] for
            several parameter groups. What :func:`lrsched.pytorch.record` or
            :class:`lrsched.keras.Recorder` recorded, or a column of a log: any array, list or
            tensor. Or such a recorder itself; or what Keras's ``fit`` returned, whose
            ``learning_rate`` is that of each epoch, beside a schedule over epochs.
        schedule: what was planned, over updates. For several groups one for each, or one for all:
            groups that are it times a number are then no fault, if one of them is it; the number
            is the ``factor`` of the group's diagnosis.
        steps_per_epoch: the updates of an epoch, if it is known: a schedule that was stepped once
            an epoch is then named so.
        steps: the numbers of the updates that the rates belong to, from 0, if those are not all,
            as in a log with every 50th: whole and increasing, [updates].
        rounding: by how much a log may have moved each rate, as half a unit of its last digit; a
            number or [updates].

    Returns:
        A :class:`Diagnosis`: its ``fault`` is "none" if all is well.

    Raises:
        TypeError: rates or steps that are no array of numbers, a ``schedule`` that is none.
        ValueError: no rates, or one that is negative, NaN or infinite; another shape; steps that
            do not increase; another number of schedules than of groups.

    >>> import lrsched
    >>> schedule = lrsched.Cosine(0.3, 1200).warmup(50)
    >>> once_an_epoch = [schedule(update // 100) for update in range(1200)]
    >>> found = diagnose(once_an_epoch, schedule, steps_per_epoch=100)
    >>> found.fault, found.times
    ('slow', 100)
    >>> print(found)
    Update 1: planned was 0.006, applied 0; the schedule was stepped once an epoch. Step the
    scheduler after each update; if its schedule counts epochs, compare with
    schedule.per_epoch(steps_per_epoch).
    """
    table = read_rates(rates)
    per_epoch: int | None = OrNone(Whole(low=1))("steps_per_epoch", steps_per_epoch)
    numbers, off = read_steps(steps, len(table)), read_rounding(rounding, table)
    columns = [table] if table.ndim == 1 else [*table.T]
    schedules = _schedules(schedule, len(columns))
    for array in (table, numbers, off):
        array.setflags(write=False)
    runs = [
        Applied(column, numbers, planned, precision(rates), off)
        for column, planned in zip(columns, schedules, strict=True)
    ]
    found = [_judged(run, per_epoch) for run in runs]
    if isinstance(schedule, Schedule):
        found = _in_proportion(found, per_epoch)
    if len(found) == 1:
        return found[0]
    worst = next((each for each in found if each.fault != "none"), found[0])
    return dataclasses.replace(worst, groups=tuple(found))


def _schedules(schedule: Any, groups: int) -> list[Schedule]:
    if not isinstance(schedule, list | tuple):
        return [is_schedule("schedule", schedule)] * groups
    listed = [is_schedule(f"schedule[{k}]", each) for k, each in enumerate(schedule)]
    if len(listed) != groups:
        raise ValueError(
            f"schedule must be one, or a list of {groups}, one for each group of the rates, "
            f"got {len(listed)}"
        )
    return listed


def _judged(run: Applied, per_epoch: int | None) -> Diagnosis:
    first, *others = explanations(run, per_epoch)
    numbers = dataclasses.asdict(first)
    if first.fault == "none":
        return Diagnosis(**numbers, run=run)
    k = int(np.argmin(run.right))
    return Diagnosis(
        **numbers,
        alternatives=tuple(others),
        first=int(run.steps[k]),
        planned=float(run.planned[k]),
        applied=float(run.rates[k]),
        steps_per_epoch=per_epoch,
        run=run,
    )


def _in_proportion(found: list[Diagnosis], per_epoch: int | None) -> list[Diagnosis]:
    """Groups that are another one, which is explained, times a number, are explained like it."""
    for model in found:
        if model.fault not in ("scaled", "unexplained"):
            break
    else:
        return found
    top = int(np.argmax(model.run.rates))
    for k, each in enumerate(found):
        largest = float(model.run.rates[top])
        factor = float(each.run.rates[top]) / largest if largest else 0.0
        alike = each.fault in ("scaled", "unexplained", "constant") and each is not model
        if alike and 1e-99 < factor < 1e99:
            same = _judged(each.run.divided(factor), per_epoch)
            if same.fault == model.fault:
                found[k] = dataclasses.replace(same, factor=factor, run=each.run)
    return found
