"""Tables to look things up in: whole without a script, linked, and what the page of claims says."""

import json
import re

import pytest
from bs4 import BeautifulSoup
from docutils.nodes import make_id

from house import ROOT
from lrsched.book import claims
from lrsched.book.claims import CLAIMS
from lrsched.book.listing import Cell, code, link, listing, look_up, target
from lrsched.book.sources import SOURCES

HEADS = ["a < b", "kind"]


def read(text):
    return BeautifulSoup(text, "html.parser")


@pytest.fixture
def shown(monkeypatch):
    """What is displayed."""
    texts = []
    monkeypatch.setattr("IPython.display.display", lambda text: texts.append(text.data))
    return texts


def test_listing():
    rows = [["1", Cell("<b>x</b>", "ex & why")], [code("f_x"), "y"]]
    table = read(listing(HEADS, rows, name="things", chosen_by=["kind"])).table
    assert table["data-name"] == "things"
    assert [head.text for head in table.select("thead th")] == HEADS
    assert [head.text for head in table.select("th[data-choose]")] == ["kind"]
    cells = table.select("tbody td")
    assert [cell.text for cell in cells] == ["1", "x", "f_x", "y"]
    assert [cell.get("data-value") for cell in cells] == [None, "ex & why", None, None]
    assert not table.select("[hidden], [style]")


def test_heads_go_with_their_cells_where_there_are_several():
    wide = read(listing([*HEADS, "c"], [["1", "2", "3"]], name="things"))
    assert [cell["data-head"] for cell in wide.select("td")] == [*HEADS, "c"]
    assert not read(listing(HEADS, [["1", "2"]], name="things")).select("[data-head]")


def test_refused():
    with pytest.raises(ValueError, match="each row must have 2 cells, got 1"):
        listing(HEADS, [["1"]], name="things")
    with pytest.raises(ValueError, match=r"chosen_by must be among .*'kind'.* got \['x'\]"):
        listing(HEADS, [], name="things", chosen_by=["x"])


def test_shown(shown):
    look_up(listing(HEADS, [], name="things"))
    assert read(shown[0]).table


# The page of claims


def cells(name):
    content = json.loads((ROOT / "book" / f"{name}.ipynb").read_text())
    return ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "markdown"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_claim_is_linked_as_html_has_it(claim):
    """The place is what Sphinx makes of a heading of the page."""
    page, _, place = claim.page.partition("#")
    headings = re.findall(r"^#{1,3} (.+)$|^\(([\w-]+)\)=$", "\n".join(cells(page)), re.MULTILINE)
    known = {make_id("".join(each)) for each in headings}
    address, _, fragment = target(claim.page).partition("#")
    assert address == f"{page}.html"
    assert fragment in known if place else not fragment


def test_claims_are_listed(shown):
    chosen = [each for each in CLAIMS if each.records == ("lenet-schedules",)]
    claims.overview(chosen)
    rows = read(shown[0]).select("tbody tr")
    assert len(rows) == len(chosen)
    for claim, row in zip(chosen, rows, strict=True):
        what, source, verdict, result, seeds = row.select("td")
        assert what.a.text == claim.text
        assert what.a["href"] == target(claim.page)
        assert "lenet-schedules" in what.text
        assert source.text == (str(claim.source) if claim.source else "ours")
        assert verdict.text == claim.verdict
        assert result.text == claim.why(claim.findings())
        assert seeds.text.isdigit()
    assert re.match(r"\d+ of \d+ claims", shown[1])


def test_page_names_each_source_and_shows_each_doubt():
    """Each tutorial by title, author and link; each doubt with the page that shows it."""
    text = cells("claims")[0]
    for number, source in SOURCES.items():
        _, found, after = text.partition(f"(source-{number})=\n### Source {number}: ")
        assert found
        section = after.partition("(source-")[0]
        assert source.markdown in section
        doubts = re.findall(r"^- .*$", section, re.MULTILINE)
        assert doubts
        for doubt in doubts:
            assert re.search(r"\]\((learn|trial)_\w+\.ipynb", doubt), doubt


def test_links_of_html():
    assert link("a", "learn_why#a-schedule-is-a-value") == (
        '<a class="reference internal" href="learn_why.html#a-schedule-is-a-value">a</a>'
    )
