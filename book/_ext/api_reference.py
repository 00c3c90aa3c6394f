"""The API reference: signatures that can be read, links to what the book describes."""

import inspect
import re

MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])")  # where a name is defined
ARRAY = re.compile(r"ndarray\[(?:tuple\[.*?\]|Any), dtype\[.*?\]\]")


def annotation(hint):
    """An annotation as a reader writes it: ``float``, ``Schedule | None``."""
    from numpy.typing import ArrayLike

    from lrsched.arguments import plain_type

    plain = plain_type(hint)
    if plain is None or plain is type(None):
        return "None"
    if plain == ArrayLike:
        return "ArrayLike"
    if isinstance(plain, type) and not hasattr(plain, "__args__"):
        return plain.__name__
    text = ARRAY.sub("NDArray", MODULES.sub("", str(plain)))
    text = re.sub(r"ForwardRef\('([^']*)'[^)]*\)", r"\1", text)
    return re.sub(r"Optional\[(.*)\]", r"\1 | None", text)


def argument(parameter):
    """An argument with its type and default, as it stands in a signature."""
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
    typed = parameter.annotation is not parameter.empty
    text = stars.get(parameter.kind, "") + parameter.name
    text += f": {annotation(parameter.annotation)}" if typed else ""
    if parameter.default is parameter.empty:
        return text
    default = parameter.default
    shown = getattr(default, "__name__", None) or repr(default)
    return f"{text} = {shown}" if typed else f"{text}={shown}"


def signature_of(thing):
    """The signature of a class or function, and what it returns, as text."""
    signature = inspect.signature(thing)
    shown, by_keyword = [], False
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not by_keyword:
            by_keyword = True
            shown.append("*")
        if name != "self":
            shown.append(argument(parameter))
    returned = signature.return_annotation
    silent = inspect.isclass(thing) or returned in (signature.empty, None)
    return f"({', '.join(shown)})", None if silent else annotation(returned)


def sign(app, what, name, thing, options, signature, returned):
    return signature_of(thing) if what in ("class", "function", "method") else None


def unlinked(app, env, node, content):
    """Types in signatures and lists of errors are links where the book describes them.

    What a text links to by a role must be there: Sphinx warns as ever.
    """
    return content if node.get("refdomain") == "py" and "refwarn" not in node else None


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("autodoc-process-signature", sign)
    app.connect("missing-reference", unlinked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
