"""Which label file belongs to which photo in a YOLO data set, in every layout that is about.

images/train/a.jpg, labels/train/a.txt       the last folder called `images`, as ultralytics looks for them
train/images/a.jpg, train/labels/a.txt       Roboflow
any/folder/a.jpg, any/folder/a.txt           beside the photo (Darknet, labelImg), also in a folder `images`
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from anymask.data.formats.contents import Notes
from anymask.data.formats.yolo_yaml import DataYaml, parse
from anymask.data.listing import is_photo, is_tar, list_files, stem
from anymask.data.record import Blob
from anymask.errors import AnymaskError, BadInput

Files = dict[str, Blob]
YAML = (".yaml", ".yml")
NO_LABELS = ("classes.txt", "readme.txt", "train.txt", "val.txt", "test.txt", "requirements.txt")
NOT_LABELS = "text files that are no labels passed over"
NOT_THERE = "photos that a list names, but that are not there"


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and its label file; one of them may be missing. `key`: the name both have in common."""

    key: str
    name: str
    photo: Blob | None
    label: Blob | None
    label_name: str = ""


def find_files(path: Path, notes: Notes) -> tuple[Files, DataYaml]:
    """The files of a data set, and its YAML file: an empty one where there is none. Raises BadInput.

    Those of a folder; what the YAML file names elsewhere is added if that file was given, or if the folder
    has no labels.
    """
    if path.suffix.lower() in YAML and path.is_file():
        yaml = parse(Blob(path).read_text(), path)
        elsewhere = dict(_elsewhere(yaml, notes))
        if yaml.folder != path.parent and looks_like_labels(elsewhere):
            return elsewhere, yaml
        return elsewhere | list_files(path.parent), yaml
    files = list_files(path if path.is_dir() or is_tar(path.name) else path.parent)
    yaml = _yaml_among(files, notes) or DataYaml(path / "data.yaml")
    return (files if looks_like_labels(files) else files | dict(_elsewhere(yaml, notes))), yaml


def _yaml_among(files: Files, notes: Notes) -> DataYaml | None:
    """The first that has names; one that cannot be understood costs the names, not the masks."""
    for name, blob in files.items():
        if name.lower().endswith(YAML) and blob.length is None:
            try:
                if re.search(r"""(?m)^['"]?names['"]?\s*:""", text := blob.read_text()):
                    return parse(text, blob.path)
            except AnymaskError as error:
                notes.failed(str(blob.path), error)
    return None


def _elsewhere(yaml: DataYaml, notes: Notes) -> Iterator[tuple[str, Blob]]:
    """Photos outside of the folder of the YAML file, and their labels, by names that keep their relation."""
    own, root = (Path(os.path.abspath(folder)) for folder in (yaml.path.parent, yaml.folder))
    for photo in map(Path, map(os.path.abspath, _named_photos(yaml))):
        if not os.path.isfile(photo):
            notes.changed(NOT_THERE, str(photo)[:200], is_photo(photo.name))
            continue
        if photo.is_relative_to(own) or not is_photo(photo.name):
            continue
        parts = photo.parts
        at = _last(parts[:-1], "images")
        first = len(parts) - 2 if at is None else at
        if photo.is_relative_to(root):
            first = len(root.parts)
        for file in (photo, photo.with_suffix(".txt"), Path(*_renamed(parts, at)).with_suffix(".txt")):
            if os.path.isfile(file):
                yield "/".join(file.parts[first:]), Blob(file)


def _named_photos(yaml: DataYaml) -> Iterator[str]:
    """The photos of the folders and lists that a YAML file names."""
    for place in yaml.places():
        if place.is_dir():
            yield from (str(place / name) for name, blob in list_files(place).items() if blob.length is None)
        else:
            lines = (line.strip() for line in Blob(place).read_text().splitlines())
            yield from (str(place.parent / line) for line in lines if line and "\0" not in line)


def _renamed(parts: tuple[str, ...], at: int | None) -> list[str]:
    return [*parts] if at is None else [*parts[:at], "labels", *parts[at + 1 :]]


def _last(parts: tuple[str, ...], folder: str) -> int | None:
    return len(parts) - 1 - parts[::-1].index(folder) if folder in parts else None


def without(name: str, folder: str) -> str:
    """The name without suffix and without the last folder of that name."""
    parts = tuple(stem(name).split("/"))
    at = _last(parts[:-1], folder)
    return "/".join(parts if at is None else parts[:at] + parts[at + 1 :])


def _in_labels(name: str) -> bool:
    return name.lower().endswith(".txt") and "labels" in name.split("/")[:-1]


def pairs(files: Files, photo_folder: Path | None, notes: Notes) -> list[Pair]:
    """Every label file with its photo, then the photos of the same folders that have no label file."""
    photos = {name: blob for name, blob in files.items() if is_photo(name)}
    beside, below_images = _by_key(photos, stem), _by_key(photos, lambda name: without(name, "images"))
    given = {} if photo_folder is None else list_files(photo_folder)
    given_photos = {name: blob for name, blob in given.items() if is_photo(name)}
    anywhere = _by_key(given_photos, lambda name: without(name, "images")) | _by_key(given_photos, stem)
    found = []
    for name, blob in files.items():
        if not name.lower().endswith(".txt"):
            continue
        own, inner = stem(name), without(name, "labels")
        tables = (below_images, beside) if _in_labels(name) else (beside, below_images)
        places = [(table, key) for table in (*tables, anywhere) for key in (inner, own)]
        photo = next((table[key] for table, key in places if key in table), None)
        if _is_label(name, blob, photo is not None, notes):
            photo_name, photo_blob = photo or ("", None)
            found.append(Pair(inner, photo_name, photo_blob, blob, name))
    return [*found, *_unlabelled(photos, found)]


def _by_key(photos: Mapping[str, Blob], key_of: Callable[[str], str]) -> dict[str, tuple[str, Blob]]:
    return {key_of(name): (name, blob) for name, blob in photos.items()}


def _is_label(name: str, blob: Blob, has_photo: bool, notes: Notes) -> bool:
    """A list of classes or photos is a label only where a photo has its name, and only by its content."""
    usual = name.rpartition("/")[2].lower() not in NO_LABELS
    if usual and (has_photo or _in_labels(name)):
        return True
    if (usual or has_photo) and _reads_as_label(blob, empty=has_photo):
        return True
    if usual:
        notes.changed(NOT_LABELS, name)
    return False


def _reads_as_label(blob: Blob, empty: bool) -> bool:
    """Whether the first line is five numbers or more."""
    try:
        words = next((line.split() for line in blob.read_text().splitlines() if line.strip()), None)
        return empty if words is None else len(words) >= 5 and all(map(is_number, words))
    except BadInput:
        return False


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _unlabelled(photos: Mapping[str, Blob], found: Iterable[Pair]) -> Iterator[Pair]:
    used = {pair.name for pair in found}
    folders = {_folder(pair.name) for pair in found if pair.name}
    folders_of_labels = {_folder(pair.key) for pair in found if _in_labels(pair.label_name)}
    for name, blob in photos.items():
        key = without(name, "images")
        if name not in used and (_folder(name) in folders or _folder(key) in folders_of_labels):
            yield Pair(key, name, blob, None)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def looks_like_labels(names: Iterable[str]) -> bool:
    """By their names: text files in folders called `labels`, or with the name of a photo."""
    texts = [name for name in names if name.lower().endswith(".txt")]
    photos = [name for name in names if is_photo(name)]
    keys = {key for name in photos for key in (stem(name), without(name, "images"))}
    usual = [name for name in texts if name.rpartition("/")[2].lower() not in NO_LABELS]
    return any(map(_in_labels, usual)) or any({stem(n), without(n, "labels")} & keys for n in texts)
