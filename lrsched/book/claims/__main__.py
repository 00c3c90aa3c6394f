"""``python -m lrsched.book.claims``: all claims with their verdicts, from the records."""

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from ..sources import OURS, SOURCES
from .base import Claim
from .catalogue import CLAIMS, count, table

SHOWN = ("name", "claim", "source", "verdict", "why", "seeds", "data", "records")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status: 0, 1 if a record is missing, 2 for unknown names."""
    given = _parser().parse_args(arguments)
    words = [word.lower() for word in given.words]
    chosen = [each for each in CLAIMS if not words or any(word in each.name for word in words)]
    if not chosen:
        print(f"lrsched.book.claims: no name holds {' or '.join(given.words)}", file=sys.stderr)
        return 2
    try:
        rows = table(chosen)
    except ValueError as error:
        print(f"lrsched.book.claims: {error}", file=sys.stderr)
        return 1
    if given.csv:
        print(rows.to_csv(index=False), end="")
        return 0
    print(*_lines(rows), sep="\n")
    for each in chosen if given.cases else ():
        print(*_cases(each), sep="\n")
    used = [number for number in SOURCES if number in set(rows["source"])]
    print("", f"source {OURS}: ours", *(f"source {n}: {SOURCES[n]}" for n in used), sep="\n")
    print(f"\n{count(rows)}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lrsched.book.claims",
        description="Print the claims that the book judges, with the verdict on each, computed "
        "from the records.",
    )
    parser.add_argument("words", nargs="*", help="only claims whose name holds one of these")
    parser.add_argument("--cases", action="store_true", help="print every case, too")
    parser.add_argument("--csv", action="store_true", help="print comma-separated values instead")
    return parser


def _lines(rows: pd.DataFrame) -> list[str]:
    """The table in columns, two lines for a claim: what it says, and what the records do."""
    head = [list(SHOWN[2:])]
    cells = [[str(row[column]) for column in SHOWN[2:]] for row in rows.to_dict("records")]
    widths = [max(map(len, column)) for column in zip(*head, *cells, strict=True)]

    def line(values: Sequence[str]) -> str:
        padded = (value.ljust(width) for value, width in zip(values, widths, strict=True))
        return "    " + "  ".join(padded).rstrip()

    lines = [line(head[0])]
    for name, claim, values in zip(rows["name"], rows["claim"], cells, strict=True):
        lines += [f"{name}: {claim}", line(values)]
    return lines


def _cases(each: Claim) -> list[str]:
    cases = each.findings()
    width = max(map(len, cases), default=0)
    lines = ["", f"{each.name}: {each.difference}"]
    for case, found in cases.items():
        seeds = f"{found.seeds} seeds"
        lines.append(f"    {case.ljust(width)}  {found.verdict:13}  {each.told(found)}; {seeds}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
