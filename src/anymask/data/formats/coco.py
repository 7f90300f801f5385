"""COCO: one JSON file for all photos, masks as run lengths (`coco`) or as polygons (`coco-polygon`).

    DST/annotations.json
    DST/images/<key>.jpg

A polygon leaves out holes by bridges without width (`keyhole.py`), which the COCO tools fill exactly. Written
piece by piece, with only the list of photos in memory; read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from anymask.data.formats.contents import Contents, Fields, Notes, Numbering, checked, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import COCO_KEYS, FormatClues, encoded, keys_of, objects_in, read_object
from anymask.data.formats.keyhole import bridge_holes
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.listing import find_photo, list_files, size_of, stem, with_suffix
from anymask.data.record import Annotation, Blob, Record
from anymask.errors import BadInput
from anymask.files import writing_atomically


def read(path: Path, notes: Notes, photo_folder: Path | None = None, *, draw: bool = True) -> Contents:
    """From the JSON file or its folder. Raises BadInput when it cannot be read, or when there are several."""
    file, coco = _find(path)
    images, annotations, categories = (
        objects_in(coco.get(key) or [], key, f"{file}: ") for key in ("images", "annotations", "categories")
    )
    names = {c["id"]: str(c["name"]) for c in categories if _is_id(c.get("id")) and "name" in c}
    by_image: dict[Any, list[Fields]] = {}
    for one in annotations:
        image_id = one.get("image_id")
        by_image.setdefault(image_id if _is_id(image_id) else None, []).append(one)
    listed = {image.get("id") for image in images if _is_id(image.get("id"))}
    lost = sum(len(found) for number, found in by_image.items() if number not in listed)
    notes.changed("annotations of photos that are not listed passed over", str(file), lost)
    split = stem(file.name).rpartition("_")[2]  # photos of `instances_val.json` are in `val`
    beside = [folder / n for folder in file.parents[:2] for n in ("", "images", split, f"images/{split}")]
    folders = [*filter(None, [photo_folder]), *beside]
    read_one = partial(
        _record, annotations=by_image, categories=names, folders=folders, notes=notes, draw=draw
    )
    items = [(f"{file}, photo {str(one.get('file_name', one.get('id')))[:200]}", one) for one in images]
    declared = {name: number for number, name in names.items() if isinstance(number, int)}
    return Contents(notes.each(items, read_one), len(items), declared)


def _record(
    image: Fields,
    annotations: Mapping[Any, list[Fields]],
    categories: Mapping[Any, str],
    folders: list[Path],
    notes: Notes,
    draw: bool,
) -> Record:
    """`annotations`: by the id of their photo. `folders`: where it may lie. `draw`: as `checked` has it."""
    if not _is_id(image.get("id")) or not isinstance(image.get("file_name"), str):
        raise BadInput("expected an 'id' and a 'file_name'")
    file_name = image["file_name"].replace("\\", "/")
    photo = find_photo(folders, [file_name.lstrip("/"), file_name.rpartition("/")[2]])
    size_hw = checked_size(image) or size_of(photo)
    key = stem(file_name)

    def read_one(_: int, one: Fields) -> Fields:
        name = categories.get(one["category_id"]) if _is_id(one.get("category_id")) else None
        own = {k: v for k, v in one.items() if k != "image_id"}
        named = own if name is None else {**own, "category": name}
        return checked(named, size_hw, key, notes, draw=draw)

    found = notes.each_annotation(annotations.get(image["id"], []), read_one, key)
    own = {k: v for k, v in image.items() if k != "id"}
    own |= {"image_id": image["id"], "height": size_hw[0], "width": size_hw[1]}
    fields: Fields = {"image": own, "annotations": [one for one in found if not one.get("iscrowd")]}
    if crowd := [one for one in found if one.get("iscrowd")]:
        fields["crowd"] = crowd
    return Record(key, fields, photo)


def _find(path: Path) -> tuple[Path, Fields]:
    if path.is_dir():
        blobs = with_suffix(list_files(path), ".json").values()
        files = [blob.path for blob in blobs if blob.length is None and keys_of(blob) >= COCO_KEYS]
        if len(files) != 1:
            names = ", ".join(str(file.relative_to(path)) for file in files) or "none"
            raise BadInput(f"expected one COCO JSON file in {path}, found {names}: give the file")
        path = files[0]
    found = read_object(Blob(path), str(path))
    if not found.keys() >= COCO_KEYS:
        raise BadInput(f"expected COCO JSON with 'images' and 'annotations' in {path}")
    return path, found


def _is_id(value: Any) -> bool:
    """Some tools write whole numbers as 1.0."""
    return isinstance(value, int | str) or (isinstance(value, float) and value.is_integer())


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
    segmentation: Callable[[Annotation], Any], contents: Contents, folder: Path, photos: PhotoWriter
) -> None:
    writer = _Writer(contents, segmentation)

    def annotations() -> Iterator[bytes]:
        for record in contents.records:
            with photos.notes.catching(record.key):
                photos.write(record, folder / "images")
                yield from map(encoded, writer.annotations(record, writer.image(record)))

    with writing_atomically(folder / "annotations.json") as file:
        _write_list(file, b'{"info": {"description": "written by anymask"}, "annotations": [', annotations())
        _write_list(file, b'\n],\n"images": [', map(encoded, writer.images))
        categories = [{"id": number, "name": name} for name, number in writer.categories.numbers.items()]
        file.write(b'\n],\n"categories": ' + encoded(categories) + b"}\n")


def _write_list(file: IO[bytes], head: bytes, values: Iterable[bytes]) -> None:
    file.write(head)
    for number, value in enumerate(values):
        file.write((b",\n" if number else b"\n") + value)


def _matches(clues: FormatClues) -> bool:
    return clues.path.suffix.lower() != ".tar" and clues.have(COCO_KEYS)


RUN_LENGTHS, POLYGONS = Capabilities(ignore=False), Capabilities(empty=False, ignore=False)
COCO = Format("coco", RUN_LENGTHS, read, partial(_write, lambda one: one.fields["segmentation"]), _matches)
# Both are read as `coco`.
COCO_POLYGON = Format("coco-polygon", POLYGONS, read, partial(_write, _as_polygons), lambda clues: False)
