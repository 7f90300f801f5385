"""Label map: a PNG for each photo, whose pixels hold the number of the mask they belong to.

    DST/masks/<key>.png     0 where there is no mask; grey, 8 bit up to 255 masks, else 16 bit
    DST/images/<key>.jpg    where photos are asked for

Read from `masks/`, or from all PNG files of a folder that has no such folder. VOC shares the PNG files.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from anymask.core.mask import Mask
from anymask.data.formats.contents import Contents, Notes
from anymask.data.formats.format import Capabilities, Format
from anymask.data.formats.json_files import FormatClues
from anymask.data.formats.photo_writer import PhotoWriter
from anymask.data.listing import Photos, find_photo, list_files, photos_by_stem, stem, with_suffix
from anymask.data.record import Blob, Record, annotation_of
from anymask.errors import BadImage, BadInput, mapped
from anymask.files import write_atomically
from anymask.settings import get_settings

Labels = NDArray[np.uint16]
LARGEST = 65_535
HIDDEN = "masks hidden whole under smaller ones, left out"
COVERED = "masks that lost pixels to smaller ones above them"
FOLDER = "masks"
TOO_MANY = f"masks beyond {LARGEST:,} of a photo left out"


def read(path: Path, notes: Notes, photo_folder: Path | None = None) -> Contents:
    """Raises BadInput when there is no PNG."""
    root = path / FOLDER if (path / FOLDER).is_dir() else path
    files = with_suffix(list_files(root), ".png")
    if not files:
        raise BadInput(f"expected PNG files of label numbers in {path}, found none")
    folders = [*filter(None, [photo_folder]), path / "images"]
    photos: dict[str, tuple[str, Blob]] = {}
    for folder in filter(Path.is_dir, folders[::-1]):
        photos |= photos_by_stem(list_files(folder))
    items = [(str(blob.path), (stem(name), blob)) for name, blob in files.items()]
    return Contents(notes.each(items, partial(_record, photos=photos)), len(items))


def _record(named: tuple[str, Blob], photos: Photos) -> Record:
    key, blob = named
    labels_HW = read_png(blob)
    name, photo = photos.get(key, (f"{key}.jpg", find_photo([blob.path.parent], [f"{key}.jpg"])))
    height, width = labels_HW.shape
    image = {"height": height, "width": width, "file_name": PurePosixPath(name).name}
    annotations = [annotation_of(number, mask) for number, mask in take_apart(labels_HW).items()]
    return Record(key, {"image": image, "annotations": annotations}, photo)


def write(contents: Contents, folder: Path, photos: PhotoWriter) -> None:
    """Raises StorageError."""
    for record in contents.records:
        with photos.notes.catching(record.key):
            masks = [mask for _, mask in record.drawn]
            photos.notes.changed(TOO_MANY, record.key, max(0, len(masks) - LARGEST))
            labels = paint_all(masks[:LARGEST], record, photos.notes)
            write_atomically(folder / FOLDER / f"{record.key}.png", png_of(labels))
            photos.write(record, folder / "images")


def paint(
    masks: Iterable[tuple[int, Mask]], size_hw: tuple[int, int], canvas: Labels | None = None
) -> Labels:
    """Every mask with its number, smaller ones on top of larger ones. Raises BadInput for a huge photo."""
    limit = get_settings().max_pixels
    if size_hw[0] * size_hw[1] > limit:
        raise BadInput(f"expected a photo of at most {limit:,} pixels, got {size_hw} (h, w)")
    labels = np.zeros(size_hw, np.uint16) if canvas is None else canvas
    for number, mask in sorted(masks, key=lambda numbered: -numbered[1].area):
        x0, y0, x1, y1 = mask.box_xyxy
        labels[y0:y1, x0:x1][mask.array_of_box()] = number
    return labels


def paint_all(masks: list[Mask], record: Record, notes: Notes, canvas: Labels | None = None) -> Labels:
    """The masks of a photo, numbered from 1; of those that lose pixels to others a note."""
    labels = paint(enumerate(masks, 1), record.size_hw, canvas)
    painted = take_apart(labels)
    for number, mask in enumerate(masks, 1):
        if number not in painted:
            notes.changed(HIDDEN, record.key)
        elif painted[number].area < mask.area:
            notes.changed(COVERED, record.key)
    return labels


def take_apart(labels_HW: NDArray[Any]) -> dict[int, Mask]:
    """The mask of every number but 0, in the order of the numbers."""
    flat = labels_HW.T.reshape(-1)  # column by column, as COCO counts
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    runs = np.stack([starts, np.append(starts[1:], flat.size)], axis=1)  # start and end of each
    order = np.argsort(flat[starts], kind="stable")
    numbers, first = np.unique(flat[starts][order], return_index=True)
    masks = {}
    for number, own in zip(numbers.tolist(), np.split(order, first[1:]), strict=True):
        if number != 0:
            counts = np.diff(runs[own].reshape(-1), prepend=0, append=flat.size)
            masks[number] = Mask.from_rle({"size": list(labels_HW.shape), "counts": counts})
    return masks


def png_of(labels_HW: Labels, palette: bytes | None = None, small: bool | None = None) -> bytes:
    """`small`: 8 bit, with the palette if there is one; 16 bit are grey. By default as the numbers need."""
    small = int(labels_HW.max()) <= 255 if small is None else small
    image = Image.fromarray(labels_HW.astype(np.uint8) if small else labels_HW)
    if small and palette is not None:
        image.putpalette(palette)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def read_png(blob: Blob, colours: Mapping[tuple[int, int, int], int] | None = None) -> NDArray[Any]:
    """Numbers H x W: grey values, indices of a palette or, where `colours` has them, numbers of colours.

    Raises BadImage.
    """
    return numbers_of(open_png(blob), blob, colours)


def open_png(blob: Blob) -> Image.Image:
    """Decoded. Raises BadImage."""
    with mapped(Exception, BadImage, f"{blob.path}: damaged or no PNG"):  # decoders raise nearly everything
        image = PngImageFile(io.BytesIO(blob.read()), "")  # Image.open has a pixel limit of its own
        limit, (width, height) = get_settings().max_pixels, image.size
        if not 0 < width * height <= limit:
            raise BadImage(f"{blob.path}: expected at most {limit:,} pixels, got {width} x {height}")
        image.load()
    return image


def numbers_of(
    image: Image.Image, blob: Blob, colours: Mapping[tuple[int, int, int], int] | None = None
) -> NDArray[Any]:
    """What `read_png` gives, of a PNG that is open. Raises BadImage."""
    if image.mode in ("RGB", "RGBA") and colours is not None:
        return _numbers_of_colours(np.asarray(image.convert("RGB")), colours, blob)
    if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise BadImage(f"{blob.path}: expected a PNG of label numbers (grey or palette), got {image.mode}")
    labels = np.asarray(image)
    return labels.astype(np.uint8) if labels.dtype == np.bool_ else labels


def _numbers_of_colours(
    rgb_HW3: NDArray[np.uint8], colours: Mapping[tuple[int, int, int], int], blob: Blob
) -> NDArray[Any]:
    codes_HW = np.dot(rgb_HW3.astype(np.uint32), np.array([1 << 16, 1 << 8, 1], np.uint32))
    found, places = np.unique(codes_HW, return_inverse=True)
    shown = [(code >> 16, code >> 8 & 255, code & 255) for code in found.tolist()]
    for colour in shown:
        if colour not in colours:
            raise BadImage(f"{blob.path}: the colour {colour} stands for nothing here")
    numbers = [colours[colour] for colour in shown]
    return np.array(numbers, np.uint8 if max(numbers) < 256 else np.uint16)[places].reshape(codes_HW.shape)


def _matches(clues: FormatClues) -> bool:
    names = [name.lower() for name in clues.names if not name.startswith("images/")]
    return bool(names) and ((clues.path / FOLDER).is_dir() or all(name.endswith(".png") for name in names))


KEPT = Capabilities(
    overlap=False, empty=False, boxes=False, categories=False, scores=False, crowd=False, ignore=False,
    photos=False,
)  # fmt: skip
LABEL_MAP = Format("label-map", KEPT, read, write, _matches)
