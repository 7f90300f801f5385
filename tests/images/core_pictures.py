"""Tiny pictures for the tests of reading: a picture with four different corners, and files of it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

RED, GREEN, BLUE, GREY = (250, 10, 10), (10, 250, 10), (10, 10, 250), (128, 128, 128)
EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp"}


def corners(height: int = 24, width: int = 40) -> np.ndarray:
    """H x W x 3: red and green above, blue and grey below; every flip and turn of it is different."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, : width // 2], pixels[height // 2 :, width // 2 :] = BLUE, GREY
    return pixels


def encoded(image: Image.Image | np.ndarray, file_format: str, **options: Any) -> bytes:
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over pixels and channels; of pictures of two sizes: infinite."""
    return float(np.abs(a.astype(float) - b.astype(float)).mean()) if a.shape == b.shape else float("inf")
