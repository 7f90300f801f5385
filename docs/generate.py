"""Writes docs/cli.md and docs/settings.md from the code; a test checks that they are up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from pydantic.fields import FieldInfo

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


def pages() -> dict[Path, str]:
    return {HERE / "cli.md": cli_page(), HERE / "settings.md": settings_page()}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, "utf-8")
        print(path)
