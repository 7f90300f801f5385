"""`labelmap.txt` of Pascal VOC: name and colour of every class; and the colours where there is none.

    # label:color_rgb:parts:actions
    background:0,0,0::
    cat:128,0,0::

Classes are numbered in the order of their lines, but 0 is the background, wherever it stands and whether or
not it is there: the black class, or else the one called so. Comments begin with # and are the first line or
have no colour. Names that a line cannot hold are written with %XX for bytes of UTF-8, and a comment says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from anymask.data.record import Blob

Colour = tuple[int, int, int]
BACKGROUND, BLACK, VOID = "background", (0, 0, 0), 255
NAMES_OF_VOC = (
    BACKGROUND, "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
HEADER = "# label:color_rgb:parts:actions"
ESCAPED = "# %XX in names: a byte of UTF-8"
# What ends a line, is stripped at its ends, divides it, or is no text; and # at its start.
NOT_IN_A_NAME = re.compile(r"^#|^\s+|\s+$|[:\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def colour(number: int) -> Colour:
    """VOC's colour of a number: its bits are dealt to red, green and blue in turn, highest first."""
    bits = [[number >> (3 * place + channel) & 1 for place in range(8)] for channel in range(3)]
    red, green, blue = (sum(bit << (7 - place) for place, bit in enumerate(own)) for own in bits)
    return red, green, blue


COLOURS: dict[Colour, int] = {colour(number): number for number in range(256)}
PALETTE = bytes(value for number in range(256) for value in colour(number))


@dataclass(frozen=True, slots=True)
class Classes:
    """Name and colour of each number. `own`: the colours are those of a list, not VOC's."""

    names: Mapping[int, str]
    colours: Mapping[Colour, int]
    own: bool = False

    @property
    def declared(self) -> dict[str, int]:
        """Number of each name, the first where there are several."""
        return {name: number for number, name in reversed(list(self.names.items())) if number}


OF_VOC = Classes(dict(enumerate(NAMES_OF_VOC)), COLOURS)


def classes_of(lists: Mapping[str, Blob]) -> Classes:
    """By `labelmap.txt` or `class_names.txt`, whichever is there, else VOC's. Raises BadInput."""
    if "labelmap.txt" in lists:
        return of_labelmap(lists["labelmap.txt"].read_text())
    if "class_names.txt" in lists:
        lines = filter(None, map(str.strip, lists["class_names.txt"].read_text().splitlines()))
        return Classes(dict(enumerate(line for line in lines if line != "__ignore__")), COLOURS)
    return OF_VOC


def of_labelmap(text: str) -> Classes:
    """`name:red,green,blue:parts:actions`, the colour perhaps left out."""
    lines = [line.strip() for line in text.splitlines()]
    entries = [
        _entry(line)
        for place, line in enumerate(lines)
        if line and not (line.startswith("#") and (place == 0 or _entry(line)[1] is None))
    ]
    if ESCAPED in lines:
        entries = [(unquote(name, errors="surrogatepass"), own) for name, own in entries]
    background = _background(entries)
    ordered = [entries.pop(background) if background is not None else (BACKGROUND, BLACK), *entries]
    own = any(colour_of is not None for _, colour_of in ordered[1:])
    colours = {colour(VOID): VOID, BLACK: 0}
    colours |= {colour(number): number for number, (_, given) in enumerate(ordered) if given is None}
    for number, (_, given) in enumerate(ordered):
        if given is not None and given != BLACK:
            colours[given] = number
    return Classes({number: name for number, (name, _) in enumerate(ordered)}, colours, own)


def _entry(line: str) -> tuple[str, Colour | None]:
    name, *rest = line.rsplit(":", 3)
    values = [value.strip() for value in rest[0].split(",")] if rest else []
    if len(values) != 3 or not all(re.fullmatch("[0-9]{1,3}", value) for value in values):
        return name, None
    red, green, blue = map(int, values)
    return name, (red, green, blue)


def _background(entries: Sequence[tuple[str, Colour | None]]) -> int | None:
    named = [place for place, (name, _) in enumerate(entries) if name.lower() == BACKGROUND]
    black = [place for place, (_, given) in enumerate(entries) if given == BLACK]
    return next(iter([*(set(named) & set(black)), *black, *named]), None)


def labelmap(names: Sequence[str]) -> tuple[bytes, int]:
    """The file for classes numbered from 1, and how many of their names had to be escaped."""
    written = [_line_name(name) for name in names]
    escaped = sum(line != name for line, name in zip(written, names, strict=True))
    if escaped:
        written = [_line_name(name, also="%") for name in names]
    lines = [HEADER, *([ESCAPED] if escaped else [])]
    for number, name in enumerate([BACKGROUND, *written]):
        lines.append(f"{name}:{','.join(map(str, colour(number)))}::")
    return "".join(f"{line}\n" for line in lines).encode(), escaped


def _line_name(name: str, also: str = "") -> str:
    if also:
        name = name.replace("%", "%25")
    if name.lower() == BACKGROUND:
        return _percent(name[0]) + name[1:]
    return NOT_IN_A_NAME.sub(lambda found: _percent(found[0]), name)


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))
