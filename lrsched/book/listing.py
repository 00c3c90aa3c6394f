"""Tables to look things up in, as HTML: searched by word and by choice, and cards on a phone.

The page's script ``filter.js`` adds the inputs; without it the table is there, whole.
"""

import html
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Cell", "code", "link", "listing", "look_up", "target"]


class Cell(NamedTuple):
    """A cell: its HTML, and what it is chosen by where its column can be chosen by."""

    html: str
    value: str = ""


def code(text: str) -> str:
    """Code as HTML, which may break after a point and an underscore.

    >>> code("a_b<c>")
    '<code>a_<wbr>b&lt;c&gt;</code>'
    """
    breaking = re.sub(r"([._])", r"\1<wbr>", html.escape(text))
    return f"<code>{breaking}</code>"


def target(page: str) -> str:
    """The address of a place of the book, as HTML links to it from a page beside it.

    Args:
        page: of a claim, as "trial_drop#the-landscape"; without a place the whole page.

    >>> target("trial_drop#loss--or-accuracy"), target("names")
    ('trial_drop.html#loss-or-accuracy', 'names.html')
    """
    name, _, place = page.partition("#")
    # As headings become identifiers: no doubled hyphens, and a letter first.
    place = re.sub(r"[^a-z0-9]+", "-", place.lower()).lstrip("-0123456789").rstrip("-")
    return f"{name}.html#{place}" if place else f"{name}.html"


def link(text: str, page: str) -> str:
    """A link to a place of the book.

    >>> link("a < b", "names")
    '<a class="reference internal" href="names.html">a &lt; b</a>'
    """
    return f'<a class="reference internal" href="{target(page)}">{html.escape(text)}</a>'


def listing(
    heads: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    *,
    name: str,
    chosen_by: Sequence[str] = (),
) -> str:
    """The table.

    Args:
        heads: of the columns, as text. The first column names its row.
        rows: the cells of each row as HTML, see :func:`code` and :func:`link`.
        name: what is listed, in the plural: "claims".
        chosen_by: the heads of the columns by which rows can be chosen.

    Raises ValueError for a row of another length, or a choice that is no column.
    """
    if not {*chosen_by} <= {*heads}:
        raise ValueError(f"chosen_by must be among {[*heads]}, got {[*chosen_by]}")
    head = "".join(_head(each, each in chosen_by) for each in heads)
    lines = [f'<table class="look-up" data-name="{html.escape(name)}">']
    lines += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for row in rows:
        if len(row) != len(heads):
            raise ValueError(f"each row must have {len(heads)} cells, got {len(row)}")
        # On a phone each cell but the first shows its head; where there is one, it needs none.
        shown = heads if len(heads) > 2 else [""] * len(heads)
        lines.append(f"<tr>{''.join(map(_cell, shown, row))}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"])


def _head(text: str, chosen_by: bool) -> str:
    return f'<th scope="col"{" data-choose" * chosen_by}>{html.escape(text)}</th>'


def _cell(head: str, content: str | Cell) -> str:
    cell = content if isinstance(content, Cell) else Cell(content)
    given = {"head": head, "value": cell.value}
    data = "".join(f' data-{name}="{html.escape(text)}"' for name, text in given.items() if text)
    return f"<td{data}>{cell.html}</td>"


def look_up(table: str) -> None:
    """Show a :func:`listing` in a notebook."""
    from IPython.display import HTML, display

    display(HTML(table))
