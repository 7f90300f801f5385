"""Renditions: a photo made anew for a screen, as JPEG, upright. No byte of its file is passed on."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from anymask.core.resample import Pixels
from anymask.errors import BadInput

DISPLAY_SIDE, THUMBNAIL_SIDE = 2_560, 320
TILE = 512
TILED_PIXELS = 40_000_000  # from here on a photo is shown as tiles
QUALITY = 92


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a photo that is shown as tiles: `scale` times smaller than the photo."""

    scale: int
    width: int
    height: int


def levels_of(size_hw: tuple[int, int]) -> list[Level]:
    """From the whole photo to where one tile shows all of it; none for a photo that is not tiled."""
    height, width = size_hw
    if height * width <= TILED_PIXELS:
        return []
    levels, scale = [], 1
    while True:
        levels.append(Level(scale, -(-width // scale), -(-height // scale)))
        if max(levels[-1].width, levels[-1].height) <= TILE:
            return levels
        scale *= 2


def rendition(pixels_HW3: Pixels, side: int | None = None) -> bytes:
    """JPEG whose longer side is at most `side`."""
    from PIL import Image

    height, width = pixels_HW3.shape[:2]
    image = Image.fromarray(pixels_HW3)
    if side is not None and max(height, width) > side:
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return _jpeg(image)


def tile(pixels_HW3: Pixels, level: int, column: int, row: int) -> bytes:
    """One tile of a level. Raises BadInput for one that is not there."""
    from PIL import Image

    found = levels_of((pixels_HW3.shape[0], pixels_HW3.shape[1]))
    if not 0 <= level < len(found):
        raise BadInput(f"level: expected 0 to {len(found) - 1}, got {level}")
    step = TILE * found[level].scale
    part = pixels_HW3[row * step : (row + 1) * step, column * step : (column + 1) * step]
    if row < 0 or column < 0 or not part.size:
        raise BadInput(f"expected a tile of level {level}, got column {column}, row {row}")
    image = Image.fromarray(np.ascontiguousarray(part))
    return _jpeg(image.reduce(found[level].scale) if found[level].scale > 1 else image)


def _jpeg(image: object) -> bytes:
    from PIL import Image

    assert isinstance(image, Image.Image)
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
        return file.getvalue()
