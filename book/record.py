"""Measure experiments at full size and write their records, for `make record`.

    python book/record.py [NAME...]

An experiment is one of `lrsched.book.TRIALS`, or a chapter measures it: then the
chapter is run, cell by cell, in this process. With LRSCHED_EDITION=full and
LRSCHED_RECORD=FOLDER each writes its record into the package and keeps checkpoints in
the folder: stopped and started again, it goes on from there.
"""

import re
import sys
import time
from pathlib import Path

import matplotlib
from IPython.core.interactiveshell import InteractiveShell

from lrsched.book import TRIALS, trial

BOOK = Path(__file__).parent
PLAN = re.compile(r'book\.plan\(\\"(.+?)\\"\)')  # as a notebook's JSON has it


def measured_in_chapters():
    """The chapter of each experiment that one measures."""
    return {
        name: chapter
        for chapter in sorted(BOOK.glob("*.ipynb"))
        for name in PLAN.findall(chapter.read_text(encoding="utf-8"))
        if name not in TRIALS
    }


def run_chapter(chapter):
    """Run a notebook; figures are drawn, so that errors show, and thrown away."""
    matplotlib.use("agg")
    matplotlib.rcParams["figure.max_open_warning"] = 0
    shell = InteractiveShell.instance()
    shell.safe_execfile_ipy(str(chapter), raise_exceptions=True)
    InteractiveShell.clear_instance()


def main(names):
    chapters = measured_in_chapters()
    names = names or [*TRIALS, *chapters]
    for name in names:
        if name not in TRIALS and name not in chapters:
            sys.exit(
                f"no experiment is called {name!r}: it is one of {[*TRIALS, *chapters]}"
            )
    for name in names:
        if name in TRIALS:
            print(f"==> {name}", flush=True)
            begun = time.perf_counter()
            trial(name)
            print(f"    {time.perf_counter() - begun:.0f} s", flush=True)
    for chapter in dict.fromkeys(map(chapters.get, names)):
        if chapter:
            print(f"==> {chapter.name}", flush=True)
            run_chapter(chapter)


if __name__ == "__main__":
    main(sys.argv[1:])
