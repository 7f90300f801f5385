"""Masks become supervision's Detections and come back the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from formats_of_readers import MASKS, drawn_records
from programs import reader

from anymask.core.mask import Mask
from anymask.data.record import Annotation, annotation_of
from anymask.errors import BadInput
from anymask.interop import from_supervision, to_supervision


def test_masks_categories_and_scores_go_there_and_back() -> None:
    supervision = reader("supervision")
    drawn = [Mask.from_array(mask) for mask in MASKS]
    fields = [annotation_of(n + 1, m, f"c{n % 2}", probability=n / 10) for n, m in enumerate(drawn)]
    detections = to_supervision([Annotation(one, MASKS[0].shape) for one in fields])
    assert isinstance(detections, supervision.Detections) and len(detections) == len(MASKS)
    assert np.array_equal(detections.mask, MASKS)
    assert np.array_equal(detections.xyxy, [m.box_xyxy for m in drawn])
    assert detections.class_id.tolist() == [0, 1, 0, 1, 0, 1]
    assert np.allclose(detections.confidence, [n / 10 for n in range(6)])
    confident = detections[detections.confidence > 0.25]  # supervision's own filter
    back = from_supervision(confident)
    assert [one.mask for one in back] == drawn[3:] and [one.category for one in back] == ["c1", "c0", "c1"]
    assert back[0].fields["score"] == pytest.approx(0.3)


def test_supervision_works_on_them(tmp_path: Path) -> None:
    supervision = reader("supervision")
    detections = to_supervision(Mask.from_array(mask) for mask in MASKS)
    assert detections.area.tolist() == [int(mask.sum()) for mask in MASKS]
    scene = np.zeros((*MASKS[0].shape, 3), np.uint8)
    assert (
        supervision.MaskAnnotator(color_lookup=supervision.ColorLookup.INDEX)
        .annotate(scene, detections)
        .any()
    )


def test_records_of_boxes_alone_and_nothing(tmp_path: Path) -> None:
    supervision = reader("supervision")
    record = drawn_records(tmp_path, masks=MASKS[:1])[0]
    with pytest.raises(BadInput, match="masks or boxes"):
        to_supervision(record)
    boxes = to_supervision(record.annotations[1:])
    assert boxes.mask is None and boxes.xyxy.tolist() == [[1.5, 2, 4.5, 6]]
    (back,) = from_supervision(boxes)
    assert back.box_xyxy == (1.5, 2, 4.5, 6) and back.mask is None and back.category == "box"
    assert to_supervision([]) == supervision.Detections.empty() and from_supervision(to_supervision([])) == []


def test_what_supervision_reads_of_coco_comes_back_with_the_names_of_its_classes() -> None:
    supervision = reader("supervision")
    detections = supervision.Detections(
        xyxy=np.array([[0, 0, 31, 24.0]]), mask=MASKS[3][None], class_id=np.array([1])
    )
    (one,) = from_supervision(detections, classes=["cat", "dog"])
    assert one.category == "dog" and one.mask == Mask.from_array(MASKS[3])
