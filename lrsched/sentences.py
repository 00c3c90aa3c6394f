"""What a diagnosis says: what happened, and what to change."""

from collections.abc import Sequence

from .explanations import Explanation

__all__ = ["advised", "counted", "explained", "listed", "shown"]


def explained(found: Explanation, steps_per_epoch: int | None, last: int) -> str:
    """What happened until the last update, as a clause."""
    k, m = found.steps or 0, found.times or 0
    if found.fault == "slow":
        epoch = "an epoch" if m == steps_per_epoch else f"in {m:,} updates"
        return f"the schedule was stepped {'at most ' * (m > last)}once {epoch}"
    if found.fault == "restarted":
        times = f"{len(found.places)} times, " if len(found.places) > 1 else ""
        return f"the schedule began again from its first rate {times}at {_updates(found)}"
    if found.fault == "unexplained" and found.places:
        way = "ahead" if k > 0 else "back"
        return f"the schedule went {counted(abs(k), 'step')} {way} at {_updates(found)}"
    return {
        "none": "the rates are those of the schedule",
        "constant": "the rate never changed",
        "late": f"every rate is the one planned {counted(k, 'update')} before",
        "early": f"every rate is the one planned {counted(k, 'update')} later",
        "fast": f"each update moved the schedule by {m:,} steps",
        "stopped": "from there on the rate never changed",
        "skipped": f"{counted(k, 'update')} had no step of the schedule, seen at {_updates(found)}",
        "scaled": f"every rate is {found.factor or 0:.6g} times the one planned",
        "unexplained": "no single fault that is known here explains all rates",
    }[found.fault]


ADVICE = {
    "constant": "Is the scheduler stepped, and is its optimizer the one that makes the updates?",
    "late": "Set each rate before its update, not after it; at boundaries see whether the library "
    "means the last update with the old rate or the first with the new one.",
    "early": "Train with a new scheduler: drawing with one moves it on, and so does a last_epoch.",
    "slow": "Step the scheduler after each update; if its schedule counts epochs, compare with "
    "schedule.per_epoch(steps_per_epoch).",
    "fast": "Step the scheduler once an update, not once in each of several processes; if the "
    "schedule counts epochs, give schedule.per_epoch(steps_per_epoch) to what counts updates.",
    "stopped": "Is the scheduler still stepped, and is its optimizer still the one that makes the "
    "updates?",
    "restarted": "Load the scheduler's state with that of the model, and do not count from 0 "
    "again in a second call.",
    "skipped": "Step the scheduler after each update, also where the loop goes on early.",
    "scaled": "Is there a second scheduler, or another base rate?",
    "unexplained": "Does something else set the rate, too?",
}


def advised(found: Explanation) -> str:
    """What to change, as a sentence."""
    if found.fault == "early" and found.steps == 1:
        return "Call scheduler.step() after optimizer.step(), not before it."
    if found.fault == "unexplained" and found.places:
        return "Save and load the scheduler's state with that of the model; step it at one place."
    return ADVICE[found.fault]


def _updates(found: Explanation) -> str:
    return f"update{'s' * (len(found.places) > 1)} {listed(found.places)}"


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "step"), counted(2000, "step")
    ('1 step', '2,000 steps')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def listed(places: Sequence[int], most: int = 5, word: str = "and") -> str:
    """
    >>> listed((3, 5)), listed(tuple(range(9)), 3)
    ('3 and 5', '0, 1, 2 and 6 more')
    """
    words = [f"{place:,}" for place in places[:most]]
    if len(places) > most:
        words.append(f"{len(places) - most:,} more")
    return f" {word} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def shown(a: float, b: float) -> tuple[str, str]:
    """Two rates with as many digits as tell them apart.

    >>> shown(0.1, 0.2), shown(0.1, 0.10000001)
    (('0.1', '0.2'), ('0.1', '0.10000001'))
    """
    for digits in range(4, 18):
        texts = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if texts[0] != texts[1]:
            break
    return texts
