"""TIFF: which page is the photo, how large it is; and the kinds that Pillow does not know.

Those (float colours, many bits, many bands) need the `tiff` extra.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import IO, Any

from anymask.core.resample import Pixels
from anymask.errors import BadImage, mapped
from anymask.images.pixels import rgb_from_measurements

SUBFILE_TYPE, WIDTH, HEIGHT, PHOTOMETRIC, ORIENTATION, SUB_PAGES = 254, 256, 257, 262, 274, 330
NODATA_TAG = 42113  # GDAL: the value of pixels that have none
RAW = (32803, 34892)  # what a sensor saw: to be developed first
PAGES = 64  # of a file that are looked at


@dataclass(frozen=True, slots=True)
class Page:
    """A page as its header describes it; `offset`: of that header in the file."""

    offset: int
    width: int
    height: int
    reduced: bool
    raw: bool
    orientation: int


def nodata_of(text: Any) -> float | None:
    """The number in the tag GDAL_NODATA."""
    try:
        return None if text is None else float(str(text).strip(" \0"))
    except ValueError:
        return None


def tiff_size(file: IO[bytes], name: str) -> tuple[int, int]:
    """Height and width of the page that is read, upright. Raises BadImage."""
    page, orientation, _ = _chosen(file, name)
    return (page.width, page.height) if orientation >= 5 else (page.height, page.width)


def full_page(file: IO[bytes], name: str) -> tuple[IO[bytes], int]:
    """The file, beginning with the page that is read, and the orientation of that page.

    Where the first page is a thumbnail (DNG, other camera files) it is the largest page.

    Raises BadImage for a camera raw without a picture of about its size.
    """
    try:
        page, orientation, is_first = _chosen(file, name)
    except RawPhoto:
        raise
    except BadImage:
        file.seek(0)
        return file, 1  # damaged: who reads it says how
    file.seek(0)
    if is_first:
        return file, orientation
    content = bytearray(file.read())
    order = "<" if content[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", content, 2)[0] == 43
    struct.pack_into(order + ("Q" if big else "L"), content, 8 if big else 4, page.offset)
    return io.BytesIO(content), orientation


class RawPhoto(BadImage):
    """What a sensor saw, with nothing to show but a thumbnail."""


def _chosen(file: IO[bytes], name: str) -> tuple[Page, int, bool]:
    """The page to read, its orientation, which the first may hold for it, and whether it is the first."""
    with mapped(Exception, BadImage, f"{name}: damaged or not an image"):  # Pillow raises much
        pages = _pages(file)
    if not pages:
        raise BadImage(f"{name}: damaged or not an image: no page with a size")
    first = pages[0]
    if not first.reduced and not first.raw:
        return first, first.orientation, True
    shown = [page for page in pages if not page.raw]
    best = max(shown, key=lambda page: page.width * page.height, default=None)
    raw = max((page.width for page in pages if page.raw), default=0)
    if best is None or 2 * best.width < raw:
        smaller = f", only a picture of {best.width} x {best.height}" if best else ""
        raise RawPhoto(f"{name}: a camera raw: expected it developed, as JPEG or TIFF{smaller}")
    return best, best.orientation if best.orientation != 1 else first.orientation, best is first


def _pages(file: IO[bytes]) -> list[Page]:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    file.seek(0)
    head = file.read(16)
    directory = ImageFileDirectory_v2(head if head[2:4] in (b"+\0", b"\0+") else head[:8])
    pages: list[Page] = []
    offsets, seen = [int(directory.next)], set[int]()
    while offsets and len(pages) < PAGES:
        offset = offsets.pop(0)
        if offset in seen or not offset:
            continue
        seen.add(offset)
        file.seek(offset)
        directory.load(file)
        tags = directory
        sub_pages = tags.get(SUB_PAGES) or ()
        offsets += [int(tags.next), *map(int, sub_pages if isinstance(sub_pages, tuple) else (sub_pages,))]
        if WIDTH in tags and HEIGHT in tags:
            pages.append(_page(offset, tags))
        if pages and not (pages[0].reduced or pages[0].raw):
            break  # the photo is the first page, however many follow
    return pages


def _page(offset: int, tags: Any) -> Page:
    orientation = tags.get(ORIENTATION, 1)
    return Page(
        offset,
        int(tags[WIDTH]),
        int(tags[HEIGHT]),
        bool(int(tags.get(SUBFILE_TYPE, 0)) & 1),
        tags.get(PHOTOMETRIC) in RAW,
        orientation if orientation in range(1, 9) else 1,
    )


def read_unusual_tiff(file: IO[bytes], name: str, limit: int) -> Pixels:
    """The first page, H x W x 3 uint8, as it is stored. Raises BadImage, also without the extra."""
    try:
        from tifffile import TiffFile
    except ImportError:
        raise BadImage(f'{name}: a kind of TIFF that needs pip install "anymask[tiff]"') from None
    with mapped(Exception, BadImage, f"{name}: damaged or not an image"):  # as other decoders, it raises much
        page = TiffFile(file).pages.first
        nodata = page.tags.get(NODATA_TAG)
        colours = _first_colours(page, name, limit)
        return rgb_from_measurements(colours, name, nodata_of(nodata and nodata.value))


def _first_colours(page: Any, name: str, limit: int) -> Any:
    """H x W, or H x W x 1, 3 or 4; of more bands than there are colours the first."""
    height, width, bands = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
    if height * width > limit or height * width * bands > 4 * limit:
        raise BadImage(f"{name}: expected at most {limit:,} pixels, got {width} x {height} of {bands} bands")
    array = page.asarray()
    if page.axes == "SYX":
        array = array.transpose(1, 2, 0)
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] not in (1, 3, 4) else array
