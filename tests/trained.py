"""Trainings for the tests of kills: what a child does, with a checkpoint or None."""

import numpy as np
import torch
from torch import nn

import lrsched as L
from lrsched import lab

DIGITS, ROWS = lab.digits(), lab.polynomial(samples=300, validation=50, test=50)
SCHEDULES = {
    "a": L.Constant(0.01),
    "b": L.Cosine(0.02, 100),
    "c": L.Plateau(0.02, factor=0.5, patience=0, threshold=0.9),
}
SWEPT = {
    "low": 0.01, "huge": 1e30, "cosine": L.Cosine(0.1, 30).warmup(5),
    "plateau": L.Plateau(0.1, factor=0.5, patience=0, threshold=0.3),
}  # fmt: skip


def normalised():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 200), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, 10)
    )


def small():
    return lab.lenet(8)


KINDS = {
    "SGD": {"optimizer": lab.SGD(momentum=0.9, nesterov=True), "network": small, "chunk": 50},
    "Adam": {"optimizer": lab.Adam(), "network": small, "chunk": 50},
    "normalised": {"network": normalised, "chunk": 100},
}


def train(checkpoint, kind, file):
    runs = [lab.Run(label, rate, seed) for seed in (0, 1) for label, rate in SCHEDULES.items()]
    results = lab.train(
        runs, DIGITS, epochs=3, batch_size=100, group=2, distances_every=4,
        checkpoint=checkpoint, checkpoint_seconds=0, **KINDS[kind],
    )  # fmt: skip
    results.check_rates()
    np.savez(
        file, rates=results.rates, losses=results.losses, diverged=results.diverged,
        **results.metrics, **{f"at {layer}": far for layer, far in results.distances.items()},
    )  # fmt: skip


def sweep(checkpoint, file):
    torch.set_num_threads(1)
    networks = {
        f"{norm}": (lambda norm=norm: lab.mlp(norm=norm)) for norm in (None, "before", "after")
    }
    results = lab.sweep(
        networks, SWEPT, 3, ROWS, epochs=6, batch_size=20, group=3, optimizer=lab.SGD(0.5),
        checkpoint=checkpoint, checkpoint_seconds=0,
    )  # fmt: skip
    results.table().to_pickle(file)
