"""The house's rules: arrows run one way, rooms are small, and no one opens another's drawers."""

import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement

from house import LAYERS, PACKAGE, ROOT, House, report

HOUSE = House()
FILE_LINES, FUNCTION_LINES = 400, 60
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()

#: What to install for each part of the package, beyond its dependencies. In the core this is
#: for imports within functions and for types alone.
EXTRAS = {
    "lrsched": {"plot"},
    "lrsched.pytorch": {"torch"},
    "lrsched.keras": {"tensorflow"},
    "lrsched.lab": {"lab"},
    "lrsched.lab.fast": {"lab", "fast"},
    "lrsched.book": {"book"},
}
UNDECLARED = {
    "triton",  # comes with PyTorch's builds for Linux
    "again", "train_b",  # modules that tests write
}  # fmt: skip


def distribution(name):
    """What to install for an import, as it is written in requirements."""
    return {each.lower().replace("_", "-") for each in DISTRIBUTIONS.get(name, [name])}


def others(source):
    """The imports of what is neither ours nor Python's: the name, the line, and how."""
    scripts = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "book").glob("*.py")]
    ours = {PACKAGE, *(path.stem for path in scripts)}
    for each in source.imports:
        name = each.module.split(".")[0]
        if name not in ours | UNDECLARED | set(sys.stdlib_module_names):
            yield name, each.line, each.how


def declared(extras):
    """The names of all that the package with these extras asks for."""
    names, waiting = set(), [*PROJECT["dependencies"]]
    waiting += [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, waiting):
        if requirement.name == PACKAGE:
            names |= declared(requirement.extras)
        names.add(requirement.name.lower())
    return names


# The house as it is


def test_arrows_run_one_way():
    """Pages, the book's machinery, the lab, adapters, core: lazy imports and types count, too."""
    assert HOUSE.backwards() == []
    assert HOUSE.circles() == []


def test_no_private_names_of_other_libraries():
    assert HOUSE.foreign(*LAYERS) == []


@pytest.mark.parametrize("source", HOUSE.of(*LAYERS, "tests", "benchmarks"), ids=lambda s: s.path)
def test_files_and_functions_are_short(source):
    """Functions by the code lines from ``def`` to the end, without the docstring."""
    assert source.lines <= FILE_LINES
    assert [each for each in source.functions() if each[-1] > FUNCTION_LINES] == []


@pytest.mark.parametrize("source", HOUSE.modules.values(), ids=HOUSE.modules)
def test_imports_are_declared(source):
    part = max((part for part in EXTRAS if f"{source.module}.".startswith(f"{part}.")), key=len)
    for name, line, how in others(source):
        extras = EXTRAS[part] if how or part != "lrsched" else ()
        assert distribution(name) & declared(extras), f"{source.path}:{line}: {name}"


def test_imports_are_pinned():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {line.split("==")[0].split("[")[0].lower() for line in lines if "==" in line}
    for source in HOUSE.sources:
        for name, line, _ in others(source):
            assert distribution(name) & pinned, f"{source.path}:{line}: {name}"


# The rules themselves, on a house that breaks them


def test_what_is_found(tmp_path):
    files = {
        "lrsched/__init__.py": '"""Core."""\n\nfrom .a import f  # a comment\n',
        "lrsched/a.py": "def f():\n    from .b import g\n\n    return g\n",
        "lrsched/b.py": "from typing import *\nif TYPE_CHECKING:\n    from . import a\n",
        "lrsched/plots.py": "import numpy._core\nimport os\n\nos._own()\nos._exit(0)\n",
        "lrsched/pytorch/__init__.py": "def f():\n    import lrsched.lab as lab\n    return lab\n",
        "lrsched/lab/__init__.py": "from ..pytorch import f\nimport lrsched.book\n",
        "lrsched/lab/c.py": "class C:\n    def __init__(self):\n        self._x = 1\n"
        "    def f(self):\n        '''Of\n\n        three.'''\n        return self._x, self._y\n",
        "lrsched/book/__init__.py": "",
        "tests/test_c.py": "def _own(): ...\n_own()._x\ngetattr(1, '_x')\n1 ._own, 2 ._z\n",
        "book/d.py": "from lrsched.lab.c import C  # type: ignore\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    house = House(tmp_path)
    assert house.backwards() == [
        "lrsched/lab/__init__.py:2: lrsched.lab -> lrsched.book",
        "lrsched/pytorch/__init__.py:2: lrsched.pytorch -> lrsched.lab",
    ]
    assert house.circles() == [{"lrsched.a", "lrsched.b"}, {"lrsched.lab", "lrsched.pytorch"}]
    assert [how for _, target, how, _ in house.arrows() if target == "lrsched.a"] == ["", "typing"]
    assert house.foreign(*LAYERS) == [
        "lrsched/lab/c.py:8: self._y",
        "lrsched/plots.py:4: os._own",
        "lrsched/plots.py:1: import numpy._core",
    ]
    assert house.foreign("tests") == ["tests/test_c.py:4: 2 ._z"]
    assert house.peeks() == {"tests/test_c.py": 2}
    (c,) = (source for source in house.sources if source.path == "lrsched/lab/c.py")
    assert (c.lines, len(c.code)) == (8, 5)
    assert list(c.functions()) == [("__init__", 2, 2), ("f", 4, 2)]
    assert "  circles: 2" in report(house)
