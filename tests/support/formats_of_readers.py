"""Two photos with masks of every kind, written in a format: what other programs are asked to read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.record import Blob, Record, annotation_of, box_annotation

SIZE_HW = (24, 31)


def _masks() -> list[np.ndarray]:
    y, x = np.ogrid[: SIZE_HW[0], : SIZE_HW[1]]
    distance = np.hypot(y - 11, x - 14)
    ring = (distance < 9) & (distance > 4)
    parts = np.zeros(SIZE_HW, bool)
    parts[1:4, 2:9] = parts[10:12, 20:31] = parts[23, 0] = True
    noise = np.random.default_rng(3).random(SIZE_HW) < 0.4
    pixel = np.zeros(SIZE_HW, bool)
    pixel[7, 30] = True
    return [distance < 10, ring, parts, noise, pixel, np.ones(SIZE_HW, bool)]


MASKS = _masks()


def drawn_records(
    folder: Path, masks: Sequence[np.ndarray] = MASKS, box: bool = True, suffix: str = "png"
) -> list[Record]:
    """Their categories are c0, c1, ...; the box is one of `box`."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.new("RGB", masks[0].shape[::-1], (90, 120, 200)).save(buffer, "JPEG" if suffix == "jpg" else suffix)
    height, width = masks[0].shape
    records = []
    for key in ("a", "b"):
        (folder / f"{key}.{suffix}").write_bytes(buffer.getvalue())
        image = {"height": height, "width": width, "file_name": f"{key}.{suffix}"}
        found = [annotation_of(n + 1, Mask.from_array(m), f"c{n}") for n, m in enumerate(masks)]
        found += [box_annotation(len(masks) + 1, (1.5, 2, 3, 4), "box")] if box else []
        records.append(Record(key, {"image": image, "annotations": found}, Blob(folder / f"{key}.{suffix}")))
    return records


def written(folder: Path, name: str, records: Sequence[Record] | None = None, into: str = "dst") -> Path:
    notes = formats.Notes()
    records = drawn_records(folder / "src") if records is None else records
    contents = formats.Contents(records, len(records))
    formats.write(contents, folder / into, notes, format_name=name, photos="copy")
    assert not notes.failures
    return folder / into


def read_back(path: Path, name: str) -> tuple[list[Record], formats.Notes]:
    notes = formats.Notes()
    records = list(formats.read(path, notes, format_name=name).records)
    assert not notes.failures
    return records, notes
