"""What readers see of the classes, and what they may write: signatures, help, keywords, names."""

import inspect
import pydoc
import re
import subprocess
import sys

import pytest

import lrsched as L
from drawn import CLASSES, EXAMPLES

EVERY = sorted(CLASSES | {L.Plateau}, key=lambda cls: cls.__name__)
ONE_OF_EACH = {type(example): example for example in [*EXAMPLES, L.Plateau(0.1, patience=3)]}
# What may be written without its name: rates and the length, and what is composed.
POSITIONAL = (
    r"\w+_lr( \w+_lr| \w+_steps| step_size| t_max| milestones)?|schedules?( .*)?|boundaries values"
)


def by_kind(cls):
    """The names of the arguments that may stand without theirs, and of those that may not."""
    parameters = inspect.signature(cls).parameters.values()
    return [
        [p.name for p in parameters if p.kind is kind]
        for kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    ]


@pytest.mark.parametrize("cls", EVERY)
def test_positional_arguments(cls):
    positional, by_keyword = by_kind(cls)
    assert re.fullmatch(POSITIONAL, " ".join(positional))
    values = {name: getattr(ONE_OF_EACH[cls], name) for name in positional + by_keyword}
    given = [values[name] for name in positional]
    keywords = {name: values[name] for name in by_keyword}
    assert cls(*given, **keywords) == cls(**values) == ONE_OF_EACH[cls]
    for count in range(1, len(by_keyword) + 1):
        surplus = [values[name] for name in by_keyword[:count]]
        wanted = ", ".join(f"{n}={v!r}" for n, v in zip(by_keyword, surplus, strict=False))
        names = ", ".join(by_keyword[:count])
        message = f"{cls.__name__}: {names} must be given by keyword, as {wanted}"
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            cls(*given, *surplus)
    with pytest.raises(TypeError):
        cls(*given, *values.values())


def test_methods_tell_their_keywords():
    with pytest.raises(TypeError, match=r"warmup\(\): .*start_lr=0.1, shape='constant'"):
        L.Constant(0.1).warmup(5, 0.1, "constant")
    with pytest.raises(TypeError, match=r"per_epoch\(\): smooth .*, as smooth=True"):
        L.Constant(0.1).per_epoch(5, True)


def bare(text):
    """Without spaces, and the rules that help draws: from Python 3.13 on it breaks long lines."""
    return re.sub(r"[\s|]", "", text)


@pytest.mark.parametrize("cls", EVERY)
def test_signature_and_help_are_plain(cls):
    text = pydoc.plain(pydoc.render_doc(cls))
    signature = str(inspect.signature(cls))
    assert bare(f"{cls.__name__}{signature.removesuffix(' -> None')}") in bare(text)
    for shown in (text, signature, str(inspect.signature(cls.__init__))):
        assert not re.search("Annotated|AsFloat|KW_ONLY", shown)
    documented = cls.__doc__.partition("Args:")[2]
    for name in inspect.signature(cls).parameters:
        assert re.search(rf"\b{name}[,:]", documented), name


def test_names_of_the_package():
    """Only what is meant for users; a fresh process, where no test has loaded more."""
    done = subprocess.run(
        [sys.executable, "-c", "import lrsched as L, lrsched.pytorch; print(*dir(L))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    modules = ["arguments", "natives", "plotting", "pytorch"]
    assert done.stdout.split() == sorted([*L.__all__, *modules, "__version__"])
    assert all(hasattr(L, name) for name in dir(L))
    assert re.match(r"\d+\.\d+", L.__version__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = L.nothing
