"""COCO: one JSON file for all photos, masks as run lengths (`coco`) or as polygons (`coco-polygon`).

    DST/annotations.json                          coco, coco-polygon
    DST/images/<key>.jpg
    DST/annotations/instances_default.json        coco-cvat: as CVAT and datumaro lay it out
    DST/images/default/<key>.jpg

A polygon leaves out holes by bridges without width (`keyhole.py`), which the COCO tools fill exactly. Written
piece by piece, with only the list of photos in memory; read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

from anymask.data.formats.coco_files import (
    CocoFile,
    PhotoFinder,
    category_names,
    find_files,
    id_of,
    named,
    own_ids,
    read_file,
)  # fmt: skip
from anymask.data.formats.contents import Contents, Fields, Notes, Numbering, checked, stated_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import COCO_KEYS, FormatClues, encoded, objects_in
from anymask.data.formats.keyhole import bridge_holes
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.listing import stem
from anymask.data.record import Annotation, Record
from anymask.errors import BadInput, UnclearFormat
from anymask.files import writing_atomically


def read(path: Path, notes: Notes, photo_folder: Path | None = None, *, draw: bool = True) -> Contents:
    """From a JSON file, or from a folder with one or with one for each subset.

    Raises BadInput when one cannot be read, or when it cannot be said which of several is meant.
    """
    parts = [_read_file(one, notes, photo_folder, draw) for one in find_files(path, notes)]
    categories: dict[str, int] = {}
    for part in parts:
        categories = {**part.categories, **categories}
    records = chain.from_iterable(part.records for part in parts)
    return Contents(records, sum(part.total for part in parts), categories)


def _read_file(file: CocoFile, notes: Notes, photo_folder: Path | None, draw: bool) -> Contents:
    where, coco = file.path, read_file(file.path)
    images, annotations, categories = (
        objects_in(coco.get(key) or [], key, f"{where}: ") for key in ("images", "annotations", "categories")
    )
    if any("segments_info" in one for one in annotations):
        raise UnclearFormat(f"{where} is COCO panoptic: choose the format panoptic")
    names = category_names(categories, where, notes)
    images = own_ids(images, where, notes)
    by_image: dict[Any, list[Fields]] = {}
    for one in annotations:
        by_image.setdefault(id_of(one.get("image_id")), []).append(one)
    listed = {id_of(image.get("id")) for image in images} - {None}
    lost = sum(len(found) for number, found in by_image.items() if number not in listed)
    notes.changed("annotations of photos that are not listed passed over", str(where), lost)
    if _all_crowd(annotations):
        notes.changed(
            "groups (crowd) taken as masks, as the file has nothing else", str(where), len(annotations)
        )
        by_image = {n: [{**one, "iscrowd": 0} for one in found] for n, found in by_image.items()}
    reader = _Reader(
        by_image, names, PhotoFinder(where, images, photo_folder, notes), file.subset, notes, draw
    )
    items = [(f"{where}, photo {str(one.get('file_name', one.get('id')))[:200]}", one) for one in images]
    declared = {name: number for number, name in names.items() if isinstance(number, int)}
    return Contents(notes.each(items, reader.record), len(items), declared)


def _all_crowd(annotations: Sequence[Fields]) -> bool:
    """Some programs mark every mask that is run lengths as a crowd."""
    drawn = [one for one in annotations if one.get("segmentation")]
    return bool(drawn) and all(one.get("iscrowd") == 1 for one in drawn)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes records of the photos of one file. `annotations`: by id of their photo. `draw`: see `checked`."""

    annotations: Mapping[Any, list[Fields]]
    categories: Mapping[int | str, str]
    finder: PhotoFinder
    subset: str
    notes: Notes
    draw: bool

    def record(self, image: Fields) -> Record:
        number = id_of(image.get("id"))
        if number is None or not isinstance(image.get("file_name"), str):
            raise BadInput("expected an 'id' and a 'file_name'")
        file_name = image["file_name"].replace("\\", "/")
        key = f"{self.subset}/{stem(file_name)}" if self.subset else stem(file_name)
        photo = self.finder.find(file_name, key)
        size_hw = stated_size(image, photo, key, self.notes)
        read_one = partial(self._annotation, size_hw=size_hw, key=key)
        found = self.notes.each_annotation(self.annotations.get(number, []), read_one, key)
        own = {k: v for k, v in image.items() if k != "id"}
        own |= {"image_id": number, "height": size_hw[0], "width": size_hw[1]}
        fields: Fields = {"image": own, "annotations": [one for one in found if not one.get("iscrowd")]}
        if crowd := [one for one in found if one.get("iscrowd")]:
            fields["crowd"] = crowd
        return Record(key, fields, photo)

    def _annotation(self, _: int, one: Fields, size_hw: tuple[int, int], key: str) -> Fields:
        own = {k: v for k, v in one.items() if k != "image_id"}
        number = id_of(own.get("category_id"))
        if number is not None:
            category = named(self.categories, number, key, self.notes)
            own |= {"category_id": number, "category": category}
        elif "category_id" in own:
            self.notes.changed("annotations whose category id makes no sense left without one", key)
            del own["category_id"]
        return checked(own, size_hw, key, self.notes, draw=self.draw)


class _Writer:
    """Numbers photos, annotations and categories of one file."""

    def __init__(self, contents: Contents, segmentation: Callable[[Annotation], Any]) -> None:
        self.images: list[Fields] = []
        self.categories = Numbering(contents.categories, first=1)
        self._segmentation = segmentation
        self._image_ids: set[int] = set()
        self._annotations = 0

    def image(self, record: Record) -> int:
        own = dict(record.fields["image"])
        number = own.pop("image_id", None)
        number = number if isinstance(number, int) and number not in self._image_ids else len(self.images) + 1
        while number in self._image_ids:
            number += 1
        self._image_ids.add(number)
        self.images.append({**own, "id": number, "file_name": photo_name(record)})
        return number

    def annotations(self, record: Record, image_id: int) -> Iterator[Fields]:
        for is_crowd, found in ((0, record.annotations), (1, record.crowd)):
            for one in found:
                own = {k: v for k, v in one.fields.items() if k != "category"}
                if "segmentation" in own:
                    own["segmentation"] = self._segmentation(one)
                    if not own["segmentation"]:
                        continue
                self._annotations += 1
                category = self.categories.of(one, own.get("category_id"))
                numbers = {"id": self._annotations, "image_id": image_id, "category_id": category}
                yield {**own, **numbers, "iscrowd": is_crowd}


def _as_polygons(annotation: Annotation) -> Any:
    """Crowds stay run lengths, as in COCO's own files."""
    mask = annotation.mask
    assert mask is not None
    if annotation.fields.get("iscrowd"):
        return annotation.fields["segmentation"]
    return [ring.reshape(-1).tolist() for ring in bridge_holes(mask.polygons())]


def _write(
    segmentation: Callable[[Annotation], Any],
    contents: Contents,
    folder: Path,
    photos: PhotoWriter,
    *,
    file: str = "annotations.json",
    images: str = "images",
) -> None:
    writer = _Writer(contents, segmentation)

    def annotations() -> Iterator[bytes]:
        for record in contents.records:
            with photos.notes.catching(record.key):
                photos.write(record, folder / images)
                yield from map(encoded, writer.annotations(record, writer.image(record)))

    with writing_atomically(folder / file) as target:
        _write_list(
            target, b'{"info": {"description": "written by anymask"}, "annotations": [', annotations()
        )
        _write_list(target, b'\n],\n"images": [', map(encoded, writer.images))
        categories = [{"id": number, "name": name} for name, number in writer.categories.numbers.items()]
        target.write(b'\n],\n"categories": ' + encoded(categories) + b"}\n")


def _write_list(file: IO[bytes], head: bytes, values: Iterable[bytes]) -> None:
    file.write(head)
    for number, value in enumerate(values):
        file.write((b",\n" if number else b"\n") + value)


def _matches(clues: FormatClues) -> bool:
    return clues.path.suffix.lower() != ".tar" and clues.have(COCO_KEYS)


RUN_LENGTHS, POLYGONS = Capabilities(ignore=False), Capabilities(empty=False, ignore=False)
COCO = Format("coco", RUN_LENGTHS, read, partial(_write, lambda one: one.fields["segmentation"]), _matches)
COCO_CVAT = Format(
    "coco-cvat",
    RUN_LENGTHS,
    read,
    partial(
        _write,
        lambda one: one.fields["segmentation"],
        file="annotations/instances_default.json",
        images="images/default",
    ),
    lambda clues: False,
)
# All are read as `coco`.
COCO_POLYGON = Format("coco-polygon", POLYGONS, read, partial(_write, _as_polygons), lambda clues: False)
