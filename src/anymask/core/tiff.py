"""Kinds of TIFF that Pillow does not know: float colours, many bits, many bands. Needs the `tiff` extra."""

from __future__ import annotations

from typing import IO, Any

from anymask.core.pixels import Pixels, rgb_from_array
from anymask.errors import BadImage

EXTRA = 'pip install "anymask[tiff]"'


def read_unusual_tiff(file: IO[bytes], name: str, limit: int) -> Pixels:
    """The first page, H x W x 3 uint8. Raises BadImage, also when the extra is not installed."""
    try:
        from tifffile import TiffFile
    except ImportError:
        raise BadImage(f"{name}: a kind of TIFF that needs {EXTRA}") from None
    try:
        page = TiffFile(file).pages.first
        height, width, samples = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
        if height * width * samples > 4 * limit:
            raise BadImage(f"{name}: expected at most {limit:,} pixels, got {width} x {height} x {samples}")
        array: Any = page.asarray()
        axes = str(page.axes)
    except BadImage:
        raise
    except Exception as error:  # as other decoders: nearly everything on damaged files
        raise BadImage(f"{name}: damaged or not an image: {' '.join(str(error).split())}") from error
    if axes == "SYX":
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        array = array[:, :, 0]  # more bands than colours: the first
    return rgb_from_array(array, name)
