"""Print the whole built book into one PDF, for `make pdf`.

    python book/pdf.py

The pages are joined in the order of `_toc.yml`, with the solutions of the exercises
open and other folded code left out, and Chromium prints them. Then the front page shows
its link to the PDF, which it hides until there is one.
"""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup
from pypdf import PdfReader, PdfWriter

import toc
from browser import SITE, UNSET_FORMULAS, chromium, find_chromium, opened, serve

PDF = "learning-rate-schedules.pdf"
FRONT = "book/index.html"
WHOLE = "book/_whole.html"  # beside the pages, so that what they load is found
SCALE = 0.85
HIDDEN_LINK = re.compile(r'(<p class="pdf") hidden(="")?')

LEFT_OUT = "a.headerlink, .toctree-wrapper, script, .pdf"
POINTERS = ["href", "for", "aria-labelledby", "aria-describedby", "headers"]
NUMBERS = """<div style="font: 8px sans-serif; text-align: center; width: 100%;">
<span class="pageNumber"></span></div>"""


def read(site, name):
    """A page as it was built."""
    text = (site / "book" / f"{name}.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser")


def article(page, name, names):
    """The text of a page, as a part of one document."""
    found = page.select_one("article.bd-article")
    for tag in found.select(LEFT_OUT):
        tag.decompose()
    unfold(found)
    for tag in found.select("[id]"):
        tag["id"] = f"{name}--{tag['id']}"
    for attribute in POINTERS:
        for tag in found.select(f"[{attribute}]"):
            tag[attribute] = pointed(tag[attribute], attribute, name, names)
    found["id"] = name
    return found


def unfold(found):
    """Open the solutions, leave out other code that the page folds."""
    for fold in found.select("details.hide"):
        code = fold.select_one("pre")
        if code is not None and code.text.lstrip().startswith("# Solution"):
            fold.select_one("summary").decompose()
            fold.name = "div"
        else:
            fold.decompose()
    for fold in found.select("details"):
        fold["open"] = ""


def pointed(value, attribute, name, names):
    """Where an attribute points to within the one document."""
    if isinstance(value, list):
        value = " ".join(value)
    if attribute != "href":
        return " ".join(f"{name}--{place}" for place in value.split())
    url = urlsplit(value)
    if url.scheme or url.netloc:
        return value
    page = Path(url.path).stem if url.path else name
    if page not in names:
        return value
    return f"#{page}--{url.fragment}" if url.fragment else f"#{page}"


def articles(site):
    """The texts of all pages in their order, by name."""
    names = toc.names()
    return {name: article(read(site, name), name, names) for name in names}


def titles(articles):
    """The title of each page, by its name."""
    return {name: found.h1.text.strip() for name, found in articles.items()}


def contents(titles):
    """The list of parts and pages."""
    lines = ['<article class="bd-article"><section><h1>Contents</h1>']
    for caption, pages in toc.parts()[1:]:
        links = [f'<li><a href="#{name}">{titles[name]}</a></li>' for name in pages]
        lines += [f"<h2>{caption}</h2><ul>", *links, "</ul>"]
    lines.append(
        "<p>Solutions follow their exercises. Other code that the site folds is "
    )
    lines.append("left out.</p></section></article>")
    return "".join(lines)


def joined(site, articles):
    """All pages as one document, with the head of the front page."""
    listed = BeautifulSoup(contents(titles(articles)), "html.parser")
    document = read(site, Path(FRONT).stem)
    for script in document.select("script"):
        if "mathjax" not in str(script).lower():
            script.decompose()
    document.body.clear()
    main = document.new_tag("main", attrs={"class": "bd-content whole"})
    document.body.append(main)
    front, *others = articles.values()
    main.extend([front, listed, *others])
    return str(document)


def add_outline(path, titles):
    """Give the PDF an outline of parts and pages: Chromium's says each title twice."""
    printed = PdfWriter(clone_from=path)
    # These are of what is linked: of every page but the first.
    places = printed.named_destinations
    (_, [first]), *parts = toc.parts()
    printed.add_outline_item(title=titles[first], page_number=0)
    for caption, pages in parts:
        sheets = [
            printed.get_page_number(places[f"/{name}"].page.get_object())
            for name in pages
        ]
        part = printed.add_outline_item(title=caption, page_number=sheets[0])
        for name, sheet in zip(pages, sheets, strict=True):
            printed.add_outline_item(title=titles[name], page_number=sheet, parent=part)
    printed.write(path)


def write(site):
    """Print the book that was built in a folder, and have its front page link to it."""
    whole, front = site / WHOLE, site / FRONT
    found = articles(site)
    whole.write_text(joined(site, found), encoding="utf-8")
    try:
        with (
            serve(site) as address,
            chromium() as browser,
            opened(browser, f"{address}/{WHOLE}", 1280, "light") as (page, elsewhere),
        ):
            unset = page.evaluate(UNSET_FORMULAS)
            if unset or elsewhere:
                raise RuntimeError(
                    f"not set: {unset}, asked for elsewhere: {elsewhere}"
                )
            page.pdf(
                path=site / PDF,
                scale=SCALE,
                prefer_css_page_size=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=NUMBERS,
                print_background=True,
                tagged=True,
            )
    finally:
        whole.unlink()
    add_outline(site / PDF, titles(found))
    text = front.read_text(encoding="utf-8")
    front.write_text(HIDDEN_LINK.sub(r"\1", text), encoding="utf-8")


def main():
    """Print the book that `make book` built."""
    if not (SITE / FRONT).exists():
        sys.exit(f"no built book at {SITE}: run make book first")
    if find_chromium() is None:
        sys.exit("no Chromium found: install it or set LRSCHED_CHROMIUM")
    write(SITE)
    pages = len(PdfReader(SITE / PDF).pages)
    print(f"{SITE / PDF}: {pages} pages, {(SITE / PDF).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
