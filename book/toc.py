"""The pages of the book in their order, as `_toc.yml` lists them."""

from pathlib import Path

import yaml

TOC = Path(__file__).parents[1] / "_toc.yml"


def parts():
    """The parts of the book: their captions, and the names of their pages."""
    toc = yaml.safe_load(TOC.read_text(encoding="utf-8"))
    listed = [("", [toc["root"]])]
    for part in toc["parts"]:
        files = [chapter["file"] for chapter in part["chapters"]]
        listed.append((part["caption"], files))
    return [(caption, [Path(file).name for file in files]) for caption, files in listed]


def names():
    """The names of all pages, the front page first."""
    return [name for _, pages in parts() for name in pages]
