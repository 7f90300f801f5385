"""Kinds of TIFF that Pillow does not know: float colours, many bits, many bands. Needs the `tiff` extra."""

from __future__ import annotations

from typing import IO, Any

from anymask.core.resample import Pixels
from anymask.errors import BadImage, mapped
from anymask.images.pixels import rgb_from_array


def read_unusual_tiff(file: IO[bytes], name: str, limit: int) -> Pixels:
    """The first page, H x W x 3 uint8. Raises BadImage, also when the extra is not installed."""
    try:
        from tifffile import TiffFile
    except ImportError:
        raise BadImage(f'{name}: a kind of TIFF that needs pip install "anymask[tiff]"') from None
    with mapped(Exception, BadImage, f"{name}: damaged or not an image"):  # as other decoders, it raises much
        return rgb_from_array(_first_colours(TiffFile(file).pages.first, name, limit), name)


def _first_colours(page: Any, name: str, limit: int) -> Any:
    """H x W, or H x W x 1, 3 or 4; of more bands than there are colours the first."""
    height, width, bands = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
    if height * width > limit or height * width * bands > 4 * limit:
        raise BadImage(f"{name}: expected at most {limit:,} pixels, got {width} x {height} of {bands} bands")
    array = page.asarray()
    if page.axes == "SYX":
        array = array.transpose(1, 2, 0)
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] not in (1, 3, 4) else array
