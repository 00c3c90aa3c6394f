"""What a worker does with a trial: how it may end, and when it is another's."""

import logging

import optuna
import pytest
from optuna.trial import TrialState

import searched
from lrsched.lab import search
from lrsched.lab.search import Study, open_storage, work
from lrsched.lab.search.signs import Watch
from lrsched.lab.search.trials import SIGN, begin
from searched import TRIALS
from team import drawn, on, same, trials_of

COMPLETE, PRUNED = TrialState.COMPLETE, TrialState.PRUNED


def test_pruned_trials_are_finished():
    said = []
    whole = work(searched.PRUNED, "s", open_storage("j"), TRIALS, said.append)
    assert len(whole.get_trials()) == TRIALS
    for trial in whole.get_trials():
        x = trial.params["x"]
        assert trial.state == (PRUNED if x % 2 else COMPLETE)
        assert trial.intermediate_values == {k: x / (k + 1) for k in range(2 if x % 2 else 4)}
    assert whole.best_params == {"x": 2}
    assert said[0] == "trial 0: x=3: pruned (0 s)"
    assert len(said) == TRIALS


def test_the_pruner_is_used():
    def objective(trial):
        x = trial.suggest_int("x", 0, 9)
        for step in range(4):
            trial.report(x, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x

    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    study = Study(objective, search.grid("x", [1, 2, 9, 0]), pruner=pruner)
    trials = work(study, "s", open_storage("j"), 4).get_trials()
    assert [trial.state for trial in trials] == [COMPLETE, COMPLETE, PRUNED, COMPLETE]
    assert max(trials[2].intermediate_values) == 1


def test_a_pruner_with_studies_of_its_own():
    """Hyperband shows its samplers a part of the trials: the indices are those of all."""
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = Study(searched.pruned, search.grid("x", [2, 4, 6, 8, 10]), pruner=pruner)
    assert drawn(work(study, "s", open_storage("j"), 5).get_trials()) == [2, 4, 6, 8, 10]


@on("journal", "postgresql")
def test_two_studies_in_one_storage(storage, alone):
    """Trials are numbered in each by itself; more of them may be asked for later."""
    both = open_storage(storage)
    for trials in (5, TRIALS):
        for study in ("GRID", "RANDOM"):
            work(getattr(searched, study), study, both, trials)
    for study in ("GRID", "RANDOM"):
        trials = optuna.load_study(study_name=study, storage=both).get_trials()
        same(trials, alone(study))
        assert len(trials) == TRIALS
    if hasattr(both, "engine"):
        both.engine.dispose()


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
        work(searched.GRID, "s", open_storage("j"), 2)
        if taken:
            once(lambda log: log.get("state") == TrialState.FAIL.value, take)

    def take():
        study = optuna.load_study(study_name="s", storage=open_storage("j"))
        numbers.append(study.tell(2, state=TrialState.FAIL).number)

    once(created, quicker)
    whole = work(searched.GRID, "s", open_storage("j"), 2, said.append)
    assert [trial.state.name for trial in whole.get_trials()] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert (numbers, said) == ([2] * taken, [])
    # It is one of those when more are wanted.
    assert drawn(work(searched.GRID, "s", open_storage("j"), 3).get_trials()) == [3, 1, 4]


def test_a_trial_too_many_is_no_death():
    """However often a worker that wants fewer trials has taken it out of the queue."""
    work(searched.GRID, "s", open_storage("j"), 1)
    study = optuna.load_study(study_name="s", storage=open_storage("j"))
    for number in range(1, 6):
        begin(study, range(1, number))
        work(searched.GRID, "s", open_storage("j"), 1)
    whole = work(searched.GRID, "s", open_storage("j"), 2)
    assert [t.state.name for t in whole.trials] == ["COMPLETE", *["FAIL"] * 5, "COMPLETE"]


# Beside others


def test_two_that_begin_together_with_other_settings(once):
    """The one that makes the study is the one whose settings count."""
    once(lambda log: "study_name" in log, lambda: work(searched.GRID, "s", open_storage("j"), 1))
    with pytest.raises(search.SearchError, match="of: 'one' there, 'another' here"):
        work(searched.OTHER, "s", open_storage("j"), 1)
    assert len(trials_of()) == 1


def test_quiet():
    """Optuna's own log is silent during the work, and afterwards as loud as before."""
    level, lines = optuna.logging.get_verbosity(), []
    log, handler = logging.getLogger("optuna"), logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log.addHandler(handler)
    try:
        work(searched.GRID, "s", open_storage("j"), 2)
        assert lines == []
        assert optuna.logging.get_verbosity() == level
        optuna.create_study()
        assert len(lines) == 1
    finally:
        log.removeHandler(handler)
