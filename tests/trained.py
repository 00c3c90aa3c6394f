"""Trainings for the tests of kills: what a child does, with a checkpoint or None."""

import pickle

import lrsched as L
from checkpointed import DATA, normalised
from lrsched import lab

ROWS = lab.polynomial(samples=300, validation=50, test=50)
SCHEDULES = {
    "constant": L.Constant(0.01),
    "huge": L.Constant(1e30),
    "cosine": L.Cosine(0.1, 30).warmup(5),
    "plateau": L.Plateau(0.1, factor=0.5, patience=0, threshold=0.9),
}
RUNS = [lab.Run(*each, seed) for seed in (0, 1) for each in SCHEDULES.items()]


def small():
    return lab.lenet(8)


IMAGES = {
    "SGD": {"optimizer": lab.SGD(momentum=0.9, nesterov=True), "network": small, "chunk": 50},
    "Adam": {"optimizer": lab.Adam(), "network": small, "chunk": 50},
    "normalised": {"network": normalised, "chunk": 100},
}


def train(checkpoint, kind, file):
    said = {"epochs": 3, "group": 3, "checkpoint": checkpoint, "checkpoint_seconds": 0}
    said["keep"] = [1, 3]
    if kind == "rows":
        networks = {f"{norm}": lambda norm=norm: lab.mlp(norm=norm) for norm in (None, "before")}
        results = lab.sweep(
            networks, SCHEDULES, 2, ROWS, batch_size=20, optimizer=lab.SGD(0.5), **said
        )
    else:
        results = lab.train(RUNS, DATA, batch_size=100, distances_every=4, **IMAGES[kind], **said)
    file.write_bytes(pickle.dumps(results))
