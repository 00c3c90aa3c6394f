"""Import this before PyTorch or Keras: it loads Triton so that it works beside TensorFlow.

PyTorch's builds for Linux come with Triton and import it when the first optimizer is made.
TensorFlow, from 2.20 on, offers the symbols of its own LLVM to every library that is loaded
after it. Triton takes them for its own, and the process ends in a segmentation fault. Triton
first, then TensorFlow, works; and so does TensorFlow first, if Triton is bound to its own
symbols before it sees any others.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec

__all__: list[str] = []

# Other systems keep the symbols of libraries apart.
if sys.platform == "linux" and "triton" not in sys.modules and find_spec("triton"):
    _usual = sys.getdlopenflags()
    if "tensorflow" in sys.modules:
        sys.setdlopenflags(_usual | os.RTLD_DEEPBIND)
    try:
        with suppress(ImportError):  # PyTorch goes on without it, too
            import_module("triton")
    finally:
        sys.setdlopenflags(_usual)
