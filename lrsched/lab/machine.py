"""The machine that experiments run on: device, threads, versions, and how long something takes."""

import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from .. import __version__

__all__ = ["chosen_device", "least_seconds", "surroundings", "undisturbed"]


@contextmanager
def undisturbed() -> Iterator[None]:
    """What the caller has set for this thread ends here: no_grad, inference_mode, autocast.

    Its default device and dtype need no ending: all that is computed here names its own.
    """
    with (
        torch.inference_mode(False),  # which also turns gradients on
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


def chosen_device(device: torch.device | str | None) -> torch.device:
    """The device, or for None a GPU if there is one, else the CPU."""
    if device is None:
        # Where a driver is missing or too old, PyTorch's CUDA build says so: then it is the CPU.
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def surroundings(device: torch.device) -> dict[str, Any]:
    """Machine and versions, which may change the last digits and the time."""
    on_gpu = device.type == "cuda"
    return {
        "lrsched": __version__,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def least_seconds(work: Callable[[], object], device: torch.device, times: int = 3) -> float:
    """The least of a few times that some work takes on the device."""
    best = float("inf")
    for _ in range(times):
        _wait(device)
        begun = time.perf_counter()
        work()
        _wait(device)
        best = min(best, time.perf_counter() - begun)
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
