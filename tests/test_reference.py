"""The API reference: it names all that is public, and its signatures can be read."""

import inspect
import re
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location

import pytest

import lrsched
from house import ROOT

SPEC = spec_from_file_location("api_reference", ROOT / "book" / "_ext" / "api_reference.py")
api_reference = module_from_spec(SPEC)
SPEC.loader.exec_module(api_reference)

MODULES = ["", ".pytorch", ".keras", ".natives", ".plotting", ".lab"]
DIRECTIVE = re.compile(r"^\.\. (currentmodule|autoclass|autofunction):: ([\w.]+)$", re.MULTILINE)


def described():
    """The full names that the pages describe."""
    names = []
    for page in (ROOT / "book").glob("api*.md"):
        module = None
        for kind, name in DIRECTIVE.findall(page.read_text()):
            if kind == "currentmodule":
                module = name
            else:
                names.append(name if name.startswith("lrsched.") else f"{module}.{name}")
    return names


def public():
    modules = [import_module(f"lrsched{name}") for name in MODULES]
    return {f"{module.__name__}.{name}" for module in modules for name in module.__all__}


def test_each_public_name_is_described_once():
    names = described()
    assert len({*names}) == len(names)
    assert public() <= {*names}
    assert {*names} - public() == {"lrsched.natives.rows.Row"}


def of(name):
    module, _, last = name.rpartition(".")
    return getattr(import_module(module), last)


@pytest.mark.parametrize("name", sorted(public()))
def test_signatures_can_be_read(name):
    """They have each argument by its name, no module, and no check."""
    thing = of(name)
    text, returned = api_reference.signature_of(thing)
    unread = r"Annotated|AsFloat|ForwardRef|KW_ONLY|<class|<func|\w\.[a-zA-Z]"
    for shown in (text, returned or ""):
        assert not re.search(unread, shown)
    shown = re.findall(r"[(,] ?\**(\w+)(?=[:=,)])", text)
    assert {*inspect.signature(thing).parameters} - {"self"} <= {*shown}


@pytest.mark.parametrize(
    ("thing", "text", "returned"),
    [
        (lrsched.Cosine, "(base_lr: float, decay_steps: float, *, end_lr: float = 0.0)", None),
        (lrsched.Schedule.clip, "(min_lr: float = 0.0, max_lr: float | None = None)", "Schedule"),
        (lrsched.from_text, "(text: str)", "Schedule"),
        (lrsched.Plateau.load_state_dict, "(state: dict[str, Any])", None),
        (lambda a, *b, c=1, **d: a, "(a, *b, *, c=1, **d)", None),
    ],
)
def test_signature(thing, text, returned):
    assert api_reference.signature_of(thing) == (text, returned)
