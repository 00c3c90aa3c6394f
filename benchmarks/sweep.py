"""What a sweep costs a network, beside the tutorial's way and beside a plain loop.

    python benchmarks/sweep.py [--threads 2]

The tutorial's four networks, four rates and 40 epochs; more networks are more seeds. Sweeps run
by the compiled loop, and, as without numba, by batched products. On one core it takes about two
minutes. Compare the ratios, not the seconds; all are measured in one run.
"""

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

import pandas  # noqa: F401 - what a sweep imports late: not to be counted as its growth
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from lrsched import lab

BATCH, EPOCHS = 50, 40
RATES = (0.1, 0.03, 0.01, 0.005)
NETWORKS = {
    f"{depth} layers, normalisation: {norm}": functools.partial(lab.mlp, depth=depth, norm=norm)
    for depth in (3, 4)
    for norm in (None, "before")
}
FEWEST = len(NETWORKS) * len(RATES)
COUNTS = (16, 128, 1024, 4096)
MANY = 1024  # at which both ways are compared
CLOCK = time.perf_counter

Batch = tuple[Tensor, Tensor]


class Samples(Dataset):
    """One row at a time, or several."""

    def __init__(self, *parts: lab.Rows) -> None:
        self.inputs = torch.cat([part.inputs for part in parts])
        self.targets = torch.cat([part.targets for part in parts])

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int | list[int] | Tensor) -> Batch:
        return self.inputs[index], self.targets[index]


class Shuffled:
    """Batches in a new order each time, each one indexing of the tensors."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __iter__(self) -> Iterator[Batch]:
        for index in torch.randperm(len(self.samples)).split(BATCH):
            yield self.samples[index]


def one_at_a_time(batches: Iterable[Batch], parts: list[Batch], epochs: int) -> float:
    """Seconds a network-epoch; the loss on the parts after each epoch, each part at once."""
    torch.manual_seed(0)
    criterion = nn.MSELoss()
    begun = CLOCK()
    for make in NETWORKS.values():
        for rate in RATES:
            network = make()
            optimizer = torch.optim.SGD(network.parameters(), lr=rate)
            for _ in range(epochs):
                network.train()
                for x, y in batches:
                    loss = criterion(network(x), y)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                network.eval()
                for x, y in parts:
                    criterion(network(x), y).item()
    return (CLOCK() - begun) / (FEWEST * epochs)


def alternatives() -> dict[str, float]:
    """Seconds a network-epoch, one network at a time, on the rows that the sweep sees."""
    data = lab.polynomial()
    every = Samples(data.train, data.validation, data.test)
    train, test = torch.arange(len(every)).split([len(data.train), len(every) - len(data.train)])
    loader = DataLoader(Subset(every, train.tolist()), BATCH, shuffle=True)
    parts = [every[train], every[test]]
    ways = {
        "the tutorial's: a DataLoader": loader,
        "a plain loop: tensors in memory": Shuffled(Samples(data.train)),
    }
    one_at_a_time(Shuffled(every), parts, epochs=1)  # what is only slow at first
    return {way: one_at_a_time(batches, parts, epochs=10) for way, batches in ways.items()}


def peak() -> float:
    """The most memory that this process has held, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def swept(count: int, repeats: int) -> dict[str, float]:
    """The fastest of some sweeps over so many networks, or none, in this process."""
    if not count:
        return {"peak": peak()}
    lab.sweep(NETWORKS, RATES[:1], 1, lab.polynomial(), epochs=1, device="cpu")  # compiles
    seeds, seconds = count // FEWEST, float("inf")
    for _ in range(repeats):
        begun = CLOCK()
        again = lab.sweep(
            NETWORKS, RATES, seeds, lab.polynomial(), epochs=EPOCHS, batch_size=BATCH, device="cpu"
        )
        if CLOCK() - begun < seconds:
            seconds, results = CLOCK() - begun, again
    return {
        "seconds": seconds / (count * EPOCHS),
        "training": results.seconds.sum() / (count * EPOCHS),
        "group": results.surroundings["group"],
        "peak": peak(),
    }


def apart(count: int, threads: int, *options: str) -> dict[str, float]:
    """:func:`swept` in a process of its own."""
    command = [sys.executable, __file__, "--threads", str(threads), "--alone", str(count), *options]
    environment = os.environ | {"TQDM_DISABLE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--batched", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    threads = arguments.threads
    torch.set_num_threads(threads)
    if arguments.alone is not None:
        if arguments.batched:
            sys.modules["numba"] = None  # not to be found
        print(json.dumps(swept(arguments.alone, repeats=1 if arguments.batched else 3)))
        return
    print(f"torch {torch.__version__}, threads: {threads}")

    # A process counts the memory of the one that started it: at first there is little of it.
    imports = apart(0, threads)["peak"]
    before = alternatives()
    sweeps = {count: apart(count, threads) for count in COUNTS}
    batched = apart(MANY, threads, "--batched")
    after = alternatives()
    alone = {way: min(before[way], after[way]) for way in before}
    tutorial, plain = alone.values()

    print("\nMicroseconds for one network-epoch, with the losses after it")
    print(f"{'way':<34}{'all':>8}{'training':>10}{'tutorial/all':>14}{'plain/all':>11}", end="")
    print(f"{'group':>7}{'peak MiB':>10}{'growth':>8}")
    for way, seconds in alone.items():
        print(f"{way:<34}{seconds * 1e6:>8.0f}{seconds * 1e6:>10.0f}", end="")
        print(f"{tutorial / seconds:>14.1f}{plain / seconds:>11.1f}")
    rows = {f"lab.sweep, {count:,} networks": cost for count, cost in sweeps.items()}
    for way, cost in (rows | {f"the same {MANY:,} by batched products": batched}).items():
        seconds = cost["seconds"]
        print(f"{way:<34}{seconds * 1e6:>8.0f}{cost['training'] * 1e6:>10.0f}", end="")
        print(f"{tutorial / seconds:>14.1f}{plain / seconds:>11.1f}{cost['group']:>7}", end="")
        print(f"{cost['peak']:>10.0f}{cost['peak'] - imports:>8.0f}")
    print("all: the first weights, the order of the rows and the table included; the loop had")
    print("been compiled before, which takes seconds once on each machine")
    print(f"growth: over a process that only imports, {imports:.0f} MiB")
    for way in alone:
        first, last = before[way], after[way]
        print(f"{way}: {first * 1e6:.0f} before the sweeps, {last * 1e6:.0f} after them")

    costs = [cost["seconds"] for cost in sweeps.values()]
    rises = [
        f"from {few:,} to {many:,} by {b / a - 1:.0%}"
        for few, many, a, b in zip(COUNTS, COUNTS[1:], costs, costs[1:], strict=False)
        if b > a
    ]
    print(f"\nThe cost of a network rises with their number: {', '.join(rises) or 'never'}")
    by_loop, by_products = (tutorial / cost["seconds"] for cost in (sweeps[MANY], batched))
    print(f"{MANY:,} networks cost, each, so much less than by the tutorial's loop:")
    print(f"  by the compiled loop {by_loop:.0f} times; at least 150: {_word(by_loop >= 150)}")
    print(f"  by batched products, without numba, {by_products:.0f} times")
    most = sweeps[max(COUNTS)]["peak"]
    print(f"Less than 2 GiB for {max(COUNTS):,} networks: {_word(most < 2048)}, {most:.0f} MiB")


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


if __name__ == "__main__":
    main()
