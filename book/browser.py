"""The built book in a browser: served on localhost, shut off from all else."""

import contextlib
import functools
import http.server
import os
import shutil
import threading
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

SITE = Path(__file__).parents[1] / "_build" / "html"
WIDTHS = {"desktop": 1280, "phone": 390}
THEMES = ["light", "dark"]

NAMES = ["chromium", "chromium-browser"]
NAMES += ["google-chrome", "google-chrome-stable", "chrome"]
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-gpu"]

UNSET_FORMULAS = """() => [...document.querySelectorAll('.math')]
    .filter(formula => !formula.querySelector('mjx-container')
                       || formula.querySelector('mjx-merror'))
    .map(formula => formula.textContent)"""


def find_chromium():
    """The browser that LRSCHED_CHROMIUM names, or the first on the PATH, or None."""
    named = os.environ.get("LRSCHED_CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(
                f"LRSCHED_CHROMIUM={named} is no program that can be run"
            )
        return found
    return next(filter(None, map(shutil.which, NAMES)), None)


def pages():
    """Every page of the book, as its address below the site."""
    return sorted(
        path.relative_to(SITE).as_posix() for path in SITE.glob("book/*.html")
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(site=SITE):
    """The address at which the built book is served meanwhile."""
    handler = functools.partial(_Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def chromium():
    """A running browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=FLAGS
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser, url, width, theme):
    """The page at `url`, formulas set, and the addresses elsewhere it asked for."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme
    )
    # The theme remembers a reader's choice here.
    context.add_init_script(
        f"localStorage.setItem('mode', '{theme}');"
        f"localStorage.setItem('theme', '{theme}')"
    )
    elsewhere = []

    def local_only(route):
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", local_only)
    page = context.new_page()
    page.goto(url)  # returns once every script has been loaded or has failed
    page.evaluate("window.MathJax?.startup?.promise.then(() => 0)")
    page.evaluate("document.fonts.ready.then(() => 0)")
    yield page, elsewhere
    context.close()
