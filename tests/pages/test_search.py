"""The search of the built book: results lead to sections."""

import re

import pytest
from bs4 import BeautifulSoup

import needs
from browser import SITE, opened

pytestmark = [needs.BOOK, needs.CHROMIUM]


def results(page, query, site):
    """The addresses of the results, once their number stands and each has been given a section."""
    page.goto(f"{site}/search.html?q={query}")
    page.get_by_text(re.compile("^Search finished")).wait_for()
    page.wait_for_load_state("networkidle")
    links = page.locator("#search-results li > a").all()
    return [link.get_attribute("href").removeprefix(f"{site}/") for link in links]


@pytest.mark.parametrize(
    ("query", "section"),
    [
        ("range test", "book/trial_base_rates.html#what-a-range-test-reads-off"),
        ("gradient accumulation", "book/recipes.html#gradient-accumulation"),
        ("how many steps of warmup", "book/learn_warmup.html#"),
        ("resume checkpoint", "book/learn_resume.html"),
        ("steps or epochs", "book/learn_pytorch.html#per-batch-or-per-epoch"),
    ],
)
def test_finds_the_section(browser, site, query, section):
    with opened(browser, f"{site}/search.html", 1280, "light") as (page, elsewhere):
        found = results(page, query, site)
        assert any(re.sub(r"\?[^#]*", "", link).startswith(section) for link in found), found
        assert elsewhere == []


def test_sections_are_there(browser, site):
    with opened(browser, f"{site}/search.html", 1280, "light") as (page, _):
        found = results(page, "momentum", site)
        deep = [link for link in found if "#" in link]
        assert len(deep) > len(found) / 2 > 5
        for link in deep:
            path, _, place = link.partition("#")
            text = (SITE / path.partition("?")[0]).read_text(encoding="utf-8")
            assert BeautifulSoup(text, "html.parser").find(id=place), link


def test_nothing_found(browser, site):
    with opened(browser, f"{site}/search.html", 1280, "light") as (page, _):
        page.goto(f"{site}/search.html?q=xylophone")
        page.get_by_text("did not match any documents").wait_for()
