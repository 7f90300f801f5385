"""Format: the name of a way to keep annotations, what it can hold, and how to read and write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anymask.data.formats.contents import Contents, Notes
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.photo_writer import PhotoWriter

Read = Callable[[Path, Notes, Path | None], Contents]
Write = Callable[[Contents, Path, Notes, PhotoWriter], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What survives writing and reading exactly. `photos`: they lie beside the annotations."""

    holes: bool = True
    parts: bool = True
    overlap: bool = True
    empty: bool = True
    boxes: bool = True
    categories: bool = True
    scores: bool = True
    photos: bool = True


@dataclass(frozen=True, slots=True)
class Format:
    """`read(path, notes, photo_folder)`: photos that do not lie where the format has them are looked for in
    `photo_folder`. `write(contents, folder, notes, photos)`. `matches(clues)`: whether data looks like it.
    """

    name: str
    title: str
    capabilities: Capabilities
    read: Read
    write: Write
    matches: Callable[[FormatClues], bool]
