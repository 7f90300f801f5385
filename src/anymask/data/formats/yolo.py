"""YOLO-seg: a text file for each photo, a line for each mask: class number and one polygon, as fractions
of width and height.

    DST/data.yaml            where the photos are, names of the classes
    DST/images/<key>.jpg
    DST/labels/<key>.txt     empty where a photo has no masks

Holes and parts are joined by bridges without width (`keyhole.py`). Reading needs the photos, for their sizes.
Read are `labels` folders beside `images` folders, at any depth, and label files beside their photos.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np

from anymask.core.mask import Mask
from anymask.data.formats.contents import Contents, Fields, Notes, Numbering
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.keyhole import bridge_rings
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.listing import Photos, is_photo, list_files, size_of, stem
from anymask.data.record import Blob, Record, annotation_of, box_annotation
from anymask.errors import BadInput, mapped
from anymask.files import make_folder, write_atomically

DIGITS = 8  # of a coordinate: a hundredth of a pixel in photos of a million
NO_LABELS = ("classes.txt", "readme.txt", "train.txt", "val.txt", "test.txt", "requirements.txt")
YAML = (".yaml", ".yml")
# The part of YAML that lists of classes use.
ENTRY = re.compile(r"""^\s*(?:-\s*|(?P<number>['"]?\d+['"]?)\s*:\s*)(?P<name>.*)$""")
QUOTED = r"""(?<![^\s,:\[{-])(?:"(?:\\.|[^"\\])*"|'[^']*')"""  # a quote only opens where a value may begin
ITEM = re.compile(rf"(?:{QUOTED}|[^,])+")
COMMENT = re.compile(rf"({QUOTED})|(?:^|\s)#.*")


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From the folder or its YAML file. Raises BadInput when there are no label files."""
    root = path if path.is_dir() else path.parent
    files = list_files(root)
    names = _read_names(path, files)
    labels = {key: (name, files[name]) for name in files if (key := _label_key(name))}
    if not labels:
        raise BadInput(f"expected label files (labels/*.txt) in {path}, found none")
    photos = {_without(name, "images"): (name, blob) for name, blob in files.items() if is_photo(name)}
    if photo_folder is not None:
        photos = {stem(name): (name, blob) for name, blob in list_files(photo_folder).items()} | photos
    folders = {key.rpartition("/")[0] for key in labels}  # their photos without a label file have no masks
    keys = [*labels, *(key for key in photos if key not in labels and key.rpartition("/")[0] in folders)]
    read_one = partial(_record, labels=labels, photos=photos, names=names, notes=notes)
    items = [(str(root / labels[key][0]) if key in labels else key, key) for key in keys]
    return Contents(notes.each(items, read_one), len(items), {name: n for n, name in names.items()})


def _label_key(name: str) -> str:
    """Empty for text files that are something else."""
    is_label = name.lower().endswith(".txt") and name.rpartition("/")[2].lower() not in NO_LABELS
    return _without(name, "labels") if is_label else ""


def _without(name: str, folder: str) -> str:
    """The name without suffix and without the last folder of that name."""
    parts = stem(name).split("/")
    if folder in parts[:-1]:
        del parts[len(parts) - 2 - parts[-2::-1].index(folder)]
    return "/".join(parts)


def _record(key: str, labels: Photos, photos: Photos, names: Mapping[int, str], notes: Notes) -> Record:
    if key not in photos:
        raise BadInput("its photo is missing: the size of the photo is not known")
    name, photo = photos[key]
    height, width = size_of(photo)
    text = labels[key][1].read_text() if key in labels else ""
    lines = [line for line in text.splitlines() if line.strip()]
    read_line = partial(_annotation, size_hw=(height, width), names=names)
    image = {"height": height, "width": width, "file_name": name.rpartition("/")[2]}
    annotations = notes.each_annotation(lines, read_line, key)
    return Record(key, {"image": image, "annotations": annotations}, photo)


def _annotation(number: int, line: str, size_hw: tuple[int, int], names: Mapping[int, str]) -> Fields:
    """Class, then a box (centre, width, height) or a polygon, then perhaps a confidence."""
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        raise BadInput(f"expected numbers, got {line[:60]!r}") from None
    if len(values) < 5 or not all(map(math.isfinite, values)) or values[0] != int(values[0]):
        raise BadInput(f"expected a class number and a polygon, got {line[:60]!r}")
    number_of_class, fractions = int(values[0]), values[1:]
    category = names.get(number_of_class, str(number_of_class))
    scored = {"score": fractions.pop()} if len(fractions) % 2 else {}
    height, width = size_hw
    if len(fractions) == 4:
        x, y, w, h = (fraction * side for fraction, side in zip(fractions, (width, height) * 2, strict=True))
        return box_annotation(number, (x - w / 2, y - h / 2, w, h), category, **scored)
    ring = np.array(fractions).reshape(-1, 2) * (width, height)
    return annotation_of(number, Mask.from_polygons([ring], size_hw), category, **scored)


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    classes = Numbering.without_gaps(contents.categories, first=0)
    for record in map(_without_special_folders, contents.records):
        with photos.notes.catching(record.key):
            photos.write(record, folder / "images")
            lines = "".join(_lines_of(record, classes))
            write_atomically(folder / "labels" / f"{record.key}.txt", lines.encode())
    make_folder(folder / "images")
    names = sorted((number, name) for name, number in classes.numbers.items())
    listed = "".join(f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in names)
    head = f"train: images\nval: images\nnames:{'' if names else ' {}'}\n"
    write_atomically(folder / "data.yaml", (head + listed).encode("utf-8", "replace"))


def _without_special_folders(record: Record) -> Record:
    """Readers find labels by the last folder called `images`, so there is one only."""
    *folders, name = record.key.split("/")
    folders = [f"{folder}_" if folder in ("images", "labels") else folder for folder in folders]
    return replace(record, key="/".join([*folders, name]))


def _lines_of(record: Record, classes: Numbering) -> Iterator[str]:
    height, width = record.size_hw
    for annotation, mask in record.drawn:
        fractions = (bridge_rings(mask.polygons()) / (width, height)).reshape(-1).tolist()
        words = (f"{fraction:.{DIGITS}f}".rstrip("0").rstrip(".") for fraction in fractions)
        yield f"{classes.of(annotation)} {' '.join(words)}\n"


def _read_names(path: Path, files: Mapping[str, Blob]) -> dict[int, str]:
    """Name of each class number; empty where nothing says. Raises BadInput for YAML that makes no sense."""
    if path.suffix.lower() in YAML:
        return names_of_yaml(Blob(path).read_text(), path)
    for name, blob in files.items():
        if name.lower().endswith(YAML) and re.search(r"(?m)^names\s*:", text := blob.read_text()):
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
    below = takewhile(lambda line: line[0] in " \t-", filter(None, lines[at + 1 :]))
    with mapped(ValueError, BadInput, f"{path}: cannot understand 'names'"):
        return dict(_entries(_inline(inline, lines[at + 1 :]) if inline else below))


def _inline(text: str, following: list[str]) -> list[str]:
    """`[a, b]` or `{0: a, 1: b}`, perhaps on several lines."""
    closing = {"[": "]", "{": "}"}.get(text[0])
    if closing is None:
        raise ValueError(f"expected a list or a map, got {text[:60]!r}")
    for line in following:
        if text.endswith(closing):
            break
        text += f" {line.strip()}"
    if not text.endswith(closing):
        raise ValueError(f"no {closing!r} at the end")
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


def _matches(clues: FormatClues) -> bool:
    labels = [stem(name) for name in clues.names if _label_key(name)]
    photos = {_without(name, "images") for name in clues.names if is_photo(name)}
    is_label = (name in photos or "labels" in name.split("/")[:-1] for name in labels)
    return clues.path.suffix.lower() in YAML or any(is_label)


KEPT = Capabilities(empty=False, boxes=False, scores=False, crowd=False, ignore=False)
YOLO = Format("yolo", KEPT, read, write, _matches)
