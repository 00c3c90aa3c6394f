"""What training small transformers side by side costs, beside a plain loop that trains one.

    python benchmarks/transformer.py [--samples 2560] [--device cuda]

The images are noise: it is the time that counts. On two cores the default takes less than a
minute. Compare the ratios, not the seconds; all are measured in one run.
"""

import argparse
import functools
import math
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import lrsched
from lrsched import lab
from lrsched.lab.machine import least_seconds
from lrsched.lab.seeds import Network

BATCH = 128
CLOCK = time.perf_counter


def matrix_rate(device: torch.device, size: int = 2048) -> float:
    """The operations a second of a large matrix product, multiplications and additions."""
    a, b = torch.randn(2, size, size, device=device)
    return 2 * size**3 / least_seconds(lambda: a @ b, device, times=5)


def operations(network: nn.Sequential, x: torch.Tensor) -> int:
    """Those of the matrix products for one sample, forward and backward together.

    The backward pass multiplies as often again for the weights, and again for the inputs,
    which the first layer does not need.
    """
    forward = training = 0
    for layer in network:
        y = layer(x)
        # Each weight of a matrix is used once for each token, and once for each of its channels.
        weights = sum(p.numel() for p in layer.parameters() if p.dim() > 1)
        places = y.numel() // y.shape[1 if isinstance(layer, nn.Conv2d) else -1]
        count = 0
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.TransformerEncoderLayer):
            count = 2 * weights * places
        if isinstance(layer, nn.TransformerEncoderLayer):
            count += 4 * places * y.numel()  # queries by keys, and attention by values
        training += count * (3 if forward else 2)
        forward += count
        x = y
    return training


def one_alone(data: lab.Data, make: Network, device: torch.device) -> float:
    """Seconds for an epoch of one model in a plain loop."""
    network = make().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    begun = CLOCK()
    losses = []
    for index in torch.randperm(len(data.train), device=device).split(BATCH):
        optimizer.zero_grad()
        loss = cross_entropy(network(data.train.images[index]), data.train.labels[index])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert torch.stack(losses).isfinite().all()  # which waits for the device
    return CLOCK() - begun


def side_by_side(
    data: lab.Data, make: Network, count: int, device: torch.device
) -> tuple[int, float]:
    """The chunk that ``lab.train`` chooses for so many runs at once; seconds a model-epoch."""
    runs = [lab.Run(str(k), lrsched.Constant(1e-3)) for k in range(count)]
    results = lab.train(
        runs, data, network=make, optimizer=lab.AdamW(), epochs=2, batch_size=BATCH, group=count,
        device=device,
    )  # fmt: skip
    return results.surroundings["chunk"], float(results.seconds.mean()) / 2


def noise(samples: int, device: torch.device) -> lab.Data:
    """Images of 28 by 28 pixels with labels at random, to train on alone."""
    parts = [
        lab.Split(torch.randn(count, 1, 28, 28), torch.randint(10, (count,)))
        for count in (samples, 0, 0)
    ]
    return lab.Data("noise", *parts, tuple("0123456789")).to(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2560, help="images in an epoch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, default in (("patch", 7), ("width", 32), ("heads", 4), ("depth", 4)):
        parser.add_argument(f"--{name}", type=int, default=default, help="of the transformer")
    said = vars(parser.parse_args())
    device, samples = torch.device(said.pop("device")), said.pop("samples")
    make = functools.partial(lab.transformer, 28, 10, **said)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads")

    data, rate = noise(samples, device), matrix_rate(device)
    work = operations(make(), torch.zeros(1, 1, 28, 28)) * samples
    print(f"a matrix product runs at {rate / 1e9:.0f} billion operations a second;")
    shape = ", ".join(f"{name} {value}" for name, value in said.items())
    print(f"an epoch of {samples} images, {shape}, takes {work / 1e9:.1f} billion")

    print("\nSeconds for one model-epoch, batches of 128, AdamW")
    print(f"{'way':<40}{'seconds':>9}{'ratio':>8}{'share of the matrix rate':>26}")
    alone = min(one_alone(data, make, device) for _ in range(3))
    ways = {"a plain loop, one model": alone}
    for count in (1, 8, 16):
        chunk, seconds = side_by_side(data, make, count, device)
        ways[f"{count} at once, {chunk} samples at once"] = seconds
    again = min(one_alone(data, make, device) for _ in range(2))
    ways["a plain loop, at the end again"] = again
    for way, seconds in ways.items():
        share = work / seconds / rate
        print(f"{way:<40}{seconds:>9.2f}{seconds / alone:>8.2f}{share:>26.2f}")
    if not math.isclose(alone, again, rel_tol=0.2):
        print("the plain loop took another time at the end: the machine has other work")


if __name__ == "__main__":
    main()
