"""All claims, as a table, as pictures, and counted."""

import html
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..display import show
from ..display import table as show_table
from ..listing import Cell, code, link, listing, look_up
from ..pictures import draw_findings, draw_legend, panels
from ..records import instead
from ..sources import OURS, SOURCES
from ..verdicts import Finding, together
from . import (
    attention,
    batchnorm,
    cooldowns,
    cycles,
    cyclical,
    decay,
    lenet,
    rates,
    warmup,
)
from .base import Claim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "CLAIMS",
    "claim",
    "compare_with_page",
    "conclude",
    "count",
    "draw",
    "overview",
    "table",
]

SUBJECTS = (lenet, warmup, attention, batchnorm, decay, cyclical, cycles, cooldowns, rates)

CLAIMS: tuple[Claim, ...] = tuple(each for subject in SUBJECTS for each in subject.CLAIMS)


def claim(name: str) -> Claim:
    """The claim of this name.

    Raises ValueError if there is none.

    >>> claim("cosine-beats-constant").text
    'the cosine improves the test accuracy'
    """
    for each in CLAIMS:
        if each.name == name:
            return each
    known = ", ".join(repr(each.name) for each in CLAIMS)
    raise ValueError(f"name must be that of a claim ({known}), got {name!r}")


def table(claims: Iterable[Claim | str] = CLAIMS) -> pd.DataFrame:
    """A row for each claim, with its verdict and why.

    Args:
        claims: which, or their names; by default all.

    Returns:
        The columns are name, claim (its text), source (a number, 0: ours), verdict, why (the
        interval of a single case, or how many cases say what), cases, decided (how many of
        them), seeds (a number, or from the fewest to the most), data, records, page, difference
        and margin.
    """
    return pd.DataFrame([_row(each) for each in _chosen(claims)], columns=list(_COLUMNS))


def count(rows: pd.DataFrame) -> str:
    """How much of a :func:`table` is decided, in a sentence."""
    claims = int((rows["verdict"] != "undecided").sum())
    cases, decided = int(rows["cases"].sum()), int(rows["decided"].sum())
    return f"{claims} of {len(rows)} claims and {decided} of {cases} comparisons are decided"


def overview(claims: Iterable[Claim | str] = CLAIMS) -> None:
    """Show all about claims in a notebook, each linked to where it is judged; and the count.

    A table that can be searched, see :func:`lrsched.book.listing.listing`.

    Args:
        claims: which, or their names; by default all.
    """
    rows = table(claims)
    heads = ["claim", "source", "verdict", "result", "seeds"]
    cells = [_cells(row) for row in rows.to_dict("records")]
    look_up(listing(heads, cells, name="claims", chosen_by=["source", "verdict"]))
    show(f"{count(rows)}.")


def _cells(row: dict[Any, Any]) -> list[str | Cell]:
    """A row of :func:`table` as the overview shows it."""
    records = ", ".join(map(code, row["records"].split(", ")))
    from_where = f"{html.escape(row['data'])}; {records}"
    if row["source"] == OURS:
        source = Cell("ours")
    else:
        number = row["source"]
        title = f"{number}: {SOURCES[number].english}"
        source = Cell(f'<a class="reference internal" href="#source-{number}">{number}</a>', title)
    return [
        f"{link(row['claim'], row['page'])}<br><small>{from_where}</small>",
        source,
        row["verdict"],
        html.escape(row["why"]),
        row["seeds"],
    ]


def conclude(which: Claim | str, cases: bool = False) -> str:
    """Show the verdict on a claim in a notebook, and return it.

    Args:
        which: the claim, or its name.
        cases: whether to show the table of its cases, too.

    Raises ValueError for a name that is not there.
    """
    (chosen,) = _chosen([which])
    findings = chosen.findings()
    if cases:
        rows = [[case, chosen.told(found), found.verdict] for case, found in findings.items()]
        show_table(["case", f"{chosen.difference}, 95 %", "verdict"], rows)
    verdict = _verdict(findings.values())
    show(f"**Verdict** on *{chosen.text}*: **{verdict}**; {chosen.why(findings)}.")
    return verdict


def draw(claims: Claim | str | Iterable[Claim | str]) -> "Figure":
    """Draw what the records say of claims: a panel for each, a dot and a bar for each case.

    A panel's title is the claim and its verdict; its axis says what is above the line if the
    claim is true. See :func:`lrsched.book.pictures.draw_findings`. In a notebook ``plt.show()``
    comes after it.

    Args:
        claims: one, or several; or their names.

    Raises ValueError for a name that is not there, or no claim.
    """
    chosen = _chosen([claims] if isinstance(claims, Claim | str) else claims)
    findings = [each.findings() for each in chosen]
    labels = max((len(case) for cases in findings for case in cases), default=0)
    width = max(24, 62 - labels)  # of what is written beside them
    texts = []
    for each, cases in zip(chosen, findings, strict=True):
        title = f"{each.text}: {_verdict(cases.values())}"
        title = textwrap.fill(title[0].upper() + title[1:], width)
        texts.append((title, textwrap.fill(each.difference, width)))
    figure, axes = panels(
        [len(cases) for cases in findings], ["\n".join(text).count("\n") + 1 for text in texts]
    )
    for ax, each, cases, (title, label) in zip(axes, chosen, findings, texts, strict=True):
        draw_findings(ax, cases, each.bound, each.margin, each.digits)
        ax.set_title(title, fontsize=12)
        ax.set_xlabel(label, fontsize=11)
    draw_legend(figure, (found.verdict for cases in findings for found in cases.values()))
    return figure


def compare_with_page(
    claims: Claim | str | Iterable[Claim | str], tables: Mapping[str, pd.DataFrame]
) -> None:
    """Show in how many comparisons tables that a page has measured and the records agree.

    Args:
        claims: one, or several; or their names.
        tables: by the name of the record that each stands for.
    """
    chosen = _chosen([claims] if isinstance(claims, Claim | str) else claims)
    there = {each.name: each.findings() for each in chosen}
    with instead(tables):
        here = {each.name: each.findings() for each in chosen}
    pairs = [
        (each.text, case, found.verdict, there[each.name][case].verdict)
        for each in chosen
        for case, found in here[each.name].items()
        if case in there[each.name]
    ]
    ours, theirs = (sum(pair[k] != "undecided" for pair in pairs) for k in (2, 3))
    both = [pair for pair in pairs if "undecided" not in pair]
    apart: dict[tuple[str, str, str], list[str]] = {}
    for text, case, our, their in both:
        if our != their:
            apart.setdefault((text, our, their), []).append(case)
    said = f"Of {len(pairs)} comparisons {ours} are decided here and {theirs} in the record. "
    if not both:
        said += "None is decided in both."
    elif not apart:
        said += f"Of the {len(both)} that are decided in both, none differs."
    else:
        differ = sum(map(len, apart.values()))
        said += f"Of the {len(both)} that are decided in both, {differ} differ."
    lines = [
        f"- *{text}* ({'; '.join(cases)}): {our} here, {their} in the record."
        for (text, our, their), cases in apart.items()
    ]
    show("\n".join([said, "", *lines]))


def _chosen(claims: Iterable[Claim | str]) -> list[Claim]:
    return [claim(each) if isinstance(each, str) else each for each in claims]


def _verdict(findings: Iterable[Finding]) -> str:
    return together(found.verdict for found in findings)


_COLUMNS = (
    "name", "claim", "source", "verdict", "why", "cases", "decided", "seeds", "data", "records",
    "page", "difference", "margin",
)  # fmt: skip


def _row(each: Claim) -> dict[str, Any]:
    findings = each.findings()
    verdicts = [found.verdict for found in findings.values()]
    seeds = sorted({found.seeds for found in findings.values()})
    return {
        "name": each.name,
        "claim": each.text,
        "source": each.source,
        "verdict": together(verdicts),
        "why": each.why(findings),
        "cases": len(findings),
        "decided": len(findings) - verdicts.count("undecided"),
        "seeds": "–".join(dict.fromkeys(str(ends) for ends in (*seeds[:1], *seeds[-1:]))),
        "data": each.data,
        "records": ", ".join(each.records),
        "page": each.page,
        "difference": each.difference,
        "margin": each.margin,
    }
