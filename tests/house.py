"""What the house is made of: its size, its arrows, and what it knows of others' private rooms.

    python tests/house.py [FOLDER]

prints that of any checkout, by default of this one; ``make house`` does so too. Code lines are
those that hold code: no blank lines, no comments, no docstrings. All is read from the sources;
nothing is imported.
"""

import argparse
import ast
import io
import json
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "lrsched"

#: Each may import from itself and from those before it.
LAYERS = ("core", "adapters", "lab", "lrsched.book", "pages")
ADAPTERS = ("pytorch", "keras")
ROOMS = (*LAYERS, "notebooks", "tests", "benchmarks")

INTERNAL = ("numba.core",)  # what its library calls internal, without an underscore
PUBLIC = {"_asdict", "_exit", "_fields", "_make", "_replace"}  # documented in spite of theirs
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Import(NamedTuple):
    """An import of a module, or of a name in one; how: "", "lazy" or "typing"."""

    module: str
    name: str | None
    line: int
    how: str


@dataclass(frozen=True)
class Source:
    """A file of Python, or the code of a notebook."""

    path: str  # from the checkout's root
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def module(self) -> str | None:
        """Its dotted name, if it belongs to the package."""
        parts = Path(self.path).with_suffix("").parts
        if parts[0] != PACKAGE:
            return None
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """One of ``ROOMS``."""
        if self.module:
            return layer(self.module)
        folder = Path(self.path).parts[0]
        pages = "notebooks" if self.path.endswith(".ipynb") else "pages"
        return pages if folder == "book" else folder

    @property
    def lines(self) -> int:
        """All lines."""
        return len(self.text.splitlines())

    @cached_property
    def code(self) -> set[int]:
        """The numbers of the lines that hold code."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type != tokenize.COMMENT and token.string.strip():
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if isinstance(node, Definition | ast.Module) and ast.get_docstring(node) is not None:
                lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        return {line for line in lines if self.text.splitlines()[line - 1].strip()}

    def functions(self) -> Iterator[tuple[str, int, int]]:
        """Name, first line and code lines of each function, from ``def`` to its end."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = self.code.intersection(range(node.lineno, node.end_lineno + 1))
                yield node.name, node.lineno, len(inside)

    @cached_property
    def imports(self) -> list[Import]:
        """All imports, those within functions and for types alone included."""
        return list(self._imports(self.tree, ""))

    def _imports(self, node: ast.AST, how: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner = how
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                inner = inner or "lazy"
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inner = "typing"
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, None, child.lineno, how) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                module = self._absolute(child)
                yield from (Import(module, name.name, child.lineno, how) for name in child.names)
            elif isinstance(child, ast.Call) and _called(child) in {"import_module", "__import__"}:
                names = [arg.value for arg in child.args[:1] if isinstance(arg, ast.Constant)]
                yield from (Import(name, None, child.lineno, "lazy") for name in names)
            yield from self._imports(child, inner)

    def _absolute(self, node: ast.ImportFrom) -> str:
        parts = Path(self.path).parts[: -node.level] if node.level else ()
        return ".".join([*parts, *filter(None, [node.module])])

    def private(self) -> Iterator[tuple[str, int, str]]:
        """Each use of a private name of anything: the name, the line, and as it is written."""
        for node in ast.walk(self.tree):
            names = [node.attr] if isinstance(node, ast.Attribute) else []
            if isinstance(node, ast.Call) and _called(node) in {"getattr", "hasattr", "setattr"}:
                names = [
                    str(name.value) for name in node.args[1:2] if isinstance(name, ast.Constant)
                ]
            yield from ((name, node.lineno, ast.unparse(node)) for name in filter(_private, names))
        for each in self.imports:
            full = f"{each.module}.{each.name or ''}".rstrip(".")
            names = [full] if full.startswith(INTERNAL) else full.split(".")
            hidden = [name for name in names if _private(name) or name.startswith(INTERNAL)]
            yield from ((name, each.line, f"import {full}") for name in hidden)

    def ignores(self) -> int:
        """How often the type checker is told to look away."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(t.type == tokenize.COMMENT and "type: ignore" in t.string for t in tokens)

    def defined(self) -> set[str]:
        """The private names that it defines: of functions, classes, variables, attributes."""
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, Definition):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                names |= {node.attr} if ast.unparse(node.value) in {"self", "cls"} else set()
        return set(filter(_private, names))


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)


def layer(module: str) -> str:
    """That of a module of the package."""
    part = f"{module}.".split(".")[1]
    rooms = {"lab": "lab", "book": "lrsched.book"}
    return rooms.get(part, "adapters" if part in ADAPTERS else "core")


class House:
    """A checkout.

    Attributes:
        sources: all of its Python.
        modules: those of the package, by name.
    """

    def __init__(self, root: Path = ROOT) -> None:
        folders = (PACKAGE, "book", "tests", "benchmarks")
        paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
        paths += sorted((root / "book").glob("*.ipynb"))
        self.sources = [Source(str(p.relative_to(root)), _text(p)) for p in paths]
        self.modules = {source.module: source for source in self.sources if source.module}

    def of(self, *rooms: str) -> list[Source]:
        """The sources of some rooms."""
        return [source for source in self.sources if source.room in rooms]

    def target(self, found: Import) -> str | None:
        """The module of ours that is imported, or None."""
        full = f"{found.module}.{found.name}"
        return next((name for name in (full, found.module) if name in self.modules), None)

    def arrows(self) -> list[tuple[str, str, str, str]]:
        """Who imports what of ours, how, and at which place: modules, scripts and notebooks."""
        return sorted(
            (source.module or source.path, target, each.how, f"{source.path}:{each.line}")
            for source in self.of(*LAYERS, "notebooks")
            for each in source.imports
            if (target := self.target(each)) and target != source.module
        )

    def backwards(self) -> list[str]:
        """The places of arrows from a layer to one that rests on it."""
        return [
            f"{place}: {importer} -> {imported}"
            for importer, imported, _, place in self.arrows()
            if importer in self.modules
            and LAYERS.index(layer(importer)) < LAYERS.index(layer(imported))
        ]

    def circles(self) -> list[set[str]]:
        """Modules that reach each other."""
        reach: defaultdict[str, set[str]] = defaultdict(set)
        for importer, imported, *_ in self.arrows():
            reach[importer].add(imported)
        for middle, start in product(list(reach), repeat=2):
            if middle in reach[start]:
                reach[start] |= reach[middle]
        rings = {frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in reach}
        return sorted(map(set, rings - {frozenset()}), key=sorted)

    @cached_property
    def own(self) -> set[str]:
        """The private names of the package."""
        return set().union(*(source.defined() for source in self.modules.values()))

    def foreign(self, *rooms: str) -> list[str]:
        """Places where private names of other libraries are used.

        A name is taken for ours if anything of ours, or the file itself, defines it.
        """
        return [
            f"{source.path}:{line}: {written}"
            for source in self.of(*rooms)
            for name, line, written in source.private()
            if name not in self.own | source.defined()
        ]

    def peeks(self) -> Counter[str]:
        """How often each file of the tests uses a private name of ours."""
        return Counter(
            source.path
            for source in self.of("tests")
            for name, *_ in source.private()
            if name in self.own - source.defined()
        )


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
    return "".join(f"{line}\n" for line in lines if not line.startswith(("%", "!")))


def report(house: House) -> Iterator[str]:
    """The lines of what is printed."""
    yield f"{'room':<14}{'files':>7}{'code lines':>12}{'median':>8}{'longest function':>18}"
    for room in ROOMS:
        sources = house.of(room)
        sizes = sorted(size for source in sources for *_, size in source.functions()) or [0]
        code = sum(len(source.code) for source in sources)
        yield f"{room:<14}{len(sources):>7}{code:>12}{sizes[len(sizes) // 2]:>8}{sizes[-1]:>18}"
    scripts = [source for source in house.sources if source.room != "notebooks"]
    functions = [
        (size, f"{source.path}:{line} {name}")
        for source in scripts
        for name, line, size in source.functions()
    ]
    files = [(source.lines, source.path) for source in scripts]
    for title, sizes in {"files, all": files, "functions, code": functions}.items():
        yield f"\nlongest {title} lines"
        yield from (f"{size:>6} {name}" for size, name in sorted(sizes, reverse=True)[:8])
    yield f"\ntype: ignore: {sum(source.ignores() for source in scripts)}"
    for title, rooms in {"package": LAYERS, "tests": ("tests", "benchmarks")}.items():
        places = house.foreign(*rooms)
        yield f"\nprivate names of other libraries, {title}: {len(places)}"
        yield from (f"  {place}" for place in places)
    peeks = house.peeks()
    yield f"\nprivate names of ours in tests: {peeks.total()}"
    yield from (f"  {count:>4} {path}" for path, count in peeks.most_common())
    yield from _graph(house)


def _graph(house: House) -> Iterator[str]:
    yield "\nimports; (lazy) within functions, (typing) for types alone"
    targets: defaultdict[str, set[str]] = defaultdict(set)
    for importer, imported, how, _ in house.arrows():
        targets[importer].add(f"{imported} ({how})" if how else imported)
    for room in LAYERS[:4]:
        yield f"  {room}"
        for name in sorted(name for name in targets.keys() & house.modules if layer(name) == room):
            yield f"    {name} -> {', '.join(sorted(targets[name]))}"
    circles = [" <-> ".join(sorted(ring)) for ring in house.circles()]
    for title, lines in {"backwards": house.backwards(), "circles": circles}.items():
        yield f"  {title}: {len(lines) or 'none'}"
        yield from (f"    {line}" for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT)
    print(*report(House(parser.parse_args().folder.resolve())), sep="\n")
