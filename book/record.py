"""Run chapters cell by cell in this process, with progress bars, for `make record`.

    python book/record.py CHAPTER.ipynb...

With LRSCHED_EDITION=full and LRSCHED_RECORD=FOLDER each experiment writes its record
into the package and keeps checkpoints in the folder: stopped and started again, it goes
on from there.
"""

import sys

import matplotlib
from IPython.core.interactiveshell import InteractiveShell

if __name__ == "__main__":
    matplotlib.use("agg")  # figures are drawn, so that errors show, and thrown away
    matplotlib.rcParams["figure.max_open_warning"] = 0
    for chapter in sys.argv[1:]:
        print(f"==> {chapter}", flush=True)
        shell = InteractiveShell.instance()
        shell.safe_execfile_ipy(chapter, raise_exceptions=True)
        InteractiveShell.clear_instance()
