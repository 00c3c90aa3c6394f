"""Rates from a table that a training has logged, as CSV."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .sentences import counted

__all__ = ["Log", "read_log"]

EMPTY = {"", "NA", "N/A"}  # as loggers write that a row has no value; NaN is a value
STEP = {"step", "global_step", "iteration"}
RATE = re.compile(r"lr|lr[-_/ ].*|.*[-_/ ]lr|learning[-_ ]?rate.*|value", re.I)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I)
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Log:
    """A column of rates, and what is known of them.

    Attributes:
        rates: those of the rows that have one.
        steps: their numbers, from another column; None: the rows are counted.
        rounding: half a unit of the last digit that each was printed with.
        digits: the most digits of any of them.
        column, step_column: the names; None: there is none.
    """

    rates: npt.NDArray[np.float64]
    steps: npt.NDArray[np.int64] | None
    rounding: npt.NDArray[np.float64]
    digits: int
    column: str
    step_column: str | None

    def __str__(self) -> str:
        rates, digits = counted(len(self.rates), "rate"), counted(self.digits, "digit")
        said = f"{rates} of up to {digits} from column {self.column}"
        if self.steps is None:
            return f"{said}, taken for updates 0, 1, 2 ..."
        ends = f"{self.steps[0]:,} to {self.steps[-1]:,}"
        return f"{said}, at the steps from {ends} in column {self.step_column}"


def read_log(path: str | Path, column: str | None = None, step_column: str | None = None) -> Log:
    """Read rates as Lightning, Keras, TensorBoard, a spreadsheet or a hand has written them.

    Rows without a rate are left out. How many digits were printed is taken from the column as a
    whole: a log that prints 6 digits prints 0.1 for 0.1000004, too. A few short numbers, such as
    0.1 and 0.01, are taken as they stand.

    Args:
        path: a CSV file with a line of names, separated by commas, semicolons or tabs; a single
            column may go without a name.
        column: the one of the rates. None: the only one, or the only one with a name for rates.
        step_column: the one of the steps. None: ``step`` or ``global_step``, if there is one. ""
            for none.

    Raises:
        OSError: a file that cannot be read.
        ValueError: one that is no such table, another column, a rate or a step that is none, steps
            that do not increase; with the line.
    """
    names, rows = _table(Path(path))
    rate_at = _column(names, column)
    step_at = _step_column(names, step_column, rate_at)
    cells, steps = [], []
    for line, short in rows:
        row = [cell.strip() for cell in short] + [""] * len(names)
        cell = row[rate_at]
        if cell in EMPTY:
            continue
        where = f"line {line}, column {names[rate_at]}"
        _number(where, cell)
        cells.append(cell)
        if step_at is not None:
            steps.append(_step(line, names[step_at], row[step_at]))
            if len(steps) > 1 and steps[-1] <= steps[-2]:
                raise ValueError(
                    f"line {line}, column {names[step_at]}: step {steps[-1]} follows {steps[-2]}; "
                    "steps must increase: keep the rows of one run"
                )
    if not cells:
        raise ValueError(f"column {names[rate_at]} has no rates")
    rounding, digits = _rounding(cells)
    return Log(
        np.array([_float(cell) for cell in cells]),
        None if step_at is None else np.array(steps, dtype=np.int64),
        rounding,
        digits,
        names[rate_at],
        None if step_at is None else names[step_at],
    )


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    import csv

    content = path.read_bytes()
    try:
        text = content.decode(ENCODINGS.get(content[:2], "utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8") from None
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=header.count)
    if separator == "," and _is_number(header):  # 0,25
        separator = ";"
    try:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}") from None
    if not rows:
        raise ValueError(f"{path} is empty")
    first = [name.strip() for name in rows[0][1]]
    if len(first) == 1 and _is_number(first[0]):
        return ["1"], rows
    return first, rows[1:]


def _column(names: Sequence[str], wanted: str | None) -> int:
    known = ", ".join(names)
    if wanted is None:
        likely = [k for k, name in enumerate(names) if RATE.fullmatch(name)]
        found = [0] if len(names) == 1 else likely
        if len(found) != 1:
            raise ValueError(f"name the column of the rates, one of: {known}")
        return found[0]
    if names.count(wanted) != 1:
        many = f"{names.count(wanted)} columns are" if wanted in names else "no column is"
        raise ValueError(f"{many} named {wanted}; there are: {known}")
    return names.index(wanted)


def _step_column(names: Sequence[str], wanted: str | None, rates: int) -> int | None:
    if wanted == "":
        return None
    if wanted is not None:
        return _column(names, wanted)
    found = [k for k, name in enumerate(names) if name.lower() in STEP and k != rates]
    return found[0] if len(found) == 1 else None


def _is_number(cell: str) -> bool:
    return bool(NUMBER.fullmatch(_pointed(cell)))


def _pointed(cell: str) -> str:
    """A number with a decimal comma, as spreadsheets write it, with a point."""
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


def _float(cell: str) -> float:
    return float(_pointed(cell))


def _number(where: str, cell: str) -> None:
    if not _is_number(cell) or not 0 <= _float(cell) < math.inf:
        raise ValueError(f"{where} must be a finite rate of at least 0, got {cell!r}")


def _step(line: int, name: str, cell: str) -> int:
    if not _is_number(cell) or _float(cell) % 1 or not 0 <= _float(cell) < 2**53:
        raise ValueError(
            f"line {line}, column {name} must be a whole number of at least 0, got {cell!r}"
        )
    return int(_float(cell))


def _rounding(cells: Sequence[str]) -> tuple[npt.NDArray[np.float64], int]:
    """Half a unit of each one's last digit, and the most digits that any of them has.

    Formats cut trailing zeros off, so the last digit is that of the longest: by the digits that
    count, as ``%g`` does, or by the digits behind the point, as ``round`` does, whichever is more.
    A few short numbers, such as 0.1 and 0.01, are taken as they stand: nobody rounds like that.
    """
    digits, behind, cut = 1, 0, True
    for cell in map(_pointed, cells):
        mantissa, _, exponent = cell.lower().lstrip("+-").partition("e")
        decimals = mantissa.partition(".")[2]
        if len(decimals) > 1 and decimals.endswith("0"):
            cut = False
        elif not _float(cell):
            continue  # a 0 without a format
        digits = max(digits, len(mantissa.replace(".", "").lstrip("0")))
        behind = max(behind, len(decimals) - int(exponent or 0))
    rates = np.array([_float(cell) for cell in cells])
    if digits < 3 and cut and len({*rates}) < 8:
        return np.zeros(len(rates)), digits
    with np.errstate(divide="ignore"):
        exponents = np.where(rates > 0, np.floor(np.log10(rates)), -400)
    return 0.5 * np.maximum(10.0 ** (exponents - digits + 1), 10.0**-behind), digits
