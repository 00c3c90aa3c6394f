"""What the tests of the pages cannot do without."""

import pytest

from browser import find_chromium, pages

BOOK = pytest.mark.skipif(not pages(), reason="no built book: run make book first")
CHROMIUM = pytest.mark.skipif(
    find_chromium() is None,
    reason="no Chromium found: install it or set LRSCHED_CHROMIUM to check pages in a browser",
)
