"""The class names of a YOLO data set: the part of YAML that `data.yaml` files use, or classes.txt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from anymask.data.record import Blob
from anymask.errors import BadInput

SUFFIXES = (".yaml", ".yml")
ENTRY = re.compile(r"""^\s*(?:-\s*|(?P<number>['"]?\d+['"]?)\s*:\s*)(?P<name>.*)$""")


def read_names(path: Path, files: Mapping[str, Blob]) -> dict[int, str]:
    """Name of each class number; empty where nothing says. `path`: the folder, or its YAML file.

    Raises BadInput when a YAML file cannot be understood.
    """
    if path.suffix.lower() in SUFFIXES:
        return names_of_yaml(Blob(path).read_text(), path)
    for name, blob in files.items():
        if name.lower().endswith(SUFFIXES) and re.search(r"(?m)^names\s*:", text := blob.read_text()):
            return names_of_yaml(text, blob.path)
    lists = [blob for name, blob in files.items() if name.rpartition("/")[2].lower() == "classes.txt"]
    lines = lists[0].read_text().split("\n") if lists else []
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def names_of_yaml(text: str, path: Path) -> dict[int, str]:
    """`names` as a list or as a map from numbers, on one line or on several. Raises BadInput."""
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if at is None:
        return {}
    inline = _without_comment(lines[at].partition(":")[2]).strip()
    try:
        if inline:
            return dict(_inline(inline, lines[at + 1 :]))
        return dict(_entries(_block(lines[at + 1 :])))
    except ValueError as error:
        raise BadInput(f"{path}: cannot understand 'names': {error}") from error


def _inline(text: str, following: list[str]) -> Iterator[tuple[int, str]]:
    """`[a, b]` or `{0: a, 1: b}`, perhaps on several lines."""
    closing = {"[": "]", "{": "}"}.get(text[0])
    if closing is None:
        raise ValueError(f"expected a list or a map, got {text[:60]!r}")
    rest = iter(following)
    while not text.endswith(closing):
        line = next(rest, None)
        if line is None:
            raise ValueError(f"no {closing!r} at the end")
        text += " " + _without_comment(line).strip()
    parts = [part for part in _split(text[1:-1]) if part.strip()]
    yield from _entries(parts if closing == "}" else [f"- {part.strip()}" for part in parts])


def _block(lines: list[str]) -> Iterator[str]:
    for line in map(_without_comment, lines):
        if not line.strip():
            continue
        if not line.startswith((" ", "\t", "-")):
            return
        yield line


def _entries(lines: Iterator[str] | list[str]) -> Iterator[tuple[int, str]]:
    for place, line in enumerate(lines):
        entry = ENTRY.match(line)
        if entry is None:
            raise ValueError(f"expected '- name' or 'number: name', got {line.strip()[:60]!r}")
        number = entry["number"]
        yield (place if number is None else int(number.strip("'\""))), _scalar(entry["name"].strip())


def _scalar(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


def _without_comment(line: str) -> str:
    """Cut at a # that stands after a space and outside of quotes."""
    for place, character, quoted in _characters(line):
        if character == "#" and not quoted and (place == 0 or line[place - 1].isspace()):
            return line[:place].rstrip()
    return line.rstrip()


def _split(text: str) -> list[str]:
    """At commas outside of quotes."""
    parts, start = [], 0
    for place, character, quoted in _characters(text):
        if character == "," and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _characters(text: str) -> Iterator[tuple[int, str, bool]]:
    """Place, character and whether it is inside quotes. A quote only opens where a value may begin."""
    quote, fresh, escaped = "", True, False
    for place, character in enumerate(text):
        if quote:
            if escaped:
                escaped = False
            elif character == "\\" and quote == '"':
                escaped = True
            elif character == quote:
                quote = ""
            yield place, character, True
            continue
        if fresh and character in "'\"":
            quote = character
        yield place, character, bool(quote)
        if not character.isspace():
            fresh = character in ",:-[{"
