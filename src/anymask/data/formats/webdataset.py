"""WebDataset: tar shards of `<key>.jpg` and `<key>.json`, the JSON a record of SA-1B.

    DST/shard-000000.tar, DST/shard-000001.tar, ...

A key ends at its first dot there, so dots become underscores. The shards are also what `sa1b` reads.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO

from anymask.data.formats import sa1b
from anymask.data.formats.contents import Contents, Notes
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import encoded
from anymask.data.formats.photo_writer import NO_PHOTO, PhotoWriter, photo_name
from anymask.data.record import Record
from anymask.files import writing_atomically

SHARD_BYTES = 256 << 20
SHARD_PHOTOS = 10_000
NAME = "shard-{:06d}.tar"
DOTS = "names with dots, which became underscores"


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """As SA-1B reads a folder of shards, without the names of the shards in the keys. Raises BadInput."""
    contents = sa1b.read(path, notes, photo_folder)

    def records() -> Iterator[Record]:
        for record in contents.records:
            first, _, rest = record.key.partition("/")
            is_shard = rest and path.is_dir() and (path / f"{first}.tar").is_file()
            yield replace(record, key=rest) if is_shard else record

    return replace(contents, records=records())


@dataclass(slots=True)
class _Shards:
    """Opens the next shard where one is full."""

    folder: Path
    size: int = 0
    photos: int = 0
    count: int = 0
    stack: ExitStack = field(default_factory=ExitStack)
    archive: tarfile.TarFile | None = None

    def add(self, files: dict[str, bytes]) -> None:
        new = sum(map(len, files.values()))
        full = self.photos >= SHARD_PHOTOS or (self.photos and self.size + new > SHARD_BYTES)
        if self.archive is None or full:
            self.stack.close()
            file: IO[bytes] = self.stack.enter_context(
                writing_atomically(self.folder / NAME.format(self.count))
            )
            self.archive = self.stack.enter_context(
                tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
            )
            self.count, self.size, self.photos = self.count + 1, 0, 0
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            self.archive.addfile(member, io.BytesIO(content))
        self.size, self.photos = self.size + new, self.photos + 1


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    shards = _Shards(folder)
    with ExitStack() as last:
        last.push(lambda *raised: shards.stack.__exit__(*raised))
        for record in contents.records:
            with photos.notes.catching(record.key):
                key = record.key.replace(".", "_")
                photos.notes.changed(DOTS, record.key, int(key != record.key))
                shards.add(_files(replace(record, key=key), photos))


def _files(record: Record, photos: PhotoWriter) -> dict[str, bytes]:
    """The photo first."""
    name = photo_name(record)
    found: dict[str, bytes] = {}
    if photos.mode != "none" and record.blob.exists:
        with photos.notes.catching(str(record.blob.path)):
            found[name] = record.blob.read()
    elif photos.mode != "none":
        photos.notes.changed(NO_PHOTO, record.key)
    image = {**record.fields["image"], "file_name": PurePosixPath(name).name}
    return {**found, f"{record.key}.json": encoded({**record.fields, "image": image})}


WEBDATASET = Format("webdataset", Capabilities(), read, write, lambda clues: False)  # detected as SA-1B
