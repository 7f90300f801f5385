"""Examples that the page's tests and ours share: what a decoder says about a click, and the preview of it.

`python tests/support/decoder_examples.py` writes them anew, for whoever changes the steps after the decoder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from anymask.backends.base import DecodedArrays
from anymask.core.candidates import AnswerStep
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.predict.pipeline import POSTPROCESS, postprocess
from anymask.predict.probabilities import candidates
from anymask.web.inference import Preview, preview_of

FILE = Path(__file__).parents[2] / "studio" / "tests" / "clicks.json"
SIDE, SQUARE = 12, 24
UNIT = 16  # of the integers for a logit
PHOTOS_WH = ((48, 30), (30, 48), (24, 24), (200, 7), (37, 33))
COUNT = 10


def preview_in(example: dict[str, Any]) -> Preview:
    """As the server makes it."""
    width, height = example["photo"]
    frame = ResizeLongest((height, width), SQUARE)
    masks = np.array(example["masks"], np.float32).reshape(1, 4, SIDE, SIDE) / UNIT
    chances = np.array(example["chances"], np.float32)[None]
    decoded = DecodedArrays(masks, np.zeros((1, 4), np.float32), chances)
    answer = candidates(decoded, 0, True, frame, example["temperature"])
    prompt = Prompt.of([example["click"]], None, None, None, None)
    answer = postprocess(answer, prompt, frame, list(POSTPROCESS.values()))
    return preview_of(AnswerStep("look", answer, True))


def _drawn(number: int) -> dict[str, Any]:
    """Blobs with islands; in some of the examples two of the masks are nearly the same."""
    chance = np.random.default_rng(number)
    coarse = chance.normal(size=(4, 5, 5)).repeat(3, 1).repeat(3, 2)[:, :SIDE, :SIDE] * 2
    masks = coarse + chance.normal(size=(4, SIDE, SIDE)) * 0.3
    if number % 2:
        masks[3] = masks[2] + 0.05
    width, height = PHOTOS_WH[number % len(PHOTOS_WH)]
    click = chance.uniform(0, (width, height)).round(2).tolist()
    return {
        "photo": [width, height],
        "click": [float(width), 0.0] if number == 4 else click,
        "temperature": 1.7 if number % 3 == 0 else 1.0,
        "masks": (masks * UNIT).round().astype(int).ravel().tolist(),
        "chances": chance.normal(size=5).round(3).tolist(),
    }


def told(example: dict[str, Any]) -> dict[str, Any]:
    """An example with its preview."""
    seen = preview_in(example)
    preview = {"inside": seen.inside_hw, "shown": seen.shown_xyxy, "probability": round(seen.probability, 6)}
    return {**example, "preview": {**preview, "values": seen.pixels.ravel().tolist()}}


if __name__ == "__main__":
    lines = [json.dumps(told(_drawn(number)), separators=(",", ":")) for number in range(COUNT)]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
