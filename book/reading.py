"""Count what a reader has to read, page by page, for `make reading`.

    python book/reading.py [PAGE...]

Words are those of the prose, without formulas, code and addresses. Lines are those of
code that is shown: blank ones do not count, nor do cells tagged `hide-*` or `remove-*`.
Of these, plumbing is what imports, plots, prints or checks, by statement.
"""

import ast
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

BOOK = Path(__file__).parent
LONGEST = 20  # lines of a cell that is shown
PLUMBING = {
    *("ax", "axes", "book", "bottom", "display", "fig", "figure", "left", "panels"),
    *("plt", "print", "right", "show", "table", "textwrap", "top", "warnings"),
}
CHECKS = {"assert_allclose", "assert_array_equal", "check_rates"}


class Counts(NamedTuple):
    """Of a page, or of several together."""

    words: int = 0
    lines: int = 0
    plumbing: int = 0
    cells: int = 0
    long_cells: int = 0
    headings: int = 0

    def plus(self, other):
        """Both together."""
        return Counts(*map(sum, zip(self, other)))


def words(text):
    """The number of words of prose in Markdown."""
    text = re.sub(r"^```\{(?:glossary|note|tip|warning)\}$", "", text, flags=re.M)
    text = re.sub(r"^```(?:\{|\w).*?^```", " ", text, flags=re.M | re.S)
    text = re.sub(r"^(?::::+|```).*$|^:[\w-]+: .*$", " ", text, flags=re.M)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$", " x ", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)|\{[a-z:]+\}|https?://\S+", " ", text)
    return len(re.findall(r"[A-Za-z0-9][\w'’.,:%-]*", text))


def plumbing(source):
    """How many lines of a cell are plumbing."""
    try:
        tree = ast.parse(re.sub(r"^([%!].*)$", r"pass  # \1", source, flags=re.M))
    except SyntaxError:
        return 0
    return sum(_plumbing(node) for node in tree.body)


def _plumbing(node):
    """The lines of a statement, if it is plumbing; of a loop or block, those within."""
    length = node.end_lineno - node.lineno + 1
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert):
        return length
    if isinstance(node, ast.For | ast.With | ast.If | ast.FunctionDef | ast.Try):
        inner = sum(_plumbing(each) for each in node.body)
        whole = sum(each.end_lineno - each.lineno + 1 for each in node.body)
        return length if inner == whole else inner
    roots = {_root(call.func) for call in _calls(node)}
    names = {
        call.func.attr for call in _calls(node) if isinstance(call.func, ast.Attribute)
    }
    return length if roots & PLUMBING or names & CHECKS else 0


def _calls(node):
    """The calls that a statement is, or that it assigns."""
    value = getattr(node, "value", None)
    return [value] if isinstance(value, ast.Call) else []


def _root(func):
    while isinstance(func, ast.Attribute | ast.Subscript | ast.Call):
        func = func.func if isinstance(func, ast.Call) else func.value
    return getattr(func, "id", "")


def pieces(page):
    """The parts of a page in order, each Markdown or code that is shown."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        return [
            (cell["cell_type"], "".join(cell["source"]))
            for cell in json.loads(text)["cells"]
            if not any(
                tag.startswith(("hide-", "remove-"))
                for tag in cell["metadata"].get("tags", [])
            )
        ]
    parts = re.split(r"^```(?:python|bash)\n(.*?)^```\n", text, flags=re.M | re.S)
    return [("code" if k % 2 else "markdown", part) for k, part in enumerate(parts)]


def measured(kind, source):
    """What there is to read in Markdown or in code that is shown."""
    if kind == "markdown":
        headings = len(re.findall(r"^#+ ", source, flags=re.M))
        return Counts(words=words(source), headings=headings)
    lines = sum(bool(line.strip()) for line in source.splitlines())
    over = lines > LONGEST
    return Counts(lines=lines, plumbing=plumbing(source), cells=1, long_cells=over)


def count(page):
    """What a page has to read: a notebook, or Markdown."""
    total = Counts()
    for kind, source in pieces(page):
        total = total.plus(measured(kind, source))
    return total


def row(name, counts):
    """A line of the table."""
    share = f"{counts.plumbing / counts.lines:.0%}" if counts.lines else "-"
    return (
        f"{name:32} {counts.words:7,} {counts.lines:6,} {share:>9} {counts.cells:6}"
        f" {counts.long_cells:9}"
    )


def main(names):
    """Print the table, with sums by kind of page."""
    pages = [Path(name) for name in names] or sorted(
        page for page in BOOK.iterdir() if page.suffix in (".ipynb", ".md")
    )
    heads = f"{'words':>7} {'lines':>6} {'plumbing':>9} {'cells':>6} {'over 20':>9}"
    print(f"{'page':32} {heads}")
    kinds = {}
    for page in pages:
        counts = count(page)
        print(row(page.stem, counts))
        kind = page.stem.partition("_")[0]
        kind = kind if kind in ("learn", "trial") else "other"
        kinds[kind] = kinds.get(kind, Counts()).plus(counts)
    for kind, counts in kinds.items():
        print(row(f"all {kind}", counts))


if __name__ == "__main__":
    main(sys.argv[1:])
