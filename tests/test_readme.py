"""The README's Python runs, and its picture is what its script draws."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.split("\n")[0])
def test_example_runs(code):
    exec(compile(code, "README.md", "exec"), {})


def test_examples_stay_short():
    """Five lines schedule an optimizer."""
    for code in BLOCKS[:2]:
        assert len([line for line in code.splitlines() if line and line[0] != "#"]) <= 5


def test_picture_is_fresh(tmp_path):
    script = runpy.run_path(str(ROOT / "book" / "picture.py"))
    script["draw"](tmp_path / "fresh.svg")
    assert (tmp_path / "fresh.svg").read_bytes() == script["PICTURE"].read_bytes()
