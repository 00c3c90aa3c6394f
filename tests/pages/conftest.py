"""The built book as a browser gets it: what the tests of its pages share."""

import pytest

from browser import chromium, serve


@pytest.fixture(scope="module")
def site():
    """The address at which the built book is served."""
    with serve() as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    """A running browser."""
    with chromium() as running:
        yield running
