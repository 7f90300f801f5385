"""supervision and Datumaro read our VOC, and we read theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from formats_of_readers import MASKS, SIZE_HW, drawn_records, read_back, written
from programs import reader

from anymask.core.mask import Mask
from anymask.data.record import Record


def apart() -> list[np.ndarray]:
    """Masks that share no pixel: VOC keeps them whole."""
    rest, found = np.ones(SIZE_HW, bool), []
    for mask in sorted(MASKS[:5], key=np.sum):
        found.append(mask & rest)
        rest &= ~mask
    return [mask for mask in found if mask.any()]


def box_of(mask: np.ndarray) -> list[float]:
    return list(Mask.from_array(mask).box_xyxy)


def test_supervision_sees_every_object_with_its_box_and_class(tmp_path: Path) -> None:
    supervision = reader("supervision")
    masks = apart()
    path = written(tmp_path, "voc", drawn_records(tmp_path / "src", masks))
    dataset = supervision.DetectionDataset.from_pascal_voc(
        str(path / "JPEGImages"), str(path / "Annotations")
    )
    assert len(dataset) == 2
    for _, _, found in dataset:
        assert [dataset.classes[n] for n in found.class_id] == [*(f"c{n}" for n in range(len(masks))), "box"]
        assert np.array_equal(found.xyxy, [*map(box_of, masks), [1.5, 2, 4.5, 6]])


def test_masks_that_supervision_writes_as_outlines(tmp_path: Path) -> None:
    supervision = reader("supervision")
    y, x = np.ogrid[: SIZE_HW[0], : SIZE_HW[1]]
    masks = [np.hypot(y - 11, x - 14) < 8, (y > 3) & (y < 9) & (x > 20) & (x < 29)]
    path = written(tmp_path, "coco", drawn_records(tmp_path / "src", masks, box=False))
    dataset = supervision.DetectionDataset.from_coco(
        str(path / "images"), str(path / "annotations.json"), force_masks=True
    )
    theirs = tmp_path / "theirs"
    dataset.as_pascal_voc(str(theirs / "images"), str(theirs / "annotations"), approximation_percentage=0)
    again = supervision.DetectionDataset.from_pascal_voc(
        str(theirs / "images"), str(theirs / "annotations"), force_masks=True
    )
    back, notes = read_back(theirs, "voc")
    assert [one.blob.exists for one in back] == [True, True] and not notes.changes
    by_stem = {Path(name).stem: found for name, _, found in again}
    for one in back:
        expected = by_stem[Path(one.key).name]
        assert np.array_equal([a.mask.to_array() for a in one.annotations if a.mask], expected.mask)
        assert [a.category for a in one.annotations] == [again.classes[n] for n in expected.class_id]
        assert np.array_equal(expected.mask, masks)


def pixels(records: list[Record]) -> list[set[tuple[str | None, bytes]]]:
    return [
        {(a.category, a.mask.to_array().tobytes()) for a in one.annotations if a.mask is not None}
        for one in records
    ]


def test_datumaro_reads_the_same_masks_classes_and_boxes(tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    masks = apart()
    path = written(tmp_path, "voc", drawn_records(tmp_path / "src", masks))
    dataset = datumaro.Dataset.import_from(str(path), "voc_segmentation")
    labels = dataset.categories()[datumaro.AnnotationType.label]
    expected = {(f"c{n}", mask.tobytes()) for n, mask in enumerate(masks)}
    assert len(dataset) == 2
    for item in dataset:
        drawn = [one for one in item.annotations if one.type.name == "mask"]
        assert {(labels[one.label].name, np.array(one.image, bool).tobytes()) for one in drawn} == expected
        assert item.media.size == SIZE_HW


def test_datumaro_takes_names_that_a_line_cannot_hold(tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    records = drawn_records(tmp_path / "src", apart()[:4], box=False)
    for one in records:
        for annotation, name in zip(
            one.fields["annotations"], ("#1 bolt", "a:b", " c", "background"), strict=True
        ):
            annotation["category"] = name
    dataset = datumaro.Dataset.import_from(str(written(tmp_path, "voc", records)), "voc_segmentation")
    names = [one.name for one in dataset.categories()[datumaro.AnnotationType.label]]
    assert names == ["background", "%231 bolt", "a%3Ab", "%20c", "%62ackground"]
    assert all(len(item.annotations) == 4 for item in dataset)


@pytest.mark.parametrize("label_map", ["source", "voc"])
@pytest.mark.parametrize("kind", ["voc_segmentation", "voc"])
def test_what_datumaro_writes(kind: str, label_map: str, tmp_path: Path) -> None:
    datumaro = reader("datumaro")
    masks = apart()
    records = drawn_records(tmp_path / "src", masks, box=False)
    if label_map == "voc":
        for one in records:
            for annotation, name in zip(
                one.fields["annotations"], ("cat", "dog", "cow", "car", "bus"), strict=False
            ):
                annotation["category"] = name
    dataset = datumaro.Dataset.import_from(str(written(tmp_path, "datumaro", records)), "datumaro")
    dataset.export(str(tmp_path / "theirs"), kind, save_media=True, label_map=label_map)
    back, notes = read_back(tmp_path / "theirs", "voc")
    assert pixels(back) == pixels(records) and not notes.changes
    assert all(one.blob.exists for one in back)
