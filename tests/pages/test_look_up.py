"""Tables to look things up in, in a browser: searched by word, by choice, by keyboard, or whole."""

import pytest

import needs
from browser import opened

PAGE = "book/claims.html"
pytestmark = [needs.BOOK, needs.CHROMIUM]


@pytest.fixture(scope="module")
def address(site):
    return f"{site}/{PAGE}"


def form(page):
    return page.locator("form.look-up")


def shown(page):
    """The rows in sight, and what the page says of them."""
    rows = page.locator("table.look-up tbody tr:visible")
    said = form(page).locator("output")
    assert said.inner_text() == f"{rows.count()} of {count_of(page)} claims"
    return rows


def count_of(page):
    return page.locator("table.look-up tbody tr").count()


@pytest.mark.parametrize("width", [1280, 390])
def test_words_and_choices(browser, address, width):
    with opened(browser, address, width, "light") as (page, elsewhere):
        every = count_of(page)
        assert shown(page).count() == every > 40
        form(page).get_by_label("words").fill("WARMUP  epochs")
        some = shown(page)
        assert 0 < some.count() < every
        for text in some.all_inner_texts():
            assert "warmup" in text.lower()
            assert "epochs" in text.lower()
        form(page).get_by_label("verdict").select_option("refuted")
        both = shown(page)
        assert 0 < both.count() < every
        assert all("refuted" in text for text in both.all_inner_texts())
        form(page).get_by_label("words").fill("")
        form(page).get_by_label("verdict").select_option("")
        source = form(page).get_by_label("source")
        source.select_option(label="3: Learning Rate Scheduling")
        assert 0 < shown(page).count() < every
        form(page).get_by_label("words").fill("nothing of this name")
        assert shown(page).count() == 0
        assert elsewhere == []


def test_by_keyboard(browser, address):
    """From the word to the choices by Tab; Enter leaves the page as it is."""
    with opened(browser, address, 1280, "dark") as (page, _):
        form(page).get_by_label("words").focus()
        page.keyboard.type("batchnorm")
        page.keyboard.press("Enter")
        before = shown(page).count()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("supp")
        assert form(page).get_by_label("verdict").input_value() == "supported"
        assert 0 < shown(page).count() < before
        assert page.url == address


def test_without_script(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    rows = page.locator("table.look-up tbody tr")
    assert page.locator("form.look-up").count() == 0
    assert page.locator("table.look-up tbody tr:visible").count() == rows.count() > 40
    context.close()
