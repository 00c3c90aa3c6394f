"""Small data and networks for the tests of the trainer, and each run by a plain loop."""

import copy
import dataclasses
import functools
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import ReduceLROnPlateau

import reference
from lrsched import lab
from stacks import POOL, built

DIGITS = lab.digits()


def images(train=100, validation=20, test=30):
    """The first of the digits."""
    counts = {"train": train, "validation": validation, "test": test}
    parts = {
        name: lab.Split(*(tensor[:count] for tensor in vars(getattr(DIGITS, name)).values()))
        for name, count in counts.items()
    }
    return dataclasses.replace(DIGITS, **parts)


def rows(features=3, outputs=2, train=30, validation=7, test=5):
    """Rows of a smooth function with some noise."""
    rng = np.random.default_rng(5)

    def drawn(count):
        x = rng.normal(size=(count, features))
        y = np.sin(x @ rng.normal(size=(features, outputs))) + 0.3 * rng.normal(size=(count, 1))
        return lab.Rows(*(torch.from_numpy(a.astype(np.float32)) for a in (x, y)))

    return lab.Regression("made", drawn(train), drawn(validation), drawn(test))


def mlp(**arguments):
    """A function that makes a ``lab.mlp``; of 3 features and 2 outputs unless told so."""
    return functools.partial(lab.mlp, **{"features": 3, "outputs": 2, **arguments})


def flat(activation="t", norm=None):
    """A small network for the digits, of parts as ``built`` knows them."""
    norms = [] if norm is None else [norm]
    return built((1, 8, 8), "f", *norms, 12, *norms, activation, 10)


normalised = functools.partial(flat, norm={"momentum": 0.3})
IMAGES, ROWS = images(), rows()
NORMS = {str(norm): mlp(depth=2, norm=norm) for norm in (None, "before", "after")}
FLAT = {"plain": flat, "normalised": normalised}
CONVOLUTIONS = {
    "lenet": lambda: lab.lenet(8),
    "pooled": functools.partial(built, (1, 8, 8), (3, 3), "r", POOL, "f", {}, 10),
}
TRANSFORMERS = {
    norm: functools.partial(lab.transformer, 8, patch=4, width=8, heads=2, depth=2, norm=norm)
    for norm in ("before", "after")
}
# Data, and networks for them: of images, and of rows in each way of computing.
KINDS = {
    "images": (IMAGES, FLAT | CONVOLUTIONS | {"transformer": TRANSFORMERS["before"]}),
    **dict.fromkeys(("compiled", "batched"), (ROWS, NORMS | {"wide": mlp(width=70)})),
}


def alone(run, data, make, *, epochs, batch_size=8, optimizer=None, lr=1.0, scheduler=None):
    """Train one run as anyone would write it, and measure it.

    What was measured are the losses and rates of each step, and the metrics of each epoch by name.
    PyTorch's own scheduler is made by ``scheduler(optimizer)``; None: the run's rates are used.
    """
    torch.manual_seed(run.seed)
    network = make()
    native = reference.native(optimizer or lab.SGD(), network.parameters(), lr)
    steps = -(-len(data.train) // batch_size)
    rates = None if scheduler else run.schedule(np.arange(epochs * steps))
    scheduler = scheduler and scheduler(native)
    each_epoch = isinstance(scheduler, ReduceLROnPlateau)
    table = []

    def end():
        table.append(measured(network, data))
        if each_epoch:
            scheduler.step(table[-1]["validation_loss"])

    parts = [batches(data.train, run.seed, epoch, batch_size) for epoch in range(epochs)]
    criterion = cross_entropy if isinstance(data, lab.Data) else mse_loss
    trained = reference.train(
        network, native, parts, criterion=criterion, rates=rates, end=end,
        scheduler=None if each_epoch else scheduler,
    )  # fmt: skip
    losses, outputs = trained.losses.numpy(), trained.outputs
    for epoch, row in enumerate(table):
        of_epoch = slice(epoch * steps, (epoch + 1) * steps)
        sizes = [len(targets) for _, targets in parts[epoch]]
        name = "train_loss" if isinstance(data, lab.Data) else "batch_loss"
        row[name] = np.average(losses[of_epoch], weights=sizes)
        if isinstance(data, lab.Data):
            targets = torch.cat([targets for _, targets in parts[epoch]])
            row["train_accuracy"] = accuracy(torch.cat(outputs[of_epoch]), targets)
    metrics = {name: np.array([row[name] for row in table]) for name in table[0]}
    return SimpleNamespace(losses=losses, rates=trained.rates, metrics=metrics)


def batches(part, seed, epoch, size):
    """The batches of an epoch: inputs and targets."""
    order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(part)))
    tensors = vars(part).values()
    return [tuple(tensor[index] for tensor in tensors) for index in torch.split(order, size)]


def accuracy(outputs, labels):
    return float((outputs.argmax(1) == labels).float().mean())


def measured(network, data):
    """What is measured after an epoch, by name."""
    found, on_images = {}, isinstance(data, lab.Data)
    criterion = cross_entropy if on_images else mse_loss
    if not on_images:
        train = vars(data.train).values()
        found["train_loss"] = float(reference.error(network, *train))
        found["precise_loss"] = float(reference.error(network, *train, "precise"))
    for part in ("validation", "test"):
        inputs, targets = vars(getattr(data, part)).values()
        loss = reference.error(network, inputs, targets, criterion=criterion)
        found[f"{part}_loss"] = float(loss)
        if on_images:
            outputs = copy.deepcopy(network).eval()(inputs)
            found[f"{part}_accuracy"] = accuracy(outputs, targets)
    return found


def agrees(results, run, expected, rtol=3e-4, atol=2e-6, rates=0.0):
    """The run went as expected, up to rounding, which shows ten times as much in single batches.

    Rates are those expected up to this share.
    """
    place = results.runs.index(run)
    assert results.diverged[place] == -1
    np.testing.assert_allclose(results.rates[:, place], np.float32(expected.rates), rates)
    losses = results.losses[:, place]
    np.testing.assert_allclose(losses, expected.losses, 10 * rtol, 10 * atol, err_msg=run)
    assert results.metrics.keys() == expected.metrics.keys()
    for name, values in expected.metrics.items():
        found, message = results.metrics[name][:, place], f"{run} {name}"
        if name.endswith("accuracy"):  # one sample may be on the edge
            np.testing.assert_allclose(found, values, atol=0.051, err_msg=message)
            assert len(found) == 1 or np.isnan(values).all() or np.isclose(found, values).any()
        else:
            np.testing.assert_allclose(found, values, rtol, atol, err_msg=message)


def arrays(results, keep=slice(None)):
    """All that was measured of some of the runs, by name."""
    every = {**results.metrics, **results.distances, "rate": results.rate}
    every |= {"rates": results.rates, "losses": results.losses, "diverged": results.diverged}
    return {name: values[..., keep] for name, values in every.items() if values is not None}


def same(left, right, exact=True):
    """The same of :func:`arrays`, to the last bit, or with batched products to rounding.

    How these round depends on the processor, the number of matrices and the threads: in the
    first epochs by less than one part in 10,000.
    """
    assert left.keys() == right.keys()
    for name, values in left.items():
        if exact or name in ("rates", "rate", "diverged"):
            np.testing.assert_array_equal(values, right[name], err_msg=name)
        else:
            np.testing.assert_allclose(values, right[name], 1e-4, 1e-6, err_msg=name)
