"""Writing a record: a photo and its masks as a JSON object in the shape of SA-1B. `sources.py` reads it.

Further keys of an annotation: `probability`, `candidate` (1 is the best answer to its prompt), `prompts`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import Candidate
from anymask.core.mask import Mask
from anymask.core.prompt import Prompt
from anymask.data.record import annotation_of
from anymask.files import utf8_name

JsonObject = dict[str, Any]
ID_DIGITS = 12  # 48 bits of the content hash: exact in every JSON reader


def image_fields(file_name: str, size_hw: tuple[int, int], content_hash: str) -> JsonObject:
    """`image_id` follows from the pixels, so the same photo has the same id in every record."""
    image_id = int(content_hash[:ID_DIGITS], 16)
    return {
        "image_id": image_id,
        "width": size_hw[1],
        "height": size_hw[0],
        "file_name": utf8_name(file_name),
    }


def annotation_fields(number: int, candidate: Candidate, rank: int, prompt: Prompt) -> JsonObject:
    """One mask; `number` counts the masks of the photo from 1, `rank` the answers to `prompt` from 1."""
    return annotation_of(
        number,
        candidate.mask,
        predicted_iou=rounded(candidate.iou, 4),
        probability=rounded(candidate.probability, 4),
        candidate=rank,
        point_coords=_points(prompt),
        prompts=[prompt_fields(prompt)],
    )


def automatic_fields(number: int, found: AutomaticMask) -> JsonObject:
    """One mask of a grid, with the keys of SA-1B; `number` counts the masks of the photo from 1."""
    x0, y0, x1, y1 = found.crop_box_xyxy
    return annotation_of(
        number,
        found.mask,
        predicted_iou=rounded(found.predicted_iou, 4),
        stability_score=rounded(found.stability_score, 4),
        probability=rounded(found.probability, 4),
        crop_box=[x0, y0, x1 - x0, y1 - y0],
        point_coords=[[rounded(value) for value in found.point_xy]],
    )


def named_fields(
    number: int, mask: Mask, name: str, score: float, *, scorer: str, text: str | None = None
) -> JsonObject:
    """One mask that a word found, or that was named; `text`: what was asked. See `words/search.py`."""
    asked = {} if text is None else {"prompts": [{"text": text}]}
    return annotation_of(number, mask, category=name, score=rounded(score, 4), scorer=scorer, **asked)


def prompt_fields(prompt: Prompt) -> JsonObject:
    """The parts a prompt has. Of a mask only that there was one."""
    fields: JsonObject = {}
    if len(prompt.points_xy):
        fields |= {"points": _points(prompt), "labels": [int(v) for v in prompt.labels]}
    if prompt.box_xyxy is not None:
        fields["box"] = [rounded(v) for v in prompt.box_xyxy]
    if prompt.mask is not None:
        fields["mask"] = True
    if prompt.text is not None:
        fields["text"] = prompt.text
    return fields


def _points(prompt: Prompt) -> list[list[float]]:
    return [[rounded(x), rounded(y)] for x, y in prompt.points_xy]


def record_json(image: JsonObject, annotations: Sequence[JsonObject], **more: Any) -> str:
    """The record on one line."""
    return json.dumps({"image": image, "annotations": list(annotations), **more}, ensure_ascii=False)


def rounded(value: float, digits: int = 2) -> float:
    """A Python number of a NumPy one; whole numbers as int, so that boxes read well."""
    number = round(float(value), digits)
    return int(number) if number == int(number) and digits <= 2 else number
