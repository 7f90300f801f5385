"""The prompts whose masks are pinned. `python tests/golden/cases.py` writes the masks again.

Five example photos, four prompts each, in one pass and refined: what a change moves is seen at once, and by
how much. The numbers are pixels of the photos in `examples/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anymask

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
MASKS = HERE / "masks.json"
AUTOMATIC = HERE / "automatic_masks.json"

POINTS: dict[str, tuple[float, float]] = {
    "cat": (240, 180), "city": (300, 300), "coffee": (290, 220), "raccoon": (590, 250), "rocket": (320, 260),
}  # fmt: skip
BOXES: dict[str, tuple[float, float, float, float]] = {
    "cat": (60, 30, 400, 290), "city": (100, 150, 500, 420), "coffee": (160, 90, 470, 330),
    "raccoon": (200, 60, 900, 700), "rocket": (300, 120, 340, 410),
}  # fmt: skip
PRESETS = ("default", "precise")
PASSES = {"one pass": False, "refined": True}


def answers(image: Any, name: str) -> dict[str, Any]:
    """The candidates of each prompt about one photo."""
    x, y = POINTS[name]
    first = image.segment(points=[(x, y)])
    return {
        "point": first,
        "box": image.segment(box=BOXES[name]),
        "correction": image.segment(points=[(x, y), (5, 5)], labels=[1, 0], mask=first),
        "mask": image.segment(mask=first.best.mask),
    }


def encoded(model: Any, name: str, refined: bool) -> Any:
    path = EXAMPLES / f"{name}.jpg"
    return model.encode(path, refine=refined)


def pinned() -> Iterator[dict[str, Any]]:
    """One row for each mask."""
    model = anymask.load()
    for name in POINTS:
        for asked, refined in PASSES.items():
            for prompt, candidates in answers(encoded(model, name, refined), name).items():
                for rank, candidate in enumerate(candidates):
                    yield {
                        "photo": name,
                        "pass": asked,
                        "prompt": prompt,
                        "rank": rank,
                        "iou": round(candidate.iou, 4),
                        "probability": round(candidate.probability, 4),
                        "rle": candidate.rle,
                    }


def pinned_automatic() -> Iterator[dict[str, Any]]:
    """One row for each automatic mask."""
    model = anymask.load()
    for name in POINTS:
        for preset in PRESETS:
            for mask in encoded(model, name, True).everything(preset):
                row = {"photo": name, "preset": preset, "probability": round(mask.probability, 4)}
                yield {**row, "rle": mask.mask.rle}


def write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    write(MASKS, pinned())
    write(AUTOMATIC, pinned_automatic())
