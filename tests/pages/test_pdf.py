"""The whole book as one PDF, printed from a copy of the built pages."""

import shutil

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

import needs
import pdf
import toc
from browser import SITE

pytestmark = [needs.BOOK, needs.CHROMIUM]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A copy of the built book, printed."""
    folder = tmp_path_factory.mktemp("printed") / "html"
    shutil.copytree(SITE, folder)
    (folder / pdf.PDF).unlink(missing_ok=True)
    pdf.write(folder)
    return folder


@pytest.fixture(scope="module")
def printed(site):
    return PdfReader(site / pdf.PDF)


def front(site):
    return BeautifulSoup((site / pdf.FRONT).read_text(encoding="utf-8"), "html.parser")


def test_front_page_links_to_the_pdf_once_there_is_one(site):
    link = front(site).select_one("p.pdf a")
    assert (site / "book" / link["href"]).resolve() == (site / pdf.PDF).resolve()
    assert "hidden" not in link.parent.attrs
    assert not (site / pdf.WHOLE).exists()


def test_outline_leads_to_every_page_in_order(site, printed):
    first, *parts = printed.outline
    assert printed.get_destination_page_number(first) == 0
    captions, chapters = parts[::2], parts[1::2]
    assert [part.title for part in captions] == [caption for caption, _ in toc.parts()[1:]]
    entries = [first, *(entry for part in chapters for entry in part)]
    sheets = [printed.get_destination_page_number(entry) for entry in entries]
    assert sheets == sorted(set(sheets))
    titles = pdf.titles(pdf.articles(site))
    for name, entry, sheet in zip(toc.names(), entries, sheets, strict=True):
        assert entry.title == titles[name]
        seen = "".join(printed.pages[sheet].extract_text().split())
        assert "".join(titles[name].split()) in seen, (name, seen[:80])


def test_links_lead_to_places_that_are_there(printed):
    places, links = printed.named_destinations, 0
    for sheet in printed.pages:
        for mark in sheet.get("/Annots", []):
            target = mark.get_object().get("/Dest")
            if target is not None:
                assert str(target).lstrip("/") in {name.lstrip("/") for name in places}
                links += 1
    assert links > 300


def test_shows_solutions_and_no_other_folded_code(site):
    whole = BeautifulSoup(pdf.joined(site, pdf.articles(site)), "html.parser")
    code = [block.text for block in whole.select("div.cell_input pre")]
    assert len(code) > 100
    assert sum(block.lstrip().startswith("# Solution") for block in code) > 25
    assert not any("pip install" in block for block in code)
    assert whole.select("details:not([open]), details.hide") == []
