"""Training side by side: each run goes as a plain PyTorch loop would take it."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from lrsched.lab.history import METRICS
from torch import nn

import drawn
import lrsched as L
from lrsched.lab import SGD, Adam, Run, digits, fastest, lenet, train, training
from lrsched.lab.data import Split
from lrsched.lab.optimizers import StackOptimizer
from lrsched.pytorch import scheduler, set_rate

DATA = digits()


def small(train=100, validation=20, test=30):
    """Fewer of the digits."""
    counts = {"train": train, "validation": validation, "test": test}
    parts = {
        name: Split(getattr(DATA, name).images[:count], getattr(DATA, name).labels[:count])
        for name, count in counts.items()
    }
    return dataclasses.replace(DATA, **parts)


SMALL = small()
RUN = Run("a", L.Constant(0.1))


def mlp(activation=nn.Tanh):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), activation(), nn.Linear(12, 10))


def relu_mlp():
    return mlp(nn.ReLU)


def normalised_mlp(momentum=0.3, **settings):
    return nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(64, momentum=momentum, **settings), nn.Linear(64, 12),
        nn.BatchNorm1d(12, momentum=momentum, **settings), nn.ReLU(), nn.Linear(12, 10),
    )  # fmt: skip


class Trained:
    """A training, and the networks that it ended with."""

    def __init__(self, runs, data=SMALL, **arguments):
        trainers = []

        class Kept(training._Group):
            def __init__(self, runs, *others):
                super().__init__(runs, *others)
                trainers.append((runs, self))

        arguments = {"epochs": 1, "batch_size": 32, "group": 32, "chunk": 32} | arguments
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "_Group", Kept)
            self.history = train(runs, data, **arguments)
        self.groups = [list(of_group) for of_group, _ in trainers]
        self.networks = [
            next(t.stack.network(of.index(run)) for of, t in trainers if run in of) for run in runs
        ]


def plain(
    run, data=SMALL, *, network, optimizer, epochs=1, batch_size=32, end=lambda model, native: None
):
    """The same training as anyone would write it; ``end`` is called after each epoch.

    Returns the network, the loss of each step, and for each sample seen its epoch, loss and
    whether it was classified rightly.
    """
    model = training.initial(network, run.seed)
    if isinstance(run.schedule, L.Plateau):
        native, adapter = optimizer.native(model.parameters(), run.schedule.base_lr), None
    else:
        native = optimizer.native(model.parameters())
        adapter = scheduler(native, run.schedule)
    losses, samples = [], []
    for epoch in range(epochs):
        for images, labels in training.batches(data.train, batch_size, run.seed, epoch):
            native.zero_grad()
            outputs = model(images)
            loss = F.cross_entropy(outputs, labels)
            loss.backward()
            native.step()
            if adapter:
                adapter.step()
            losses.append(loss.item())
            each = F.cross_entropy(outputs.detach(), labels, reduction="none")
            right = outputs.argmax(1) == labels
            samples += [(epoch, *pair) for pair in zip(each.tolist(), right.tolist(), strict=True)]
        end(model, native)
    return model, np.array(losses), np.array(samples)


def measured(model, split):
    """Loss and accuracy in evaluation mode."""
    model.eval()
    with torch.no_grad():
        outputs = model(split.images)
    model.train()
    right = (outputs.argmax(1) == split.labels).float()
    return F.cross_entropy(outputs, split.labels).item(), right.mean().item()


def columns(history, keep):
    """All that was measured of some of the runs."""
    return {
        "rates": history.rates[:, keep],
        "losses": history.losses[:, keep],
        **{name: values[:, keep] for name, values in history.metrics.items()},
        **{name: values[:, keep] for name, values in history.distances.items()},
    }


def same(left, right):
    """Equal to the last bit."""
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


# Beside a plain loop

OPTIMIZERS = [
    SGD(),
    SGD(momentum=0.9),
    SGD(weight_decay=0.01),
    SGD(0.8, 0.003, nesterov=True),
    Adam(),
    Adam(0.8, 0.95, eps=1e-3, weight_decay=0.01),
]


def grid(optimizer, seeds=2):
    base = 0.003 if isinstance(optimizer, Adam) else 0.05
    schedules = {
        "constant": L.Constant(base),
        "warmup": L.Constant(base).warmup(20),
        "cosine": L.Cosine(base, 41),
        "steps": L.StepDecay(base, 10, gamma=0.5),
    }
    return [Run(label, s, seed) for label, s in schedules.items() for seed in range(seeds)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_an_epoch_equals_a_plain_loop(optimizer):
    """41 updates of a LeNet, the last one by 17 samples, in chunks of 10."""
    runs = grid(optimizer)
    trained = Trained(runs, DATA, optimizer=optimizer, network=lambda: lenet(8), group=3, chunk=10)
    history = trained.history
    assert history.losses.shape == (41, 8)
    for k, run in enumerate(runs):
        network, losses, _ = plain(run, DATA, network=lambda: lenet(8), optimizer=optimizer)
        np.testing.assert_allclose(history.losses[:5, k], losses[:5], rtol=2e-6)
        np.testing.assert_allclose(history.losses[:, k], losses, rtol=1e-3)
        ours, theirs = weights(trained.networks[k]), weights(network)
        away = (ours - theirs).abs() > 1e-3 + 1e-3 * theirs.abs()
        # Adam moves a weight by the sign of its gradient, even if that is rounding and no more:
        # a few weights may go another way.
        allowed = 0.01 if isinstance(optimizer, Adam) and optimizer.eps < 1e-6 else 0
        assert away.float().mean() <= allowed


def optimizers(least_eps):
    decays = st.just(0.0) | st.floats(1e-4, 0.1)
    return (
        st.builds(SGD, st.floats(0, 0.99), decays)
        | st.builds(SGD, st.floats(0.1, 0.99), decays, st.just(True))
        | st.builds(
            Adam, st.floats(0, 0.99), st.floats(0, 0.9999), st.floats(least_eps, 1e-2), decays
        )
    )


@given(
    optimizer=optimizers(1e-8),
    rates=st.lists(
        st.lists(st.sampled_from([0.0, 0.5, 0.25, 2.0**-10, 1.5]), min_size=6, max_size=6),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 1000),
)
def test_an_update_is_that_of_pytorch(optimizer, rates, seed):
    """In double precision, with rates that single precision holds too: no rounding to hide in."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    networks = len(rates)
    stacked = {"matrix": drawn(networks, 3, 2), "vector": drawn(networks, 4)}
    single = [[nn.Parameter(p[k].clone()) for p in stacked.values()] for k in range(networks)]
    natives = [optimizer.native(parameters) for parameters in single]
    ours = StackOptimizer(optimizer, stacked)
    for step in range(6):
        grads = [drawn(*p.shape) for p in stacked.values()]
        for p, grad in zip(stacked.values(), grads, strict=True):
            p.grad = grad.clone()
        ours.rates.copy_(torch.tensor([line[step] for line in rates]))
        ours.step()
        for k, native in enumerate(natives):
            set_rate(native, rates[k][step])
            for p, grad in zip(single[k], grads, strict=True):
                p.grad = grad[k].clone()
            native.step()
            for whole, p in zip(stacked.values(), single[k], strict=True):
                torch.testing.assert_close(whole[k], p.detach(), rtol=1e-9, atol=1e-10)
    ours.zero_grad()
    assert all(p.grad is None for p in stacked.values())


# With a small eps, Adam divides tiny gradients by their own size: rounding decides signs.
@given(
    optimizer=optimizers(1e-3),
    group=st.integers(1, 5),
    chunk=st.integers(1, 40),
    batch_size=st.integers(5, 40),
)
def test_any_optimizer_in_any_parts(optimizer, group, chunk, batch_size):
    data = small(60, 5, 5)
    rate = 0.001 if isinstance(optimizer, Adam) else 0.01
    runs = [Run("a", L.Constant(rate), 3), Run("b", L.Cosine(rate, 5), 3)]
    runs += [Run("a", L.Constant(rate), 0), Run("c", L.Constant(rate).warmup(3), 3)]
    parts = {"optimizer": optimizer, "network": mlp, "batch_size": batch_size, "epochs": 2}
    trained = Trained(runs, data, group=group, chunk=chunk, **parts)
    for k, run in enumerate(runs):
        network, losses, _ = plain(run, data, **parts)
        np.testing.assert_allclose(trained.history.losses[:, k], losses, rtol=2e-4)
        torch.testing.assert_close(
            weights(trained.networks[k]), weights(network), rtol=1e-3, atol=2e-4
        )


def test_the_rate_recorded_is_the_one_that_moved_the_weights(monkeypatch):
    seen = []
    step = StackOptimizer.step

    def watched(self):
        before = [p.detach().clone() for p in self.parameters]
        step(self)
        for old, p in zip(before, self.parameters, strict=True):
            largest = p.grad.flatten(1).abs().argmax(1, keepdim=True)
            moved = (old - p.detach()).flatten(1).gather(1, largest)
            seen.append((moved / p.grad.flatten(1).gather(1, largest))[:, 0].numpy())

    monkeypatch.setattr(StackOptimizer, "step", watched)
    schedules = [L.Constant(0.5), L.Cosine(0.4, 8), L.Constant(0.3).warmup(3), L.StepDecay(0.2, 2)]
    runs = [Run(repr(schedule), schedule) for schedule in schedules]
    history = Trained(runs, network=mlp, epochs=2).history
    assert history.rates.shape == (8, 4)
    for k, schedule in enumerate(schedules):
        assert (history.rates[:, k] == schedule(np.arange(8))).all()
    moved = np.array(seen).reshape(8, -1, 4)  # by weight tensor
    for weight in range(moved.shape[1]):
        np.testing.assert_allclose(moved[:, weight], history.rates, rtol=1e-4, atol=1e-5)


# Normalisation

NORMALISED = {
    "normalised": normalised_mlp,
    "without weights": lambda: normalised_mlp(affine=False),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.BatchNorm1d(27),
        nn.Linear(27, 10),
    ),
}  # fmt: skip


@pytest.mark.parametrize("optimizer", [SGD(), SGD(0.9, 0.01), Adam(eps=1e-3)], ids=repr)
@pytest.mark.parametrize("network", NORMALISED.values(), ids=NORMALISED)
def test_normalised_networks_equal_a_plain_loop(network, optimizer):
    """Weights, running statistics, and what is measured with them after each epoch."""
    runs = grid(optimizer)
    arguments = {"network": network, "optimizer": optimizer, "epochs": 3}
    trained = Trained(runs, group=3, chunk=None, **arguments)
    history = trained.history
    assert history.surroundings["chunk"] == 32
    for k, run in enumerate(runs):
        seen = []

        def end(model, native, seen=seen):
            seen.append([measured(model, SMALL.validation), measured(model, SMALL.test)])

        model, losses, samples = plain(run, end=end, **arguments)
        np.testing.assert_allclose(history.losses[:, k], losses, rtol=2e-3)
        state = trained.networks[k].state_dict()
        assert state.keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=2e-3, atol=1e-3)
        for place, split in enumerate(("validation", "test")):
            expected = np.array(seen)[:, place]
            np.testing.assert_allclose(history.metrics[f"{split}_loss"][:, k], expected[:, 0], 2e-3)
            np.testing.assert_allclose(
                history.metrics[f"{split}_accuracy"][:, k], expected[:, 1], atol=1e-6
            )
        for epoch in range(3):
            _, each, _ = samples[samples[:, 0] == epoch].T
            assert history.metrics["train_loss"][epoch, k] == pytest.approx(each.mean(), rel=2e-3)


def test_a_larger_chunk_than_the_batch_changes_nothing():
    trained = [
        Trained(grid(SGD(), 1), network=normalised_mlp, chunk=chunk).history
        for chunk in (None, 32, 64)
    ]
    for other in trained[1:]:
        same(columns(trained[0], slice(None)), columns(other, slice(None)))
        assert other.surroundings["chunk"] == 32


@pytest.mark.parametrize(
    "network", [normalised_mlp, lambda: normalised_mlp(track_running_stats=False)]
)
@pytest.mark.parametrize("chunk", [1, 31])
def test_no_chunks_with_normalisation(network, chunk):
    with pytest.raises(ValueError, match=f"chunk must .*at least batch_size=32 .*got {chunk}"):
        train([RUN], SMALL, epochs=1, batch_size=32, network=network, chunk=chunk, group=1)


def test_a_last_batch_of_one_cannot_be_normalised():
    with pytest.raises(ValueError, match="batch_size must leave no batch of one sample"):
        Trained([RUN], network=normalised_mlp, batch_size=33, chunk=33)


def test_sizes_are_measured_for_whole_batches(monkeypatch):
    monkeypatch.setattr(training, "SIZES", (1, 2))
    history = Trained([RUN], network=normalised_mlp, group=None, chunk=None).history
    assert history.surroundings["chunk"] == 32
    costs = training.measure(normalised_mlp, SMALL, 32, chunk=32)
    assert set(costs) == {(1, 32), (2, 32)}


# Plateaus


def torch_plateau(plateau, native):
    """PyTorch's scheduler with the same settings."""
    names = ("factor", "patience", "threshold", "cooldown", "min_lr", "mode", "threshold_mode")
    settings = {name: getattr(plateau, name) for name in (*names, "eps")}
    return torch.optim.lr_scheduler.ReduceLROnPlateau(native, **settings)


PLATEAUS = {
    "min": [
        L.Plateau(0.3, factor=0.5, patience=0, threshold=0.1),
        L.Plateau(0.5, factor=0.1, patience=1, threshold=0.2, cooldown=1),
        L.Plateau(0.2, factor=0.3, patience=0, threshold=0.3, min_lr=0.05, threshold_mode="abs"),
        L.Plateau(0.1),
    ],
    "max": [
        L.Plateau(0.3, factor=0.5, patience=0, threshold=0.1, mode="max"),
        L.Plateau(0.5, factor=0.1, patience=1, threshold=0.2, cooldown=1, mode="max"),
        L.Plateau(
            0.2,
            factor=0.3,
            patience=0,
            threshold=0.1,
            min_lr=0.05,
            threshold_mode="abs",
            mode="max",
        ),
    ],
}


@pytest.mark.parametrize("network", [mlp, normalised_mlp])
@pytest.mark.parametrize(
    ("mode", "watch"), [("min", "validation_loss"), ("max", "validation_accuracy")]
)
def test_plateaus_equal_a_plain_loop(mode, watch, network):
    """With torch.optim.lr_scheduler.ReduceLROnPlateau, beside a schedule in the same group."""
    runs = [Run(str(k), plateau, 1) for k, plateau in enumerate(PLATEAUS[mode])]
    runs.insert(1, Run("cosine", L.Cosine(0.2, 32), 1))
    arguments = {"network": network, "epochs": 8, "optimizer": SGD(0.5)}
    trained = Trained(runs, watch=watch, **arguments)
    history = trained.history
    assert history.settings["watch"] == watch
    assert "each applied the rate of its schedule" in history.check_rates()
    falls = 0
    for k, run in enumerate(runs):
        rates, theirs = [run.schedule(0) if k == 1 else run.schedule.base_lr], []

        def end(model, native, run=run, rates=rates, theirs=theirs):
            if isinstance(run.schedule, L.Plateau):
                if not theirs:
                    theirs.append(torch_plateau(run.schedule, native))
                loss, accuracy = measured(model, SMALL.validation)
                theirs[0].step(loss if mode == "min" else accuracy)
            rates.append(native.param_groups[0]["lr"])

        model, losses, _ = plain(run, end=end, **arguments)
        np.testing.assert_allclose(history.losses[:, k], losses, rtol=3e-3, atol=1e-4)
        torch.testing.assert_close(
            weights(trained.networks[k]), weights(model), rtol=2e-3, atol=2e-3
        )
        assert history.rates[::4, k].tolist() == rates[:8]
        if isinstance(run.schedule, L.Plateau):
            assert (history.rates[:, k] == np.repeat(rates[:8], 4)).all()
            falls += len(set(rates)) > 1
    assert falls >= 2


@pytest.mark.parametrize("watch", METRICS)
@pytest.mark.parametrize("group", [1, 2, 9])
def test_a_plateau_follows_any_metric(watch, group):
    mode = "min" if watch.endswith("loss") else "max"
    runs = [Run(str(k), p, seed) for k, p in enumerate(PLATEAUS[mode]) for seed in (0, 1)]
    before = [run.to_dict() for run in runs]
    history = Trained(runs, network=mlp, epochs=6, watch=watch, group=group).history
    for k, run in enumerate(runs):
        native = SGD().native([nn.Parameter(torch.zeros(1))], run.schedule.base_lr)
        theirs = torch_plateau(run.schedule, native)
        for epoch in range(6):
            lr = native.param_groups[0]["lr"]
            assert (history.rates[4 * epoch : 4 * epoch + 4, k] == lr).all()
            theirs.step(float(history.metrics[watch][epoch, k]))
    history.check_rates()
    assert len(np.unique(history.rates)) > 4
    # The plateaus that were given are as they were.
    assert [run.to_dict() for run in history.runs] == before
    assert all(run.schedule.lr == run.schedule.base_lr for run in runs)
    assert all(run.schedule.best in (float("inf"), -float("inf")) for run in runs)


def test_a_plateau_that_was_used_starts_anew():
    used = L.Plateau(0.3, factor=0.5, patience=0, threshold=0.1)
    for metric in (0.1, 1, 1, 1):
        used.update(metric)
    assert used.lr < 0.3
    state = used.state_dict()
    history = Trained([Run("a", used)], network=mlp, epochs=4).history
    fresh = Trained(
        [Run("a", L.Plateau(0.3, factor=0.5, patience=0, threshold=0.1))], network=mlp, epochs=4
    ).history
    same(columns(history, [0]), columns(fresh, [0]))
    assert history.rates[0, 0] == 0.3
    assert used.state_dict() == state
    history.check_rates()


def test_one_plateau_for_many_runs():
    """Each has a state of its own."""
    plateau = L.Plateau(0.3, factor=0.5, patience=0, threshold=0.1)
    runs = [Run(label, plateau, seed) for seed in (0, 1) for label in ("a", "b")]
    history = Trained(runs, network=mlp, epochs=6).history
    alone = [Trained([run], network=mlp, epochs=6).history for run in runs[1:3]]
    for k, other in enumerate(alone, 1):
        np.testing.assert_array_equal(history.rates[:, k], other.rates[:, 0])
    assert (history.rates[:, 0] == history.rates[:, 1]).all()


def test_check_rates_of_plateaus():
    runs = [
        Run("cosine", L.Cosine(0.1, 8)),
        Run("plateau", L.Plateau(0.3, factor=0.5, patience=0, threshold=0.5)),
    ]
    history = Trained(runs, network=mlp, epochs=4).history
    assert history.check_rates() == (
        "16 updates of 2 runs: each applied the rate of its schedule, exactly."
    )
    assert history.rates[-1, 1] < 0.3
    for step in (0, 5, 15):
        rates = history.rates.copy()
        rates[step, 1] = np.nextafter(rates[step, 1], 1)
        with pytest.raises(AssertionError, match="label='plateau'"):
            dataclasses.replace(history, rates=rates).check_rates()
    late = history.rates.copy()
    late[4:, 1] = history.rates[3:-1, 1]  # one step too late
    with pytest.raises(AssertionError, match="label='plateau'"):
        dataclasses.replace(history, rates=late).check_rates()
    better = history.metrics | {
        "validation_loss": np.array([[4.0] * 2, [2.0] * 2, [1] * 2, [0] * 2])
    }
    with pytest.raises(AssertionError, match="label='plateau'"):
        dataclasses.replace(history, metrics=better).check_rates()
    assert history.select(lambda run: run.label == "plateau").check_rates().startswith("16 updates")


def test_a_plateau_that_diverges():
    """NaN is never better: its rate falls, and the others are left alone."""
    plateau = L.Plateau(0.3, factor=0.5, patience=1, threshold=0.1)
    huge = Run("huge", L.Plateau(1e30, factor=0.5, patience=0))
    runs = [Run("a", plateau), huge, Run("b", L.Constant(0.1))]
    calm = [runs[0], Run("huge", L.Constant(0.2)), runs[2]]
    histories = [
        Trained(some, network=normalised_mlp, epochs=5, distances_every=3).history
        for some in (runs, calm)
    ]
    same(*(columns(history, [0, 2]) for history in histories))
    for history in histories:
        history.check_rates()
    assert histories[0].diverged.tolist()[::2] == [-1, -1]
    assert histories[0].diverged[1] >= 0
    expected = torch_plateau(huge.schedule, SGD().native([nn.Parameter(torch.zeros(1))], 1e30))
    for epoch in range(5):
        assert histories[0].rates[4 * epoch, 1] == expected.optimizer.param_groups[0]["lr"]
        expected.step(float(histories[0].metrics["validation_loss"][epoch, 1]))


@pytest.mark.parametrize(
    ("watch", "error"),
    [("loss", ValueError), ("gap", ValueError), ("", ValueError), (None, TypeError)],
)
@pytest.mark.parametrize("schedule", [L.Plateau(0.1), L.Constant(0.1)])
def test_wrong_names_to_watch(watch, error, schedule):
    with pytest.raises(error, match=f"watch must be one of 'train_loss', .*got {watch!r}"):
        train([Run("a", schedule)], SMALL, epochs=1, watch=watch, group=1, chunk=32)


@pytest.mark.parametrize("name", ["loss", "accuracy"])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_nothing_to_watch(part, name):
    data = small(**{part: 0})
    arguments = {"network": mlp, "watch": f"{part}_{name}"}
    with pytest.raises(ValueError, match=f"data must have a {part} split for a Plateau to follow"):
        Trained([RUN, Run("b", L.Plateau(0.1))], data, **arguments)
    assert "watch" not in Trained([RUN], data, **arguments).history.settings
    follow = {"network": mlp, "watch": f"train_{name}"}
    assert Trained([Run("b", L.Plateau(0.1))], data, **follow).history.check_rates()


@given(
    schedule=drawn.SCHEDULES
    | st.builds(
        L.Plateau,
        st.floats(0.1, 1),
        st.floats(0, 0.9),
        st.integers(0, 20),
        st.floats(0, 1),
        st.integers(0, 5),
        st.floats(0, 0.1),
        st.sampled_from(["min", "max"]),
        st.sampled_from(["rel", "abs"]),
        st.floats(0, 1),
    ),
    label=st.text(),
    seed=st.integers(0, 2**40),
)
def test_a_run_as_plain_values(schedule, label, seed):
    run = Run(label, schedule, seed)
    written = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    again = Run.from_dict(written)
    assert again == run
    assert type(again.schedule) is type(schedule)
    assert again.to_dict() == written == run.to_dict()


def test_a_run_with_a_plateau_that_was_used_as_plain_values():
    used = L.Plateau(0.1, factor=0.5, patience=0)
    used.update(1.0)
    used.update(1.0)
    assert Run.from_dict(Run("a", used).to_dict()) == Run(
        "a", L.Plateau(0.1, factor=0.5, patience=0)
    )


@given(
    plateau=st.builds(L.Plateau, st.just(0.5), st.floats(0, 0.9), st.integers(0, 2)),
    metrics=st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=1, max_size=12),
    steps=st.integers(1, 3),
)
def test_rates_of_a_run(plateau, metrics, steps):
    native = SGD().native([nn.Parameter(torch.zeros(1))], 0.5)
    theirs, expected = torch_plateau(plateau, native), []
    for metric in metrics:
        expected += [native.param_groups[0]["lr"]] * steps
        theirs.step(metric)
    run = Run("a", plateau)
    for _ in range(2):  # it keeps nothing of the first
        assert run.rates(len(metrics), steps, np.array(metrics)).tolist() == expected
    run = Run("a", L.Cosine(0.1, 5))
    assert (run.rates(len(metrics), steps) == L.Cosine(0.1, 5)(np.arange(len(expected)))).all()


# Batches


def test_batches_hold_each_sample_once():
    numbered = Split(torch.arange(50.0).view(50, 1, 1, 1), torch.arange(50))
    orders = {}
    for seed, epoch in itertools.product(range(3), range(3)):
        parts = list(training.batches(numbered, 16, seed, epoch))
        assert [len(labels) for _, labels in parts] == [16, 16, 16, 2]
        for images, labels in parts:
            assert torch.equal(images.flatten().long(), labels)
        orders[seed, epoch] = tuple(torch.cat([labels for _, labels in parts]).tolist())
        assert sorted(orders[seed, epoch]) == list(range(50))
    assert len(set(orders.values())) == 9
    again = [labels for _, labels in training.batches(numbered, 7, 1, 2)]
    assert tuple(torch.cat(again).tolist()) == orders[1, 2]  # whatever the size of the batches


def test_the_global_generators_stay_as_they_were():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = (training.initial(mlp, seed) for seed in (3, 3, 4))
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))
    list(training.batches(SMALL.train, 8, 0, 0))
    Trained([Run("a", L.Constant(0.1))])
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()  # noqa: NPY002
    torch.manual_seed(3)
    assert torch.equal(weights(one), weights(mlp()))


# What is measured


def test_metrics():
    runs = grid(SGD())
    trained = Trained(runs, DATA, network=mlp, epochs=2, batch_size=50, chunk=20, group=3)
    history = trained.history
    assert set(history.metrics) == set(METRICS)
    assert all(values.shape == (2, 8) for values in history.metrics.values())
    assert (history.diverged == -1).all()
    for k, run in enumerate(runs):
        _, _, samples = plain(run, DATA, network=mlp, optimizer=SGD(), epochs=2, batch_size=50)
        for epoch in range(2):
            _, losses, right = samples[samples[:, 0] == epoch].T
            assert len(losses) == 1297
            assert history.metrics["train_loss"][epoch, k] == pytest.approx(losses.mean(), 1e-4)
            # One sample in a thousand may be on the edge.
            assert abs(history.metrics["train_accuracy"][epoch, k] - right.mean()) < 0.002
        for name in ("validation", "test"):
            split = getattr(DATA, name)
            with torch.no_grad():
                outputs = trained.networks[k](split.images)
            loss = F.cross_entropy(outputs, split.labels).item()
            right = (outputs.argmax(1) == split.labels).float().mean().item()
            assert history.metrics[f"{name}_loss"][-1, k] == pytest.approx(loss, 1e-5)
            assert history.metrics[f"{name}_accuracy"][-1, k] == pytest.approx(right, abs=1e-6)


def test_without_validation():
    history = Trained([Run("a", L.Constant(0.1))], digits(validation=0), epochs=2).history
    for name, values in history.metrics.items():
        assert np.isnan(values).all() == name.startswith("validation"), name
    assert history.diverged.tolist() == [-1]


def test_distances():
    runs = [Run("a", L.Constant(0.1)), Run("b", L.Constant(0.5)), Run("a", L.Constant(0.1), 1)]
    every = 3
    history = Trained(runs, network=mlp, epochs=2, distances_every=every).history
    assert history.distance_steps.tolist() == [0, 3, 6]
    assert list(history.distances) == ["1", "3"]
    for values in history.distances.values():
        assert values.shape == (3, 3)
        assert (values[0] == 0).all()
        assert (values[1:] > 0).all()
    # The 3 steps before the second point, alone: a training of as many batches ends there.
    first = [images for images, _ in training.batches(SMALL.train, 32, 0, 0)]
    assert len(first) == 4
    start, model = training.initial(mlp, 0), training.initial(mlp, 0)
    native = torch.optim.SGD(model.parameters(), lr=0.5)
    for images, labels in itertools.islice(training.batches(SMALL.train, 32, 0, 0), every):
        native.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        native.step()
    for layer, name in ((1, "1"), (3, "3")):
        away = weights(model[layer]) - weights(start[layer])
        expected = (away.norm() / weights(start[layer]).norm()).item()
        assert history.distances[name][1, 1] == pytest.approx(expected, 1e-4)


def test_no_distances():
    history = Trained([Run("a", L.Constant(0.1))]).history
    assert history.distances == {}
    assert len(history.distance_steps) == 0


def test_settings_and_surroundings():
    runs = [Run("a", L.Constant(0.1)), Run("b", L.Constant(0.2))]
    history = Trained(
        runs, optimizer=Adam(), network=mlp, epochs=3, batch_size=40, group=2, chunk=16
    ).history
    assert history.runs == tuple(runs)
    assert history.epochs == history.settings["epochs"] == 3
    assert history.steps_per_epoch == 3
    assert history.settings["samples"] == 100
    assert history.settings["batch_size"] == 40
    assert history.settings["data"] == "digits"
    assert history.settings["checksum"] == SMALL.checksum
    assert history.settings["network"] == str(mlp())
    assert history.settings["optimizer"] == {"class": "Adam"} | dataclasses.asdict(Adam())
    assert history.surroundings["group"] == 2
    assert history.surroundings["chunk"] == 16
    assert history.surroundings["torch"] == torch.__version__
    assert (history.seconds > 0).all()
    assert history.rates.dtype == np.float64


# History


def test_access_by_label():
    schedules = {"b": L.Constant(0.1), "a": L.Constant(0.2)}
    order = [("b", 2), ("a", 0), ("b", 0), ("a", 2), ("a", 1), ("b", 1)]
    runs = [Run(label, schedules[label], seed) for label, seed in order]
    history = Trained(runs, network=mlp, epochs=2).history
    assert history.labels == ["b", "a"]
    for metric in METRICS:
        assert list(history[metric]) == ["b", "a"]
        for label, values in history[metric].items():
            assert values.shape == (2, 3)
            for seed in range(3):
                column = history.metrics[metric][:, order.index((label, seed))]
                assert (values[:, seed] == column).all()
            assert (history.final(metric)[label] == values[-1]).all()
    for label, gap in history["gap"].items():
        expected = history["train_accuracy"][label] - history["test_accuracy"][label]
        assert (gap == expected).all()
        assert (history.final("gap")[label] == gap[-1]).all()
    with pytest.raises(KeyError, match="accuracy"):
        history["accuracy"]


def test_select():
    runs = [Run(f"{lr}", L.Constant(lr), seed) for lr in (0.1, 0.2) for seed in (0, 1)]
    history = Trained(runs, network=mlp, epochs=2, distances_every=2).history
    some = history.select(lambda run: run.seed == 1)
    assert some.runs == (runs[1], runs[3])
    same(columns(some, [0, 1]), columns(history, [1, 3]))
    assert some.seconds.tolist() == history.seconds[[1, 3]].tolist()
    assert some.diverged.tolist() == [-1, -1]
    assert some.settings == history.settings
    assert some.check_rates().startswith("8 updates of 2 runs")
    record = dataclasses.replace(history, rates=None, losses=None)
    assert record.select(lambda run: True).rates is None


def test_check_rates():
    runs = [Run("a", L.Cosine(0.1, 8)), Run("b", L.Constant(0.1).warmup(3))]
    history = Trained(runs, network=mlp, epochs=2).history
    assert history.check_rates() == (
        "8 updates of 2 runs: each applied the rate of its schedule, exactly."
    )
    rates = history.rates.copy()
    rates[5, 1] = np.nextafter(rates[5, 1], 1)
    with pytest.raises(AssertionError, match="label='b'"):
        dataclasses.replace(history, rates=rates).check_rates()
    with pytest.raises(ValueError, match="record keeps no rates"):
        dataclasses.replace(history, rates=None).check_rates()


# Groups


def test_groups():
    """Each is of one seed; none is larger than asked for."""
    order = [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("b", 1), ("d", 0), ("e", 0)]
    runs = [Run(label, L.Constant(0.1), seed) for label, seed in order]
    for size in range(1, 8):
        groups = Trained(runs, network=mlp, group=size).groups
        assert sorted(map(str, itertools.chain(*groups))) == sorted(map(str, runs))
        lengths = [len(group) for group in groups]
        assert max(lengths) <= size
        assert len(groups) == -(-5 // size) + -(-2 // size)
        for group in groups:
            assert len({run.seed for run in group}) == 1
    assert lengths == [5, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_results_are_in_the_order_of_the_runs(size):
    order = [("a", 0), ("b", 1), ("b", 0), ("c", 0), ("a", 1), ("d", 0)]
    schedules = {"a": 0.01, "b": 0.1, "c": 0.3, "d": 0.6}
    runs = [Run(label, L.Constant(schedules[label]), seed) for label, seed in order]
    history = Trained(runs, network=mlp, group=size, distances_every=2).history
    alone = [Trained([run], network=mlp, distances_every=2).history for run in runs]
    assert history.runs == tuple(runs)
    for k, expected in enumerate(alone):
        one, other = columns(history, [k]), columns(expected, [0])
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=1e-6)
        if size == 1:
            same(one, other)


def test_runs_of_a_seed_start_alike():
    """And see the same batches: what the schedules share, the results share to the last bit."""
    runs = [Run("a", L.Constant(0.3)), Run("b", L.Sequence([L.Constant(0.3), L.Constant(1)], [5]))]
    history = Trained([*runs, Run("a", L.Constant(0.3), 1)], network=mlp, epochs=2).history
    a, b, other = history.losses.T
    assert (a[:6] == b[:6]).all()  # the sixth loss is the first after the first other update
    assert a[6] != b[6]
    assert a[0] != other[0]


# Divergence

LATE = L.Sequence([L.Constant(0.1), L.Constant(1e30)], [5])


@pytest.mark.parametrize("network", [relu_mlp, lambda: lenet(8)])
def test_a_run_that_diverges_leaves_the_others_alone(network):
    """It is marked, and the others go on as beside a harmless run, to the last bit."""
    arguments = {"network": network, "epochs": 4, "distances_every": 2}
    harmless = [Run(f"{lr}", L.Constant(lr)) for lr in (0.05, 0.1, 0.2, 0.3)]
    clean = Trained(harmless, **arguments).history
    runs = [*harmless[:1], Run("huge", L.Constant(1e30)), harmless[2], Run("late", LATE)]
    history = Trained(runs, **arguments).history
    same(columns(history, [0, 2]), columns(clean, [0, 2]))
    assert history.diverged[[0, 2]].tolist() == clean.diverged[[0, 2]].tolist() == [-1, -1]
    for k, run in ((1, runs[1]), (3, runs[3])):
        _, losses, _ = plain(run, network=network, optimizer=SGD(), epochs=4)
        (broken,) = np.nonzero(~np.isfinite(losses))
        assert history.diverged[k] == broken[0]
        epoch = broken[0] // 4
        assert epoch == k // 3  # the late one in the second epoch
        for values in history.metrics.values():
            assert np.isfinite(values[:epoch, k]).all()
            assert np.isnan(values[epoch:, k]).all()
    assert history.check_rates()


def test_all_runs_diverge():
    history = Trained([Run("a", L.Constant(1e30))], network=relu_mlp, epochs=3).history
    assert history.diverged[0] > 0
    assert np.isnan(history.final("test_accuracy")["a"]).all()


# Arguments


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"runs": []}, ValueError, "runs must hold at least one"),
        ({"runs": [RUN, "b"]}, TypeError, r"runs\[1\] must be a lab.Run, got 'b'"),
        ({"runs": [Run("a", 0.1)]}, TypeError, r"runs\[0\].schedule must be .*0\.1"),
        ({"runs": [RUN, Run("b", L.Plateau)]}, TypeError, r"runs\[1\].schedule .*Plateau"),
        ({"runs": [Run("a", L.Constant(0.1), -1)]}, ValueError, r"runs\[0\].seed must be .*-1"),
        ({"runs": [Run("a", L.Constant(0.1), 0.0)]}, TypeError, r"runs\[0\].seed must be .*0\.0"),
        ({"runs": [RUN, Run("a", L.Constant(0.2))]}, ValueError, "runs must .*'a' with seed 0"),
        ({"epochs": 0}, ValueError, "epochs must be .*got 0"),
        ({"epochs": 1.0}, TypeError, r"epochs must be .*got 1\.0"),
        ({"epochs": None}, TypeError, "epochs must be .*got None"),
        ({"batch_size": 0}, ValueError, "batch_size must be .*got 0"),
        ({"batch_size": "32"}, TypeError, "batch_size must be .*got '32'"),
        ({"group": 0}, ValueError, "group must be .*got 0"),
        ({"group": True}, TypeError, "group must be .*got True"),
        ({"chunk": -1}, ValueError, "chunk must be .*got -1"),
        ({"chunk": 8.5}, TypeError, r"chunk must be .*got 8\.5"),
        ({"distances_every": 0}, ValueError, "distances_every must be .*got 0"),
        ({"distances_every": "1"}, TypeError, "distances_every must be .*got '1'"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be .*got 'sgd'"),
        ({"optimizer": torch.optim.SGD}, TypeError, "optimizer must be .*SGD"),
        (
            {"network": lambda: nn.Linear(64, 10)},
            TypeError,
            "network must make a .*Sequential, got Linear",
        ),
        ({"network": lambda: nn.Sequential(nn.Dropout())}, TypeError, "networks must .*Dropout"),
    ],
)
def test_wrong_arguments(wrong, error, message):
    arguments = {"runs": [RUN], "data": SMALL, "epochs": 1, "group": 1, "chunk": 32} | wrong
    with pytest.raises(error, match=message):
        train(arguments.pop("runs"), arguments.pop("data"), **arguments)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(momentum=1.0), ValueError, "SGD: momentum .*below 1"),
        (lambda: SGD(momentum=-0.1), ValueError, r"SGD: momentum .*-0\.1"),
        (lambda: SGD(momentum="0"), TypeError, "SGD: momentum .*'0'"),
        (lambda: SGD(weight_decay=-1), ValueError, "SGD: weight_decay .*-1"),
        (lambda: SGD(nesterov=1), TypeError, "SGD: nesterov .*1"),
        (lambda: SGD(nesterov=True), ValueError, "SGD: momentum must be above 0 with nesterov"),
        (lambda: Adam(beta1=1), ValueError, "Adam: beta1 .*below 1"),
        (lambda: Adam(beta2=1.5), ValueError, "Adam: beta2 .*below 1"),
        (lambda: Adam(eps=-1e-8), ValueError, "Adam: eps .*-1e-08"),
        (lambda: Adam(weight_decay=float("nan")), ValueError, "Adam: weight_decay .*nan"),
    ],
)
def test_wrong_optimizers(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_seed_may_be_of_numpy():
    history = Trained([Run("a", L.Constant(0.1), np.int64(1))], network=mlp).history
    assert history.runs == (Run("a", L.Constant(0.1), 1),)
    assert type(history.runs[0].seed) is int


def test_no_batch_is_too_large():
    history = Trained([RUN], network=mlp, batch_size=1000, epochs=2).history
    assert history.steps_per_epoch == 1
    assert history.losses.shape == (2, 1)
    assert history.metrics["train_loss"][:, 0] == pytest.approx(history.losses[:, 0])


# What is called after each epoch


def test_after_epoch():
    runs = [Run("a", L.Constant(0.1), seed) for seed in (0, 1)] + [Run("b", L.Constant(0.2))]
    seen = []
    history = train(
        runs, SMALL, epochs=3, batch_size=32, network=mlp, group=2, chunk=32,
        after_epoch=lambda *told: seen.append(told),
    )  # fmt: skip
    assert [([run.label for run in group], epoch) for group, epoch, _ in seen] == [
        *((["a", "b"], epoch) for epoch in (1, 2, 3)),
        *((["a"], epoch) for epoch in (1, 2, 3)),
    ]
    for group, epoch, metrics in seen:
        places = [runs.index(run) for run in group]
        assert set(metrics) == set(METRICS)
        for name, values in metrics.items():
            np.testing.assert_array_equal(values, history.metrics[name][epoch - 1, places])


def test_what_it_raises_ends_the_training():
    epochs = []

    def stop(group, epoch, metrics):
        epochs.append(epoch)
        if epoch == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        train([RUN], SMALL, epochs=5, batch_size=32, network=mlp, group=1, chunk=32,
              after_epoch=stop)  # fmt: skip
    assert epochs == [1, 2]


def test_a_training_that_it_ended_goes_on_from_its_checkpoint(tmp_path):
    runs = [Run(f"{rate}", L.Constant(rate), seed) for rate in (0.1, 0.3) for seed in (0, 1)]
    said = {"epochs": 3, "batch_size": 32, "network": mlp, "group": 2, "chunk": 32}
    said |= {"checkpoint": tmp_path / "c", "checkpoint_seconds": 0}
    calls = []

    def stop(group, epoch, metrics):
        calls.append(epoch)
        if len(calls) == 5:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        train(runs, SMALL, **said, after_epoch=stop)
    assert calls == [1, 2, 3, 1, 2]
    resumed = train(runs, SMALL, **said, after_epoch=stop)
    assert calls[5:] == [2, 3]  # the epoch that it ended was not kept
    whole = train(runs, SMALL, **said | {"checkpoint": None})
    for name in METRICS:
        np.testing.assert_array_equal(resumed.metrics[name], whole.metrics[name])


# How many at once


def test_measure(monkeypatch):
    monkeypatch.setattr(training, "SIZES", (1, 2, 4))
    monkeypatch.setattr(training, "CHUNKS", (8, 16, 64))
    state = torch.get_rng_state()
    costs = training.measure(mlp, SMALL, 32)
    assert set(costs) == set(itertools.product((1, 2, 4), (8, 16, 32)))
    assert all(0 < cost < 1 for cost in costs.values())
    assert set(training.measure(mlp, SMALL, 32, Adam(), group=3, chunk=5)) == {(3, 5)}
    # Five runs of a seed in groups of no more than four are three and two.
    runs = [Run(str(k), L.Constant(0.1), seed) for k, seed in enumerate([0] * 5 + [1] * 2)]
    costs = training.measure(mlp, SMALL, 32, chunk=32, runs=runs)
    assert set(costs) == {(1, 32), (2, 32), (3, 32)}
    assert set(training.measure(mlp, SMALL, 32, chunk=32, runs=runs[:1])) == {(1, 32)}
    assert torch.equal(torch.get_rng_state(), state)


def test_fastest(monkeypatch):
    costs = {(1, 32): 0.5, (4, 16): 0.1, (2, 32): 0.3}
    monkeypatch.setattr(training, "measure", lambda *_: costs)
    assert fastest(mlp, SMALL) == (4, 16)
    history = train([RUN], SMALL, epochs=1, network=mlp)
    assert history.surroundings["group"] == 4
    assert history.surroundings["chunk"] == 16


@pytest.mark.parametrize("given_one", [{"group": 2}, {"chunk": 8}])
def test_one_of_the_two_is_given(monkeypatch, given_one):
    monkeypatch.setattr(training, "SIZES", (1, 2))
    monkeypatch.setattr(training, "CHUNKS", (16,))
    history = train([RUN], SMALL, epochs=1, batch_size=32, network=mlp, **given_one)
    for name, value in given_one.items():
        assert history.surroundings[name] == value


# Imports


def loaded(program, names):
    program = f"{program}\nimport sys\nprint([name for name in {names} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_package_does_not_import_the_lab():
    assert loaded("import lrsched, lrsched.pytorch, lrsched.plotting", ["lrsched.lab"]) == "[]"


def test_the_lab_imports_little():
    heavy = ["tensorflow", "keras", "sklearn", "pooch", "scipy", "matplotlib", "pandas", "optuna"]
    assert loaded("import lrsched.lab", heavy) == "[]"
