"""Reading pictures as people have them: any common file, any mode and depth, turned upright, as RGB.

A picture's size is checked from its header, before any pixel is decoded. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import warnings
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from anymask.errors import BadImage

Image.MAX_IMAGE_PIXELS = None  # this module checks sizes itself, against a setting, with its own error
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP")
DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    MemoryError, ZeroDivisionError, AssertionError, NotImplementedError, RuntimeError, struct.error,
)  # fmt: skip


def read_image(source: Any, *, max_pixels: int | None = None) -> np.ndarray:
    """uint8 H x W x 3, RGB, contiguous, from a path, bytes, an open binary file, a PIL image or an array.

    Arrays are H x W or H x W x 1, 3 or 4; uint8, uint16, bool, or float in 0..1 or 0..255. Transparency is laid over
    white, EXIF rotation applied, the first frame of an animation taken. Raises BadImage.
    """
    limit = _limit(max_pixels)
    if isinstance(source, np.ndarray):
        return _from_array(source, limit)
    if isinstance(source, Image.Image):
        return _from_pil(source, limit, "the image")
    if isinstance(source, str | os.PathLike):
        return _from_path(Path(source), limit)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(source), limit, "the image bytes")
    if hasattr(source, "read"):
        return _from_file(cast(IO[bytes], source), limit, "the image file")
    raise BadImage(f"expected a path, bytes, a PIL image or an array, got {type(source).__name__}")


def content_hash(pixels_HW3: np.ndarray) -> str:
    """SHA-256 of the shape and the pixels: the same picture gives the same key whatever file it came from."""
    digest = hashlib.sha256(str(pixels_HW3.shape).encode())
    digest.update(np.ascontiguousarray(pixels_HW3).data)
    return digest.hexdigest()


def _limit(max_pixels: int | None) -> int:
    if max_pixels is not None:
        return max_pixels
    from anymask.settings import get_settings

    return get_settings().max_pixels


def _from_path(path: Path, limit: int) -> np.ndarray:
    try:
        with path.open("rb") as file:
            return _from_file(file, limit, str(path))
    except FileNotFoundError:
        raise BadImage(f"image not found: {path}") from None
    except IsADirectoryError:
        raise BadImage(f"expected an image file, got a folder: {path}") from None
    except OSError as error:
        raise BadImage(f"cannot read {path}: {error.strerror or error}") from error


def _from_file(file: IO[bytes], limit: int, name: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                return _from_pil(image, limit, name)
    except BadImage:
        raise
    except UnidentifiedImageError:
        raise BadImage(f"{name} is {_what_is(file)}; expected {', '.join(FORMATS)}") from None
    except DECODING_ERRORS as error:
        raise BadImage(f"{name} is damaged: {_one_line(error)}") from error


def _what_is(file: IO[bytes]) -> str:
    file.seek(0, os.SEEK_END)
    return "not an image that can be read" if file.tell() else "empty"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _from_pil(image: Image.Image, limit: int, name: str) -> np.ndarray:
    width, height = image.size
    _check_size(height, width, limit, name)
    try:
        upright = ImageOps.exif_transpose(_to_rgb(image))
    except DECODING_ERRORS as error:
        raise BadImage(f"{name} is damaged: {_one_line(error)}") from error
    return np.ascontiguousarray(np.asarray(upright))


def _check_size(height: int, width: int, limit: int, name: str) -> None:
    if height < 1 or width < 1:
        raise BadImage(f"{name} has no pixels: {width} x {height}")
    if height * width > limit:
        raise BadImage(
            f"{name} has {width} x {height} = {height * width:,} pixels, more than the limit of {limit:,}; "
            "set ANYMASK_MAX_PIXELS to allow it"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB with the EXIF of the original; deep greys are scaled, transparency is laid over white."""
    if image.mode == "RGB":
        image.load()
        return image
    exif = image.getexif()
    converted = _converted(image)
    converted.info["exif"] = exif.tobytes() if exif else b""
    return converted


def _converted(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_from_array(np.asarray(image), 1 << 62))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _from_array(array: np.ndarray, limit: int) -> np.ndarray:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise BadImage(f"expected an array H x W or H x W x 1, 3 or 4, got shape {array.shape}")
    _check_size(array.shape[0], array.shape[1], limit, "the array")
    eight = _to_uint8(array)
    if eight.ndim == 2 or eight.shape[2] == 1:
        return np.repeat(eight.reshape(*eight.shape[:2], 1), 3, axis=2)
    if eight.shape[2] == 4:
        return _from_pil(Image.fromarray(eight), 1 << 62, "the array")
    return np.ascontiguousarray(eight)


def _to_uint8(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if array.dtype.kind in "iu":
        return _wide_integers(array)
    if array.dtype.kind == "f":
        return _floats(array)
    raise BadImage(f"expected an array of uint8, uint16, bool or float, got {array.dtype}")


def _wide_integers(array: np.ndarray) -> np.ndarray:
    """0..255 stays; wider values are taken for 16 bits, as Pillow reads 16-bit grey files into 32-bit integers."""
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise BadImage(f"expected integers in 0..255 or 0..65535, got {low}..{high}")
    return array.astype(np.uint8) if high <= 255 else (array >> 8).astype(np.uint8)


def _floats(array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise BadImage("expected finite pixel values, got NaN or infinity")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255:
        raise BadImage(f"expected floats in 0..1 or 0..255, got {low:g}..{high:g}")
    scale = 255.0 if high <= 1 else 1.0
    return np.rint(array * scale).astype(np.uint8)
