"""The project's public address, kept in pyproject.toml under [project.urls].

python book/address.py                        print it
python book/address.py set URL                set it everywhere it is repeated
python book/address.py check                  find any place that disagrees
python book/address.py check --against OWNER/REPOSITORY
                                              and stop if it is another repository's
"""

import argparse
import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Files that may repeat the address. Chapters do so in their first cell.
FILES = [
    "pyproject.toml",
    "_config.yml",
    "CITATION.cff",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "book/*.ipynb",
    "book/*.md",
    "lrsched/**/*.py",
]

PLACEHOLDER = "OWNER"
PART = r"[A-Za-z0-9][\w.-]*"
ADDRESS = re.compile(rf"https://github\.com/({PART})/({PART}?)(?:\.git)?/?")

# Forms in which only this project's own address appears; other repositories may be
# linked plainly anywhere.
OWN = [
    re.compile(rf"git\+https://github\.com/(?P<slug>{PART}/{PART})"),
    re.compile(rf"git clone https://github\.com/(?P<slug>{PART}/{PART})"),
    re.compile(rf"github\.com/(?P<slug>{PART}/{PART})/actions/"),
    re.compile(rf"colab\.research\.google\.com/github/(?P<slug>{PART}/{PART})"),
    re.compile(
        rf"^ *(?:repository-code|url): https://github\.com/(?P<slug>{PART}/{PART})",
        re.M,
    ),
    re.compile(
        rf"^ *(?:baseurl|url): (?P<pages>https://{PART}\.github\.io[\w./-]*)", re.M
    ),
    re.compile(r'^Documentation = "(?P<pages>.*)"', re.M),
]


class AddressError(Exception):
    """An address that is wrong, or wrong here."""


def read():
    """The repository's address, as pyproject.toml has it."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"]["urls"]["Repository"]


def parse(url):
    """The owner and the name of the repository at `url`."""
    found = ADDRESS.fullmatch(url)
    if not found:
        raise AddressError(
            f"{url!r} is no address of a repository: "
            "give one like https://github.com/owner/repository"
        )
    return found.groups()


def slug(url):
    """`owner/name` of the repository at `url`."""
    return "/".join(parse(url))


def pages(url):
    """Where the repository at `url` publishes its pages."""
    owner, name = parse(url)
    site = f"{owner}.github.io"
    return (
        f"https://{site}" if name.lower() == site.lower() else f"https://{site}/{name}"
    )


def files():
    """The files that may repeat the address, and their text."""
    for pattern in FILES:
        for path in sorted(ROOT.glob(pattern)):
            yield path, path.read_text(encoding="utf-8")


def replaced(text, old, new):
    """`text` with the address `new` in place of `old`."""
    end = r"(?![\w-])"  # and not the beginning of a longer name
    text = re.sub(re.escape(pages(old)) + end, lambda _: pages(new), text)
    return re.sub(
        rf"(github\.com/|colab\.research\.google\.com/github/){re.escape(slug(old))}{end}",
        lambda found: found[1] + slug(new),
        text,
    )


def write(url):
    """Set the address everywhere; all files are written before any is replaced."""
    old, new = read(), "https://github.com/" + slug(url)
    drafts = []
    try:
        for path, text in files():
            changed = replaced(text, old, new)
            if changed != text:
                draft = path.with_name(path.name + ".new")
                drafts.append((draft, path))
                draft.write_text(changed, encoding="utf-8")
        for draft, path in drafts:
            os.replace(draft, path)
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)
    return [path.relative_to(ROOT).as_posix() for _, path in drafts]


def disagreements():
    """Each place with another address than pyproject.toml, as `file:line: text`."""
    url = read()
    right = {"slug": slug(url), "pages": pages(url)}
    for path, text in files():
        name = path.relative_to(ROOT).as_posix()
        for pattern in OWN:
            for found in pattern.finditer(text):
                kind, value = next(iter(found.groupdict().items()))
                if value.removesuffix(".git").rstrip("/.") != right[kind]:
                    line = text.count("\n", 0, found.start()) + 1
                    yield f"{name}:{line}: {value} (pyproject.toml says {right[kind]})"


def check(against=None):
    """Raise AddressError unless every place agrees, and `against` if it is given."""
    url = read()
    found = list(disagreements())
    if found:
        raise AddressError(
            "These places disagree with pyproject.toml:\n  "
            + "\n  ".join(found)
            + f"\nmake address URL={url} does not mend them: correct them by hand."
        )
    if against is not None and slug(url).lower() != against.lower():
        raise AddressError(
            f"This repository is {against}, but the project's address is {url}.\n"
            f"Run `make address URL=https://github.com/{against}` and commit it."
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("set", help="set it everywhere").add_argument("url")
    checker = commands.add_parser("check", help="find any place that disagrees")
    checker.add_argument("--against", metavar="OWNER/REPOSITORY")
    arguments = parser.parse_args()
    try:
        if arguments.command == "set":
            changed = write(arguments.url)
            print(f"The address is {read()}.")
            print(f"Changed: {', '.join(changed) or 'nothing'}.")
        elif arguments.command == "check":
            check(arguments.against)
            print(f"Every place agrees: {read()}")
        else:
            print(read())
    except AddressError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
