"""What datumaro and supervision read of our COCO files, and what we read of theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from programs import reader

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.record import Blob, Record, annotation_of

SIZE_HW = (24, 31)


def masks_of_a_photo() -> list[Mask]:
    """A disk, a ring, three parts, noise and a single pixel."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    far = np.hypot(x - 15, y - 12)
    parts = np.zeros(SIZE_HW, bool)
    parts[1:4, 1:5] = parts[10:12, 20:30] = parts[20:, 3:9] = True
    noise = np.random.default_rng(0).random(SIZE_HW) < 0.3
    pixel = np.zeros(SIZE_HW, bool)
    pixel[7, 9] = True
    return [Mask.from_array(one) for one in (far < 8, (far < 10) & (far > 5), parts, noise, pixel)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    Image.new("RGB", SIZE_HW[::-1]).save(tmp_path / "a.png")
    annotations = [annotation_of(n, mask, "thing") for n, mask in enumerate(masks_of_a_photo(), 1)]
    image = {"image_id": 1, "height": SIZE_HW[0], "width": SIZE_HW[1], "file_name": "a.png"}
    record = Record("a", {"image": image, "annotations": annotations}, Blob(tmp_path / "a.png"))
    contents = formats.Contents([record], 1)
    formats.write(contents, tmp_path / "dst", formats.Notes(), format_name="coco-cvat", photos="copy")
    return tmp_path / "dst"


def arrays_of(item: object) -> list[np.ndarray]:
    return [
        np.asarray(one.image, bool) for one in item.annotations if type(one).__name__ in ("Mask", "RleMask")
    ]  # type: ignore[attr-defined]


def test_datumaro_reads_every_mask(written: Path) -> None:
    datumaro = reader("datumaro")
    (item,) = datumaro.Dataset.import_from(str(written), "coco")
    ours = [mask.to_array() for mask in masks_of_a_photo()]
    theirs = arrays_of(item)
    assert len(theirs) == len(ours)
    assert all(any((one == other).all() for other in theirs) for one in ours)


def test_every_mask_that_datumaro_exports_is_read(tmp_path: Path) -> None:
    """It marks each mask that it writes as run lengths as a crowd."""
    datumaro = reader("datumaro")
    photo = datumaro.Image.from_numpy(np.zeros((*SIZE_HW, 3), np.uint8))
    drawn = [
        datumaro.Mask(mask.to_array(), label=0, id=number, group=number)
        for number, mask in enumerate(masks_of_a_photo(), 1)
    ]
    item = datumaro.DatasetItem("a", media=photo, annotations=drawn)
    data = datumaro.Dataset.from_iterable([item], categories=["thing"])
    data.export(str(tmp_path / "theirs"), "coco_instances", save_media=True)
    notes = formats.Notes()
    (record,) = formats.read(tmp_path / "theirs", notes, format_name="coco").records
    assert record.blob.exists and not notes.failures
    assert {one.mask for one in record.annotations} == set(masks_of_a_photo())


def test_supervision_reads_every_mask(written: Path) -> None:
    supervision = reader("supervision")
    data = supervision.DetectionDataset.from_coco(
        str(written / "images" / "default"),
        str(written / "annotations" / "instances_default.json"),
        force_masks=True,
    )
    ((_, _, found),) = data
    ours = [mask.to_array() for mask in masks_of_a_photo()]
    assert [bool((a == b).all()) for a, b in zip(found.mask, ours, strict=True)] == [True] * len(ours)


def test_datumaro_and_we_read_the_same_segments(tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    apart = [np.zeros(SIZE_HW, bool) for _ in range(3)]
    apart[0][2:9, 3:12] = apart[1][12:20, 5:9] = apart[2][15:23, 20:30] = True
    apart[0][4:6, 5:8] = False  # a hole
    Image.new("RGB", SIZE_HW[::-1]).save(tmp_path / "a.png")
    annotations = [annotation_of(n, Mask.from_array(mask), "thing") for n, mask in enumerate(apart, 1)]
    image = {"image_id": 1, "height": SIZE_HW[0], "width": SIZE_HW[1], "file_name": "a.png"}
    record = Record("a", {"image": image, "annotations": annotations}, Blob(tmp_path / "a.png"))
    formats.write(
        formats.Contents([record], 1),
        tmp_path / "dst",
        formats.Notes(),
        format_name="panoptic",
        photos="copy",
    )
    (item,) = datumaro.Dataset.import_from(str(tmp_path / "dst"), "coco_panoptic")
    assert [bool((a == b).all()) for a, b in zip(arrays_of(item), apart, strict=True)] == [True] * 3
    data = datumaro.Dataset.import_from(str(tmp_path / "dst"), "coco_panoptic")
    data.export(str(tmp_path / "theirs"), "coco_panoptic", save_media=True)
    (back,) = formats.read(tmp_path / "theirs", formats.Notes(), format_name="panoptic").records
    assert [one.mask for one in back.annotations] == [Mask.from_array(one) for one in apart]
    assert back.blob.exists
