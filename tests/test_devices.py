"""A GPU is used where there is one; where there is none, nobody hears of it."""

import warnings

import pytest
import torch

from lrsched.lab.machine import chosen_device


def test_without_a_gpu(monkeypatch):
    """As PyTorch's CUDA build answers where the driver is missing or of no use."""

    def is_available():
        warnings.warn("CUDA initialization: Found no NVIDIA driver", UserWarning, stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    with warnings.catch_warnings(record=True, action="always") as heard:
        assert chosen_device(None) == torch.device("cpu")
    assert heard == []


def test_with_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device(None) == torch.device("cuda")


@pytest.mark.parametrize("device", ["cpu", "cuda:1", torch.device("meta")])
def test_one_that_is_named(device):
    assert chosen_device(device) == torch.device(device)
