"""Where the pixels of a GeoTIFF lie, from its tags."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from mutations import mutated
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from anymask.errors import BadImage
from anymask.images.geotiff import GeoReference, read_geo_reference

UTM = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
OWN = (1, 1, 0, 1, 3072, 0, 1, 32767)


def tiff(tags: dict[int, Any]) -> bytes:
    directory, buffer = ImageFileDirectory_v2(), io.BytesIO()
    for tag, values in tags.items():
        directory.tagtype[tag] = 3 if tag in (34735, 274) else 12
        directory[tag] = values
    Image.new("L", (6, 5)).save(buffer, "TIFF", tiffinfo=directory)
    return buffer.getvalue()


SCALED = {33550: (0.5, 0.25, 0.0), 33922: (2.0, 1.0, 0.0, 100.0, 200.0, 0.0)}


def test_scale_and_tiepoint_or_a_matrix_say_where_corners_of_pixels_lie() -> None:
    found = read_geo_reference(tiff({**SCALED, 34735: UTM}), "a.tif")
    assert found == GeoReference((0.5, 0.0, 99.0, 0.0, -0.25, 200.25), 32633)
    assert np.array_equal(found.to_world(np.array([[2, 1], [4, 5]])), [[100, 200], [101, 199]])
    assert np.allclose(found.to_pixels(np.array([[100, 200], [101, 199]])), [[2, 1], [4, 5]])
    matrix = (1.0, 2.0, 0.0, 10.0, 3.0, -4.0, 0.0, 20.0, *[0.0] * 7, 1.0)
    assert read_geo_reference(tiff({34264: matrix, 34735: OWN}), "a.tif") == GeoReference(
        (1.0, 2.0, 10.0, 3.0, -4.0, 20.0), None
    )


def test_where_tags_speak_of_middles_of_pixels_corners_are_half_a_pixel_off() -> None:
    keys = tuple(2 if place == 11 else value for place, value in enumerate(UTM))
    found = read_geo_reference(tiff({**SCALED, 34735: keys}), "a.tif")
    assert found is not None and found.transform == (0.5, 0.0, 98.75, 0.0, -0.25, 200.375)


def test_what_has_no_georeference_has_none() -> None:
    assert read_geo_reference(tiff({}), "a.tif") is None
    assert read_geo_reference(tiff({33550: SCALED[33550]}), "a.tif") is None
    assert read_geo_reference(tiff({**SCALED, 33550: (0.0, 1.0, 0.0)}), "a.tif") is None
    assert read_geo_reference(tiff({**SCALED, 274: 6}), "turned.tif") is None  # masks are upright
    assert read_geo_reference(b"\x89PNG\r\n\x1a\n", "a.png") is None and read_geo_reference(b"", "a") is None


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(1000, 3000), marks=pytest.mark.slow)])
def test_changed_bytes_are_a_reference_or_one_line(seeds: range) -> None:
    content = tiff({**SCALED, 34735: UTM})
    for seed in seeds:
        try:
            found = read_geo_reference(mutated(content, seed), "a.tif")
            assert found is None or np.isfinite(found.transform).all()
        except BadImage as error:
            assert "\n" not in str(error)
