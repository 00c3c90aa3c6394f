"""Execute one notebook with nbmake and keep the result if it is fit for a page.

    python book/execute.py SOURCE.ipynb TARGET.ipynb

The same run is the notebook's test and the source of its page. It happens in an empty
folder, so a chapter cannot come to rest on files that a reader on Colab does not have.
The Makefile sets the rest of its surroundings: threads, log levels, edition.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

# In seconds, for each cell: in the full edition one may train for more than an hour.
CELL_TIMEOUT = 4 * 3600


def execute(source, work):
    """Run `source` in the folder `work`; return the result, or exit as nbmake did."""
    copy = work / source.name
    shutil.copyfile(source, copy)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir=.",
    ]
    command += ["--nbmake", "--overwrite", f"--nbmake-timeout={CELL_TIMEOUT}"]
    command += [source.name]
    done = subprocess.run(
        command,
        cwd=work,
        env=os.environ | {"IPYTHONDIR": str(work / "ipython")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{source} failed.")
    return nbformat.read(copy, as_version=4)


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


def main(source, target):
    print(f"==> {source}: executing", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not below _build: nbmake takes no notebook from there.
    with tempfile.TemporaryDirectory(prefix="lrsched-") as work:
        notebook = execute(source, Path(work))
    join_streams(notebook)
    found = list(problems(notebook))
    if found:
        sys.exit(f"{source} ran, but is not fit for a page:\n" + "\n".join(found))
    for cell in notebook.cells:
        # Time stamps: two runs must give the same file.
        cell.metadata.pop("execution", None)
    draft = target.with_suffix(".part")
    nbformat.write(notebook, draft)
    draft.replace(target)
    print(f"==> {source}: passed", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
