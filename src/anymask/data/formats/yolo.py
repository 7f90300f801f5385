"""YOLO-seg: a text file for each photo, a line for each mask: class number and one polygon, as fractions
of width and height.

    DST/data.yaml            where the photos are, names of the classes
    DST/images/<key>.jpg
    DST/labels/<key>.txt     empty where a photo has no masks

Polygons run through the centres of the outermost pixels, as the tools of YOLO paint the pixels that an edge
passes (`core/outlines.py`). Holes and parts are joined by bridges without width (`keyhole.py`). Reading needs
the photos, for their sizes. Read are the layouts of `yolo_files.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.core.outlines import filled
from anymask.data.formats.contents import Contents, Fields, Notes, Numbering
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.keyhole import bridge_all
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.formats.yolo_files import YAML, Files, Pair, find_files, is_number, looks_like_labels, pairs
from anymask.data.formats.yolo_yaml import DataYaml
from anymask.data.listing import size_of
from anymask.data.record import Record, annotation_of, box_annotation
from anymask.errors import BadInput
from anymask.files import make_folder, write_atomically

DIGITS = 8  # of a coordinate: a hundredth of a pixel in photos of a million
# Where in its pixel a point lies. All are under a half, so that a reader that rounds (supervision) finds the
# pixel as well as one that cuts the fraction off (ultralytics). Points of bridges between parts lie apart,
# so that ours finds them and leaves them out.
CENTRE, BRIDGE, APART = 31 / 64, 28 / 64, 16 / 64
NEAR = 1 / 128
WHOLE = 0.05  # points that all lie so near to whole pixels mean these, written with few digits
KEYPOINTS = "key points not kept, their boxes are"
TRACKED = "lines of seven numbers taken for the box, confidence and number of a tracker"
JOINED = "masks of several parts, which the tools of YOLO paint with the lines that join them"


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From the folder or its YAML file. Raises BadInput when there are no label files."""
    files, yaml = find_files(path, notes)
    found = pairs(files, photo_folder, notes)
    if not any(pair.label for pair in found):
        at = f" (its path: {yaml.root})" if yaml.root else ""
        raise BadInput(f"expected label files (labels/*.txt) in {path}{at}, found none")
    names = yaml.names or _listed_names(files)
    read_one = partial(_record, names=names, yaml=yaml, notes=notes)
    items = [(str(pair.label.path) if pair.label else pair.key, pair) for pair in found]
    return Contents(notes.each(items, read_one), len(items), {name: n for n, name in names.items()})


def _listed_names(files: Files) -> dict[int, str]:
    """Of `classes.txt`, unless it is the label file of a photo."""
    lists = [blob for name, blob in files.items() if name.rpartition("/")[2].lower() == "classes.txt"]
    for blob in lists:
        lines = blob.read_text().split("\n")
        if not all(is_number(word) for line in lines for word in line.split()):
            return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return {}


def _record(pair: Pair, names: Mapping[int, str], yaml: DataYaml, notes: Notes) -> Record:
    if pair.photo is None:
        raise BadInput("its photo is missing: the size of the photo is not known")
    height, width = size_of(pair.photo)
    text = pair.label.read_text() if pair.label else ""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    read_line = partial(
        _annotation, kind=_kind_of(lines, yaml), size_hw=(height, width), names=names, note=notes.changed,
        key=pair.key,
    )  # fmt: skip
    image = {"height": height, "width": width, "file_name": pair.name.rpartition("/")[2]}
    annotations = notes.each_annotation(lines, read_line, pair.key)
    return Record(pair.key, {"image": image, "annotations": annotations}, pair.photo)


def _kind_of(lines: Sequence[Sequence[str]], yaml: DataYaml) -> Callable[[list[float]], str]:
    """What a line holds, by how many numbers it has after the class, and by the others of the file."""
    of_boxes = all(len(words) <= 7 for words in lines)

    def kind(shares: list[float]) -> str:
        if yaml.keypoints and len(shares) in (4 + yaml.keypoints, 5 + yaml.keypoints):
            return KEYPOINTS
        if len(shares) in (4, 5):
            return "box"
        if len(shares) == 6 and of_boxes and shares[5] >= 1 and shares[5] % 1 == 0 and _fits(shares):
            return TRACKED
        return "polygon"

    return kind


def _fits(shares: Sequence[float]) -> bool:
    """Whether it can be a box in the photo and a confidence."""
    (x, y, w, h, confidence) = shares[:5]
    edges = x - w / 2, x + w / 2, y - h / 2, y + h / 2
    return w > 0 and h > 0 and 0 <= confidence <= 1 and min(edges) > -0.01 and max(edges) < 1.01


def _annotation(
    number: int,
    words: Sequence[str],
    kind: Callable[[list[float]], str],
    size_hw: tuple[int, int],
    names: Mapping[int, str],
    note: Callable[[str, str], None],
    key: str,
) -> Fields:
    """Class, then a box (centre, width, height) or a polygon, then perhaps a confidence."""
    line = " ".join(words)[:60]
    if not all(map(is_number, words)):
        raise BadInput(f"expected numbers, got {line!r}")
    number_of_class, *shares = map(float, words)
    if len(words) < 5 or not all(map(math.isfinite, (number_of_class, *shares))) or number_of_class % 1:
        raise BadInput(f"expected a class number and a polygon, got {line!r}")
    category = names.get(int(number_of_class), str(int(number_of_class)))
    what = kind(shares)
    if what in (KEYPOINTS, TRACKED):
        note(what, key)
    if what != "polygon":
        (height, width), (x, y, w, h) = size_hw, shares[:4]
        xywh = (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
        scored = {"score": shares[4]} if len(shares) in (5, 6) else {}
        return box_annotation(number, xywh, category, **scored)
    scored = {"score": shares.pop()} if len(shares) % 2 else {}
    if max(map(abs, shares)) > 2 or (len(shares) == 6 and any(one > 1 and one % 1 == 0 for one in shares)):
        raise BadInput(f"expected fractions of the width and height of the photo, got {line!r}")
    return annotation_of(number, _painted(np.array(shares), size_hw), category, **scored)


def _painted(shares: NDArray[np.float64], size_hw: tuple[int, int]) -> Mask:
    """The mask that ultralytics makes of a polygon: in single precision, fractions of pixels cut off, filled
    with its outline; but without bridges that were written here.
    """
    shares, size = shares.reshape(-1, 2), np.array(size_hw[::-1])
    xy = shares * size
    if (abs(xy - np.round(xy)) < WHOLE).all():
        pixels = np.round(xy).astype(np.int64)
    else:
        pixels = (shares.astype(np.float32) * size.astype(np.float32)).astype(np.int64)
    bridge = _bridges(xy)
    edges = ~(bridge & np.roll(bridge, -1))
    inside, corner = filled(pixels[edges], np.roll(pixels, -1, axis=0)[edges], size_hw)
    return Mask.from_array(inside).placed(size_hw, corner)


def _bridges(xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie where only `write` puts them, and all others where it puts the others."""
    within = xy % 1
    is_bridge = np.asarray((abs(within - BRIDGE) < NEAR).all(axis=1))
    is_other = ((abs(within - CENTRE) < NEAR) | (abs(within - APART) < NEAR)).all(axis=1)
    return is_bridge if (is_bridge | is_other).all() else np.zeros_like(is_bridge)


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    classes = Numbering.without_gaps(contents.categories, first=0)
    joined = _Joined()
    for record in map(_without_special_folders, contents.records):
        with photos.notes.catching(record.key):
            photos.write(record, folder / "images")
            lines = "".join(_lines_of(record, classes, joined))
            write_atomically(folder / "labels" / f"{record.key}.txt", lines.encode())
    joined.note(photos.notes)
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


@dataclass(slots=True)
class _Joined:
    """How much of masks of several parts is left for programs that paint the lines that join them."""

    ious: list[float] = field(default_factory=list)
    first: str = ""

    def add(self, iou: float, where: str) -> None:
        self.ious.append(iou)
        self.first = self.first or where

    def note(self, notes: Notes) -> None:
        if self.ious:
            mean = math.fsum(self.ious) / len(self.ious)
            loss = f"mean IoU {mean:.3f}, least {min(self.ious):.3f}"
            notes.changed(f"{JOINED} ({loss})", self.first, len(self.ious))


def _lines_of(record: Record, classes: Numbering, joined: _Joined) -> Iterator[str]:
    height, width = record.size_hw
    for annotation, mask in record.drawn:
        inside = mask.array_of_box()
        ring, bridge = bridge_all(inside)
        if (
            bridge.any()
            and (painted := filled(ring, np.roll(ring, -1, axis=0), inside.shape)[0].sum()) > mask.area
        ):
            joined.add(mask.area / int(painted), record.key)
        points = ring + mask.box_xyxy[:2] + np.where(bridge, BRIDGE, CENTRE)[:, None]
        if not np.ptp(ring, axis=0).all():  # a line: for tools that pass over boxes of no width
            points[0] += APART - CENTRE
        shares = (points / (width, height)).reshape(-1).tolist()
        words = (f"{share:.{DIGITS}f}".rstrip("0").rstrip(".") for share in shares)
        yield f"{classes.of(annotation)} {' '.join(words)}\n"


def _matches(clues: FormatClues) -> bool:
    if clues.path.suffix.lower() in YAML or looks_like_labels(clues.names):
        return True
    return clues.path.is_dir() and any(
        Path(name).name in ("data.yaml", "dataset.yaml") for name in clues.names
    )


KEPT = Capabilities(empty=False, boxes=False, scores=False, crowd=False, ignore=False)
YOLO = Format("yolo", KEPT, read, write, _matches)
