"""GeoJSON: a collection of features for each photo, beside it; polygons with holes along edges of pixels.

    DST/<key>.geojson
    DST/<key>.tif

Polygons of a GeoTIFF lie on the earth: in longitude and latitude (WGS 84, as RFC 7946 wants) where pyproj is
installed (extra `geo`), else in the reference system of the file, named by the older member `crs`. Of other
photos they are in pixels. The member `anymask` says which photo it was, so they are read back to the pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.data.formats.contents import SCORES, Contents, Fields, Notes, checked_size
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues, encoded, objects_in, read_object
from anymask.data.formats.photo_writer import PhotoWriter, photo_name
from anymask.data.formats.shapes import around, scores_of
from anymask.data.listing import find_photo, list_files, photos_by_stem, size_of, stem
from anymask.data.record import Annotation, Blob, Record, annotation_of, box_annotation
from anymask.errors import BadInput, MissingExtra, mapped
from anymask.files import check_regular, write_atomically
from anymask.images.geotiff import GeoReference, read_geo_reference

WGS84 = 4326
NO_GEOREFERENCE = "photos without georeference: coordinates are pixels, y down"
NO_CRS = "photos whose reference system has no EPSG number: coordinates stay in it, unnamed"
NO_PYPROJ = 'coordinates left in the reference system of the photo; for WGS 84: pip install "anymask[geo]"'
NO_AREA = "features without an area (points, lines) passed over"
OF_A_FEATURE = ("category", "class", "label", "name")  # whichever comes first names the category
DIGITS = 4  # of a pixel: nearer to a corner than that is only rounding
SUFFIXES = (".geojson", ".json")
Points = NDArray[np.float64]


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """From a folder or one file. Raises BadInput when a folder cannot be listed."""
    files = list_files(path)
    named = {
        n: b for n, b in files.items() if n.lower().endswith(SUFFIXES if not path.is_dir() else ".geojson")
    }
    near = photos_by_stem(files if path.is_dir() else {})
    folders = [*filter(None, [photo_folder]), path if path.is_dir() else path.parent]
    read_one = partial(_record, near=near, folders=folders, notes=notes)
    return Contents(notes.each([(str(b.path), (n, b)) for n, b in named.items()], read_one), len(named))


def _record(item: tuple[str, Blob], near: Any, folders: list[Path], notes: Notes) -> Record:
    name, blob = item
    key, found = stem(name), read_object(blob, name)
    ours = found.get("anymask")
    ours = ours if isinstance(ours, dict) else {}
    image = ours.get("image") if isinstance(ours.get("image"), dict) else {}
    assert isinstance(image, dict)
    file_name = str(image.get("file_name") or f"{key}.tif").replace("\\", "/").rpartition("/")[2]
    beside = str(PurePosixPath(key).parent / file_name)
    photo = near[key][1] if key in near else find_photo(folders, [beside, file_name])
    height, width = checked_size(image) or size_of(photo)
    place = _Place.told(ours, found) if image else _Place.of(photo, found)
    kept: dict[str, list[Fields]] = {"annotations": [], "crowd": []}
    for number, feature in enumerate(objects_in(found.get("features"), "features"), 1):
        try:
            one = _annotation(number, feature, place, (height, width))
        except BadInput as error:
            notes.failed(f"{key}, annotation {number}", error)
            continue
        if one is None:
            notes.changed(NO_AREA, key)
        else:
            kept["crowd" if one.get("iscrowd") else "annotations"].append(one)
    shown = {"height": height, "width": width, "file_name": file_name}
    crowd = {"crowd": kept["crowd"]} if kept["crowd"] else {}
    return Record(key, {"image": shown, "annotations": kept["annotations"], **crowd}, photo)


class _Place:
    """Between pixels of a photo and coordinates of a file. `shown`: EPSG of those, None for the photo's."""

    def __init__(self, reference: GeoReference | None, shown: int | None) -> None:
        self.reference = reference
        own = reference.epsg if reference else None
        self._there = _transformer(own, shown) if own and shown and own != shown else None
        self._back = _transformer(shown, own) if own and shown and own != shown else None

    @classmethod
    def told(cls, ours: Fields, found: Fields) -> _Place:
        """By the member `anymask`. Raises BadInput."""
        transform, epsg = ours.get("transform"), ours.get("epsg")
        if transform is None:
            return cls(None, None)
        values = _numbers(transform)
        if values.shape != (6,):
            raise BadInput("expected 'transform' to be six numbers")
        a, b, c, d, e, f = values.tolist()
        reference = GeoReference((a, b, c, d, e, f), epsg if isinstance(epsg, int) else None)
        return cls(reference, _shown(found, reference))

    @classmethod
    def of(cls, photo: Blob, found: Fields) -> _Place:
        """By the tags of the photo."""
        reference = _reference(photo)
        return cls(reference, _shown(found, reference))

    def to_file(self, points: Points) -> Points:
        if self.reference is None:
            return points
        world = self.reference.to_world(points)
        return world if self._there is None else _transformed(self._there, world)

    def to_pixels(self, points: Points) -> Points:
        """Raises BadInput."""
        if self.reference is not None:
            points = points if self._back is None else _transformed(self._back, points)
            with mapped(np.linalg.LinAlgError, BadInput, "expected a 'transform' whose pixels have an area"):
                points = self.reference.to_pixels(points)
        if not np.isfinite(points).all():
            raise BadInput("expected coordinates within the reference system of the photo")
        return np.round(points, DIGITS)


def _shown(found: Fields, reference: GeoReference | None) -> int | None:
    """The EPSG number of the coordinates; None where they are in the photo's own system."""
    crs: Any = found.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = str(properties.get("name", "")) if isinstance(properties, dict) else ""
    number = name.rpartition(":")[2]
    if name.upper().endswith("CRS84"):
        return WGS84
    if number.isascii() and number.isdigit() and len(number) < 7:
        return int(number)
    return WGS84 if reference and reference.epsg else None


@cache
def _transformer(source: int, target: int) -> Any:
    """Raises MissingExtra, and BadInput for numbers that nobody knows."""
    try:
        from pyproj import Transformer
        from pyproj.exceptions import ProjError
    except ImportError:
        text = f'EPSG {source} to EPSG {target} needs pyproj: pip install "anymask[geo]"'
        raise MissingExtra(text) from None
    with mapped(ProjError, BadInput, f"no way from EPSG {source} to EPSG {target}"):
        return Transformer.from_crs(source, target, always_xy=True)


def _transformed(transformer: Any, points: Points) -> Points:
    return np.stack(transformer.transform(points[:, 0], points[:, 1]), axis=1)


def _annotation(number: int, feature: Fields, place: _Place, size_hw: tuple[int, int]) -> Fields | None:
    """None for what has no area."""
    geometry, own = feature.get("geometry"), feature.get("properties")
    properties = dict(own) if isinstance(own, dict) else {}
    category = next((str(properties[n]) for n in OF_A_FEATURE if properties.get(n) is not None), None)
    more = {name: properties[name] for name in SCORES if isinstance(properties.get(name), int | float)}
    more |= {"iscrowd": 1} if properties.get("iscrowd") else {}
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        return None
    assert isinstance(geometry, dict)
    pieces = geometry.get("coordinates")
    pieces = [pieces] if kind == "Polygon" else pieces
    if not isinstance(pieces, list) or not all(isinstance(p, list) and p for p in pieces):
        raise BadInput("expected 'coordinates' to be rings of polygons")
    polygons = [[_ring(ring, place) for ring in piece] for piece in pieces]
    if properties.get("box") is True:
        return box_annotation(number, around(polygons[0][0]), category, **more)
    return annotation_of(number, Mask.from_polygons(polygons, size_hw), category, **more)


def _ring(ring: Any, place: _Place) -> Points:
    points = _numbers(ring)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or len(points) < 4:
        raise BadInput("expected a ring to be at least four positions")
    return place.to_pixels(points[:-1, :2])


def _numbers(values: Any) -> Points:
    with mapped((TypeError, ValueError, OverflowError), BadInput, "expected numbers"):
        return np.asarray(values, np.float64)


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    for record in contents.records:
        with photos.notes.catching(record.key):
            content = encoded(_collection(record, photos.notes)) + b"\n"
            photos.write(record, folder)
            write_atomically(folder / f"{record.key}.geojson", content)


def _reference(photo: Blob) -> GeoReference | None:
    """Of what is no regular file none."""
    check_regular(photo.path)
    return read_geo_reference(photo.path if photo.length is None else photo.read(), photo.path.name)


def _collection(record: Record, notes: Notes) -> Fields:
    reference = _reference(record.blob) if record.blob.exists else None
    place, crs = _place(reference, record.key, notes)
    height, width = record.size_hw
    own: Fields = {
        "image": {"file_name": PurePosixPath(photo_name(record)).name, "height": height, "width": width},
        "epsg": reference.epsg if reference else None,
        "transform": list(reference.transform) if reference else None,
    }
    features = [
        _feature(one, number, place)
        for number, one in enumerate([*record.annotations, *record.crowd], 1)
        if (mask := one.mask) is None or not mask.is_empty
    ]
    return {"type": "FeatureCollection", **crs, "anymask": own, "features": features}


def _place(reference: GeoReference | None, key: str, notes: Notes) -> tuple[_Place, Fields]:
    """With the member that names the reference system, where it is not WGS 84."""
    if reference is None or reference.epsg is None:
        notes.changed(NO_CRS if reference else NO_GEOREFERENCE, key)
        return _Place(reference, None), {}
    try:
        return _Place(reference, WGS84), {}
    except MissingExtra:
        notes.changed(NO_PYPROJ, key)
    name = f"urn:ogc:def:crs:EPSG::{reference.epsg}"
    return _Place(reference, reference.epsg), {"crs": {"type": "name", "properties": {"name": name}}}


def _feature(annotation: Annotation, number: int, place: _Place) -> Fields:
    mask = annotation.mask
    properties: Fields = {"id": number, "category": annotation.category, **scores_of(annotation)}
    if annotation.fields.get("iscrowd"):
        properties["iscrowd"] = 1
    if mask is None:
        x0, y0, x1, y1 = annotation.box_xyxy
        pieces: list[Any] = [[np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)]]
        properties["box"] = True
    else:
        pieces = mask.polygons()
        properties["area_px"] = mask.area
    coordinates = list(_positions(pieces, place))
    single = len(coordinates) == 1
    geometry = {
        "type": "Polygon" if single else "MultiPolygon",
        "coordinates": coordinates[0] if single else coordinates,
    }
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _positions(pieces: list[Any], place: _Place) -> Iterator[list[Any]]:
    """Closed rings: outlines counterclockwise, holes clockwise."""
    rings = [ring for piece in pieces for ring in piece]
    ends = np.cumsum([len(ring) for ring in rings])
    placed = iter(np.split(place.to_file(np.concatenate(rings).astype(np.float64)), ends[:-1]))
    for piece in pieces:
        found = []
        for number, ring in zip(range(len(piece)), placed, strict=False):
            (x, y), (next_x, next_y) = (ring - ring[0]).T, (np.roll(ring, -1, axis=0) - ring[0]).T
            counterclockwise = float((x * next_y - next_x * y).sum()) > 0
            ring = ring if counterclockwise == (number == 0) else ring[::-1]
            found.append([*ring.tolist(), ring[0].tolist()])
        yield found


def _matches(clues: FormatClues) -> bool:
    collections = {"type", "features"}
    return any(n.lower().endswith(".geojson") for n in clues.names) or (
        not clues.path.is_dir() and clues.have(collections)
    )


GEOJSON = Format("geojson", Capabilities(empty=False, ignore=False), read, write, _matches)
