"""RecordSource: annotated photos with random access, of SA-1B folders and tar shards and of COCO files.

Read on demand: opening a folder or a shard reads only the list of its members, a COCO file only that file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from anymask.data.formats import coco
from anymask.data.formats.contents import Fields, Notes, checked_size, with_own_keys
from anymask.data.formats.json_files import RECORD_KEYS, objects_in, read_object
from anymask.data.listing import is_hidden, is_tar, list_files, photos_by_stem, with_suffix
from anymask.data.record import Blob, Record
from anymask.errors import BadInput

Entry = tuple[str, Blob, Blob | Fields]


class RecordSource(Sequence[Record]):
    """A list of records, read when indexed. `members`: of photos that have further files, those by name.
    `notes`: what could not be used.
    """

    def __init__(
        self,
        name: str,
        entries: Sequence[Entry],
        members: Mapping[Blob, Mapping[str, Blob]] | None = None,
        notes: Notes | None = None,
    ) -> None:
        self.name = name
        self.notes = notes or Notes()
        self._entries = entries
        self._members = members or {}

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Record:  # type: ignore[override]
        """Raises BadInput when its JSON is no record."""
        key, photo, described = self._entries[index]
        fields = _read_fields(described, key) if isinstance(described, Blob) else described
        return Record(key, fields, photo, self._members.get(photo, {}))

    @property
    def keys(self) -> list[str]:
        """Of all records, without reading them."""
        return [key for key, _, _ in self._entries]

    def only(self, indices: Sequence[int]) -> RecordSource:
        return RecordSource(self.name, [self._entries[i] for i in indices], self._members, self.notes)

    def __add__(self, other: RecordSource) -> RecordSource:
        members = {**self._members, **other._members}
        entries = [*self._entries, *other._entries]
        return RecordSource(f"{self.name}+{other.name}", entries, members, self.notes + other.notes)


def open_records(*paths: str | os.PathLike[str] | RecordSource) -> RecordSource:
    """Shards, folders (of shards, of photos or of a COCO file) and COCO files as one source, in their order;
    what is open already stays as it is.

    Raises BadInput when a path is missing or holds no records.
    """
    sources = [p if isinstance(p, RecordSource) else _open_one(Path(p)) for p in paths]
    if not sources:
        raise BadInput("expected at least one data set, got none")
    return reduce(RecordSource.__add__, sources)


def _open_one(path: Path) -> RecordSource:
    if not path.exists():
        raise BadInput(f"data set not found: {path}")
    if path.is_dir():
        shards = sorted(p for p in path.glob("*.tar") if p.is_file() and not is_hidden(p.name))
        files = {} if shards else dict(sorted(list_files(path).items(), key=lambda one: one[0].split("/")))
        source = open_records(*shards) if shards else _open_files(path.name, files)
        if not len(source) and with_suffix(files, ".json"):
            source = _open_coco(path)
    elif is_tar(path.name):
        source = _open_files(path.stem, list_files(path))
    elif path.suffix.lower() == ".json":
        source = _open_coco(path)
    else:
        raise BadInput(f"expected a folder, a .tar shard or a COCO .json, got {path}")
    if not len(source):
        raise BadInput(f"no images with annotations in {path}")
    return source


def _open_files(name: str, files: Mapping[str, Blob]) -> RecordSource:
    """Photos that have a JSON file of the same key beside them, in the order of the photos."""
    photos = {key: blob for key, (_, blob) in photos_by_stem(files).items()}
    described = [key for key in photos if f"{key}.json" in files]
    entries = [(key, photos[key], files[f"{key}.json"]) for key in described]
    return RecordSource(name, entries, _members(files, photos))


def _members(files: Mapping[str, Blob], photos: Mapping[str, Blob]) -> dict[Blob, dict[str, Blob]]:
    """Files `<key>.<name>` that are neither photo nor JSON, by photo and name; the longest key wins."""
    members: dict[Blob, dict[str, Blob]] = {}
    for file_name, blob in files.items():
        key = file_name
        while (dot := key.rfind(".")) > key.rfind("/"):
            key = key[:dot]
            if key in photos:
                if photos[key] != blob and file_name != f"{key}.json":
                    members.setdefault(photos[key], {})[file_name[dot + 1 :]] = blob
                break
    return members


def _open_coco(path: Path) -> RecordSource:
    notes = Notes()
    records = with_own_keys(coco.read(path, notes, draw=False).records)
    entries = [(one.key, one.blob, {**one.fields, "source": "coco"}) for one in records]
    for where, why in notes.failures:
        notes.changed("photos or annotations that cannot be used left out", f"{where}: {why}")
    return RecordSource(path.stem, entries, notes=replace(notes, failures=[]))


def _read_fields(blob: Blob, key: str) -> Fields:
    where = f"{key} in {blob.path}"
    fields = read_object(blob, where)
    if not fields.keys() >= RECORD_KEYS or checked_size(fields["image"]) is None:
        raise BadInput(f"{where}: expected a record with 'annotations' and the size of its 'image'")
    for name in ("annotations", "crowd"):
        objects_in(fields.get(name, []), name, f"{where}: ")
    return fields
