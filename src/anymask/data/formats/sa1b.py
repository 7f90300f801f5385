"""SA-1B: one JSON file for each photo, beside it; the shape of all records here.

    DST/<key>.json     {"image": {...}, "annotations": [{"segmentation": run lengths, ...}]}
    DST/<key>.jpg      the photo

Read from a folder, a tar shard, a folder of shards or one JSON file. `anymask everything` writes such records
without photos, and where these lie into `.photos.jsonl`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from anymask.data.formats.contents import Contents, Fields, Notes, checked, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import RECORD_KEYS, JsonFile, each_object, keys_of, write_beside
from anymask.data.formats.photo_writer import photo_name
from anymask.data.listing import Photos, find_photo, list_files, photos_by_stem, size_of, stem, with_suffix
from anymask.data.record import Blob, Record
from anymask.errors import BadInput

NO_RECORD = "JSON files that are no records passed over"
JOURNAL = ".photos.jsonl"  # of a run: key, path, offset and length in it, size and time
# What else a run writes, and what is in it.
OF_A_RUN = {"run.json": {"fingerprint", "settings"}, "summary.json": {"without_record", "masks_each"}}


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """Raises BadInput when a shard cannot be read."""
    files = {name: blob for name, blob in list_files(path).items() if not _is_of_a_run(name, blob)}
    folder = path if path.is_dir() else path.parent
    near = files
    if not path.is_dir() and path.suffix.lower() != ".tar":
        near = {one.name: Blob(one) for one in path.parent.iterdir() if stem(one.name) == stem(path.name)}
    folders = [*filter(None, [photo_folder]), folder]
    known = _photos_of_a_run(folder / JOURNAL)
    read_one = partial(_record, photos=photos_by_stem(near), folders=folders, known=known, notes=notes)
    objects = each_object(files, _may_be_a_record, NO_RECORD, notes)
    return Contents(notes.each(objects, read_one), len(with_suffix(files, ".json")))


def _may_be_a_record(found: Fields) -> bool:
    return "image" in found or ("annotations" in found and "images" not in found)


def _is_of_a_run(name: str, blob: Blob) -> bool:
    return name in OF_A_RUN and keys_of(blob) >= OF_A_RUN[name]


def _photos_of_a_run(file: Path) -> dict[str, Blob]:
    """By key. A line that is damaged costs its photo only."""
    found = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in file.read_text("ascii").splitlines():
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                key, path, offset, length, *_ = json.loads(line)
                if isinstance(key, str) and isinstance(path, str) and "\0" not in path:
                    whole = length is None
                    found[key] = Blob(Path(path)) if whole else Blob(Path(path), int(offset), int(length))
    return {key: blob for key, blob in found.items() if blob.path.is_file()}


def _record(
    item: JsonFile, photos: Photos, folders: list[Path], known: Mapping[str, Blob], notes: Notes
) -> Record:
    name, _, fields = item
    key = stem(name)
    if not fields.keys() >= RECORD_KEYS or not isinstance(fields["annotations"], list):
        raise BadInput("expected a record with 'image' and a list of 'annotations'")
    size_hw = checked_size(fields["image"])
    photo = _photo(key, fields["image"], photos, folders)
    if not photo.exists:
        photo = known.get(key, photo)
    height, width = size_hw or size_of(photo)
    image = {**fields["image"], "height": height, "width": width}
    image.setdefault("file_name", photo.path.name)

    def check(_: int, one: Any) -> Fields:
        return checked(one, (height, width), key, notes)

    lists = [name for name in ("annotations", "crowd") if fields.get(name)]
    kept = {name: notes.each_annotation(fields[name], check, key) for name in lists}
    return Record(key, {**fields, "image": image, "annotations": [], **kept}, photo)


def _photo(key: str, image: Fields, photos: Photos, folders: list[Path]) -> Blob:
    name = PurePosixPath(str(image.get("file_name") or f"{key}.jpg").replace("\\", "/")).name
    beside = str(PurePosixPath(key).parent / name)
    if stem(beside) in photos and photos[stem(beside)][0] == beside:
        return photos[stem(beside)][1]
    if key in photos:
        return photos[key][1]
    blob = find_photo(folders, [beside, name])
    return blob if blob.exists else Blob(folders[-1] / beside)


def _fields(record: Record) -> Fields:
    image = {**record.fields["image"], "file_name": PurePosixPath(photo_name(record)).name}
    return {**record.fields, "image": image}


write = partial(write_beside, _fields)
SA1B = Format("sa1b", Capabilities(), read, write, lambda clues: clues.have(RECORD_KEYS))
