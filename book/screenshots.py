"""Take a picture of every page, at desktop and phone width, light and dark.

python book/screenshots.py OUTDIR
"""

import io
import sys
from pathlib import Path

from PIL import Image

from browser import SITE, THEMES, WIDTHS, chromium, find_chromium, opened, pages, serve

TOOLBAR = 80  # pixels at the top of the window that stay while the page scrolls


def whole_page(page):
    """A picture of the whole page, put together from what the window shows.

    The browser's own pictures of whole pages lose blended figures past 16,384 pixels.
    """
    window = page.viewport_size
    height = page.evaluate("document.scrollingElement.scrollHeight")
    picture = Image.new("RGB", (window["width"], height))
    for top in range(0, height, window["height"] - TOOLBAR):
        page.evaluate(f"scrollTo({{top: {top}, behavior: 'instant'}})")
        shown = round(page.evaluate("scrollY"))  # the last one cannot scroll as far
        part = Image.open(io.BytesIO(page.screenshot()))
        covered = TOOLBAR if shown else 0
        picture.paste(part.crop((0, covered, *part.size)), (0, shown + covered))
    return picture


def main(folder):
    if not pages():
        sys.exit(f"no built book at {SITE}: run make book first")
    if find_chromium() is None:
        sys.exit("no Chromium found: install it or set LRSCHED_CHROMIUM")
    folder.mkdir(parents=True, exist_ok=True)
    with serve() as site, chromium() as browser:
        for address in pages():
            for device, width in WIDTHS.items():
                for theme in THEMES:
                    picture = folder / f"{Path(address).stem}-{device}-{theme}.png"
                    url = f"{site}/{address}"
                    with opened(browser, url, width, theme) as (page, _):
                        whole_page(page).save(picture)
                    print(picture)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
