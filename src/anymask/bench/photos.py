"""Photos to measure on: variants of what somebody has, a large one, and many masks."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anymask.core.mask import Mask
from anymask.data.listing import is_photo
from anymask.errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image

LARGE_SIDE = 10_000  # 100 megapixels
DISK_RADIUS = 70
DISK_AT = 0.62  # where the disk of a large photo is, as a share of both sides
QUALITY = 90


def photos_in(folder: Path) -> list[Path]:
    """Raises BadInput where there are none."""
    found = sorted(path for path in folder.iterdir() if is_photo(path.name)) if folder.is_dir() else []
    if not found:
        raise BadInput(f"{folder}: expected a folder with photos")
    return found


def write_variants(sources: Sequence[Path], folder: Path, count: int, side: int | None = None) -> None:
    """`count` photos that all differ: parts of those of somebody, mirrored every second time.

    `side`: not larger than that.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as opened:
            image: Image.Image = opened.convert("RGB")
        if side is not None:
            image.thumbnail((side, side))
        width, height = image.size
        x, y = chance.randrange(width // 10 + 1), chance.randrange(height // 10 + 1)
        image = image.crop((x, y, x + width * 9 // 10, y + height * 9 // 10))
        if number // len(sources) % 2:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.save(folder / f"photo-{number:04d}.jpg", quality=QUALITY)


def write_large(source: Path, path: Path, side: int = LARGE_SIDE) -> Mask:
    """A square photo of `side` pixels with a small bright disk in it, whose mask is given."""
    from PIL import Image, ImageDraw

    with Image.open(source) as opened:
        image: Image.Image = opened.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    middle = round(side * DISK_AT)
    around, inside = DISK_RADIUS * 8, DISK_RADIUS
    draw = ImageDraw.Draw(image)
    draw.rectangle(_square(middle, around), fill=(70, 80, 60))
    draw.ellipse(_square(middle, inside), fill=(240, 220, 120))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=QUALITY)
    return disk((side, side), (middle, middle), inside)


def write_resized(source: Path, path: Path, size_wh: tuple[int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as opened:
        opened.convert("RGB").resize(size_wh, Image.Resampling.BILINEAR).save(path, quality=QUALITY)


def _square(middle: int, radius: int) -> tuple[int, int, int, int]:
    return (middle - radius, middle - radius, middle + radius, middle + radius)


def disk(size_hw: tuple[int, int], middle_xy: tuple[int, int], radius: int) -> Mask:
    """As run lengths, without a map of the whole photo."""
    height, width = size_hw
    x, y = middle_xy
    runs, at = [], 0
    for column in range(max(0, x - radius), min(width, x + radius + 1)):
        half = int(np.sqrt(radius**2 - (column - x) ** 2))
        first, last = max(0, y - half), min(height, y + half + 1)
        if first < last:
            runs += [column * height + first - at, last - first]
            at = column * height + last
    runs.append(height * width - at)
    return Mask.from_rle({"size": [height, width], "counts": runs})


def many_disks(size_hw: tuple[int, int], count: int) -> Iterator[Mask]:
    """Of 8 to 60 pixels radius, all over a photo."""
    chance = random.Random(1)
    for _ in range(count):
        middle = chance.randrange(size_hw[1]), chance.randrange(size_hw[0])
        yield disk(size_hw, middle, chance.randint(8, 60))
