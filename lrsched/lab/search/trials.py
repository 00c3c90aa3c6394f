"""Which trials of a study count: every worker can tell it from the trials alone, at any time.

Storages number trials as they are made, one after the other, whoever makes them. A trial of a
worker is put into the queue with a mark, the numbers of the failed trials that it repeats. What
has no mark is plain Optuna's: it is run if it waits, and neither counts nor has an index.
"""

from collections.abc import Sequence

from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState, create_trial

__all__ = ["FAILED", "REPEATS", "SIGN", "begin", "counted", "repeats"]

# The marks of trials, as attributes that anyone can read.
REPEATS = "lrsched.repeats"
SIGN = "lrsched.sign_of_life"
FAILED = "lrsched.failed"


def begin(study: OptunaStudy, numbers: Sequence[int] = ()) -> None:
    """Put a trial into the queue, which repeats those of these numbers.

    All is drawn again: had it been stopped between two draws, the second would get what was
    the first.
    """
    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={REPEATS: list(numbers)}))


def repeats(trial: FrozenTrial) -> list[int] | None:
    """The numbers of the failed trials that this one repeats; None: it is plain Optuna's."""
    numbers = trial.user_attrs.get(REPEATS)
    return numbers if isinstance(numbers, list) else None


def counted(trials: Sequence[FrozenTrial], wanted: int) -> dict[int, int]:
    """The index of each trial that counts, by its number.

    These are the first so many trials, and of each that failed the first that repeats it.
    """
    indices: dict[int, int] = {}
    repeated: set[int] = set()
    first = 0
    for trial in trials:
        before = repeats(trial)
        if before == []:
            if first < wanted:
                indices[trial.number] = first
            first += 1
        elif before and before[-1] in indices and before[-1] not in repeated:
            indices[trial.number] = indices[before[-1]]
            repeated.add(before[-1])
    return indices
