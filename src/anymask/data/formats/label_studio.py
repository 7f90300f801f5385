"""Label Studio JSON: one list of tasks for all photos, masks as brushes.

    DST/tasks.json      to import; photos by `/data/local-files/?d=images/<key>.jpg`, so that DST is Label
                        Studio's local storage (LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT)
    DST/config.xml      the labelling interface that fits
    DST/images/<key>.jpg

Where every mask has a score they are predictions, for people to accept or correct; else an annotation. Read
are brushes, polygons, rectangles and ellipses: of the annotation, or else of the last prediction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from anymask.core.mask import Mask
from anymask.data.formats.brush_rle import decode_brush, encode_brush
from anymask.data.formats.contents import SCORES, Contents, Fields, Notes, category_of, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues, encoded, objects_in
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.formats.shapes import (
    NO_AREA,
    ROTATED,
    BoxXywh,
    Things,
    around,
    confidence_of,
    ellipse,
    numbers,
    rotated_corners,
    scores_of,
)
from anymask.data.listing import find_photo, is_photo, only_file, size_of, stem
from anymask.data.record import Annotation, Blob, Record
from anymask.errors import BadInput, mapped
from anymask.files import write_atomically, writing_atomically

FILE, CONFIG = "tasks.json", "config.xml"
SEVERAL = "further annotations of the same photo passed over"
HEAD_OF_TASKS = re.compile(rb'\s*\[\s*\{.*?"(annotations|predictions|completions|data)"\s*:', re.DOTALL)
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the names of uploaded files
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From the JSON file or its folder. Raises BadInput when it cannot be read, or when there are several."""
    file = only_file(path, ".json", _is_tasks, "JSON file of Label Studio")
    with mapped((ValueError, RecursionError), BadInput, f"{file} is damaged or no JSON"):
        found = json.loads(Blob(file).read())
    tasks = objects_in([found] if isinstance(found, dict) else found, "tasks", f"{file}: ")
    folders = [*filter(None, [photo_folder]), file.parent, file.parent / "images"]
    items = [(f"{file}, task {str(task.get('id', place))[:60]}", task) for place, task in enumerate(tasks, 1)]
    return Contents(notes.each(items, partial(_record, folders=folders, notes=notes)), len(tasks))


def _record(task: Fields, folders: list[Path], notes: Notes) -> Record:
    name = _name(task)
    plain = name.rpartition("/")[2]
    own = UPLOADED.sub("", plain)
    photo = find_photo(folders, [name, plain, own])
    if not photo.exists:
        photo = Blob(folders[0] / own)
    key = stem(name.removeprefix("images/") if plain == own else own)
    results = _results(task, key, notes)
    meta = task.get("meta")
    described = [*results, meta] if isinstance(meta, dict) else results
    height, width = _size(described) or size_of(photo)
    labels = _labels(results)
    things = Things()
    for number, result in enumerate(results, 1):
        try:
            _add(things, result, labels, (height, width), key, notes)
        except BadInput as error:
            notes.failed(f"{key}, annotation {number}", error)
    image = {"height": height, "width": width, "file_name": own}
    return Record(key, {"image": image, "annotations": things.annotations()}, photo)


def _name(task: Fields) -> str:
    """The path of the photo: of a local file below its storage, else as the address has it."""
    data = task.get("data")
    values = [v for v in data.values() if isinstance(v, str)] if isinstance(data, dict) else []
    first = data.get("image") if isinstance(data, dict) else None
    paths = [_path(value) for value in ([first] if isinstance(first, str) else values)]
    found = next((path for path in paths if is_photo(path)), paths[0] if paths else "")
    if not found:
        raise BadInput("expected a task with the photo's address in 'data'")
    return found


def _path(address: str) -> str:
    if "://" not in address and not address.startswith("/data/"):
        return address.replace("\\", "/").lstrip("/")
    with mapped(ValueError, BadInput, "expected the address of a photo"):
        parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    return path.replace("\\", "/").lstrip("/") if local else path.rpartition("/")[2]


def _results(task: Fields, where: str, notes: Notes) -> list[Fields]:
    """Of the annotation called the truth, else of the last; where there is none, of the last prediction."""
    made = objects_in(task.get("annotations") or task.get("completions") or [], "annotations")
    made = [one for one in made if not one.get("was_cancelled")]
    truth = [one for one in made if one.get("ground_truth")] or made
    if made:
        notes.changed(SEVERAL, where, len(made) - 1)
    else:
        truth = objects_in(task.get("predictions") or [], "predictions")
    return objects_in(truth[-1].get("result") or [], "result") if truth else []


def _size(results: list[Fields]) -> tuple[int, int] | None:
    for one in results:
        size = {"height": one.get("original_height"), "width": one.get("original_width")}
        if None not in size.values():
            return checked_size(size)
    return None


def _labels(results: list[Fields]) -> dict[str, str]:
    """Labels of regions: they may be results of their own with the same id."""
    found: dict[str, str] = {}
    for one in results:
        value = one.get("value")
        names = value.get(str(one.get("type"))) if isinstance(value, dict) else None
        if isinstance(names, list) and names and str(one.get("type")).endswith("labels"):
            found.setdefault(str(one.get("id")), str(names[0]))
    return found


def _add(
    things: Things, result: Fields, labels: dict[str, str], size_hw: tuple[int, int], where: str, notes: Notes
) -> None:
    kind, value = str(result.get("type")), result.get("value")
    shape_of = SHAPES.get(kind.removesuffix("labels"))
    if shape_of is None or not isinstance(value, dict):
        notes.changed(NO_AREA, where, int(kind != "labels"))
        return
    names = value.get(kind)
    own = [str(name) for name in names] if isinstance(names, list) and kind.endswith("labels") else []
    category = own[0] if own else labels.get(str(result.get("id")))
    rotated = (
        kind.startswith("rectangle") and numbers([value.get("rotation") or 0], "'rotation'")[0] % 360 != 0
    )
    shape = shape_of(value, size_hw)
    notes.changed(ROTATED, where, int(rotated))
    things.add(shape, category, None, _scores(result))


def _scores(result: Fields) -> Fields:
    meta = result.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    found = {name: meta[name] for name in SCORES if isinstance(meta.get(name), int | float)}
    if not found and isinstance(result.get("score"), int | float):
        found["score"] = result["score"]
    return found


def _brush(value: Fields, size_hw: tuple[int, int]) -> Mask:
    return decode_brush(value.get("rle") or [], size_hw)


def _pixels(value: Fields, names: tuple[str, ...], size_hw: tuple[int, int]) -> list[float]:
    """Percents as pixels, x and y in turn; what only rounding moved off a whole number goes back."""
    found = numbers([value.get(name) for name in names], ", ".join(names))
    return [round(one * size_hw[1 - place % 2] / 100, 6) for place, one in enumerate(found)]


def _polygon(value: Fields, size_hw: tuple[int, int]) -> Mask:
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise BadInput("expected 'points' to be a list of x, y")
    flat = numbers([v for point in points for v in point], "'points'")
    ring = [round(v * size_hw[1 - place % 2] / 100, 6) for place, v in enumerate(flat)]
    return Mask.from_polygons([ring], size_hw)


def _rectangle(value: Fields, size_hw: tuple[int, int]) -> BoxXywh:
    x, y, w, h = _pixels(value, ("x", "y", "width", "height"), size_hw)
    degrees = numbers([value.get("rotation") or 0], "'rotation'")[0]
    return around(rotated_corners((x, y, w, h), degrees, (x, y))) if degrees % 360 else (x, y, w, h)


def _ellipse(value: Fields, size_hw: tuple[int, int]) -> Mask:
    x, y, rx, ry = _pixels(value, ("x", "y", "radiusX", "radiusY"), size_hw)
    degrees = numbers([value.get("rotation") or 0], "'rotation'")[0]
    return Mask.from_polygons([ellipse((x, y), (rx, ry), degrees)], size_hw)


SHAPES: dict[str, Callable[[Fields, tuple[int, int]], Mask | BoxXywh]] = {
    "brush": _brush, "polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse,
}  # fmt: skip


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    labels = dict.fromkeys(contents.categories)
    written = 0
    with writing_atomically(folder / FILE) as file:
        file.write(b"[")
        for record in contents.records:
            with photos.notes.catching(record.key):
                task = encoded(_task(record))
                labels.update(dict.fromkeys(category_of(one.fields) for one in record.annotations))
                photos.write(record, folder / "images")
                file.write((b",\n" if written else b"\n") + task)
                written += 1
        file.write(b"\n]\n")
    write_atomically(folder / CONFIG, "".join(_config(labels)).encode())


def _task(record: Record) -> Fields:
    results = [_result(number, one) for number, one in enumerate(record.annotations, 1)]
    scores = [s for one in record.annotations if (s := confidence_of(one)) is not None]
    address = "/data/local-files/?d=" + quote(f"images/{photo_name(record)}", errors="replace")
    task: Fields = {"data": {"image": address}}
    if results and len(scores) == len(results):
        mean = sum(scores) / len(scores)
        return {**task, "predictions": [{"model_version": "anymask", "score": mean, "result": results}]}
    height, width = record.size_hw
    # Without a result, the size of the photo would be known to nobody but its file.
    sized = {"meta": {"original_height": height, "original_width": width}}
    return {**task, **sized, "annotations": [{"result": results}]}


def _result(number: int, annotation: Annotation) -> Fields:
    mask, label = annotation.mask, category_of(annotation.fields)
    height, width = annotation.size_hw
    if mask is None:
        x0, y0, x1, y1 = annotation.box_xyxy
        sides = {"x": x0 / width, "y": y0 / height, "width": (x1 - x0) / width, "height": (y1 - y0) / height}
        place: Fields = {**{name: 100 * side for name, side in sides.items()}, "rotation": 0}
        kind, control = "rectanglelabels", "box"
    else:
        place, kind, control = {"format": "rle", "rle": encode_brush(mask)}, "brushlabels", "brush"
    scores = scores_of(annotation)
    scored = {"score": confidence_of(annotation), "meta": scores} if scores else {}
    return {
        "id": f"a{number}",
        "type": kind,
        "from_name": control,
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        **scored,
        "value": {**place, kind: [label]},
    }


def _config(labels: dict[str, None]) -> Iterator[str]:
    yield '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
    for tag, name in (("BrushLabels", "brush"), ("RectangleLabels", "box")):
        yield f'  <{tag} name="{name}" toName="image">\n'
        for label in labels:
            yield f"    <Label value={quoteattr(NOT_IN_XML.sub('_', label))}/>\n"
        yield f"  </{tag}>\n"
    yield "</View>\n"


def _is_tasks(blob: Blob) -> bool:
    try:
        with blob.path.open("rb") as file:
            file.seek(blob.offset)
            return HEAD_OF_TASKS.match(file.read(1 << 16)) is not None
    except OSError:
        return False


def _matches(clues: FormatClues) -> bool:
    if not clues.path.is_dir():
        return clues.path.suffix.lower() == ".json" and _is_tasks(Blob(clues.path))
    names = [name for name in clues.names if name.lower().endswith(".json")]
    return any(_is_tasks(Blob(clues.path / name)) for name in names[:20])


LABEL_STUDIO = Format("label-studio", Capabilities(crowd=False, ignore=False), read, write, _matches)
