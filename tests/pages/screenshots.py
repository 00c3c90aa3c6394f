"""Take a picture of every page, at desktop and phone width, light and dark.

python tests/pages/screenshots.py OUTDIR
"""

import sys
from pathlib import Path

from browser import SITE, THEMES, WIDTHS, chromium, find_chromium, opened, pages, serve


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
                    with opened(browser, f"{site}/{address}", width, theme) as (page, _):
                        page.screenshot(path=picture, full_page=True)
                    print(picture)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
