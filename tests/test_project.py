"""The project as a whole: its layout, its one version, its one address, its pins."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import lrsched

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

TOP_LEVEL = {
    "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
    "_config.yml", "_toc.yml", "benchmarks", "book", "lrsched", "pyproject.toml",
    "requirements.txt", "tests",
}  # fmt: skip


def test_top_level_holds_only_what_the_layout_names():
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    ignored = (ROOT / ".gitignore").read_text().replace("/", "").split()
    assert visible <= TOP_LEVEL.union(ignored)


def test_version_is_written_once():
    version = re.compile(rf"(?<![\d.]){re.escape(PROJECT['version'])}(?![\d.])")
    assert "version" not in PROJECT.get("dynamic", [])
    for path in [*ROOT.glob("lrsched/**/*.py"), ROOT / "_config.yml", ROOT / "CITATION.cff"]:
        assert not version.search(path.read_text()), path
    assert lrsched.__version__ == PROJECT["version"]


@pytest.mark.parametrize(
    ("other", "said"),
    [([], ""), (["--against", "a/b"], "make address URL=https://github.com/a/b")],
)
def test_address_agrees_everywhere(other, said):
    command = [sys.executable, ROOT / "book" / "address.py", "check", *other]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == bool(said), done.stderr
    assert said in done.stderr


def test_pins_are_exact_and_within_the_ranges_of_the_dependencies():
    lines = [line.split("#")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()]
    pinned = {pin.name.lower(): pin.specifier for pin in map(Requirement, filter(str.strip, lines))}
    assert {s.operator for specifier in pinned.values() for s in specifier} == {"=="}
    for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]:
        for dependency in map(Requirement, group):
            assert {s.operator for s in dependency.specifier} <= {">=", "<"}, dependency
            if dependency.name != PROJECT["name"]:
                (pin,) = pinned[dependency.name]
                assert dependency.specifier.contains(pin.version), dependency


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.stem
)
def test_workflow_is_pinned_and_asks_for_little(path):
    text = path.read_text()
    for line in re.findall(r"uses: *(.*)", text):
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+(\.\d+)*", line), line
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_import_is_light():
    heavy = ["torch", "tensorflow", "keras", "matplotlib", "pandas", "sklearn"]
    heavy += ["importlib.metadata", "lrsched.lab"]
    program = f"import lrsched, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
