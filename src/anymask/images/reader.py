"""read_image: from what people have to H x W x 3 uint8 RGB, upright.

Pixels are converted in strips, so that a large photo is in memory twice at most: decoded, and as the result.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from anymask.core.resample import Pixels, strips
from anymask.errors import BadImage, BadInput, mapped
from anymask.files import check_regular
from anymask.images.pixels import composited, rgb_from_array, rgb_from_measurements
from anymask.images.tiff import NODATA_TAG, full_page, nodata_of, read_unusual_tiff, tiff_size

if TYPE_CHECKING:
    from PIL import Image

FORMATS = "JPEG, PNG, WebP, TIFF, GIF or BMP"
ORIENTATION_TAG = 0x0112
QUIET = logging.NullHandler()
PILLOW = r"PIL\.(Image|TiffImagePlugin)$"
PILLOW_PIXELS = 89_000_000  # from about here on Pillow warns of large images

SIGNATURES = {
    b"\xff\xd8\xff": "Jpeg", b"\x89PNG\r\n\x1a\n": "Png", b"RIFF": "WebP", b"GIF8": "Gif", b"BM": "Bmp",
    b"II*\0": "Tiff", b"MM\0*": "Tiff", b"II+\0": "Tiff", b"MM\0+": "Tiff",
}  # fmt: skip


def read_image(source: Any, *, max_pixels: int | None = None) -> Pixels:
    """H x W x 3 uint8 RGB, C-contiguous, turned upright as its EXIF orientation says.

    `source`: a path, the bytes of a file, a binary file object, a PIL image or an array (H x W, or
    H x W x 1, 3 or 4; `pixels.to_uint8` has the ranges). Of animations and multi-page files the first frame.
    Transparent pixels are laid over white. Colour profiles are not applied. An array that needs no change is
    returned as it is.

    `max_pixels`: larger images are refused from what their header says; ANYMASK_MAX_PIXELS unless given.
    Raises BadImage.
    """
    limit = _default_limit() if max_pixels is None else max_pixels
    if isinstance(source, str | os.PathLike):
        return _read_path(Path(source), limit)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read_file(io.BytesIO(source), "image bytes", limit)
    if hasattr(source, "read"):
        return _read_stream(source, limit)
    if hasattr(source, "getexif"):
        return _from_pillow(source, "image", limit)
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        return _from_array(np.asarray(source), limit)
    expected = "a path, bytes, a file object, a PIL image or an array"
    raise BadImage(f"image: expected {expected}, got {type(source).__name__}")


def read_reduced(content: bytes, side: int) -> Pixels:
    """The image of a file, reduced while it is decoded where its format can (JPEG: by 2, 4 or 8), so that a
    large photo is shown soon; the longer side stays at least `side`. Raises BadImage.
    """
    if _format(content[:16], "image bytes") != "Jpeg":
        return read_image(content)
    with io.BytesIO(content) as file:
        image = _open(file, "image bytes", "Jpeg")
        _check_size(image.size, "image bytes", _default_limit())
        scale = min(1.0, side / max(image.size))
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        return _from_pillow(image, "image bytes", _default_limit())


def read_over_black(path: str | os.PathLike[str]) -> Pixels:
    """The same, with transparent pixels laid over black: together with `read_image`, their transparency."""
    return _read_path(Path(path), _default_limit(), backdrop=0)


def image_size(source: str | os.PathLike[str] | bytes, *, max_pixels: int | None = None) -> tuple[int, int]:
    """Height and width of the upright image in a file or its bytes, from its header. Raises BadImage."""
    name = "image bytes" if isinstance(source, bytes) else str(source)
    with io.BytesIO(source) if isinstance(source, bytes) else _opened(Path(source)) as file:
        format_name = _format(file.read(16), name)
        if format_name == "Tiff":
            _silence(UserWarning)
            height, width = tiff_size(file, name)
        else:
            image = _open(file, name, format_name)
            height, width = _upright_size(image)
        _check_size((width, height), name, _default_limit() if max_pixels is None else max_pixels)
        return height, width


def image_format(head: bytes, name: str = "image bytes") -> str:
    """Of a file by its first 16 bytes: Jpeg, Png, WebP, Gif, Bmp or Tiff. Raises BadImage."""
    return _format(head, name)


def content_hash(pixels_HW3: Pixels) -> str:
    """SHA-256 of shape and pixels, hexadecimal: the same for the same image, whatever file it came from."""
    digest = hashlib.sha256(repr(pixels_HW3.shape).encode())
    digest.update(np.ascontiguousarray(pixels_HW3).data)
    return digest.hexdigest()


def _default_limit() -> int:
    from anymask.settings import get_settings

    return get_settings().max_pixels


def _check_size(size: tuple[int, int], name: str, limit: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadImage(f"{name}: expected at least one pixel, got {width} x {height}")
    if width * height > limit:
        raise BadImage(
            f"{name}: expected at most {limit:,} pixels (set by ANYMASK_MAX_PIXELS), got {width} x {height}"
        )


def _from_array(array: Any, limit: int) -> Pixels:
    if array.ndim >= 2:
        height, width = array.shape[:2]
        _check_size((max(width, 1), max(height, 1)), "array", limit)
    return rgb_from_array(array, "array")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A regular file. Raises BadImage."""
    with mapped((OSError, ValueError), BadImage, f"{str(path)!r} cannot be opened"):  # null: ValueError
        try:
            check_regular(path)
            file = path.open("rb")
        except FileNotFoundError:
            raise BadImage(f"{path}: no such file") from None
        except BadInput as error:
            raise BadImage(str(error)) from None
        with file:
            yield file


def _read_path(path: Path, limit: int, backdrop: int = 255) -> Pixels:
    with _opened(path) as file:
        return _read_file(file, str(path), limit, backdrop)


def _read_stream(stream: Any, limit: int) -> Pixels:
    with mapped((OSError, ValueError), BadImage, "image file object cannot be read"):
        content = stream.read()
    if not isinstance(content, bytes):
        kind = type(content).__name__
        raise BadImage(f"image file object: expected bytes, got {kind}; open it in binary mode")
    return _read_file(io.BytesIO(content), "image file object", limit)


def _read_file(file: IO[bytes], name: str, limit: int, backdrop: int = 255) -> Pixels:
    head = file.read(16)
    if not head:
        raise BadImage(f"{name}: expected an image, got an empty file")
    format_name = _format(head, name)
    turned = 1
    if format_name == "Tiff":
        _silence(UserWarning)
        file, turned = full_page(file, name)
    try:
        image = _open(file, name, format_name)
    except BadImage as error:
        why = str(error.__cause__)
        if format_name == "Tiff" and ("pixel mode" in why or "samples per pixel" in why):
            file.seek(0)
            rgb_HW3 = read_unusual_tiff(file, name, limit)
            return _turned(rgb_HW3, turned)
        raise
    if turned != 1 and _orientation(image) != 1:
        turned = 1  # the page says it itself
    return _turned(_from_pillow(image, name, limit, backdrop), turned)


def _turned(stored_HW3: Pixels, orientation: int) -> Pixels:
    """Upright, of pixels as they are stored."""
    if orientation == 1:
        return stored_HW3
    height, width = stored_HW3.shape[:2]
    upright_HW3 = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    _as_stored(upright_HW3, orientation)[...] = stored_HW3
    return upright_HW3


def _open(file: IO[bytes], name: str, format_name: str) -> Image.Image:
    """The header only. Raises BadImage."""
    file.seek(0)
    _silence(UserWarning)
    with mapped(Exception, BadImage, f"{name}: damaged or not an image"):
        module = import_module(f"PIL.{format_name}ImagePlugin")
        # Not Image.open: its own, process-wide pixel limit would warn before ours is asked.
        image: Image.Image = getattr(module, f"{format_name}ImageFile")(file, "")
    return image


def _format(head: bytes, name: str) -> str:
    for signature, format_name in SIGNATURES.items():
        if head.startswith(signature) and (format_name != "WebP" or head[8:12] == b"WEBP"):
            return format_name
    raise BadImage(f"{name}: expected {FORMATS}, got {_what_it_seems(head)}")


def _what_it_seems(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "HEIC, AVIF or a video"
    if head.startswith(b"%PDF"):
        return "a PDF"
    if head.lstrip().startswith((b"<", b"{")):
        return "text (a web page or a data file)"
    start = head[:8].decode("latin-1")
    readable = start.isascii() and start.isprintable()
    return f"a file that begins with {repr(start) if readable else 'bytes ' + head[:8].hex(' ')}"


def _silence(category: type[Warning]) -> None:
    """No such warnings from Pillow: corrupt metadata does not matter here; for pixels there are errors.

    A narrow filter that stays, because swapping filters for each call is not safe between threads.
    """
    if not any(f[2] is category and f[3] == re.compile(PILLOW) for f in warnings.filters):
        warnings.filterwarnings("ignore", category=category, module=PILLOW)
    for name in ("PIL", "tifffile"):  # what they log goes where the application sends it, not to the terminal
        logging.getLogger(name).addHandler(QUIET)


def _from_pillow(image: Image.Image, name: str, limit: int, backdrop: int = 255) -> Pixels:
    from PIL.Image import DecompressionBombWarning

    _silence(UserWarning)
    # Decoders raise nearly everything on damaged files, and sizes may be any type a file can name.
    with mapped(Exception, BadImage, f"{name}: damaged or not an image"):
        _check_size(image.size, name, limit)
        if image.width * image.height > PILLOW_PIXELS:
            _silence(DecompressionBombWarning)  # the limit that counts here has been checked
        _check_strips(image, name)
        nodata = nodata_of(getattr(image, "tag_v2", {}).get(NODATA_TAG))
        image.load()  # turns a TIFF upright
        rgb_HW3 = np.empty((*_upright_size(image), 3), np.uint8)
        _fill(_as_stored(rgb_HW3, _orientation(image)), image, name, nodata, backdrop)
        return rgb_HW3


def _check_strips(image: Image.Image, name: str) -> None:
    """Pillow leaves black what no strip of a TIFF file covers."""
    tiles = getattr(image, "tile", [])
    covered = sum((x1 - x0) * (y1 - y0) for _, (x0, y0, x1, y1), *_ in tiles)
    if image.format == "TIFF" and tiles and covered < image.width * image.height:
        expected = f"{image.width} x {image.height}"
        raise BadImage(f"{name}: damaged: expected {expected} pixels, its strips hold {covered}")


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Of a header, of any format but TIFF, or of an image that is loaded."""
    width, height = image.size
    return (width, height) if _orientation(image) >= 5 else (height, width)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # corrupt metadata of a photo that may be fine
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _as_stored(upright_HW3: Pixels, orientation: int) -> Pixels:
    """A view of the upright pixels in the order in which the file stores them (EXIF tag Orientation)."""
    stored = upright_HW3.transpose(1, 0, 2) if orientation >= 5 else upright_HW3
    flip_rows, flip_columns = orientation in (3, 4, 6, 7), orientation in (2, 3, 7, 8)
    return stored[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def _fill(stored_HW3: Pixels, image: Image.Image, name: str, nodata: float | None, backdrop: int) -> None:
    """Writes the pixels of a loaded image into `stored_HW3`."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        stored_HW3[...] = rgb_from_measurements(np.asarray(image), name, nodata)
        return
    height, width = stored_HW3.shape[:2]
    mode = "RGBA" if image.has_transparency_data else "RGB"
    for rows in strips(height, width):
        strip = np.asarray(image.crop((0, rows.start, width, rows.stop)).convert(mode))
        stored_HW3[rows] = composited(strip, backdrop) if mode == "RGBA" else strip
