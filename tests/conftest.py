"""Settings for all tests: hypothesis profiles, one thread, and frameworks side by side.

By default each run draws the same examples. ``make test-thorough`` draws forty times as many,
at random.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests run side by side: more threads in each would wait for one another.
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, configuration, settings

from lrsched import triton_first  # noqa: F401  # before a test imports TensorFlow or PyTorch

configuration.set_hypothesis_home_dir(Path(__file__).parents[1] / "_build" / "hypothesis")

checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
settings.register_profile(
    "default", max_examples=25, deadline=None, suppress_health_check=checks, derandomize=True
)
settings.register_profile(
    "thorough", settings.get_profile("default"), max_examples=1000, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=["compiled", "batched"])
def engine(request, monkeypatch):
    """Each of the two ways in which networks are trained on rows, in turn; its name."""
    return computed(request.param, monkeypatch)


@pytest.fixture(params=["images", "compiled", "batched"])
def kind(request, monkeypatch):
    """Images, and rows in each of the two ways: a key of ``experiments.KINDS``."""
    return computed(request.param, monkeypatch)


def computed(way, monkeypatch):
    from lrsched.lab import fast

    if way == "compiled":
        pytest.importorskip("numba")
    if way == "batched":
        monkeypatch.setattr(fast, "loop", lambda *_: None)
    return way


@pytest.fixture(autouse=True)
def no_figure_is_left():
    """The next test begins without one, wherever it is run."""
    yield
    if plt := sys.modules.get("matplotlib.pyplot"):
        plt.close("all")


@pytest.fixture
def full(monkeypatch, tmp_path):
    """The full edition, recorded, with the digits in place of Fashion-MNIST."""
    from lrsched import lab
    from lrsched.book import editions

    monkeypatch.setenv("LRSCHED_EDITION", "full")
    monkeypatch.setenv("LRSCHED_RECORD", str(tmp_path / "state"))
    monkeypatch.setattr(editions, "fashion_mnist", lab.digits)
