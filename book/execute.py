"""Execute one notebook as Colab does and keep the result if it is fit for a page.

    python book/execute.py SOURCE.ipynb TARGET_FOLDER WHEEL

One run, by nbmake, is the notebook's test, the source of its page, and the proof that
it runs on Colab: it happens in an empty folder and in an environment that has the
packages of this one, but neither lrsched nor the tools of the book. Its first cell
installs lrsched from the wheel, as on Colab from the repository; nothing else may be
fetched. The Makefile sets the rest of the surroundings: threads, log levels, edition.
"""

import functools
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from fnmatch import fnmatch
from pathlib import Path

import nbformat

CELL_TIMEOUT = 1800  # seconds
NOT_ON_COLAB = ["*lrsched*", "myst_nb*", "jupyter_book*", "nbmake*", "hypothesis*"]
WHERE = "import lrsched\n\nprint(lrsched.__file__)"


def environment_of_colab(home):
    """Make an environment without lrsched; return its Python.

    Its packages are linked one by one. With a path to the main site-packages, pip would
    find lrsched installed there.
    """
    venv.create(home, symlinks=True, with_pip=False)
    target = Path(sysconfig.get_path("purelib", vars={"base": home}))
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if not any(fnmatch(entry.name, name) for name in NOT_ON_COLAB):
                (target / entry.name).symlink_to(entry)
    return home / "bin" / "python"


def kernel_for(python, folder):
    """Make a folder in which Jupyter finds this Python as the kernel "python3"."""
    launch = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": launch, "display_name": "Python 3", "language": "python"}
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return folder


def execute(source, wheel, work):
    """Run a notebook in the folder `work`; return the result, or exit as nbmake did."""
    python = environment_of_colab(work / "environment")
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHONPATH"
    }
    environment |= {
        "IPYTHONDIR": str(work / "ipython"),
        "JUPYTER_PATH": str(kernel_for(python, work / "jupyter")),
        "LRSCHED_SOURCE": str(wheel),
        "PIP_NO_INDEX": "1",
    }
    content = work / "content"
    content.mkdir()
    run = functools.partial(
        subprocess.run, cwd=content, env=environment, capture_output=True, text=True
    )
    without = run([python, "-c", "import lrsched"])
    if "No module named 'lrsched'" not in without.stderr:
        sys.exit(
            f"lrsched can be imported before {source} installs it {without.stderr}"
        )
    copy = content / source.name
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(WHERE))
    nbformat.write(notebook, copy)
    nbmake = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]
    nbmake += ["-c", os.devnull, "--rootdir=.", "--nbmake", "--overwrite"]
    done = run([*nbmake, f"--nbmake-timeout={CELL_TIMEOUT}", copy.name])
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{source} failed.")
    notebook = nbformat.read(copy, as_version=4)
    imported = Path(notebook.cells.pop().outputs[0].text.strip())
    if not imported.is_relative_to(python.parents[1]) or imported.is_symlink():
        sys.exit(
            f"{source} ran with {imported}, not with what its first cell installed"
        )
    return notebook


def join_streams(notebook):
    """Make one output of the pieces of a stream, which arrive cut at random."""
    for cell in notebook.cells:
        joined = []
        for output in cell.get("outputs", []):
            before = joined[-1] if joined else {}
            if "name" in output and before.get("name") == output.name:
                before["text"] += output.text
            else:
                joined.append(output)
        if "outputs" in cell:
            cell.outputs = joined


def problems(notebook):
    """What an executed notebook may not bring to a page."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                yield f"cell {number} wrote to stderr:\n{output['text']}"
            if any(kind.startswith("image/") for kind in output.get("data", {})):
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                if not alt.strip():
                    yield (
                        f"cell {number} draws a figure without alternative text: give "
                        'the cell {"mystnb": {"image": {"alt": "..."}}} as metadata'
                    )


def main(source, folder, wheel):
    print(f"==> {source}: executing", flush=True)
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    # Not below _build: nbmake takes no notebook from there.
    with tempfile.TemporaryDirectory(prefix="lrsched-") as work:
        notebook = execute(source, wheel.resolve(), Path(work))
    join_streams(notebook)
    found = list(problems(notebook))
    if found:
        sys.exit(f"{source} ran, but is not fit for a page:\n" + "\n".join(found))
    for cell in notebook.cells:
        # Time stamps: two runs must give the same file.
        cell.metadata.pop("execution", None)
    target = folder / source.name
    draft = target.with_suffix(".part")
    nbformat.write(notebook, draft)
    draft.replace(target)
    print(f"==> {source}: passed in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
