"""A run that diverges is marked, as plain PyTorch has it, and leaves the others alone."""

import numpy as np
import pytest
import torch

import lrsched as L
from experiments import KINDS, ROWS, alone, arrays, flat, images, mlp, normalised, same
from lrsched.lab import SGD, Adam, Run, train
from lrsched.lab.group import Group

RELU = {
    "images": {"plain": lambda: flat("r"), "normalised": lambda: normalised("r")},
    "rows": {str(n): mlp(norm=n, activation="relu") for n in (None, "before", "after")},
}


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam()], ids=repr)
@pytest.mark.parametrize("distances_every", [None, 3])
def test_a_diverging_run_leaves_the_others_alone(kind, distances_every, optimizer):
    """They go on as beside harmless runs, to the last bit: also what follows a metric."""
    data, networks = KINDS[kind][0], RELU.get(kind, RELU["rows"])

    def beside(rate):
        """What was measured of the others, and whether these diverge."""
        rules = {
            "low": L.Constant(0.001), "two": L.Constant(rate), "high": L.Constant(0.02),
            "plateau": L.Plateau(0.01, factor=0.5, patience=0, threshold=0.1),
            "two, plateau": L.Plateau(rate, factor=0.9, patience=0),
        }  # fmt: skip
        runs = [Run(*rule, seed, name) for name in networks for rule in rules.items()
                for seed in (0, 1)]  # fmt: skip
        said = {"epochs": 4, "optimizer": optimizer, "group": 15, "network": networks}
        results = train(runs, data, distances_every=distances_every, batch_size=10, **said)
        assert results.check_rates()
        two = np.array([run.label.startswith("two") for run in runs])
        assert (results.diverged[~two] == -1).all()
        return arrays(results, ~two), results.diverged[two] >= 0

    quiet, calm = beside(0.01)
    others, diverged = beside(1e30)
    assert not calm.any()
    # Normalised, and without a square, a network of any size has a finite loss.
    assert diverged.mean() >= (0.5 if kind == "images" else 1)
    same(quiet, others)


@pytest.mark.parametrize(
    ("step", "diverged"), [(0, 1), (3, 3), (4, 5), (6, 7), (7, 7), (15, 15), (16, -1)]
)
def test_the_step_of_divergence(kind, step, diverged):
    """NaN from the epoch on. On rows the measurement after the last update of an epoch sees it."""
    data = images(30) if kind == "images" else ROWS
    if kind == "images" and step in (3, 7, 15):
        diverged = step + 1 if step < 15 else -1
    networks = {"plain": RELU["images"]["plain"]} if kind == "images" else RELU["rows"]
    huge = L.PiecewiseConstant([step - 0.5], [0.01, 1e30]) if step else L.Constant(1e30)
    runs = [Run(label, rule, seed, network) for network in networks for seed in (0, 1)
            for label, rule in (("huge", huge), ("low", L.Constant(0.01)))]  # fmt: skip
    results = train(runs, data, network=networks, epochs=4, batch_size=8)
    assert (results.diverged[::2] == diverged).all()
    assert (results.diverged[1::2] == -1).all()
    epoch = 4 if diverged < 0 else diverged // 4
    for values in results.metrics.values():
        assert np.isnan(values[epoch:, ::2]).all()
        assert np.isfinite(values[:, 1::2]).all()
        before = step // 4
        np.testing.assert_array_equal(values[:before, ::2], values[:before, 1::2])


def test_a_huge_loss_has_a_mean_where_its_sum_would_overflow():
    data, size = images(200, 150, 100), 1.5e37

    def sure_of_the_first_class():
        network = flat()
        torch.nn.init.constant_(network[-1].bias[:1], size)
        return network

    run = Run("a", L.Constant(1e-6))
    found = train([run], data, network=sure_of_the_first_class, epochs=1, batch_size=8, chunk=8)
    assert found.diverged.tolist() == [-1]
    for name in ("train", "validation", "test"):
        labels = getattr(data, name).labels.numpy()
        mean = size * np.mean(labels != 0)
        assert mean * len(labels) > np.finfo(np.float32).max
        np.testing.assert_allclose(found.metrics[f"{name}_loss"], mean, rtol=1e-5)
        np.testing.assert_allclose(found.metrics[f"{name}_accuracy"], np.mean(labels == 0))


def test_as_plain_pytorch_has_it(engine):
    """A rate at which runs overflow one after the other."""
    make = mlp(depth=2, activation="relu", width=8)
    rates = [0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1e4]
    runs = [Run(f"{rate}", L.Constant(rate), seed) for rate in rates for seed in range(4)]
    results = train(runs, ROWS, network=make, epochs=12, batch_size=8)
    began = set()
    for place, run in enumerate(runs):
        expected = alone(run, ROWS, make, epochs=12).metrics
        finite = np.isfinite(np.array(list(expected.values()))).all(axis=0)
        assert (
            np.isnan(results.metrics["test_loss"][:, place]).tolist()
            == (~np.logical_and.accumulate(finite)).tolist()
        )
        began.add(int(finite.argmin()) if not finite.all() else -1)
    assert len(began) >= 3


@pytest.mark.parametrize("what", ["losses", "finite"])
def test_it_stays_though_the_losses_are_finite_again(monkeypatch, kind, what):
    """One loss that is not finite, in weights that are."""
    real = Group.train_epoch

    class Broken:
        def __init__(self, teacher):
            self.teacher = teacher

        def epoch(self, group):
            found = self.teacher.epoch(group)
            if group.epoch == 1:  # the second
                found._asdict()[what].view(-1)[0] = torch.inf if what == "losses" else False
            return found

    monkeypatch.setattr(Group, "train_epoch", lambda self, t: real(self, Broken(t)))
    data, networks = KINDS[kind]
    runs = [Run(label, L.Constant(0.01)) for label in "ab"]
    make = next(iter(networks.values()))
    results = train(runs, data, network=make, epochs=4, batch_size=30, group=2)
    steps = results.steps_per_epoch
    assert results.diverged.tolist() == [steps if what == "losses" else 2 * steps - 1, -1]
    for values in results.metrics.values():
        assert np.isnan(values).tolist() == [[False, False], *3 * [[True, False]]]
