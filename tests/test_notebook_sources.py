"""The chapters' sources: complete, clean, and able to run on Colab by themselves."""

import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

from house import House

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

IMPORTED = {
    source.path: {each.module.split(".")[0] for each in source.imports}
    for source in House().of("notebooks")
}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def test_pages_and_contents_name_the_same_chapters():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    parts = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    pages = [path for path in (ROOT / "book").iterdir() if path.suffix in {".ipynb", ".md"}]
    assert sorted([toc["root"], *parts]) == sorted(f"book/{path.stem}" for path in pages)


@every_notebook
def test_stripped(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5), "older formats have no ids"
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        assert set(cell.metadata) <= CELL_METADATA, cell.metadata
        assert not cell.get("attachments")
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.source
            assert len(cell.source.splitlines()) <= MAX_LINES, cell.source[:200]


@every_notebook
def test_solutions_are_marked(path):
    """So that the page says what is folded, and the PDF shows it."""
    cells = read(path).cells
    exercises = [place for place, cell in enumerate(cells) if "## Exercises" in cell.source]
    assert len(exercises) <= 1
    for place, cell in enumerate(cells):
        solves = cell.cell_type == "code" and exercises and place > exercises[0]
        solves = solves and "hide-cell" in cell.metadata.tags
        assert cell.source.startswith("# Solution") == bool(solves)
        prompt = cell.metadata.get("mystnb", {}).get("code_prompt_show")
        assert prompt == ("Show the solution" if solves else None)


@every_notebook
def test_first_code_cell_installs_the_package(path):
    address = subprocess.run(
        [sys.executable, ROOT / "book" / "address.py"], capture_output=True, text=True, check=True
    ).stdout.strip()
    imported = IMPORTED[str(path.relative_to(ROOT))]
    assert not imported & {"myst_nb", "jupyter_book", "pytest"}  # which Colab lacks, too
    first = next(cell for cell in read(path).cells if cell.cell_type == "code")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = project["optional-dependencies"]["lab"]
    lacking = [each for each in ranges if Requirement(each).name in COLAB_LACKS & imported]
    packages = ", ".join(["source", *(f'"{each}"' for each in lacking)])
    assert first.source == INSTALL_CELL.format(address=address, packages=packages)
    assert first.metadata.tags == ["hide-cell"]
