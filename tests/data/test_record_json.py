"""A written record has the shape of SA-1B and is read back with the same masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anymask.core.candidates import Candidate
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.data.record_json import annotation_fields, image_fields, record_json
from anymask.data.sources import open_records


def candidate() -> Candidate:
    logits = np.full((32, 32), -5, np.float32)
    logits[4:20, 6:28] = 5
    return Candidate(logits, np.float32(0.87654), np.float32(0.5), ResizeLongest((48, 64), 128))  # type: ignore[arg-type]


def written(prompt: Prompt) -> dict[str, Any]:
    image = image_fields("photo.png", (48, 64), "00ff" * 16)
    text = record_json(image, [annotation_fields(1, candidate(), 2, prompt)], model="lite", seconds=0.5)
    record: dict[str, Any] = json.loads(text)
    return record


def test_a_record_has_the_fields_of_sa_1b_and_where_it_came_from() -> None:
    record = written(Prompt.of(points=[(10.5, 12), (3, 4)], labels=[1, 0], box=(1, 2, 30, 40)))
    assert record["image"] == {
        "image_id": 0x00FF00FF00FF,
        "width": 64,
        "height": 48,
        "file_name": "photo.png",
    }
    assert (record["model"], record["seconds"]) == ("lite", 0.5)
    (annotation,) = record["annotations"]
    assert annotation["segmentation"] == candidate().mask.rle
    assert annotation["area"] == candidate().mask.area > 0
    assert annotation["bbox"] == list(candidate().mask.bbox_xywh)
    assert annotation["predicted_iou"] == 0.8765
    assert annotation["probability"] == 0.5
    assert annotation["candidate"] == 2
    assert annotation["point_coords"] == [[10.5, 12], [3, 4]]
    assert annotation["prompts"] == [
        {"points": [[10.5, 12], [3, 4]], "labels": [1, 0], "box": [1, 2, 30, 40]}
    ]


def test_a_record_beside_its_photo_is_a_data_set(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "photo.png")
    (tmp_path / "photo.json").write_text(json.dumps(written(Prompt.of(points=[(10, 12)]))))
    (record,) = open_records(tmp_path)
    assert record.size_hw == (48, 64)
    assert [a.mask for a in record.annotations] == [candidate().mask]
