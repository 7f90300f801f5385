"""Datumaro reads our CVAT XML, and we read what it writes: the same pixels."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from formats_of_readers import MASKS, drawn_records, read_back, written
from programs import reader

from anymask.core.mask import Mask


def test_datumaro_reads_the_same_masks_labels_and_boxes(tmp_path: Path) -> None:
    dataset = reader("datumaro").Dataset.import_from(str(written(tmp_path, "cvat")), "cvat")
    labels = dataset.categories()[reader("datumaro").AnnotationType.label]
    assert len(dataset) == 2
    for item in dataset:
        masks = [one for one in item.annotations if one.type.name == "mask"]
        boxes = [one for one in item.annotations if one.type.name == "bbox"]
        assert [labels[one.label].name for one in masks] == [f"c{n}" for n in range(len(MASKS))]
        assert all(np.array_equal(one.image, mask) for one, mask in zip(masks, MASKS, strict=True))
        assert [tuple(one.get_bbox()) for one in boxes] == [(1.5, 2, 3, 4)]
        assert item.media.size == MASKS[0].shape


def test_what_datumaro_writes_is_read_as_the_same_masks(tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    dataset = datumaro.Dataset.import_from(str(written(tmp_path, "cvat")), "cvat")
    dataset.export(str(tmp_path / "theirs"), "cvat", save_media=True)
    back, _ = read_back(tmp_path / "theirs", "cvat")
    assert [[one.mask for one in r.annotations if one.mask] for r in back] == [
        [one.mask for one in r.annotations if one.mask] for r in drawn_records(tmp_path / "again")
    ]


def test_polygons_are_filled_as_datumaro_fills_them(tmp_path: Path) -> None:
    """Also those with corners between pixels, in quarters: datumaro keeps 32 bits of each number."""
    datumaro = reader("datumaro")
    rng = np.random.default_rng(5)
    path = written(tmp_path, "cvat")
    tree = ElementTree.parse(path / "annotations.xml")
    for image in tree.iter("image"):
        image[:] = []
        for _ in range(20):
            points = ";".join(f"{x},{y}" for x, y in rng.integers(0, 80, (7, 2)) / 4)
            ElementTree.SubElement(image, "polygon", label="c0", points=points, z_order="0", occluded="0")
    tree.write(path / "annotations.xml")
    rles_to_mask = reader("datumaro.util.mask_tools").rles_to_mask
    back, _ = read_back(path, "cvat")
    same = 0
    for record, item in zip(back, datumaro.Dataset.import_from(str(path), "cvat"), strict=True):
        for ours, theirs in zip(record.annotations, item.annotations, strict=True):
            expected = rles_to_mask([theirs.points], *record.size_hw[::-1])
            assert ours.mask == Mask.from_array(expected)
            same += 1
    assert same == 40


def test_a_labelme_folder_becomes_cvat_that_datumaro_reads(tmp_path: Path) -> None:
    labelme = written(tmp_path, "labelme")
    records, _ = read_back(labelme, "labelme")
    path = written(tmp_path, "cvat", records=records, into="corrected")
    dataset = reader("datumaro").Dataset.import_from(str(path), "cvat")
    for record, item in zip(records, dataset, strict=True):
        masks = [one.image for one in item.annotations if one.type.name == "mask"]
        expected = [one.mask.to_array() for one in record.annotations if one.mask is not None]
        assert len(masks) == len(expected) and all(map(np.array_equal, masks, expected))
