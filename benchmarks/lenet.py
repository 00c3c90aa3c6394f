"""What training LeNets side by side costs, beside one at a time and beside the tutorial's way.

    python benchmarks/lenet.py [--epochs 30] [--device cuda]

Trains on Fashion-MNIST: set LRSCHED_DATA_DIR to the folder of its files, or let them be
downloaded. On two cores the default takes about five minutes. Compare the ratios, not the
seconds; all are measured in one run.
"""

import argparse
import math
import os
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import lrsched
from lrsched import lab
from lrsched.lab.groups import least_seconds
from lrsched.lab.training import measure

BATCH = 256
CLOCK = time.perf_counter


def matrix_rate(device: torch.device, size: int = 2048) -> float:
    """The operations a second of a large matrix product, multiplications and additions."""
    a, b = torch.randn(2, size, size, device=device)
    best = least_seconds(lambda: a @ b, device, times=10)
    return 2 * size**3 / best


def operations(network: nn.Sequential, x: torch.Tensor) -> tuple[int, int]:
    """For one sample: of a forward pass, and of forward and backward together.

    The backward pass multiplies as often again for the weights, and again for the inputs,
    which the first layer does not need.
    """
    forward = training = 0
    for layer in network:
        y = layer(x)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            each = math.prod(layer.weight.shape[1:])
            count = 2 * each * y.numel()
            training += count * (3 if forward else 2)
            forward += count
        x = y
    return forward, training


class Samples(Dataset):
    """One image at a time: from bytes to a Pillow image, and from that to a tensor.

    This is what torchvision does for the tutorial, of which there is none in this project.
    """

    def __init__(self, split: lab.Split) -> None:
        self.pixels = (split.images.squeeze(1) * 255).round().byte().cpu().contiguous()
        self.labels = split.labels.cpu()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.pixels[index].numpy())
        pixels = torch.from_numpy(np.array(image, copy=True))
        return pixels[None].contiguous().float().div(255), int(self.labels[index])


def tutorials_way(data: lab.Data, workers: int, device: torch.device) -> float:
    """Seconds for an epoch of one model, each sample loaded by itself, and its test."""
    loaders = [
        DataLoader(Samples(split), BATCH, shuffle=shuffle, num_workers=workers)
        for split, shuffle in ((data.train, True), (data.test, False))
    ]
    network = lab.lenet().to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
    begun = CLOCK()
    loss_sum = right = 0.0
    for x, y in loaders[0]:
        x, y = x.to(device), y.to(device)
        optimizer.zero_grad()
        outputs = network(x)
        loss = nn.functional.cross_entropy(outputs, y)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            loss_sum += float(loss) * len(y)
            right += float((outputs.argmax(1) == y).sum())
    with torch.no_grad():
        for x, y in loaders[1]:
            right += float((network(x.to(device)).argmax(1) == y.to(device)).sum())
    return CLOCK() - begun


def side_by_side(data: lab.Data, count: int, device: torch.device) -> tuple[int, int, float]:
    """The sizes that ``lab.train`` chooses for so many runs, and its seconds a model-epoch."""
    runs = [lab.Run(str(k), lrsched.Constant(0.1)) for k in range(count)]
    group, chunk = lab.fastest(lab.lenet, data, BATCH, device=device, runs=runs)
    history = lab.train(
        runs, data, epochs=1, batch_size=BATCH, group=group, chunk=chunk, device=device
    )
    return group, chunk, history.seconds.mean()


def intended(steps: int) -> list[lab.Run]:
    """The tutorial's five runs as it meant them."""
    schedules = {
        "constant": lrsched.Constant(0.3),
        "square root": lrsched.Power(0.1, power=0.5),
        "multi-factor": lrsched.MultiStep(0.5, [15, 30], gamma=0.5),
        "cosine": lrsched.Cosine(0.3, 20, end_lr=0.01),
        "cosine, warmup": lrsched.Cosine(0.3, 15, end_lr=0.01).warmup(5),
    }
    return [lab.Run(name, schedule.per_epoch(steps)) for name, schedule in schedules.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5, help="of the tutorial's five runs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads")

    data = lab.fashion_mnist(validation=0).to(device)
    rate = matrix_rate(device)
    forward, training = operations(lab.lenet(), torch.zeros(1, 1, 28, 28))
    work = training * len(data.train) + forward * len(data.test)
    print(f"\na matrix product runs at {rate / 1e9:.0f} billion operations a second;")
    print(f"an epoch of one LeNet and its test take {work / 1e9:.0f} billion")

    print("\nSeconds for one model-epoch, test included")
    print(f"{'way':<48}{'seconds':>9}{'ratio':>8}{'share of the matrix rate':>26}")
    ways = {
        f"the tutorial's: sample by sample, {workers} workers": tutorials_way(data, workers, device)
        for workers in (0, min(4, os.cpu_count() or 1))  # the tutorial's is 4
    }
    slowest = min(ways.values())
    alone = math.inf
    for count in (1, 2, 4, 8, 16, 32):
        group, chunk, seconds = side_by_side(data, count, device)
        ways[f"{count} runs, {group} at once, {chunk} samples at once"] = seconds
        if count == 1:
            alone = seconds
        elif seconds > alone:
            print(f"  {count} runs cost more a model than 1 does")
    for way, seconds in ways.items():
        share = work / seconds / rate
        print(f"{way:<48}{seconds:>9.2f}{seconds / slowest:>8.2f}{share:>26.2f}")

    costs = measure(lab.lenet, data, BATCH, device=device)
    chunks = sorted({chunk for _, chunk in costs})
    print("\nSeconds for one model-epoch of updates alone, by samples at once")
    print(f"{'runs at once':<16}" + "".join(f"{chunk:>8}" for chunk in chunks))
    steps = math.ceil(len(data.train) / BATCH)
    for group in sorted({group for group, _ in costs}):
        row = "".join(f"{costs[group, chunk] * steps:>8.2f}" for chunk in chunks)
        print(f"{group:<16}{row}")

    epochs = arguments.epochs
    begun = CLOCK()
    history = lab.train(intended(steps), data, epochs=epochs, batch_size=BATCH, device=device)
    seconds = CLOCK() - begun
    print(f"\nThe tutorial's five runs as it meant them, {epochs} epochs, one seed")
    print(history.check_rates())
    print(f"{seconds:.0f} s, {seconds / epochs / 5:.2f} s a model-epoch, choice of sizes included;")
    print(f"the tutorial's GPU took 590 s for 30 epochs, {590 / 150:.2f} s a model-epoch")
    print(f"{'run':<18}{'train loss':>12}{'train acc':>12}{'test acc':>12}")
    for label in history.labels:
        values = [
            history.final(metric)[label][0]
            for metric in ("train_loss", "train_accuracy", "test_accuracy")
        ]
        print(f"{label:<18}" + "".join(f"{value:>12.3f}" for value in values))


if __name__ == "__main__":
    main()
