"""COCO files on disk: which file of a folder, where its photos are, the ids in it. Knows nothing of masks."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.data.formats.contents import Fields, Notes
from anymask.data.formats.json_files import COCO_KEYS, keys_of, read_object
from anymask.data.listing import list_files, stem, with_suffix
from anymask.data.record import Blob
from anymask.errors import BadInput

# Other tasks on the same photos, as COCO itself, CVAT and datumaro name their files.
OTHER_TASKS = ("image_info_", "captions_", "person_keypoints_", "panoptic_", "stuff_", "labels_", "image_")
INSTANCES = "instances_"
BY_LAST_NAME = "photos found by the last part of their name alone"
SEVERAL_ALIKE = "photos that are not where the file says, and several have that last name: not used"


@dataclass(frozen=True, slots=True)
class CocoFile:
    """`subset`: what a name as `instances_val.json` says; keys begin with it where files are several."""

    path: Path
    subset: str


def find_files(path: Path, notes: Notes) -> list[CocoFile]:
    """The file itself, or those of a folder. Raises BadInput when it cannot be said which of several."""
    if not path.is_dir():
        return [CocoFile(path, "")]
    blobs = with_suffix(list_files(path), ".json").values()
    found = [blob.path for blob in blobs if blob.length is None and keys_of(blob) >= COCO_KEYS]
    kept = [one for one in found if not one.name.startswith(OTHER_TASKS)] or found
    notes.changed(
        "COCO files of other tasks passed over", _names(set(found) - set(kept), path), len(found) - len(kept)
    )
    if len(kept) == 1:
        return [CocoFile(kept[0], "")]
    subsets = _subsets(kept)
    if not kept or len(subsets) != len(kept):
        names = _names(kept, path) or "none"
        raise BadInput(f"expected one COCO JSON file in {path}, found {names}: give the file")
    notes.changed("COCO files read together, each as a folder of its subset", _names(kept, path), len(kept))
    return [CocoFile(one, subset) for subset, one in subsets.items()]


def _names(paths: Iterable[Path], folder: Path) -> str:
    return ", ".join(sorted(str(one.relative_to(folder)) for one in paths))


def _subsets(paths: Sequence[Path]) -> dict[str, Path]:
    """By subset where their names or folders tell subsets of one data set; else empty."""
    if all(one.name.startswith(INSTANCES) for one in paths):
        return {one.stem.removeprefix(INSTANCES): one for one in paths}
    if (
        len({one.name for one in paths}) == 1
    ):  # train/_annotations.coco.json beside valid/_annotations.coco.json
        return {one.parent.name: one for one in paths}
    return {}


def read_file(path: Path) -> Fields:
    """Raises BadInput for what is no COCO file."""
    found = read_object(Blob(path), str(path))
    if not found.keys() >= COCO_KEYS:
        raise BadInput(f"expected COCO JSON with 'images' and 'annotations' in {path}")
    return found


def id_of(value: Any) -> int | str | None:
    """An id in one form: programs write whole numbers as 1.0 and as "1". None for what is no id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"-?\d{1,18}", value.strip()) else value
    return value if isinstance(value, int) else None


def category_names(categories: Sequence[Fields], where: Path, notes: Notes) -> dict[int | str, str]:
    """Of the categories, by number; two of one name stay one."""
    found: dict[int | str, str] = {}
    for one in categories:
        number = id_of(one.get("id"))
        if number is None:
            notes.changed("categories without an id passed over", str(where))
        elif one.get("name") in (None, ""):
            notes.changed("categories without a name called by their number", str(where))
            found[number] = str(number)
        else:
            if number in found:
                notes.changed("categories whose id another has too: the last is kept", str(where))
            found[number] = str(one["name"])
    alike = len(found) - len(set(found.values()))
    notes.changed("categories of the same name taken as one", str(where), alike)
    return found


def named(categories: Mapping[int | str, str], number: int | str, where: str, notes: Notes) -> str:
    """The name of a category; its number, and a note, where it is not declared."""
    if number not in categories:
        notes.changed("categories that are not declared called by their number", where)
    return categories.get(number, str(number))


def own_ids(images: Sequence[Fields], where: Path, notes: Notes) -> list[Fields]:
    """Of photos with the same id the last, as the COCO tools have it: its annotations are for one photo."""
    last = {id_of(one.get("id")): place for place, one in enumerate(images)}
    kept = [
        one
        for place, one in enumerate(images)
        if (number := id_of(one.get("id"))) is None or last[number] == place
    ]
    notes.changed("photos whose id a later one has too passed over", str(where), len(images) - len(kept))
    return kept


class PhotoFinder:
    """Where the photos of a file are: where it says, else by their last name, for one photo each."""

    def __init__(self, file: Path, images: Sequence[Fields], photo_folder: Path | None, notes: Notes) -> None:
        split = stem(file.name).rpartition("_")[2]  # photos of `instances_val.json` are in `val`
        beside = [folder / n for folder in file.parents[:2] for n in ("", "images", split, f"images/{split}")]
        self._folders = [*filter(None, [photo_folder]), *beside]
        names = (one["file_name"] for one in images if isinstance(one.get("file_name"), str))
        self._last_names = Counter(map(last_name, names))
        self._notes = notes

    def find(self, file_name: str, key: str) -> Blob:
        """The photo, or the place where it should be."""
        name = file_name.replace("\\", "/")
        if os.path.isabs(name) and os.path.isfile(name):
            return Blob(Path(name))
        for folder in self._folders:
            if os.path.isfile(path := os.path.join(folder, name.lstrip("/"))):
                return Blob(Path(path))
        last = last_name(name)
        loose = [p for folder in self._folders if os.path.isfile(p := os.path.join(folder, last))]
        if loose and self._last_names[last] > 1:
            self._notes.changed(SEVERAL_ALIKE, key)
        elif loose:
            self._notes.changed(BY_LAST_NAME, key)
            return Blob(Path(loose[0]))
        return Blob(Path(os.path.join(self._folders[0], name.lstrip("/"))))


def last_name(file_name: str) -> str:
    return file_name.replace("\\", "/").rpartition("/")[2]
