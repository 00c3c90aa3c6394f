"""States: training that goes on from one is as training that never stopped."""

import copy
import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import LinearLR

import lrsched as L
import reference
from checkpointed import same_states
from experiments import KINDS, NORMS, ROWS, arrays, batches, measured
from lrsched import lab
from lrsched.lab import SGD, Adam, Run, sweep, train
from lrsched.lab.runs import RateError

OPTIMIZERS = [SGD(), SGD(0.9, 0.01), SGD(0.8, nesterov=True), Adam(0.5, 0.9, 1e-3)]
SAID = {"batch_size": 18, "group": 3}


def said_of(kind):
    """Data, and two of the networks for them: a plain one and a normalised one."""
    data, networks = KINDS[kind]
    names = ("plain", "normalised") if kind == "images" else ("None", "before")
    return {"data": data, "network": {name: networks[name] for name in names}, **SAID}


def runs_of(said, lr=0.01):
    """A run for each network and seed, of schedules that end behind all epochs."""
    falling = L.Cosine(lr, 100).warmup(5), L.StepDecay(lr, 2, gamma=0.9)
    return [
        Run(f"{seed}", rule, seed, network)
        for network in said["network"]
        for seed, rule in zip((7, 2**40), falling, strict=True)
    ]


def is_the_end(part, whole):
    """The results are those of the last epochs of the whole, to the bit."""
    expected = arrays(whole)
    for name, values in arrays(part).items():
        end = expected[name][-len(values) :] if values.ndim > 1 else expected[name]
        np.testing.assert_array_equal(values, end, err_msg=name)
    assert part.table().epoch.tolist()[-1] == whole.table().epoch.tolist()[-1]


# As if it had never stopped


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_equals_training_that_never_stopped(kind, optimizer):
    """With the schedules of the trunk, and from a state that itself came from a state."""
    said = said_of(kind) | {"optimizer": optimizer}
    runs = runs_of(said, 0.001 if isinstance(optimizer, Adam) else 0.01)
    whole = train(runs, epochs=4, keep=[3, 1, 1, 4], **said)
    assert list(whole.states) == [1, 3, 4]
    assert "start_epoch" not in whole.settings
    trunk = train(runs, epochs=1, keep=[1], **said)
    same_states(trunk.states[1], whole.states[1])  # later epochs have not changed it
    branch = train(runs, epochs=2, start=trunk.states[1], keep=range(2, 4), **said)
    assert branch.check_rates().startswith(f"{2 * whole.steps_per_epoch} updates of 4 runs")
    assert (branch.settings["start_epoch"], branch.settings["epochs"]) == (1, 2)
    same_states(branch.states[3], whole.states[3])
    last = train(runs, epochs=1, start=branch.states[3], keep=[4], **said)
    is_the_end(last, whole)
    is_the_end(train(runs, epochs=3, start=trunk.states[1], **said), whole)
    same_states(last.states[4], whole.states[4])


@pytest.mark.parametrize("optimizer", OPTIMIZERS[1:], ids=repr)
def test_equals_a_plain_program(kind, optimizer):
    """It saves two state_dicts, and goes on from them with another of PyTorch's schedulers."""
    said = said_of(kind) | {"optimizer": optimizer}
    data, steps = said["data"], -(-len(said["data"].train) // 18)
    lr = 0.001 if isinstance(optimizer, Adam) else 0.02
    stable = [Run("stable", L.Constant(lr), 3, name) for name in said["network"]]
    start = train(stable, epochs=2, keep=[2], **said).states[2]
    assert start.steps == 2 * steps
    lengths = {"short": steps, "long": 3 * steps}
    rules = {
        name: L.WarmupStableDecay(lr, warmup_steps=0, stable_steps=2 * steps, decay_steps=length)
        for name, length in lengths.items()
    }
    runs = [Run(*rule, 3, network) for network in said["network"] for rule in rules.items()]
    branch = train(runs, epochs=2, start=start, keep=[4], **said)
    criterion = cross_entropy if kind == "images" else mse_loss
    parts = [batches(data.train, 3, epoch, 18) for epoch in range(4)]
    for place, run in enumerate(runs):
        make = said["network"][run.network]
        torch.manual_seed(3)
        first, second = make(), make()
        before = reference.native(optimizer, first.parameters(), lr)
        reference.train(first, before, parts[:2], criterion=criterion)
        saved = copy.deepcopy((first.state_dict(), before.state_dict()))
        after = reference.native(optimizer, second.parameters(), lr)
        second.load_state_dict(saved[0])
        after.load_state_dict(saved[1])
        scheduler = LinearLR(after, 1.0, 0.0, lengths[run.label])
        theirs = reference.train(second, after, parts[2:], criterion=criterion, scheduler=scheduler)
        np.testing.assert_allclose(branch.rates[:, place], np.float32(theirs.rates), 1e-5, 1e-9)
        np.testing.assert_allclose(branch.losses[:, place], theirs.losses, 2e-3, 1e-5)
        for name, value in measured(second, data).items():
            found = branch.metrics[name][-1, place]
            atol = 0.051 if name.endswith("accuracy") else 1e-5
            np.testing.assert_allclose(found, value, 2e-3, atol, err_msg=name)
        ours, theirs = (each.state_dict() for each in (branch.states[4].network(run, make), second))
        for name, tensor in ours.items():
            np.testing.assert_allclose(tensor, theirs[name], 1e-3, 1e-4, err_msg=name)


def test_many_branches_of_one_trunk(kind):
    """Each is as it is alone; other seeds and networks of the trunk do not matter."""
    said = said_of(kind)
    start = train(runs_of(said), epochs=1, keep=[1], **said).states[1]
    rules = {"a": L.Cosine(0.05, 60), "b": L.Linear(0.1, 0.0, decay_steps=40), "c": L.Constant(0.0)}
    network = next(iter(said["network"]))
    runs = [Run(*rule, 7, network) for rule in rules.items()]
    together = train(runs, epochs=2, start=start, **said)
    first = start.epoch * together.steps_per_epoch
    for place, run in enumerate(runs):
        rates = np.float32(run.schedule(np.arange(first, 3 * first)))
        np.testing.assert_array_equal(together.rates[:, place], rates)
        alone = train([run], epochs=2, start=start, **said)
        for metric, values in alone.metrics.items():
            np.testing.assert_allclose(values[:, 0], together.metrics[metric][:, place], 1e-4, 1e-6)
    late = np.roll(together.rates, 1, axis=0)
    late[0] = together.rates[0]
    with pytest.raises(RateError, match=f"^update {first + 1} of Run"):  # as schedules count
        dataclasses.replace(together, rates=late).check_rates()


@pytest.mark.parametrize("network", ["None", "before"])
def test_a_sweep_goes_on(engine, network):
    networks = {network: NORMS[network]}
    said = {"data": ROWS, "batch_size": 10, "seeds": 3}
    trunk = sweep(networks, [0.1], epochs=2, keep=[1, 2], **said)
    for epoch, start in trunk.states.items():
        branch = sweep(networks, [0.1, 0.02, 0.0], epochs=2, start=start, **said)
        table = branch.table()
        assert table.epoch.unique().tolist() == [epoch + 1, epoch + 2]
        stays = branch.final("validation_loss")[0.0] if network == "None" else None
        if stays is not None:
            np.testing.assert_allclose(stays, trunk["validation_loss"][0.1][epoch - 1], 1e-5)


# What else goes on, and what begins


def test_a_plateau_begins(kind):
    """At its own base rate, as new."""
    said = said_of(kind)
    network = next(iter(said["network"]))
    plateau = L.Plateau(0.01, factor=0.5, patience=0, threshold=9, threshold_mode="abs")
    runs = [Run("plateau", plateau, 0, network)]
    trunk = train(runs, epochs=3, keep=[3], **said)
    assert trunk.rate[:, 0].tolist() == pytest.approx([0.01, 0.01, 0.005])
    branch = train(runs, epochs=3, start=trunk.states[3], **said)
    assert branch.rate[:, 0].tolist() == pytest.approx([0.01, 0.01, 0.005])
    assert branch.check_rates()


def test_distances_are_from_the_first_weights(kind):
    said = said_of(kind) | {"distances_every": 2}
    runs = runs_of(said)
    whole = train(runs, epochs=3, **said)
    start = train(runs, epochs=2, keep=[2], **said).states[2]
    branch = train(runs, epochs=1, start=start, **said)
    assert branch.distance_steps[0] == start.steps
    points = [list(whole.distance_steps).index(step) for step in branch.distance_steps]
    assert branch.distances.keys() == whole.distances.keys()
    for layer, values in branch.distances.items():
        np.testing.assert_array_equal(values, whole.distances[layer][points])
        assert (values[~np.isnan(values)] > 0).all()


def test_a_run_that_had_diverged(kind):
    """Its figures stay NaN, whatever its rate; those of others do not change."""
    network = "lenet" if kind == "images" else "None"
    said = said_of(kind) | {"network": {network: KINDS[kind][1][network]}}
    runs = [Run("a", L.Constant(1e30), 1, network), Run("b", L.Constant(0.01), 2, network)]
    trunk = train(runs, epochs=2, keep=[2], **said)
    assert (trunk.diverged >= 0).tolist() == [True, False]
    quiet = [dataclasses.replace(run, schedule=L.Constant(0.01)) for run in runs]
    branch = train(quiet, epochs=1, start=trunk.states[2], keep=[3], **said)
    assert branch.diverged.tolist() == [0, -1]
    assert branch.states[3].tensors[network]["diverged"].tolist() == [True, False]
    whole = train(runs, epochs=3, **said)
    for name, values in branch.metrics.items():
        assert np.isnan(values[:, 0]).all()
        np.testing.assert_array_equal(values, whole.metrics[name][2:])
    assert np.isfinite(branch.metrics["test_loss"][:, 1]).all()
    assert branch.table().diverged.tolist() == [True, False]


def test_a_run_that_had_diverged_in_what_is_measured():
    """Its weights and losses are finite."""
    huge = lab.Rows(ROWS.validation.inputs, ROWS.validation.targets + 1e30)
    data, run = dataclasses.replace(ROWS, validation=huge), Run("a", L.Constant(0.01))
    trunk = train([run], data, network=NORMS["None"], epochs=1, keep=[1], batch_size=18)
    assert trunk.diverged.tolist() == [1]
    start = trunk.states[1]
    branch = train([run], data, network=NORMS["None"], epochs=1, start=start, batch_size=18)
    assert np.isfinite(branch.losses).all()
    assert branch.diverged.tolist() == [0]


def test_epochs_are_told_on_one_clock(kind):
    said = said_of(kind)
    runs = runs_of(said)
    start = train(runs, epochs=2, keep=[2], **said).states[2]
    told = []
    train(runs, epochs=2, start=start, **said, after_epoch=lambda *each: told.append(each[1]))
    assert set(told) == {3, 4}


def test_a_state_is_a_copy_on_the_cpu(kind):
    said = said_of(kind)
    runs = runs_of(said)
    results = train(runs, epochs=2, keep=[1, 2], each_update=False, **said)
    one = results.states[1]
    before = one.fingerprint()
    assert before != results.states[2].fingerprint()
    train(runs, epochs=2, start=one, **said)
    network = one.network(runs[0], said["network"][runs[0].network])
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
    assert one.fingerprint() == before
    for tensor in itertools.chain(*(tensors.values() for tensors in one.tensors.values())):
        assert tensor.device.type == "cpu"
        assert not tensor.requires_grad
        assert len(tensor) == 2
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    assert len(repr(one)) < 1500
    same_states(pickle.loads(pickle.dumps(one)), one)


# The network


def test_the_network_of_a_run(kind):
    """Measures what was measured, with every kind of network, and may be of many."""
    data, networks = KINDS[kind]
    runs = [Run("a", L.Constant(0.02), seed, name) for seed in (0, 5) for name in networks]
    results = train(runs, data, network=networks, epochs=2, keep=[1, 2], batch_size=18)
    for epoch, state in results.states.items():
        assert state.runs == tuple(runs)
        for place, run in enumerate(runs):
            network = state.network(dataclasses.replace(run, schedule=None), networks[run.network])
            for name, value in measured(network, data).items():
                atol = 0.051 if name.endswith("accuracy") else 1e-6
                found = results.metrics[name][epoch - 1, place]
                np.testing.assert_allclose(found, value, 1e-4, atol, err_msg=f"{run} {name}")


def test_a_layer_at_two_places():
    def make():
        layer = nn.Linear(3, 3)
        return nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(3, 2))

    run = Run("a", L.Constant(0.1))
    results = train([run], ROWS, network=make, epochs=2, keep=[1])
    network = results.states[1].network(run, make)
    assert network[0] is network[2]
    assert measured(network, ROWS)["test_loss"] == pytest.approx(results.metrics["test_loss"][0, 0])
    branch = train([run], ROWS, network=make, epochs=1, start=results.states[1])
    is_the_end(branch, results)


def test_select():
    said = said_of("compiled")
    results = train(runs_of(said), epochs=1, keep=[1], **said)
    some = results.select(lambda run: run.seed == 7 or run.network == "None")
    state = some.states[1]
    assert state.runs == some.runs
    same_states(state, results.states[1].select(lambda run: run in some.runs))
    for run in some.runs:
        mine, theirs = (
            each.network(run, said["network"][run.network]).state_dict()
            for each in (state, results.states[1])
        )
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    nothing = state.select(lambda run: False)
    assert (nothing.runs, nothing.tensors) == ((), {})
