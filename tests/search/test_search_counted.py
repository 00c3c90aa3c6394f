"""Which trials count, and what each of them draws: it depends on the trials alone."""

import dataclasses
import itertools

from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

import searched
from lrsched.lab.search import random
from lrsched.lab.search.trials import REPEATS, counted, repeats
from searched import TRIALS, VALUES
from team import search


@st.composite
def histories(draw):
    """Trials as storages number them, made by workers who know no more than the storage.

    Any trial that failed may be begun again, also twice, and whether it counts or not.
    """
    trials = []
    for number in range(draw(st.integers(1, 25))):
        failed = [t for t in trials if t.state == TrialState.FAIL and repeats(t) is not None]
        before = []
        if failed and draw(st.booleans()):
            again = draw(st.sampled_from(failed))
            before = [*repeats(again), again.number]
        state = draw(st.sampled_from([TrialState.FAIL, TrialState.COMPLETE, TrialState.RUNNING]))
        value = 1.0 if state == TrialState.COMPLETE else None
        trials.append(create_trial(state=state, value=value, user_attrs={REPEATS: before}))
        trials[-1].number = number
    return trials


HISTORIES, WANTED = histories(), st.integers(1, 12)


@given(trials=HISTORIES, wanted=WANTED)
def test_counted(trials, wanted):
    indices = counted(trials, wanted)
    numbers = list(indices)
    assert numbers == sorted(set(numbers))
    # The first tries that count are the first of all, by their indices.
    first = [t.number for t in trials if not repeats(t)]
    assert {n: indices[n] for n in numbers if n in first} == {
        n: index for index, n in enumerate(first[:wanted])
    }
    # Each of them and what repeats it is one line, in which all but the last have failed.
    for number in first:
        line = [trials[n] for n in numbers if number in (n, *repeats(trials[n]))]
        if number not in numbers:
            assert line == []
            continue
        assert {indices[t.number] for t in line} == {indices[number]}
        for place, trial in enumerate(line):
            assert repeats(trial) == [other.number for other in line[:place]]
        assert all(t.state == TrialState.FAIL for t in line[:-1])
        # And no retry of the last one was passed over.
        assert not any(line[-1].number in repeats(t) for t in trials)
        # Of several retries the first counts.
        for one, two in itertools.pairwise(line):
            again = [t.number for t in trials if repeats(t)[-1:] == [one.number]]
            assert again[0] == two.number


@given(trials=HISTORIES, wanted=WANTED, more=st.integers(0, 5))
def test_what_counts_stays(trials, wanted, more):
    """Whatever is begun later, and if more trials are asked for."""
    indices = counted(trials, wanted).items()
    for end in range(len(trials)):
        earlier = counted(trials[:end], wanted).items()
        assert list(earlier) == [pair for pair in indices if pair[0] < end]
    assert indices <= counted(trials, wanted + more).items()


@given(trials=HISTORIES, wanted=WANTED, place=st.integers(0, 25))
def test_plain_trials_do_not_count(trials, wanted, place):
    """Wherever they stand, the others are those that they were, with their indices."""
    marks = {REPEATS: "garbage"} if place % 2 else {}
    plain = create_trial(value=1.0, user_attrs=marks)
    plain.number = 100
    more = [*trials[:place], plain, *trials[place:]]
    assert counted(more, wanted) == counted(trials, wanted)


# Samplers


def test_grid(alone):
    assert [(t.params["x"], t.value) for t in alone("GRID")] == [
        (x, (x - 30.5) ** 2) for x in VALUES
    ]


def test_random(alone):
    """Each index has its draws, whoever asks; another seed has others."""
    expected = [t.params for t in alone("RANDOM")]
    assert len({params["x"] for params in expected}) == TRIALS
    for trials in (1, 5, 5, 3, TRIALS):  # by five workers, one after the other
        whole = search(trials, searched.RANDOM)
    assert [t.params for t in whole.get_trials()] == expected
    other = dataclasses.replace(searched.RANDOM, sampler=random(4))
    different = search(5, other, "o").get_trials()
    assert not {t.params["x"] for t in different} & {params["x"] for params in expected}


def test_tpe(alone):
    """The same draws with one worker, which depend on the results."""
    expected = [t.params for t in alone("TPE")]
    assert [t.params for t in search(TRIALS, searched.TPE).get_trials()] == expected
    assert len({params["x"] for params in expected}) == TRIALS
    other = dataclasses.replace(searched.TPE, objective=lambda trial: -searched.two(trial))
    different = [t.params for t in search(TRIALS, other, "o").get_trials()]
    assert different[:4] == expected[:4]  # before TPE begins
    assert different[4:] != expected[4:]
