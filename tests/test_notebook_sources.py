"""The chapters' sources: complete, clean, and able to run on Colab by themselves."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
MAX_LINES = 45  # of code in a cell: what fits a screen

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_METADATA = {"tags", "mystnb"}

INSTALL_CELL = """\
# On Colab this installs the companion package; elsewhere it does nothing.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("lrsched") is None:
    source = os.environ.get("LRSCHED_SOURCE", "git+{address}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, {packages}], check=True)"""
COLAB_LACKS = {"optuna"}  # of what the lab needs

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def imported(path):
    """The packages that a chapter imports after its first cell."""
    names = set()
    for cell in code(path)[1:]:
        lines = [line for line in cell.source.splitlines() if not line.lstrip().startswith("%")]
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
    return names


def test_notebooks_and_contents_name_the_same_chapters():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    named = [toc["root"]] + [chapter["file"] for chapter in toc["chapters"]]
    existing = [f"book/{path.stem}" for path in NOTEBOOKS]
    assert [name for name in named if name != "book/references"] == existing


@every_notebook
def test_format_and_ids(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5), "older formats have no ids"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@every_notebook
def test_stripped(path):
    notebook = read(path)
    assert notebook.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        assert set(cell.metadata) <= CELL_METADATA, cell.metadata
        assert not cell.get("attachments")
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.source
            assert cell.execution_count is None, cell.source


@every_notebook
def test_first_code_cell_installs_the_package(path):
    address = subprocess.run(
        [sys.executable, ROOT / "book" / "address.py"], capture_output=True, text=True, check=True
    ).stdout.strip()
    first = code(path)[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = project["optional-dependencies"]["lab"]
    lacking = [each for each in ranges if Requirement(each).name in COLAB_LACKS & imported(path)]
    packages = ", ".join(["source", *(f'"{each}"' for each in lacking)])
    assert first.source == INSTALL_CELL.format(address=address, packages=packages)
    assert first.metadata.tags == ["hide-cell"]


@every_notebook
def test_cells_fit_a_screen(path):
    for cell in code(path):
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source[:200]


@every_notebook
def test_nothing_is_imported_that_colab_lacks(path):
    """But for what the first cell installs."""
    assert not imported(path) & {"myst_nb", "jupyter_book", "pytest"}
