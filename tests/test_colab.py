"""Each chapter as Colab runs it: the package not installed, nothing beside the notebook.

Its environment has what the main one has, but for lrsched and the book's own tools. The first
cell of the chapter installs the package from a wheel of the working tree.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from fnmatch import fnmatch
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
NOT_ON_COLAB = ["*lrsched*", "myst_nb*", "jupyter_book*", "nbmake*", "hypothesis*"]

RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, kernel_name="python3", timeout=1800).execute()
nbformat.write(notebook, sys.argv[1])
"""

pytestmark = pytest.mark.colab


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", f"--wheel-dir={folder}", str(ROOT)]
    subprocess.run(command, check=True)
    return next(folder.glob("lrsched-*.whl"))


@pytest.fixture
def python(tmp_path):
    """The Python of a fresh environment, its packages linked one by one.

    Links, not a path to the main site-packages: pip would find lrsched installed there.
    """
    home = tmp_path / "environment"
    venv.create(home, symlinks=True, with_pip=False)
    target = Path(sysconfig.get_path("purelib", vars={"base": home}))
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if not any(fnmatch(entry.name, name) for name in NOT_ON_COLAB):
                (target / entry.name).symlink_to(entry)
    return home / "bin" / "python"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_as_on_colab(path, python, wheel, tmp_path):
    folder = tmp_path / "content"
    folder.mkdir()
    copy = folder / path.name
    notebook = nbformat.read(path, as_version=4)
    question = nbformat.v4.new_code_cell("import lrsched\n\nprint(lrsched.__file__)")
    notebook.cells.append(question)
    nbformat.write(notebook, copy)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "LRSCHED_SOURCE": str(wheel),
        "PIP_NO_INDEX": "1",  # installing the package may not replace or fetch anything else
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }

    without = subprocess.run(
        [python, "-c", "import lrsched"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "No module named 'lrsched'" in without.stderr
    done = subprocess.run(
        [python, "-c", RUN, copy], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

    answer = nbformat.read(copy, as_version=4).cells[-1].outputs[0].text.strip()
    assert Path(answer).is_relative_to(python.parents[1])
    assert not Path(answer).is_symlink()
