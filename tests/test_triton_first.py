"""TensorFlow beside PyTorch's Triton: either may be imported first."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

# A stand-in that tells how it was loaded.
STAND_IN = """
import os, sys
bound = "bound" if sys.getdlopenflags() & os.RTLD_DEEPBIND else "free"
print("after TensorFlow," if "tensorflow" in sys.modules else "first,", bound)
"""
AS_USUAL = "import os, sys; assert not sys.getdlopenflags() & os.RTLD_DEEPBIND"
TENSORFLOW = "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shares symbols")


def run(program, path=None):
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@linux
@pytest.mark.parametrize(
    ("door", "before", "told"),
    [
        *((door, "", "first, free") for door in ("pytorch", "keras", "lab")),
        ("triton_first", TENSORFLOW, "after TensorFlow, bound"),
    ],
)
def test_each_door_loads_it(door, before, told, tmp_path):
    (tmp_path / "triton.py").write_text(STAND_IN)
    done = run(f"{before}\nimport lrsched.{door}\n{AS_USUAL}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == told


@linux
@pytest.mark.parametrize("before", ["", TENSORFLOW])
def test_one_that_cannot_be_imported_is_left_out(before, tmp_path):
    (tmp_path / "triton.py").write_text("raise ImportError('no driver')")
    done = run(f"{before}\nimport lrsched.triton_first\n{AS_USUAL}", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_package_alone_does_not_load_it(tmp_path):
    (tmp_path / "triton.py").write_text("raise SystemExit('loaded')")
    assert run("import lrsched", tmp_path).returncode == 0


ORDERS = [
    "import lrsched.pytorch, lrsched.keras, torch",
    "import keras, torch, lrsched.pytorch, lrsched.keras",
    "import tensorflow, torch, lrsched.pytorch",
    "import torch, lrsched.pytorch, tensorflow",
    "import tensorflow, lrsched.lab, torch",
]
USE = """
import sys
weight = torch.nn.Parameter(torch.ones(1))
optimizer = torch.optim.SGD([weight], lr=0.1)
weight.square().sum().backward()
optimizer.step()
import tensorflow as tf
double = tf.function(lambda x: 2 * x, jit_compile=True)  # by TensorFlow's LLVM
assert double(tf.constant(1.0)).numpy() == 2 and "triton" in sys.modules
"""


@pytest.mark.skipif(not find_spec("triton"), reason="Triton is not here: PyTorch's CPU build")
@pytest.mark.parametrize("order", ORDERS)
def test_any_order_works(order):
    done = run(order + USE)
    assert done.returncode == 0, done.stderr
