"""The class names of a YOLO data set: the part of YAML that `data.yaml` files use, or classes.txt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from anymask.data.record import Blob
from anymask.errors import BadInput, mapped

SUFFIXES = (".yaml", ".yml")
ENTRY = re.compile(r"""^\s*(?:-\s*|(?P<number>['"]?\d+['"]?)\s*:\s*)(?P<name>.*)$""")
QUOTED = r"""(?<![^\s,:\[{-])(?:"(?:\\.|[^"\\])*"|'[^']*')"""  # a quote only opens where a value may begin
ITEM = re.compile(rf"(?:{QUOTED}|[^,])+")
COMMENT = re.compile(rf"({QUOTED})|(?:^|\s)#.*")


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
    lines = [COMMENT.sub(r"\1", line).rstrip() for line in text.splitlines()]
    at = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if at is None:
        return {}
    inline = lines[at].partition(":")[2].strip()
    with mapped(ValueError, BadInput, f"{path}: cannot understand 'names'"):
        if inline:
            return dict(_entries(_inline(inline, lines[at + 1 :])))
        return dict(_entries(takewhile(lambda line: line[0] in " \t-", filter(None, lines[at + 1 :]))))


def _inline(text: str, following: list[str]) -> list[str]:
    """`[a, b]` or `{0: a, 1: b}`, perhaps on several lines."""
    closing = {"[": "]", "{": "}"}.get(text[0])
    if closing is None:
        raise ValueError(f"expected a list or a map, got {text[:60]!r}")
    rest = iter(following)
    while not text.endswith(closing):
        line = next(rest, None)
        if line is None:
            raise ValueError(f"no {closing!r} at the end")
        text += " " + line.strip()
    parts = [part.strip() for part in ITEM.findall(text[1:-1]) if part.strip()]
    return parts if closing == "}" else [f"- {part}" for part in parts]


def _entries(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
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
