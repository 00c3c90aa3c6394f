"""``python -m lrsched diagnose``: what :func:`lrsched.diagnose` says of a log."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .diagnosis import Diagnosis, diagnose
from .logs import read_log
from .text import from_text

RIGHT, FAULT, WRONG = 0, 1, 2  # as diff


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    given = _parser().parse_args(arguments)
    try:
        log = read_log(given.log, given.column, given.steps)
        found = diagnose(
            log.rates,
            from_text(given.schedule),
            given.steps_per_epoch,
            steps=log.steps,
            rounding=log.rounding,
        )
        print(f"{given.log}: {log}.")
        print(found)
        if given.plot:
            _draw(found, given.plot)
    except (OSError, TypeError, ValueError, ImportError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"lrsched diagnose: {reason}", file=sys.stderr)
        return WRONG
    return RIGHT if found.fault == "none" else FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lrsched", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser(
        "diagnose",
        help="compare the rates in a log with a schedule, and name the fault",
        description="Compare the rates in a log with a schedule, and name the fault. The exit "
        "status is 0 if the rates are those of the schedule, 1 if not, 2 if something is wrong "
        "with the command or the log.",
    )
    add = command.add_argument
    add("log", help="a CSV file, as Lightning, Keras or TensorBoard writes it")
    add("--schedule", required=True, help='what was planned, as "Cosine(0.3, 1200).warmup(50)"')
    add("--column", help="the column of the rates, where it cannot be told")
    add("--steps", metavar="COLUMN", help='the column of the steps ("" for none; default: step)')
    add("--steps-per-epoch", type=int, metavar="N", help="the updates of an epoch")
    add("--plot", metavar="FILE", help="draw both into this file (svg, png, pdf)")
    return parser


def _draw(found: Diagnosis, path: str) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("--plot needs Matplotlib: pip install 'lrsched[plot]'") from error
    figure = Figure(figsize=(7, 4), layout="constrained")
    found.plot(figure.subplots())
    known = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:] not in known:
        raise ValueError(f"--plot: {path} must end in one of {', '.join(sorted(known))}")
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
