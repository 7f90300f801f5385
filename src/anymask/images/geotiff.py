"""Where on earth the pixels of a GeoTIFF lie, from the tags in its header (OGC GeoTIFF 1.1)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from anymask.errors import BadImage, mapped

SCALE, TIEPOINT, TRANSFORMATION, KEYS = 33550, 33922, 34264, 34735
RASTER_TYPE, GEODETIC, PROJECTED = 1025, 2048, 3072  # of the keys
POINT, USER_DEFINED, ORIENTATION = 2, 32767, 274
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

Affine = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class GeoReference:
    """`transform` a, b, c, d, e, f: pixel corners x, y lie at a x + b y + c, d x + e y + f.

    `epsg`: the coordinate reference system; None where the file defines one of its own.
    """

    transform: Affine
    epsg: int | None

    def to_world(self, points_N2: NDArray[Any]) -> NDArray[np.float64]:
        a, b, c, d, e, f = self.transform
        return np.asarray(points_N2 @ np.array([[a, d], [b, e]], np.float64) + (c, f))

    def to_pixels(self, points_N2: NDArray[Any]) -> NDArray[np.float64]:
        """Raises numpy's LinAlgError for pixels without an area."""
        a, b, c, d, e, f = self.transform
        return np.asarray((points_N2 - (c, f)) @ np.linalg.inv(np.array([[a, d], [b, e]], np.float64)))


def read_geo_reference(source: Path | bytes, name: str) -> GeoReference | None:
    """None for what is no TIFF, or has no georeference by an affine transformation. Raises BadImage."""
    with (
        mapped(Exception, BadImage, f"{name}: damaged or not an image"),  # tags may hold anything
        io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
    ):
        tags = _tags(file)
        if tags is None:
            return None
        found = None if tags.get(ORIENTATION, 1) != 1 else _transform(tags)
        if found is None or not np.isfinite(found).all() or found[0] * found[4] == found[1] * found[3]:
            return None
        keys = _keys(tags.get(KEYS, ()))
        if keys.get(RASTER_TYPE) == POINT:  # tags speak of the centres of pixels
            a, b, c, d, e, f = found
            found = (a, b, c - (a + b) / 2, d, e, f - (d + e) / 2)
        epsg = keys.get(PROJECTED, keys.get(GEODETIC))
        return GeoReference(found, epsg if epsg and epsg != USER_DEFINED else None)


def _tags(file: IO[bytes]) -> Any:
    """None for what is no TIFF."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    head = file.read(8)
    if head[:4] not in TIFF_HEADS:
        return None
    big = head[2:4] in (b"+\0", b"\0+")
    directory = ImageFileDirectory_v2(head + file.read(8) if big else head)
    file.seek(directory.next)
    directory.load(file)
    return directory


def _transform(tags: Any) -> Affine | None:
    if TRANSFORMATION in tags:
        matrix = [float(value) for value in tags[TRANSFORMATION]]
        return matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7]
    if SCALE not in tags or TIEPOINT not in tags:
        return None
    (width, height), (i, j, _, x, y) = map(float, tags[SCALE][:2]), map(float, tags[TIEPOINT][:5])
    return width, 0.0, x - i * width, 0.0, -height, y + j * height


def _keys(directory: Any) -> dict[int, int]:
    """The keys whose value is a number in the directory itself."""
    entries = [directory[place : place + 4] for place in range(4, len(directory) - 3, 4)]
    return {key: value for key, location, _, value in entries if location == 0}
