"""What the tests of formats share: masks, records, and a call that writes and reads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.record import Blob, Record

NAMES = [name for name, one in formats.FORMATS.items() if one.readable]
LOSSLESS = [name for name in NAMES if formats.FORMATS[name].capabilities.overlap]
LABEL_IMAGES = [name for name, one in formats.FORMATS.items() if not one.capabilities.overlap]
FEW_CLASSES = ["cityscapes"]


def png(size_hw: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size_hw[::-1], (90, 120, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def record(
    folder: Path, key: str, masks: Sequence[np.ndarray | Mask], size_hw: tuple[int, int], **more: Any
) -> Record:
    """A record with a photo on disk; the categories of its masks are c0, c1, ..."""
    photo = folder / f"{key}.png"
    photo.parent.mkdir(parents=True, exist_ok=True)
    photo.write_bytes(png(size_hw))
    made = [one if isinstance(one, Mask) else Mask.from_array(one) for one in masks]
    annotations = [
        {"id": n + 1, "segmentation": m.rle, "bbox": list(m.bbox_xywh), "area": m.area, "category": f"c{n}"}
        for n, m in enumerate(made)
    ]
    image = {"image_id": 7, "height": size_hw[0], "width": size_hw[1], "file_name": photo.name}
    return Record(key, {"image": image, "annotations": annotations, **more}, Blob(photo))


def there_and_back(
    records: Sequence[Record], folder: Path, name: str, notes: formats.Notes | None = None
) -> list[Record]:
    """Written into `folder` and read from it; what was written is found out, not told."""
    notes = notes or formats.Notes()
    formats.write(formats.Contents(records, len(records)), folder, notes, format_name=name)
    found = formats.detect(folder).name
    assert found == {"coco-polygon": "coco", "coco-cvat": "coco", "webdataset": "sa1b"}.get(name, name)
    back = list(formats.read(folder, notes, format_name=name).records)
    assert not notes.failures
    return back


def masks_of(record: Record) -> list[Mask]:
    masks = [one.mask for one in record.annotations]
    assert all(mask is not None for mask in masks)
    return [mask for mask in masks if mask is not None]


@st.composite
def photos_with_masks(draw: st.DrawFn, apart: bool = False) -> tuple[tuple[int, int], list[np.ndarray]]:
    """A size and masks that have pixels: noise, so holes, many pieces and diagonal neighbours. `apart`: no
    pixel is in two of them.
    """
    size_hw = draw(st.tuples(st.integers(1, 18), st.integers(1, 18)))
    masks = draw(st.lists(arrays(np.bool_, size_hw), min_size=1, max_size=4))
    if apart:
        taken = np.zeros(size_hw, bool)
        for place, mask in enumerate(masks):
            masks[place] = mask & ~taken
            taken |= mask
    return size_hw, [mask for mask in masks if mask.any()]
