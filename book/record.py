"""Measure experiments at full size and write their records, for `make record`.

    python book/record.py [NAME...]

An experiment is one of `lrsched.book.TRIALS`. With LRSCHED_EDITION=full and
LRSCHED_RECORD=FOLDER each writes its record into the package and keeps checkpoints in
the folder: stopped and started again, it goes on from there.
"""

import sys
import time

from lrsched.book import TRIALS, trial


def main(names):
    """Run the experiments, all if none is named."""
    for name in names:
        if name not in TRIALS:
            sys.exit(f"no experiment is called {name!r}: it is one of {[*TRIALS]}")
    for name in names or TRIALS:
        print(f"==> {name}", flush=True)
        begun = time.perf_counter()
        trial(name)
        print(f"    {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
