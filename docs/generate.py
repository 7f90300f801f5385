"""Writes docs/cli.md, docs/settings.md and docs/api.md from the code; a test says when they are stale."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import typer.main
from pydantic.fields import FieldInfo

import anymask
import anymask.errors
from anymask.cli.app import app
from anymask.settings import Settings

HERE = Path(__file__).resolve().parent
HEAD = "<!-- Written by `make docs` from the code; do not edit. -->\n\n"


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The command and everything below it, with full names."""
    yield name, command
    for child in sorted(getattr(command, "commands", {})):
        yield from commands(command.commands[child], f"{name} {child}")


def cli_page() -> str:
    tree = commands(typer.main.get_command(app), "anymask")
    return HEAD + "# Command line\n\n" + "\n".join(command_section(name, command) for name, command in tree)


def command_section(name: str, command: Any) -> str:
    lines = [f"## `{name}`", "", (command.help or "").strip(), ""]
    shown = [p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
    if shown:
        lines += ["| argument or option | meaning |", "|---|---|", *map(parameter_row, shown), ""]
    return "\n".join(lines)


def parameter_row(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name)
    if parameter.param_type_name == "option":
        values = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
        name = ", ".join([*parameter.opts, *parameter.secondary_opts]) + values
    notes = [str(parameter.help or "").strip().removesuffix(".")]
    notes += ["repeatable"] if parameter.multiple or parameter.nargs == -1 else []
    notes += ["required"] if parameter.required else []
    notes += [f"default: {parameter.default}"] if shows_default(parameter.default) else []
    cells = [f"`{name}`", "; ".join(filter(None, notes))]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def shows_default(value: object) -> bool:
    return isinstance(value, str | int | float) and value != "" and not isinstance(value, bool)


def settings_page() -> str:
    rows = [
        f"| `ANYMASK_{name.upper()}` | {default_text(field)} | {field.description or ''} |"
        for name, field in Settings.model_fields.items()
    ]
    text = (Settings.__doc__ or "").strip()
    head = ["# Settings", "", text, "", "| environment variable | default | meaning |", "|---|---|---|"]
    return HEAD + "\n".join([*head, *rows, ""])


def default_text(field: FieldInfo) -> str:
    """A default that is worked out at run time differs between machines: it is described, not shown."""
    return "depends on the machine" if field.default_factory else f"`{field.default}`"


# As one meets them; names that are not here follow.
READING_ORDER = [
    "load", "Model", "EncodedImage", "Prompt", "Candidates", "Candidate", "Mask", "AutomaticMask",
    "Embedding", "DetectedBoxes", "read_image",
]  # fmt: skip
NOT_CONSTRUCTED = {"Model", "EncodedImage"}  # `load` and `encode` make them
WIDTH = 100
# Aliases of the code, written out for readers.
ALIASES = {
    "Floats": "NDArray[np.float32]",
    "Pixels": "NDArray[np.uint8]",
    "Ring": "NDArray[np.int64]",
    "ArrayLike": "array-like",
    "Any": "object",
}


def api_page() -> str:
    """The hand-written notes, then every public name: signature, docstring, members."""
    notes = (HERE / "api-notes.md").read_text("utf-8").strip()
    order = [*READING_ORDER, *(name for name in anymask.__all__ if name not in READING_ORDER)]
    names = "\n\n".join(api_section(name, getattr(anymask, name)) for name in order)
    tree = "## `anymask.errors`\n\n" + (inspect.getdoc(anymask.errors) or "")
    return HEAD + f"{notes}\n\n{names}\n\n{tree}\n"


def api_section(name: str, value: Any) -> str:
    """A function, or a class with its public properties and methods."""
    is_error = isinstance(value, type) and issubclass(value, Exception)
    shown = f"class {name}({value.__base__.__name__})" if is_error else signature(name, value)
    code = "" if name in NOT_CONSTRUCTED else f"```text\n{shown}\n```"
    members = [] if is_error or not isinstance(value, type) else public_members(value)
    listed = "\n".join(member_text(value, member) for member in members)
    return "\n\n".join(filter(None, [f"## `{name}`", code, inspect.getdoc(value), listed]))


def public_members(kind: type) -> list[str]:
    """Properties and methods in the order of the code, those of base classes first; no dataclass fields."""
    defined = [name for base in reversed(kind.__mro__[:-1]) for name in vars(base)]
    return [name for name in dict.fromkeys(defined) if not name.startswith("_") and is_member(kind, name)]


def is_member(kind: type, name: str) -> bool:
    value = inspect.getattr_static(kind, name)
    return callable(value) or isinstance(value, classmethod | staticmethod | property | cached_property)


def member_text(kind: type, name: str) -> str:
    """One list item: a property with its type or a method with its signature, and its docstring."""
    value = inspect.getattr_static(kind, name)
    getter = getattr(value, "fget", None) or getattr(value, "func", None)
    text = inspect.getdoc(getter or getattr(kind, name)) or ""
    if getter is not None:
        shown = f"{name}: {readable(inspect.signature(getter).return_annotation)}"
    else:
        owner = f"{kind.__name__}." if isinstance(value, classmethod | staticmethod) else ""
        shown = signature(owner + name, getattr(kind, name), width=10**4)
    return f"- `{shown}`" + "".join(f"\n  {line}".rstrip() for line in text.splitlines())


def signature(name: str, value: Any, width: int = WIDTH) -> str:
    """As one would call it, without `self`; one parameter a line where it is longer than `width`."""
    found = inspect.signature(value)
    shown: list[str] = []
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not any(s.startswith("*") for s in shown):
            shown.append("*")
        if parameter.name != "self":
            shown.append(parameter_text(parameter))
    result = "" if isinstance(value, type) else f" -> {readable(found.return_annotation)}"
    line = f"{name}({', '.join(shown)}){result}"
    return line if len(line) <= width else f"{name}(\n    " + ",\n    ".join(shown) + f",\n){result}"


def parameter_text(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = f"{stars}{parameter.name}: {readable(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return text
    factory = repr(parameter.default).startswith("<")
    return f"{text} = {'...' if factory else repr(parameter.default)}"


def readable(annotation: Any) -> str:
    """A type as a reader knows it."""
    words = re.split(r"(\w+(?:\.\w+)*)", str(annotation).strip("'\""))
    return "".join(ALIASES.get(word, word) for word in words)


def pages() -> dict[Path, str]:
    return {
        HERE / "cli.md": cli_page(),
        HERE / "settings.md": settings_page(),
        HERE / "api.md": api_page(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
        print(path)
