"""The project as a whole: its layout, its one version, its one address, its pins."""

import ast
import graphlib
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
IGNORED = set((ROOT / ".gitignore").read_text().replace("/", "").split())


def pins():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [Requirement(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
    return {requirement.name.lower(): requirement for requirement in found}


def dependencies():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def test_top_level_holds_only_what_the_layout_names():
    visible = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert visible <= TOP_LEVEL | IGNORED


def test_version_is_written_once():
    version = re.compile(rf"(?<![\d.]){re.escape(PROJECT['version'])}(?![\d.])")
    assert "version" not in PROJECT.get("dynamic", [])
    for path in [*ROOT.glob("lrsched/**/*.py"), ROOT / "_config.yml", ROOT / "CITATION.cff"]:
        assert not version.search(path.read_text()), path
    assert lrsched.__version__ == PROJECT["version"]


def test_address_agrees_everywhere():
    command = [sys.executable, ROOT / "book" / "address.py", "check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_address_of_another_repository_is_refused():
    command = [sys.executable, ROOT / "book" / "address.py", "check", "--against", "someone/else"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "make address URL=https://github.com/someone/else" in done.stderr


def test_dependencies_are_ranges():
    assert {"torch", "tensorflow", "plot", "lab", "book"} <= set(PROJECT["optional-dependencies"])
    for requirement in dependencies():
        for specifier in requirement.specifier:
            assert specifier.operator in {">=", "<"}, requirement


def test_pins_are_exact_and_within_the_ranges():
    pinned = pins()
    for requirement in pinned.values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
    for requirement in dependencies():
        if requirement.name != PROJECT["name"]:
            (pin,) = pinned[requirement.name].specifier
            assert requirement.specifier.contains(pin.version), requirement


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


def imported(path):
    """The modules of the package that one of its modules imports, wherever in it that stands."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package.rsplit(".", node.level - 1)[0]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (f"{base}.{name}" for name in names)


def test_imports_run_one_way():
    """No circle, lazy imports included; and the pages' package, the lab and the rest in order."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "lrsched").rglob("*.py")
    }
    graph = {name: set(imported(path)) for name, path in modules.items()}
    assert len([*graphlib.TopologicalSorter(graph).static_order()]) >= len(modules)
    for name, imports in graph.items():
        above = ["lrsched.lab", "lrsched.book"]
        if name.startswith("lrsched.lab"):
            above = ["lrsched.book"]
        if not name.startswith("lrsched.book"):
            assert not [i for i in imports if i.startswith(tuple(above))], name
