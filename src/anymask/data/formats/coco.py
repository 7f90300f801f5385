"""COCO: one JSON file for all photos, masks as run lengths (`coco`) or as polygons (`coco-polygon`).

    DST/annotations.json
    DST/images/<key>.jpg

A polygon leaves out holes by bridges without width (see `one_ring.py`), which the COCO tools fill exactly.
Written piece by piece: only the list of photos is kept in memory. Read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from anymask.data.formats.contents import (
    LOSSES,
    Contents,
    Notes,
    Numbering,
    category_of,
    checked,
    checked_size,
    each,
    each_annotation,
    note_losses,
    stem,
)
from anymask.data.formats.format import Format, Holds
from anymask.data.formats.json_files import Look, encoded, is_coco, read_object
from anymask.data.formats.keyhole import one_ring_per_piece
from anymask.data.formats.photo_files import Placer, find_photo, list_files, photo_name, size_of
from anymask.data.records import Annotation, Blob, Record
from anymask.errors import BadInput
from anymask.files import make_folder, writing_atomically

FILE = "annotations.json"
Fields = dict[str, Any]


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From the JSON file or its folder. Raises BadInput when it cannot be read, or when there are several."""
    file, coco = _find(path)
    images, annotations, categories = (
        _list_of(coco, key, file) for key in ("images", "annotations", "categories")
    )
    names = {c["id"]: str(c["name"]) for c in categories if _hashable(c.get("id")) and "name" in c}
    by_image: dict[Any, list[Fields]] = {}
    for one in annotations:
        if _hashable(one.get("image_id")):
            by_image.setdefault(one["image_id"], []).append(one)
    listed = {image.get("id") for image in images if _hashable(image.get("id"))}
    lost = sum(len(found) for number, found in by_image.items() if number not in listed)
    notes.changed("annotations of photos that are not listed passed over", str(file), lost)
    folders = _photo_folders(file, photo_folder)
    read_one = partial(_record, by_image=by_image, names=names, folders=folders, notes=notes)
    items = [(f"{file}, photo {_short(image)}", image) for image in images]
    declared = {name: number for number, name in names.items() if isinstance(number, int)}
    return Contents(each(items, read_one, notes), len(items), declared)


def _find(path: Path) -> tuple[Path, Fields]:
    if not path.is_dir():
        found = read_object(Blob(path), str(path))
        if not is_coco(found):
            raise BadInput(f"expected COCO JSON with 'images' and 'annotations' in {path}")
        return path, found
    files = [blob for name, blob in list_files(path).items() if name.lower().endswith(".json")]
    objects = [(blob.path, found) for blob in files if is_coco(found := _object_or_nothing(blob))]
    if len(objects) != 1:
        names = ", ".join(str(p.relative_to(path)) for p, _ in objects) or "none"
        raise BadInput(f"expected one COCO JSON file in {path}, found {names}: give the file")
    return objects[0]


def _object_or_nothing(blob: Blob) -> Fields:
    try:
        return read_object(blob, str(blob.path))
    except BadInput:
        return {}


def _list_of(coco: Fields, key: str, file: Path) -> list[Fields]:
    found = coco.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadInput(f"{file}: expected {key!r} to be a list of objects")
    return found


def _hashable(value: Any) -> bool:
    return isinstance(value, int | str)


def _short(image: Fields) -> str:
    return str(image.get("file_name", image.get("id")))[:200]


def _photo_folders(file: Path, photo_folder: Path | None) -> list[Path]:
    """Where photos of a COCO file lie: `instances_val.json` has them in `val` beside its folder."""
    here, above = file.parent, file.parent.parent
    split = stem(file.name).rpartition("_")[2]
    usual = [here, here / "images", here / split, above, above / "images", above / split]
    return [*filter(None, [photo_folder]), *usual]


def _record(
    image: Fields,
    by_image: Mapping[Any, list[Fields]],
    names: Mapping[Any, str],
    folders: list[Path],
    notes: Notes,
) -> Record:
    if not _hashable(image.get("id")) or not isinstance(image.get("file_name"), str):
        raise BadInput("expected an 'id' and a 'file_name'")
    file_name = image["file_name"].replace("\\", "/")
    photo = find_photo(folders, [file_name.lstrip("/"), file_name.rpartition("/")[2]])
    size_hw = checked_size(image) or size_of(photo)
    key = stem(file_name)

    def check(number: int, one: Fields) -> Fields:
        name = names.get(one["category_id"]) if _hashable(one.get("category_id")) else None
        return checked({**one, **({} if name is None else {"category": name})}, size_hw, key, notes)

    found = list(each_annotation(by_image.get(image["id"], []), check, key, notes))
    for one in found:
        one.pop("image_id", None)
    own = {**image, "image_id": image["id"], "height": size_hw[0], "width": size_hw[1]}
    own.pop("id")
    fields: Fields = {"image": own, "annotations": [one for one in found if not one.get("iscrowd")]}
    if crowd := [one for one in found if one.get("iscrowd")]:
        fields["crowd"] = crowd
    return Record(key, fields, photo)


class _Writer:
    """Numbers photos, annotations and categories of one file."""

    def __init__(self, contents: Contents, segmentation: Callable[[Annotation], Any], notes: Notes) -> None:
        self.images: list[Fields] = []
        self.categories = Numbering(contents.categories, first=1)
        self._segmentation, self._notes = segmentation, notes
        self._image_ids: set[int] = set()
        self._annotations = 0

    def image(self, record: Record) -> int:
        own = dict(record.fields["image"])
        wanted = own.pop("image_id", None)
        number = wanted if isinstance(wanted, int) and wanted not in self._image_ids else len(self.images) + 1
        while number in self._image_ids:
            number += 1
        self._image_ids.add(number)
        self.images.append({**own, "id": number, "file_name": photo_name(record)})
        return number

    def annotations(self, record: Record, image_id: int) -> Iterator[Fields]:
        note_losses(record, ["ignore"], self._notes)
        for is_crowd, found in ((0, record.annotations), (1, record.crowd)):
            for one in found:
                own = {k: v for k, v in one.fields.items() if k != "category"}
                if "segmentation" in own:
                    own["segmentation"] = self._segmentation(one)
                    if not own["segmentation"]:
                        self._notes.changed(LOSSES["empty"][0], record.key)
                        continue
                self._annotations += 1
                category = self.categories.number(category_of(one.fields), own.get("category_id"))
                numbers = {"id": self._annotations, "image_id": image_id, "category_id": category}
                yield {**own, **numbers, "iscrowd": is_crowd}


def _as_run_lengths(annotation: Annotation) -> Any:
    return annotation.fields["segmentation"]


def _as_polygons(annotation: Annotation) -> Any:
    """Crowds stay run lengths, as in COCO's own files."""
    mask = annotation.mask
    assert mask is not None
    if annotation.fields.get("iscrowd"):
        return annotation.fields["segmentation"]
    return [ring.reshape(-1).tolist() for ring in one_ring_per_piece(mask.polygons())]


def _write(
    segmentation: Callable[[Annotation], Any], contents: Contents, folder: Path, notes: Notes, placer: Placer
) -> None:
    writer = _Writer(contents, segmentation, notes)
    make_folder(folder)
    with writing_atomically(folder / FILE) as file:
        file.write(b'{"info": {"description": "written by anymask"}, "annotations": [')
        separator = b"\n"
        for record in contents.records:
            with notes.surviving(record.key):
                placer.place(record, folder / "images")
                for one in writer.annotations(record, writer.image(record)):
                    file.write(separator + encoded(one))
                    separator = b",\n"
        _finish(file, writer)


def _finish(file: IO[bytes], writer: _Writer) -> None:
    categories = [{"id": number, "name": name} for name, number in writer.categories.numbers.items()]
    file.write(b'\n],\n"images": [')
    for number, image in enumerate(writer.images):
        file.write((b",\n" if number else b"\n") + encoded(image))
    file.write(b'\n],\n"categories": ' + encoded(categories) + b"}\n")


def _seen_in(look: Look) -> bool:
    return look.path.suffix.lower() != ".tar" and any(is_coco(found) for found in look.objects)


COCO = Format("coco", "COCO JSON with run lengths", Holds(), read, partial(_write, _as_run_lengths), _seen_in)
COCO_POLYGON = Format(
    "coco-polygon",
    "COCO JSON with polygons",
    Holds(empty=False),
    read,
    partial(_write, _as_polygons),
    lambda look: False,  # read as `coco`
)
