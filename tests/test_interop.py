"""Masks as values of other programs, without those programs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from anymask.core.mask import Mask
from anymask.errors import BadInput
from anymask.interop import from_image, from_supervision, to_image

NOISE = np.random.default_rng(2).random((9, 14)) < 0.5


def test_images_of_pil_there_and_back() -> None:
    mask = Mask.from_array(NOISE)
    image = to_image(mask)
    assert image.mode == "L" and image.size == (14, 9) and image.getextrema() == (0, 255)
    for mode in ("1", "L", "RGB", "RGBA", "LA", "I"):
        assert from_image(image.convert(mode)) == mask
    assert from_image(Image.new("RGBA", (3, 2), (0, 0, 0, 255))).is_empty


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_coco_tools_take_run_lengths_as_they_are() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    mask = Mask.from_array(NOISE)
    assert np.array_equal(coco.decode(mask.rle), NOISE)
    assert Mask.from_rle(coco.encode(np.asfortranarray(NOISE.astype(np.uint8)))) == mask


def test_anything_with_the_attributes_of_detections_is_read() -> None:
    detections = SimpleNamespace(xyxy=[[0, 0, 14, 9]], mask=[NOISE], confidence=[0.5], class_id=[7], data={})
    (one,) = from_supervision(detections)
    assert one.mask == Mask.from_array(NOISE) and one.category == "7" and one.fields["score"] == 0.5
    with pytest.raises(BadInput, match="expected supervision's Detections, got dict"):
        from_supervision({"xyxy": 1})
