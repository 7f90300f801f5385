"""Datumaro reads our Datumaro JSON, and we read what it writes: the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from formats_of_readers import MASKS, drawn_records, read_back, written
from programs import reader


def test_datumaro_reads_the_same_masks_labels_and_boxes(tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    path = written(tmp_path, "datumaro")
    assert datumaro.Environment().detect_dataset(str(path)) == ["datumaro"]
    dataset = datumaro.Dataset.import_from(str(path), "datumaro")
    labels = dataset.categories()[datumaro.AnnotationType.label]
    assert len(dataset) == 2
    for item in dataset:
        masks = [one for one in item.annotations if one.type.name == "mask"]
        boxes = [one for one in item.annotations if one.type.name == "bbox"]
        assert [labels[one.label].name for one in masks] == [f"c{n}" for n in range(len(MASKS))]
        assert all(np.array_equal(one.image, mask) for one, mask in zip(masks, MASKS, strict=True))
        assert [tuple(one.get_bbox()) for one in boxes] == [(1.5, 2, 3, 4)]
        assert item.media.size == MASKS[0].shape and item.media.data.shape == (*MASKS[0].shape, 3)


def test_what_datumaro_writes_is_read_as_the_same_masks(tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    dataset = datumaro.Dataset.import_from(str(written(tmp_path, "datumaro")), "datumaro")
    dataset.export(str(tmp_path / "theirs"), "datumaro", save_media=True)
    back, notes = read_back(tmp_path / "theirs", "datumaro")
    expected = [[one.mask for one in r.annotations] for r in drawn_records(tmp_path / "again")]
    assert [[one.mask for one in r.annotations] for r in back] == expected
    assert all(one.blob.exists for one in back) and not notes.changes
