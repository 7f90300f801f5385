"""The YAML file of a YOLO data set: names of classes, where the photos are, whether labels are key points.

Only what such files use of YAML is understood: top-level keys with a text, a list or a map from numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from anymask.errors import BadInput, mapped

SPLITS = ("train", "val", "test", "minival")
ENTRY = re.compile(r"""^\s*(?:-\s*|(?P<number>['"]?\d{1,9}['"]?)\s*:\s*)(?P<name>.*)$""")
QUOTED = r"""(?<![^\s,:\[{-])(?:"(?:\\.|[^"\\])*"|'[^']*')"""  # a quote only opens where a value may begin
ITEM = re.compile(rf"(?:{QUOTED}|[^,])+")
COMMENT = re.compile(rf"({QUOTED})|(?:^|\s)#.*")


@dataclass(frozen=True, slots=True)
class DataYaml:
    """`root`: what it calls `path`. `splits`: folders of photos, or text files that list photos.

    `keypoints`: how many numbers the key points of a label are; None where there are none.
    """

    path: Path
    names: dict[int, str] = field(default_factory=dict)
    root: str = ""
    splits: tuple[str, ...] = ()
    keypoints: int | None = None

    @property
    def folder(self) -> Path:
        """Where its data should be: `path` beside it, or as it says; beside it where that is not there."""
        folder = self.path.parent
        return folder / self.root if self.root and _is_folder(folder / self.root) else folder

    def places(self) -> list[Path]:
        """Its photos, as far as they are there; `../` may mean the folder itself (Roboflow)."""
        found = []
        for split in self.splits:
            names = [split, split.removeprefix("../")]
            found += [self.folder / name for name in names if _exists(self.folder / name)][:1]
        return found


def parse(text: str, path: Path) -> DataYaml:
    """Raises BadInput for names that make no sense."""
    lines = _lines(text)
    splits = tuple(value for key in SPLITS for value in _texts(lines, key) if value)
    root = next(iter(_texts(lines, "path")), "")
    return DataYaml(path, names_of_yaml(text, path), root, splits, _keypoints(_texts(lines, "kpt_shape")))


def names_of_yaml(text: str, path: Path) -> dict[int, str]:
    """`names` as a list or as a map from numbers, on one line or on several. Raises BadInput."""
    with mapped(ValueError, BadInput, f"{path}: cannot understand 'names'"):
        return dict(_entries(_values(_lines(text), "names")))


def _lines(text: str) -> list[str]:
    return [COMMENT.sub(r"\1", line).rstrip() for line in text.splitlines()]


def _values(lines: Sequence[str], key: str) -> Iterable[str]:
    """What belongs to a top-level key, one `- value` or `number: value` each. Raises ValueError."""
    at = next((i for i, line in enumerate(lines) if re.match(rf"""(['"]?){key}\1\s*:""", line)), None)
    if at is None:
        return ()
    inline = lines[at].partition(":")[2].strip()
    if inline:
        return _inline(inline, lines[at + 1 :])
    return takewhile(lambda line: line[0] in " \t-", filter(None, lines[at + 1 :]))


def _texts(lines: Sequence[str], key: str) -> list[str]:
    """A text, or the texts of a list; none where it is something else."""
    for line in lines:
        if (found := re.match(rf"""(['"]?){key}\1\s*:\s*(?P<text>[^\s\[{{].*)$""", line)) is not None:
            return [_scalar(found["text"].strip())]
    try:
        return [text for _, text in _entries(_values(lines, key))]
    except ValueError:
        return []


def _inline(text: str, following: Sequence[str]) -> list[str]:
    """`[a, b]` or `{0: a, 1: b}`, perhaps on several lines."""
    closing = {"[": "]", "{": "}"}.get(text[0])
    if closing is None:
        raise ValueError(f"expected a list or a map, got {text[:60]!r}")
    parts = [text]
    for line in following:
        if parts[-1].endswith(closing):
            break
        parts.append(line.strip())
    text = " ".join(parts).strip()
    if not text.endswith(closing):
        raise ValueError(f"no {closing!r} at the end")
    items = [item.strip() for item in ITEM.findall(text[1:-1]) if item.strip()]
    return items if closing == "}" else [f"- {item}" for item in items]


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


def _keypoints(shape: list[str]) -> int | None:
    """`[17, 3]`: points, and numbers for each."""
    if len(shape) != 2 or not all(one.isascii() and one.isdigit() and len(one) < 6 for one in shape):
        return None
    return int(shape[0]) * int(shape[1])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a null in it
        return False


def _is_folder(path: Path) -> bool:
    return _exists(path) and path.is_dir()
