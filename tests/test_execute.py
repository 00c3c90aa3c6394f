"""The execution of notebooks: as on Colab, and only what is fit for a page is kept."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "book" / "execute.py"
INTRODUCTION = ROOT / "book" / "learn_why.ipynb"
problems = runpy.run_path(str(SCRIPT))["problems"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", f"--wheel-dir={folder}", str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("lrsched-*.whl"))


def execute(folder, wheel, cell, install=True):
    """Execute a notebook of this cell; return what the command said, and what it kept."""
    first = next(c for c in nbformat.read(INTRODUCTION, 4).cells if c.cell_type == "code")
    cells = [v4.new_code_cell(source) for source in [first.source] * install + [cell]]
    nbformat.write(v4.new_notebook(cells=cells), folder / "a.ipynb")
    command = [sys.executable, SCRIPT, folder / "a.ipynb", folder / "kept", wheel]
    done = subprocess.run(command, capture_output=True, text=True)
    kept = folder / "kept" / "a.ipynb"
    assert kept.exists() == (done.returncode == 0)
    return done, nbformat.read(kept, 4) if kept.exists() else None


def test_as_on_colab(tmp_path, wheel):
    look = "import importlib.util, json, os\n"
    look += "names = ['lrsched', 'torch', 'keras', 'jupyter_book', 'myst_nb', 'hypothesis']\n"
    look += "print(json.dumps([os.listdir(), *(bool(importlib.util.find_spec(n)) for n in names)]))"
    done, kept = execute(tmp_path, wheel, look)
    assert done.returncode == 0, done.stderr
    first, second = kept.cells
    assert first.outputs == []
    found = json.loads(second.outputs[0].text)
    assert found == [["a.ipynb"], True, True, True, False, False, False]
    assert "execution" not in first.metadata | second.metadata


@pytest.mark.parametrize(
    ("cell", "install", "said"),
    [
        ("import lrsched", False, "No module named 'lrsched'"),
        ("open('beside.csv')", True, "beside.csv"),
        ("import warnings\nwarnings.warn('look here')", True, "cell 1 wrote to stderr"),
    ],
)
def test_what_fails_is_not_kept(tmp_path, wheel, cell, install, said):
    done, _ = execute(tmp_path, wheel, cell, install=install)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(("alt", "fit"), [("A line.", True), (" ", False), (None, False)])
def test_a_figure_without_alternative_text_is_not_fit_for_a_page(alt, fit):
    metadata = {} if alt is None else {"mystnb": {"image": {"alt": alt}}}
    figure = v4.new_output("display_data", {"image/svg+xml": "<svg/>"})
    cell = v4.new_code_cell("", metadata=metadata, outputs=[figure])
    assert (not list(problems(v4.new_notebook(cells=[cell])))) == fit
