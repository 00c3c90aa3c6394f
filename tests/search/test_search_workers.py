"""What a worker does with a trial: how it may end, and when it is another's."""

import optuna
import pytest
from optuna.trial import TrialState

import searched
from lrsched.lab.search import SearchError, Study, grid
from lrsched.lab.search.signs import Watch
from lrsched.lab.search.trials import SIGN, begin
from searched import TRIALS
from team import drawn, plain, search

COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED


def test_pruned_trials_are_finished():
    said = []
    whole = search(TRIALS, searched.PRUNED, say=said.append)
    assert len(whole.get_trials()) == TRIALS
    for trial in whole.get_trials():
        x = trial.params["x"]
        assert trial.state == (PRUNED if x % 2 else COMPLETE)
        assert trial.intermediate_values == {k: x / (k + 1) for k in range(2 if x % 2 else 4)}
    assert whole.best_params == {"x": 2}
    assert said[0] == "trial 0: x=3: pruned (0 s)"
    assert len(said) == TRIALS


def test_a_pruner_with_studies_of_its_own():
    """Hyperband shows its samplers a part of the trials: the indices are those of all."""
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = Study(searched.pruned, grid("x", [2, 4, 6, 8, 10]), pruner=pruner)
    assert drawn(search(5, study).get_trials()) == [2, 4, 6, 8, 10]


def test_signs_of_life():
    """After three beats without a new sign, by the clock of the one who looks."""
    study, now = optuna.create_study(), [1000.0]
    watch = Watch(30, lambda: now[0])
    by_hand = study.ask()  # by plain Optuna, which gives no signs
    for _ in range(2):
        begin(study)
    dies, lives = study.ask(), study.ask()

    def silent(seconds):
        """Those that are taken for dead when so much time has passed."""
        now[0] += seconds
        return watch.silent(study.get_trials())

    assert silent(100) == []  # seen for the first time
    assert silent(29) == []
    lives.set_user_attr(SIGN, 1)
    assert silent(2) == [dies.number]  # which has never given a sign
    study.tell(dies, state=TrialState.FAIL)
    assert silent(28) == []
    lives.set_user_attr(SIGN, 2)
    assert silent(29) == []
    assert silent(29) == []
    assert silent(2) == [lives.number]
    assert study.get_trials()[by_hand.number].state == TrialState.RUNNING


# More trials than are wanted


def created(log):
    """Whether an entry of a journal makes a trial."""
    return "datetime_start" in log or log.get("state") == TrialState.WAITING.value


@pytest.mark.parametrize("taken", [False, True])
def test_a_surplus_trial(once, taken):
    """Another worker is quicker: the one too many is ended, and no word is said of it.

    Nor if others have taken it for dead meanwhile.
    """
    said, numbers = [], []

    def quicker():
        search(2)
        if taken:
            once(lambda log: log.get("state") == TrialState.FAIL.value, take)

    def take():
        numbers.append(plain().tell(2, state=TrialState.FAIL).number)

    once(created, quicker)
    whole = search(2, say=said.append)
    assert [trial.state.name for trial in whole.get_trials()] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert (numbers, said) == ([2] * taken, [])
    # It is one of those when more are wanted.
    assert drawn(search(3).get_trials()) == [3, 1, 4]


def test_a_trial_too_many_is_no_death():
    """However often a worker that wants fewer trials has taken it out of the queue."""
    search(1)
    for number in range(1, 6):
        begin(plain(), range(1, number))
        search(1)
    whole = search(2)
    assert [t.state.name for t in whole.trials] == ["COMPLETE", *["FAIL"] * 5, "COMPLETE"]


# Beside others


def test_two_that_begin_together_with_other_settings(once):
    """The one that makes the study is the one whose settings count."""
    once(lambda log: "study_name" in log, lambda: search(1))
    with pytest.raises(SearchError, match="of: 'one' there, 'another' here; more: None there"):
        search(1, searched.OTHER)
    assert len(plain().get_trials()) == 1


def test_quiet():
    """Optuna's own log, which is silent during the work, is as loud as before afterwards."""
    level = optuna.logging.get_verbosity()
    search()
    assert optuna.logging.get_verbosity() == level
