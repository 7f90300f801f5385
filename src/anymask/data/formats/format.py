"""Format: the name of a way to keep annotations, what it can hold, and how to read and write it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anymask.data.formats.contents import LOSSES, Contents, Notes
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.record import Record

Read = Callable[[Path, Notes, Path | None], Contents]
Write = Callable[[Contents, Path, PhotoWriter], None]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is kept exactly by writing and reading. `photos`: they lie beside the annotations."""

    holes: bool = True
    parts: bool = True
    overlap: bool = True
    empty: bool = True
    boxes: bool = True
    categories: bool = True
    scores: bool = True
    crowd: bool = True
    ignore: bool = True
    photos: bool = True


@dataclass(frozen=True, slots=True)
class Format:
    """`read(path, notes, photo_folder)`: photos that do not lie where the format has them are looked for in
    `photo_folder`. `write(contents, folder, photos)`. `matches(clues)`: whether data looks like it.
    """

    name: str
    capabilities: Capabilities
    read: Read
    write: Write
    matches: Callable[[FormatClues], bool]
    readable: bool = True

    def noting_losses(self, records: Iterable[Record], notes: Notes) -> Iterator[Record]:
        """The records; what the format cannot hold of them is counted."""
        lost = [loss for name, loss in LOSSES.items() if not getattr(self.capabilities, name)]
        for record in records:
            with notes.catching(record.key):
                for what, times in lost:
                    notes.changed(what, record.key, times(record))
                yield record
