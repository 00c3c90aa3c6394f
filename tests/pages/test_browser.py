"""The built pages as a browser shows them, with no network but the book's own."""

import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

import needs
from browser import THEMES, UNSET_FORMULAS, WIDTHS, opened, pages

pytestmark = [needs.BOOK, needs.CHROMIUM]

# What sticks out of the window to the right, with no box around it that scrolls.
CUT_OFF = """() => [...document.querySelectorAll('article :is(pre, table, img, mjx-container)')]
    .filter(element => element.checkVisibility()
                       && element.getBoundingClientRect().right > innerWidth + 1)
    .filter(element => {
        for (let box = element; box.tagName != 'ARTICLE'; box = box.parentElement)
            if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)
                && box.getBoundingClientRect().right <= innerWidth + 1)
                return false;
        return true;
    })
    .map(element => element.outerHTML.slice(0, 200))"""

# A figure may be taller than the window.
SHOW_TOP = """figure => scrollTo({
    top: scrollY + figure.getBoundingClientRect().top - 100, behavior: 'instant'})"""

# What a reader scrolls through, at desktop width.
LONGEST = 15_000  # pixels
LONGEST_ON_TRIAL = 25_000

# Faults of accessibility in what Sphinx and the theme write, not the book: signatures over several
# lines, the entries of the bibliography, the title beside the logo.
NOT_OURS = {
    "definition-list": "<dl>",
    "aria-allowed-role": '<div class="citation"',
    "aria-deprecated-role": '<div class="citation"',
    "aria-required-children": '<div role="list" class="citation-list"',
    "region": '<p class="title logo__title"',
}

SEARCHES_IN_SIGHT = """() => [...document.querySelectorAll('.search-button__button, [type=search]')]
    .filter(element => element.checkVisibility({visibilityProperty: true})
                       && element.getBoundingClientRect().right > 0).length"""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("address", pages())
def test_page(site, browser, address, width, theme):
    with opened(browser, f"{site}/{address}", width, theme) as (page, elsewhere):
        assert page.locator("html").get_attribute("data-theme") == theme
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate(SEARCHES_IN_SIGHT) == 1
        assert page.evaluate(UNSET_FORMULAS) == []
        for figure in page.locator("div.cell_output img:visible").all():
            assert figure.evaluate("image => image.complete && image.naturalWidth > 0")
            above, within = edge(page, figure)
            assert within == above, "a box around the figure"
        if width == WIDTHS["desktop"]:
            longest = LONGEST_ON_TRIAL if "/trial_" in address else LONGEST
            assert page.evaluate("document.scrollingElement.scrollHeight") <= longest
            assert barriers(page) == []
        assert elsewhere == []


# The least and the greatest brightness of the colours of texts, and how figures are filtered.
ON_PAPER = """() => {
    const brightness = (element) => getComputedStyle(element).color.match(/[0-9.]+/g)
        .slice(0, 3).reduce((sum, part) => sum + Number(part) / 3 / 255, 0);
    const texts = [...document.querySelectorAll('article :is(h1, p, li, pre span)')];
    const figures = [...document.querySelectorAll('article div.cell_output img')];
    return {brightest: Math.max(...texts.filter(each => each.checkVisibility()).map(brightness)),
            filters: [...new Set(figures.map(each => getComputedStyle(each).filter))]};
}"""


@pytest.mark.parametrize("theme", THEMES)
def test_printed_on_paper(site, browser, theme):
    """Dark on white, whatever the theme; what is folded stays out."""
    url = f"{site}/book/learn_why.html"
    with opened(browser, url, WIDTHS["desktop"], theme) as (page, _):
        page.emulate_media(media="print")
        seen = page.evaluate(ON_PAPER)
        assert seen["brightest"] < 0.6
        assert seen["filters"] == ["none"]
        assert page.locator("details.hide:visible").count() == 0


def barriers(page):
    """What axe-core finds that keeps some readers out: contrast, names, order, keyboard."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (fault["id"], element["html"], element["failureSummary"])
        for fault in found
        for element in fault["nodes"]
        if not element["html"].startswith(NOT_OURS.get(fault["id"], "none"))
    ]


def edge(page, figure):
    """The colours of the page just above the figure, and of its own background in its corner."""
    figure.evaluate(SHOW_TOP)
    box = figure.bounding_box()
    clip = {"x": box["x"] + 3, "y": box["y"] - 3, "width": 1, "height": 7}
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
    return picture.getpixel((0, 0)), picture.getpixel((0, 6))
