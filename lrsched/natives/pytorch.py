"""The schedulers of PyTorch, one by one.

Most of them multiply the rate that they find by a factor, so what one really does also depends
on where it stands: alone, first or later in a ``SequentialLR``, or in a ``ChainedScheduler``.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from ..cosines import CosineAnnealing, CosineRestarts
from ..cycles import Cyclical, OneCycle
from ..decays import Exponential, Linear, Polynomial
from ..namespaces import LAST_STEP
from ..piecewise import Constant, MultiStep, PiecewiseConstant, StepDecay
from ..plateau import Plateau
from ..schedule import Schedule
from .lines import FOR_EVER
from .pieces import arc, joined, jumps
from .rows import Need, NoEquivalent, Row, falls, plain, refusing, share, shortest, steps_of, whole

__all__ = ["FACTORS", "MODULE", "ROWS", "SETTING", "SPOILT", "Given"]

MODULE = "torch.optim.lr_scheduler"
HIGH = 1e299  # where our own schedules stop


@dataclass(frozen=True)
class Given:
    """A scheduler as one parameter group sees it. Its arguments are looked up by name.

    Attributes:
        begins: how its step 0 is made: "alone", when it is constructed; as the "first" of a
            ``SequentialLR``; "nested", by a step like any other; "later", when another's
            time is over.
        lr: the rate that it then finds; None: its own base rate.
        ahead: the steps by which the clock of a nested ``SequentialLR`` runs ahead.
    """

    scheduler: Any
    index: int
    begins: Literal["alone", "first", "nested", "later"] = "alone"
    lr: float | None = None
    ahead: int = 0

    @property
    def group(self) -> dict[str, Any]:
        group: dict[str, Any] = self.scheduler.optimizer.param_groups[self.index]
        return group

    @property
    def name(self) -> str:
        return type(self.scheduler).__name__

    def __getitem__(self, name: str) -> Any:
        """An argument. ``vars`` also has those for which PyTorch has no public name."""
        if name != "lr":
            return plain(vars(self.scheduler)[name])
        return plain(self.scheduler.base_lrs[self.index]) if self.lr is None else self.lr


# Schedulers that multiply the rate


def _step(given: Given) -> Schedule:
    size = whole(given.name, "step_size", given["step_size"])
    return StepDecay(given["lr"], size, gamma=given["gamma"])


def _write_step(s: StepDecay, need: Need) -> dict[str, Any]:
    falls("StepLR", s.gamma)
    return {"lr": s.base_lr, "step_size": steps_of("StepLR", s.step_size), "gamma": s.gamma}


def _multi_step(given: Given) -> Schedule:
    counts: dict[Any, int] = {}
    for milestone, count in dict(given["milestones"]).items():
        at = whole(given.name, "milestones", milestone)
        counts[at] = counts.get(at, 0) + whole(given.name, "milestones", count)
    before = [at for at in counts if at == 0 or (at < 0 and given.begins == "later")]
    later = sorted(at for at in counts if at > 0)
    lr, gamma = given["lr"], given["gamma"]
    lr *= gamma ** sum(counts[at] for at in before)
    if all(counts[at] == 1 for at in later):
        return MultiStep(lr, tuple(later), gamma=gamma)
    powers = [sum(counts[at] for at in later[:k]) for k in range(len(later) + 1)]
    return jumps(zip([0, *later], [lr * gamma**power for power in powers], strict=True))


def _write_multi_step(s: MultiStep, need: Need) -> dict[str, Any]:
    if not s(LAST_STEP) < HIGH:
        falls("MultiStepLR", s.gamma)
    milestones = [steps_of("MultiStepLR", m) for m in s.milestones]
    return {"lr": s.base_lr, "milestones": milestones, "gamma": s.gamma}


def _constant(given: Given) -> Schedule:
    lr, factor = given["lr"], given["factor"]
    if given["total_iters"] > LAST_STEP:
        return Constant(lr * factor)
    total = whole(given.name, "total_iters", given["total_iters"])
    if total <= 0:  # alone the factor stays for ever, later it is never there
        return Constant(lr if given.begins == "later" else lr * factor)
    return jumps([(0, lr * factor), (total, lr)])


def _write_constant(s: Constant | PiecewiseConstant, need: Need) -> dict[str, Any]:
    if isinstance(s, Constant):
        lr = s.base_lr if need.lr is None else need.lr
        factor = _share("ConstantLR", s.base_lr, lr)
        until = {} if factor == 1 else {"total_iters": FOR_EVER}
        return {"lr": lr, "factor": factor, **until}
    if len(s.values) != 2 or not 0 < s.values[0] <= s.values[1]:
        raise NoEquivalent("")
    total = steps_of("ConstantLR", s.boundaries[0])
    return {"lr": s.values[1], "factor": _share("", *s.values), "total_iters": total}


def _share(owner: str, rate: float, lr: float) -> float:
    """A rate as the factor that a scheduler takes."""
    if rate > lr:
        raise NoEquivalent(f"{owner} cannot go above the base rate of the others")
    return share(rate, lr) if lr else 1.0


def _linear(given: Given) -> Schedule:
    lr, total = given["lr"], whole(given.name, "total_iters", given["total_iters"])
    if total <= 0:
        _starts_with_steps(given, total)
        return Constant(lr * given["start_factor"])
    return Linear(lr * given["start_factor"], lr * given["end_factor"], decay_steps=total)


def _starts_with_steps(given: Given, total: int) -> None:
    if given.begins == "later":
        raise ValueError(
            f"{given.name} cannot be read with total_iters={total} inside a SequentialLR: "
            f"PyTorch divides by it; leave it out"
        )


def _write_linear(s: Linear, need: Need) -> dict[str, Any]:
    lr = max(s.start_lr, s.end_lr) if need.lr is None else need.lr
    if s.start_lr == 0 and lr > 0:
        raise NoEquivalent("LinearLR cannot start at a rate of 0")
    start, end = (_share("LinearLR", rate, lr) for rate in (s.start_lr, s.end_lr))
    total = steps_of("LinearLR", s.decay_steps)
    return {"lr": lr, "start_factor": start, "end_factor": end, "total_iters": total}


def _polynomial(given: Given) -> Schedule:
    lr, total = given["lr"], whole(given.name, "total_iters", given["total_iters"])
    if total <= 0:
        _starts_with_steps(given, total)
    if total <= 0 or given["power"] == 0:
        return Constant(lr)
    return Polynomial(lr, total, power=given["power"])


def _write_polynomial(s: Polynomial, need: Need) -> dict[str, Any]:
    if s.cycle or s.end_lr:
        raise NoEquivalent("PolynomialLR ends at a rate of 0, once")
    total = steps_of("PolynomialLR", s.decay_steps)
    return {"lr": s.base_lr, "total_iters": total, "power": s.power}


def _exponential(given: Given) -> Schedule:
    return Exponential(given["lr"], decay_rate=given["gamma"])


def _write_exponential(s: Exponential, need: Need) -> dict[str, Any]:
    if s.staircase or s.decay_steps != 1:
        raise NoEquivalent("")
    falls("ExponentialLR", s.decay_rate)
    return {"lr": s.base_lr, "gamma": s.decay_rate}


# Schedulers that set the rate, or a part of it


def _cosine(given: Given) -> Schedule:
    base = plain(given.scheduler.base_lrs[given.index])
    if given.begins == "first" and given["lr"] != base:
        raise ValueError(
            f"{given.name} cannot be read here: it starts from initial_lr={given['lr']!r}, which "
            f"another scheduler has set, and rises to {base!r} later; make it first"
        )
    length = whole(given.name, "T_max", given["T_max"])
    return CosineAnnealing(given["lr"], length, end_lr=given["eta_min"])


def _write_cosine(s: CosineAnnealing, need: Need) -> dict[str, Any]:
    t_max = steps_of("CosineAnnealingLR", s.t_max)
    return {"lr": s.base_lr, "T_max": t_max, "eta_min": s.end_lr}


def _restarts(given: Given) -> Schedule:
    return CosineRestarts(
        plain(given.scheduler.base_lrs[given.index]),
        given["T_0"],
        t_mul=given["T_mult"],
        end_lr=given["eta_min"],
    )


def _write_restarts(s: CosineRestarts, need: Need) -> dict[str, Any]:
    name = "CosineAnnealingWarmRestarts"
    if s.m_mul != 1:
        raise NoEquivalent(f"{name} cannot change the height of the waves")
    first, times = steps_of(name, s.first_decay_steps), steps_of(name, s.t_mul)
    return {"lr": s.base_lr, "T_0": first, "T_mult": times, "eta_min": s.end_lr}


def _cyclical(given: Given) -> Schedule:
    if given["_scale_fn_custom"] is not None:
        raise TypeError(
            "CyclicLR cannot be read: it holds a function, scale_fn; write what it does as a "
            "subclass of lrsched.Schedule"
        )
    # PyTorch keeps the length of a cycle, and the share of the rise.
    total, share, mode = given["total_size"], given["step_ratio"], given["mode"]
    up = _plain_length(shortest(total * share, lambda value: value / total == share))
    down = _plain_length(shortest(total - up, lambda value: up + value == total))
    return Cyclical(
        given["base_lrs"][given.index],
        given["max_lrs"][given.index],
        step_size_up=up,
        step_size_down=None if down == up else down,
        mode=mode,
        gamma=given["gamma"] if mode == "exp_range" else 1.0,
    )


def _plain_length(steps: float) -> float:
    return int(steps) if steps % 1 == 0 else steps


def _write_cyclical(s: Cyclical, need: Need) -> dict[str, Any]:
    fall = s.step_size_up if s.step_size_down is None else s.step_size_down
    if max(fall, s.step_size_up) > 1e4 * min(fall, s.step_size_up):
        raise NoEquivalent("CyclicLR rounds where its rise and its fall differ by so much")
    if s.mode == "triangular2":
        raise NoEquivalent("CyclicLR raises an OverflowError after 1,024 cycles of triangular2")
    if s.gamma > 1:
        raise NoEquivalent("CyclicLR raises an OverflowError where its gamma has grown too far")
    down = {} if s.step_size_down is None else {"step_size_down": s.step_size_down}
    gamma = {} if s.mode == "triangular" else {"mode": s.mode, "gamma": s.gamma}
    sizes = {"base_lr": s.base_lr, "max_lr": s.max_lr, "step_size_up": s.step_size_up}
    return {"lr": None, **sizes, **down, **gamma, "cycle_momentum": False}


def _one_cycle(given: Given) -> Schedule:
    total, group = given["total_steps"], given.group
    first, peak, last = (plain(group[key]) for key in ("initial_lr", "max_lr", "min_lr"))
    ends = [phase["end_step"] for phase in given["_schedule_phases"]]
    anneal = given["_anneal_func_type"]
    rise = ends[0]
    three_phase = len(ends) == 3
    if 0 < rise < (total - 1) / len(ends[1:]) and peak > 0 and last > 0:
        return OneCycle(
            peak,
            total,
            pct_start=shortest((rise + 1) / total, lambda q: float(q * total) - 1 == rise),
            anneal=anneal,
            div_factor=shortest(peak / first, lambda div: peak / div == first),
            final_div_factor=shortest(first / last, lambda div: first / div == last),
            three_phase=three_phase,
        )
    if rise <= 0 and anneal == "cos":
        raise ValueError(
            f"OneCycleLR cannot be read with pct_start * total_steps = {rise + 1:g}: its cosine "
            f"has begun before step 0; give it a larger pct_start"
        )
    rates = [first, peak, first, last] if three_phase else [first, peak, last]
    starts = [0.0, *ends[:-1]]
    pieces: list[tuple[float, Schedule]] = []
    for start, end, low, high in zip(starts, ends, rates, rates[1:], strict=False):
        if end > 0 and start < total - 1:
            if start < 0:  # on the way already
                low += (high - low) * -start / (end - start)
            begin = max(start, 0.0)
            steps = _plain_length(end - begin)
            pieces.append((_plain_length(begin), arc(anneal, low, high, steps)))
    return joined(pieces)


def _write_one_cycle(s: OneCycle, need: Need) -> dict[str, Any]:
    if need.until > s.total_steps:
        raise NoEquivalent("OneCycleLR raises a ValueError after its last step")
    total = steps_of("OneCycleLR", s.total_steps)
    factors = {"div_factor": s.div_factor, "final_div_factor": s.final_div_factor}
    shape: dict[str, Any] = {"pct_start": float(s.pct_start), "anneal_strategy": s.anneal}
    if s.three_phase:
        shape["three_phase"] = True
    start = s.max_lr / s.div_factor
    return {"lr": start, "max_lr": s.max_lr, "total_steps": total, **shape,
            "cycle_momentum": False, **factors}  # fmt: skip


def _averaging(given: Given) -> Schedule:
    end, steps = plain(given.group["swa_lr"]), given["anneal_epochs"]
    if steps == 0:
        return Constant(end)
    # The name of a method is all that older versions keep of the strategy.
    linear = "linear" in given.scheduler.anneal_func.__name__
    return arc("linear" if linear else "cos", given["lr"], end, steps)


def _own(given: Given) -> Any:
    schedule = given.scheduler.schedule
    return schedule if isinstance(schedule, Schedule) else schedule[given.index]


def _plateau(given: Given) -> Plateau:
    """In its present state. The rate at its start is known only if a scheduler has kept it."""
    lr = float(plain(given.group["lr"]))
    base = max(lr, float(plain(given.group.get("initial_lr", lr))))
    names = ["factor", "patience", "threshold", "cooldown", "mode", "threshold_mode", "eps"]
    settings = {name: given[name] for name in names}
    # A rate below min_lr is left alone.
    min_lr = min(float(given["min_lrs"][given.index]), lr)
    plateau = Plateau(base, min_lr=min_lr, **settings)
    best = float(given["best"])
    counts = {"bad_updates": given["num_bad_epochs"], "cooldown_left": given["cooldown_counter"]}
    state = {"lr": lr, "best": best if math.isfinite(best) else str(best), **counts}
    plateau.load_state_dict(state)
    return plateau


def _write_plateau(p: Plateau, need: Need) -> dict[str, Any]:
    names = ["factor", "patience", "threshold", "cooldown", "min_lr", "mode", "threshold_mode"]
    return {"lr": p.base_lr, **{name: getattr(p, name) for name in names}, "eps": p.eps}


FUNCTION = (
    "it holds a function, which has no arguments to read; write what it does as a subclass of "
    "lrsched.Schedule"
)


def _row(name: str, ours: str, read: Any, write: Any = None, note: str = "", also: str = "") -> Row:
    native, classes = f"{MODULE}.{name}", tuple(ours.split())
    return Row("pytorch", native, classes, read, write, note, also=tuple(also.split()))


ROWS = [
    _row("StepLR", "StepDecay", _step, _write_step, also="Exponential NaturalExponential"),
    _row("MultiStepLR", "MultiStep", _multi_step, _write_multi_step,
         "a milestone listed twice counts twice there"),
    _row("ConstantLR", "PiecewiseConstant Constant", _constant, _write_constant,
         "a factor up to a step, then the base rate"),
    _row("LinearLR", "Linear", _linear, _write_linear, "cannot start at 0 there",
         also="Polynomial"),
    _row("ExponentialLR", "Exponential", _exponential, _write_exponential,
         also="NaturalExponential Factor"),
    _row("PolynomialLR", "Polynomial", _polynomial, _write_polynomial, "ends at 0 there"),
    _row("CosineAnnealingLR", "CosineAnnealing", _cosine, _write_cosine,
         "rises again after T_max; for one that does not, see Cosine"),
    _row("CosineAnnealingWarmRestarts", "CosineRestarts", _restarts, _write_restarts),
    _row("CyclicLR", "Cyclical", _cyclical, _write_cyclical, "moves the momentum too by default"),
    _row("OneCycleLR", "OneCycle", _one_cycle, _write_one_cycle,
         "raises an error after its last step; moves the momentum too by default"),
    Row("pytorch", "torch.optim.swa_utils.SWALR", ("Cosine", "Linear"), _averaging, None,
        "starts from the rate that it finds, which is read as the base rate"),
    _row("ReduceLROnPlateau", "Plateau", _plateau, _write_plateau,
         "takes a slightly worse negative metric for a better one"),
    refusing("pytorch", f"{MODULE}.LambdaLR", FUNCTION, "Schedule"),
    refusing("pytorch", f"{MODULE}.MultiplicativeLR", FUNCTION, "Schedule"),
    Row("lrsched", "lrsched.pytorch.ScheduleLR", ("Schedule",), _own),
]  # fmt: skip

#: Those that multiply the rate that they find by a factor.
FACTORS = {"StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"}
#: Those that set the rate, whatever they find.
SETTING = {"CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR", "ScheduleLR"}
#: Those whose rates another first step changes.
SPOILT = {"ExponentialLR", "PolynomialLR", "CosineAnnealingLR", "SWALR"}
