"""Masks to and from values of other programs: supervision and PIL, which are imported when asked for.

The COCO tools take `mask.rle` as it is, and `Mask.from_rle` takes theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import Candidate
from anymask.core.mask import Mask
from anymask.data.formats.shapes import confidence_of
from anymask.data.record import Annotation, Record, annotation_of, box_annotation
from anymask.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from PIL.Image import Image

CLASS_NAME = "class_name"  # where supervision keeps names of classes
DETECTIONS = ("xyxy", "mask", "confidence", "class_id")
MaskLike = Mask | AutomaticMask | Candidate | Annotation


def to_supervision(found: Record | Iterable[MaskLike], classes: Sequence[str] = ()) -> Any:
    """`supervision.Detections` of masks, automatic masks, candidates, annotations or a record.

    `classes`: names whose places are the `class_id`; further ones follow in the order they are met.
    `confidence` is the probability (else the predicted IoU, or the score) and is left out where one has none.
    Raises BadInput for masks and boxes alone in one call, and MissingExtra without supervision.
    """
    try:
        from supervision import Detections
    except ImportError:
        raise MissingExtra("supervision is not installed: pip install supervision") from None
    parts = list(found.annotations if isinstance(found, Record) else found)
    if not parts:
        return Detections.empty()
    masks = [_mask_of(one) for one in parts]
    drawn = [mask for mask in masks if mask is not None]
    if drawn and len(drawn) < len(masks):
        raise BadInput("expected masks or boxes alone, got both: supervision keeps one kind at a time")
    if len({mask.size_hw for mask in drawn}) > 1:
        raise BadInput("expected masks of one image, got several sizes")
    if drawn:
        boxes: list[Any] = [mask.box_xyxy for mask in drawn]
    else:
        boxes = [one.box_xyxy for one in parts if isinstance(one, Annotation)]
    names = [one.category for one in parts if isinstance(one, Annotation)]
    numbers = {name: place for place, name in enumerate(dict.fromkeys([*classes, *filter(None, names)]))}
    named = len(names) == len(parts) and all(name is not None for name in names)
    scores = [_score_of(one) for one in parts]
    return Detections(
        xyxy=np.array(boxes, np.float32),
        mask=np.stack([mask.to_array() for mask in drawn]) if drawn else None,
        confidence=None if None in scores else np.array(scores, np.float32),
        class_id=np.array([numbers[str(name)] for name in names]) if named else None,
        data={CLASS_NAME: np.array(names)} if named else {},
    )


def from_supervision(detections: Any, classes: Sequence[str] = ()) -> list[Annotation]:
    """Annotations of `supervision.Detections`, or of anything with its attributes.

    Their categories are the names of classes it has, else those of `classes`, else the numbers. Raises
    BadInput.
    """
    boxes, masks, scores, class_ids = (getattr(detections, name, None) for name in DETECTIONS)
    if boxes is None or not hasattr(boxes, "__len__"):
        raise BadInput(f"expected supervision's Detections, got {type(detections).__name__}")
    data = getattr(detections, "data", None)
    names = data.get(CLASS_NAME) if isinstance(data, dict) else None
    found = []
    for place, (x0, y0, x1, y1) in enumerate(np.asarray(boxes, np.float64).reshape(-1, 4).tolist()):
        more = {} if scores is None else {"score": float(scores[place])}
        category = _category(place, names, class_ids, classes)
        if masks is None:
            box = box_annotation(place + 1, (x0, y0, x1 - x0, y1 - y0), category, **more)
            found.append(Annotation(box, (0, 0)))
        else:
            mask = Mask.from_array(np.asarray(masks[place]))
            found.append(Annotation(annotation_of(place + 1, mask, category, **more), mask.size_hw))
    return found


def to_image(mask: Mask) -> Image:
    """A PIL image, mode `L`: 255 inside, 0 outside."""
    from PIL import Image

    return Image.fromarray(mask.to_array().view(np.uint8) * 255)


def from_image(image: Any) -> Mask:
    """Of a PIL image: inside is what is not 0, of several bands in any but alpha. Raises BadInput."""
    array = np.asarray(image)
    if array.ndim != 3:
        return Mask.from_array(array)
    return Mask.from_array(array[:, :, : 3 if array.shape[2] > 2 else 1].any(axis=2))


def _mask_of(one: MaskLike) -> Mask | None:
    """None for a box alone."""
    return one if isinstance(one, Mask) else one.mask


def _score_of(one: MaskLike) -> float | None:
    if isinstance(one, Mask):
        return None
    if isinstance(one, Annotation):
        return confidence_of(one)
    return float(one.probability)


def _category(place: int, names: Any, class_ids: Any, classes: Sequence[str]) -> str | None:
    if names is not None and len(names) > place:
        return str(names[place])
    if class_ids is None:
        return None
    number = int(class_ids[place])
    return str(classes[number]) if 0 <= number < len(classes) else str(number)
