"""What schedules are called in libraries that are not read: transformers, and timm.

Those of PyTorch, Keras, TensorFlow 1 and optax stand in :func:`lrsched.natives.table`.
"""

from dataclasses import dataclass

__all__ = ["OTHERS", "Name"]


@dataclass(frozen=True)
class Name:
    """A schedule of a library, and how it is written with ours.

    Attributes:
        library: "transformers" or "timm".
        name: the function or class.
        ours: the class that it is listed under; "" where there is none.
        written: the same by ours, with ``lr`` the base rate, ``w`` the warmup, ``T`` the whole
            length with it; of timm ``t`` its ``t_initial`` or ``decay_t``.
        note: what bites, in one clause.
    """

    library: str
    name: str
    ours: str = ""
    written: str = ""
    note: str = ""


def _transformers(name: str, ours: str = "", written: str = "", note: str = "") -> Name:
    return Name("transformers", f"get_{name}", ours, written, note)


def _timm(name: str, ours: str = "", written: str = "", note: str = "") -> Name:
    return Name("timm", name, ours, written, note)


OTHERS = (
    _transformers("constant_schedule", "Constant", "Constant(lr)"),
    _transformers("constant_schedule_with_warmup", "Constant", "Constant(lr).warmup(w)"),
    _transformers(
        "linear_schedule_with_warmup",
        "Linear",
        "Linear(lr, 0, decay_steps=T - w).warmup(w)",
    ),
    _transformers(
        "polynomial_decay_schedule_with_warmup",
        "Polynomial",
        "Polynomial(lr, T - w, end_lr=lr_end, power=power).warmup(w)",
        "ends at 1e-7 by default",
    ),
    _transformers(
        "cosine_schedule_with_warmup",
        "CosineAnnealing",
        "CosineAnnealing(lr, (T - w) / (2 * num_cycles)).warmup(w)",
        "rises again after T; for one that does not, see Cosine",
    ),
    _transformers(
        "cosine_with_min_lr_schedule_with_warmup",
        "CosineAnnealing",
        "CosineAnnealing(lr, (T - w) / (2 * num_cycles), end_lr=min_lr).warmup(w)",
        "rises again after T; its warmup begins at 0, below min_lr",
    ),
    _transformers(
        "cosine_with_min_lr_schedule_with_warmup_lr_rate",
        note="is one step ahead: its warmup begins at lr / w, its wave at step 1",
    ),
    _transformers(
        "cosine_with_hard_restarts_schedule_with_warmup",
        "Repeat",
        "Cosine(lr, n).repeat(n, times=num_cycles).warmup(w), n = (T - w) / num_cycles",
        "all waves are of one length; num_cycles counts them, not half ones",
    ),
    _transformers(
        "inverse_sqrt_schedule",
        "Power",
        "Power(lr, power=0.5, decay_steps=timescale).warmup(w)",
        "its timescale is w by default, 10,000 without a warmup",
    ),
    _transformers(
        "wsd_schedule",
        "WarmupStableDecay",
        "WarmupStableDecay(lr, warmup_steps=0, stable_steps=s, decay_steps=d, end_lr=m, "
        "decay=decay_type).warmup(w, start_lr=m), m = min_lr_ratio * lr",
        "its fall is a cosine by default; a warmup other than linear has no counterpart",
    ),
    _transformers(
        "reduce_on_plateau_schedule", "Plateau", "Plateau(lr)", "that of PyTorch, with its defaults"
    ),
    _timm(
        "CosineLRScheduler",
        "Cosine",
        "Cosine(lr, t, end_lr=lr_min)",
        "without warmup_prefix the warmup hides the first warmup_t steps of the wave",
    ),
    _timm(
        "StepLRScheduler",
        "StepDecay",
        "StepDecay(lr, t, gamma=decay_rate)",
        "does not decay by default: its decay_rate is 1",
    ),
    _timm(
        "MultiStepLRScheduler",
        "MultiStep",
        "MultiStep(lr, t, gamma=decay_rate)",
        "does not decay by default: its decay_rate is 1",
    ),
    _timm(
        "PolyLRScheduler",
        "Polynomial",
        "Polynomial(lr, t, end_lr=lr_min, power=power)",
        "its power is 0.5 by default",
    ),
    _timm("TanhLRScheduler"),
    _timm("PlateauLRScheduler", "Plateau", "Plateau(lr)", "more is better by default"),
)
