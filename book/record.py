"""Measure experiments at full size and write their records, for `make record`.

    python book/record.py [--jobs N] [NAME...]
    python book/record.py --list

An experiment is one of `lrsched.book.TRIALS`; all, if none is named. With
LRSCHED_EDITION=full and LRSCHED_RECORD=FOLDER each writes its record into the package
and keeps checkpoints in the folder until then: stopped and started again, it goes on
from there. With LRSCHED_RECORD_GROW it trains only the runs that a record of runs
lacks. Several at once are processes of their own, with one thread each. `--list` shows
what the records hold, and the seconds of each.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lrsched.book import TRIALS, records, trial


def measure(name):
    """Run one experiment in this process."""
    print(f"==> {name}", flush=True)
    begun = time.perf_counter()
    trial(name)
    print(f"    {name}: {time.perf_counter() - begun:.0f} s", flush=True)
    if folder := os.environ.get("LRSCHED_RECORD"):
        for pattern in (f"{name}.checkpoint", f"{name}-*.checkpoint"):
            for checkpoint in Path(folder).glob(pattern):
                checkpoint.unlink()  # or the next measurement would end where it begins


def measured_apart(name):
    """Whether a process of its own ran the experiment to its end."""
    return subprocess.run([sys.executable, __file__, name]).returncode == 0


def show():
    """Print the records, and the seconds of all trainings, each counted once."""
    table = records.summary()
    print(table.to_string(index=False, na_rep="-", float_format="{:.0f}".format))
    experiments = [
        max((each for each in TRIALS if name.startswith(each)), key=len)
        for name in table["record"]
    ]
    total = table.groupby(experiments).seconds.max().sum()
    print(f"in all {total / 3600:.1f} hours, one after another")


def main():
    """Run the experiments that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRIALS))
    parser.add_argument("--jobs", type=int, default=1, help="how many run at once")
    parser.add_argument(
        "--list", action="store_true", help="show the records there are"
    )
    asked = parser.parse_args()
    if asked.list:
        show()
        return
    for name in asked.names:
        if name not in TRIALS:
            parser.error(f"no experiment is called {name!r}: it is one of {[*TRIALS]}")
    names = asked.names or [*TRIALS]
    if asked.jobs == 1 or len(names) == 1:
        for name in names:
            measure(name)
        return
    with ThreadPoolExecutor(asked.jobs) as pool:
        done = dict(zip(names, pool.map(measured_apart, names)))
    if failed := [name for name, well in done.items() if not well]:
        sys.exit(f"these failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
