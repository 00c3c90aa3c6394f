"""The built pages as files: what every reader must find, and what no page may carry."""

import datetime
import functools
import re
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

import needs
from browser import SITE, pages

ROOT = SITE.parents[1]
TITLE = "Learning-Rate Schedules"
FRAMEWORK_LOG = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] |[IWEF]\d{4} \d\d:|WARNING:|All log messages)",
    re.M,
)
FIELD_NAMES = {
    "Raises": re.compile(r"\w+Error((, | or )\w+Error)*"),
    "Parameters": re.compile(r"\*{0,2}\w+((, | or )\w+)*"),
    "Variables": re.compile(r"\w+((, | or )\w+)*"),
}
RAW_ROLE = re.compile(r"\{(cite|cite:\w+|ref|numref|eq|doc|term)\}`")

pytestmark = needs.BOOK
every_page = pytest.mark.parametrize("address", pages())


def read(address):
    return BeautifulSoup((SITE / address).read_text(encoding="utf-8"), "html.parser")


@functools.cache
def anchors(path):
    """What a link may lead to within a page."""
    return {tag["id"] for tag in read(path).select("[id]")}


@every_page
def test_frame(address):
    page = read(address)
    assert TITLE in page.title.text
    assert page.select_one(".logo__title").text.strip() == TITLE
    assert (SITE / address).parent.joinpath(page.select_one("img.logo__image")["src"]).is_file()
    assert (
        f"© Copyright {datetime.date.today().year}."
        in page.select_one(".bd-footer-content__inner").text
    )
    assert len(page.select('input[type="search"]')) == 1


@every_page
def test_images_have_alternative_text(address):
    page = read(address)
    for image in page.select("article img"):
        assert image.get("alt", "").strip(), image
    for image in page.select("img"):
        assert "alt" in image.attrs, image


@every_page
def test_no_caption_stands_twice(address):
    """As it would where a cell with a caption has another output beside its figure."""
    captions = [text.text for text in read(address).select("article figcaption .caption-text")]
    assert len(captions) == len(set(captions))


@every_page
def test_fields_of_the_reference_are_names(address):
    """Prose among them would be taken for one, and printed in bold."""
    for name in read(address).select(".field-list > dt"):
        pattern = FIELD_NAMES.get(name.text.strip().rstrip(":"))
        items = name.find_next_sibling("dd").select("li > p") or [name.find_next_sibling("dd").p]
        for item in items if pattern else ():
            assert pattern.fullmatch(item.text.partition(" –")[0]), item.text


@every_page
def test_nothing_is_loaded_from_elsewhere(address):
    page = read(address)
    loaded = [tag.get("src") for tag in page.select("[src]")]
    loaded += [tag["href"] for tag in page.select("link[href]") if "canonical" not in tag["rel"]]
    loaded += re.findall(r"(?:@import|url\()\s*['\"]?([^'\")\s]+)", str(page.select("style")))
    assert [url for url in loaded if urlsplit(url).netloc] == []


def test_styles_load_nothing_from_elsewhere():
    for sheet in SITE.glob("_static/**/*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", text), sheet


@every_page
def test_no_log_or_stderr_on_the_page(address):
    page = read(address)
    assert page.select(".stderr, .output.traceback") == []
    for output in page.select(".cell_output"):
        assert not FRAMEWORK_LOG.search(output.text), output.text


@every_page
def test_links_within_the_book_lead_somewhere(address):
    page = read(address)
    for link in page.select("article a[href]"):
        url = urlsplit(link["href"])
        if url.scheme or url.netloc or link.find_parent(hidden=True):
            continue
        target = (SITE / address).parent / unquote(url.path) if url.path else SITE / address
        assert target.is_file(), link
        if url.fragment:
            assert unquote(url.fragment) in anchors(target.resolve()), link


@every_page
def test_no_role_left_unread(address):
    page = read(address)
    for code in page.select("pre, code"):
        code.decompose()
    assert not RAW_ROLE.search(page.select_one("article").text)


@every_page
def test_colab_opens_the_chapter(address):
    notebook = address.replace(".html", ".ipynb")
    launch = [link["href"] for link in read(address).select('a[href*="colab.research"]')]
    if not (ROOT / notebook).exists():
        assert launch == []
        return
    repository = subprocess.run(
        [sys.executable, ROOT / "book" / "address.py"], capture_output=True, text=True, check=True
    ).stdout.strip()
    slug = repository.removeprefix("https://github.com/")
    assert launch == [f"https://colab.research.google.com/github/{slug}/blob/main/{notebook}"]
