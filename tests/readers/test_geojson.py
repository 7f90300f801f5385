"""GeoTIFF in, GeoJSON out: where rasterio and pyproj say the pixels are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_of_readers import MASKS, drawn_records, read_back, written
from programs import reader

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.record import Blob, Record

ORIGIN = (500_123.5, 4_649_876.25)  # easting and northing, zone 33 N
KEYS = {
    "area": (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633),
    "point": (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 2, 3072, 0, 1, 32633),
    "degrees": (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326),
}


def geotiff(path: Path, keys: str = "area", matrix: bool = False, big: bool = False) -> Blob:
    """Written by tifffile; `matrix`: turned, by a transformation instead of a scale."""
    pixels = np.zeros((*MASKS[0].shape, 3), np.uint8)
    x, y = (13.5, 42.25) if keys == "degrees" else ORIGIN
    size = 1e-4 if keys == "degrees" else 0.3
    tags: list[Any] = [(34735, 3, len(KEYS[keys]), KEYS[keys], False)]
    if matrix:
        turned = (size, 0.1 * size, 0, x, 0.2 * size, -size, 0, y, 0, 0, 0, 0, 0, 0, 0, 1)
        tags.append((34264, 12, 16, turned, False))
    else:
        tags += [(33550, 12, 3, (size, size, 0), False), (33922, 12, 6, (0, 0, 0, x, y, 0), False)]
    path.parent.mkdir(parents=True, exist_ok=True)
    reader("tifffile").imwrite(path, pixels, photometric="rgb", extratags=tags, bigtiff=big)
    return Blob(path)


def placed(folder: Path, blob: Blob) -> Path:
    (one, _) = drawn_records(folder / "drawn")
    image = {**one.fields["image"], "file_name": blob.path.name}
    record = Record("k", {**one.fields, "image": image}, blob)
    return written(folder, "geojson", [record])


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("matrix", [False, True])
def test_polygons_lie_where_rasterio_and_pyproj_say(
    keys: str, big: bool, matrix: bool, tmp_path: Path
) -> None:
    rasterio, pyproj, shapely = reader("rasterio"), reader("pyproj"), reader("shapely.geometry")
    blob = geotiff(tmp_path / "src" / "k.tif", keys, matrix, big)
    found = json.loads((placed(tmp_path, blob) / "k.geojson").read_text())
    assert "crs" not in found and len(found["features"]) == len(MASKS) + 1
    with rasterio.open(blob.path) as opened:
        transform, crs = opened.transform, opened.crs.to_epsg()
    there = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    features = reader("rasterio.features")
    for feature, mask in zip(found["features"], MASKS, strict=False):
        shape = shapely.shape(feature["geometry"])
        assert shape.is_valid
        moved = reader("shapely").transform(
            shape, lambda xy: np.stack(there.transform(xy[:, 0], xy[:, 1]), axis=1)
        )
        burnt = features.rasterize([moved], out_shape=mask.shape, transform=transform)
        assert np.array_equal(burnt, mask)
        assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon")
        for polygon in getattr(shape, "geoms", [shape]):
            assert polygon.exterior.is_ccw and not any(hole.is_ccw for hole in polygon.interiors)


@pytest.mark.parametrize("keys", KEYS)
def test_they_come_back_to_the_pixel(keys: str, tmp_path: Path) -> None:
    reader("pyproj")
    path = placed(tmp_path, geotiff(tmp_path / "src" / "k.tif", keys, matrix=True))
    expected = [Mask.from_array(mask) for mask in MASKS]
    (back,), notes = read_back(path, "geojson")
    assert [one.mask for one in back.annotations[:-1]] == expected and not notes.changes
    assert np.allclose(back.annotations[-1].fields["bbox"], (1.5, 2, 3, 4), atol=1e-3)
    fields = json.loads((path / "k.geojson").read_text())
    fields.pop("anymask")  # as another program would write it: the photo says where it is
    (path / "k.geojson").write_text(json.dumps(fields))
    (back,), _ = read_back(path, "geojson")
    assert [one.mask for one in back.annotations[:-1]] == expected


def test_geopandas_style_polygons_of_rasterio_are_read(tmp_path: Path) -> None:
    """Polygons that rasterio traces, in the reference system of the file."""
    rasterio, features = reader("rasterio"), reader("rasterio.features")
    blob = geotiff(tmp_path / "k.tif")
    with rasterio.open(blob.path) as opened:
        transform = opened.transform
    traced = features.shapes(MASKS[1].astype(np.uint8), mask=MASKS[1], transform=transform)
    found = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}},
        "features": [{"type": "Feature", "properties": {"class": "roof"}, "geometry": g} for g, _ in traced],
    }
    (tmp_path / "k.geojson").write_text(json.dumps(found))
    (back,), _ = read_back(tmp_path, "geojson")
    assert [one.mask for one in back.annotations] == [Mask.from_array(MASKS[1])]
    assert back.annotations[0].category == "roof"


def test_without_pyproj_coordinates_stay_in_the_system_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = geotiff(tmp_path / "src" / "k.tif")
    monkeypatch.setitem(__import__("sys").modules, "pyproj", None)
    from anymask.data.formats import geojson

    geojson._transformer.cache_clear()
    path, notes = placed(tmp_path, blob), formats.Notes()
    found = json.loads((path / "k.geojson").read_text())
    assert found["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    x, y = found["features"][-2]["geometry"]["coordinates"][0][0]
    assert abs(x - ORIGIN[0]) < 10 and abs(y - ORIGIN[1]) < 10
    (back,) = formats.read(path, notes, format_name="geojson").records
    assert [one.mask for one in back.annotations[:-1]] == [Mask.from_array(mask) for mask in MASKS]
