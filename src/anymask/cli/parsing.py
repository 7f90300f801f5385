"""From what a person types to prompts. What cannot be right is a BadPrompt that says what was expected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anymask.errors import BadOption, BadPrompt

if TYPE_CHECKING:
    import numpy as np

    from anymask.core.prompt import Prompt

LABELS = {"+": 1, "-": 0}
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LabelledPoint:
    x: float
    y: float
    label: int


def parse_point(text: str) -> LabelledPoint:
    """`X,Y`, `X,Y,+` (inside what is meant) or `X,Y,-` (outside)."""
    parts = [p.strip() for p in text.split(",")]
    if len(parts) not in (2, 3):
        raise BadPrompt(f"--point {text!r}: expected X,Y or X,Y,+ or X,Y,-")
    label = parts[2] if len(parts) == 3 else "+"
    if label not in LABELS:
        raise BadPrompt(f"--point {text!r}: expected + or - after the coordinates, got {label!r}")
    x, y = _numbers(parts[:2], f"--point {text!r}")
    return LabelledPoint(x, y, LABELS[label])


def parse_box(text: str, option: str = "--box") -> Box:
    """`X0,Y0,X1,Y1`: left, top, right and bottom edge."""
    parts = [p.strip() for p in text.split(",")]
    if len(parts) != 4:
        raise BadPrompt(f"{option} {text!r}: expected X0,Y0,X1,Y1, got {len(parts)} numbers")
    x0, y0, x1, y1 = _numbers(parts, f"{option} {text!r}")
    if x1 <= x0 or y1 <= y0:
        raise BadPrompt(f"{option} {text!r}: expected X0 < X1 and Y0 < Y1")
    return x0, y0, x1, y1


def _numbers(parts: Sequence[str], where: str) -> list[float]:
    numbers = []
    for part in parts:
        try:
            number = float(part)
        except ValueError:
            raise BadPrompt(f"{where}: {part!r} is not a number") from None
        if number != number or abs(number) == float("inf"):
            raise BadPrompt(f"{where}: expected finite numbers, got {part!r}")
        numbers.append(number)
    return numbers


def only_box(boxes: Sequence[str]) -> Box | None:
    """The box that words are looked for in. Raises BadPrompt for several."""
    if len(boxes) > 1:
        raise BadPrompt(f"--text goes with one --box at most, got {len(boxes)} boxes")
    return parse_box(boxes[0]) if boxes else None


def make_prompts(
    points: Sequence[str], boxes: Sequence[str], mask_path: Path | None, texts: Sequence[str] = ()
) -> list[Prompt]:
    """One prompt per box; the points, the mask and a text belong to the only box, or make a prompt without.

    Raises BadPrompt when there is nothing to go by, or when points or a mask come with several boxes.
    """
    from anymask.core.prompt import Prompt

    parsed, parsed_boxes = [parse_point(p) for p in points], [parse_box(b) for b in boxes]
    if not (parsed or parsed_boxes or mask_path):
        raise BadPrompt(
            "what is meant? give --point X,Y or --box X0,Y0,X1,Y1 or --mask FILE or --text PHRASE"
        )
    if len(texts) > 1:
        raise BadPrompt(f"--text goes once with points or a mask, got {len(texts)}")
    if len(parsed_boxes) > 1 and (parsed or mask_path):
        raise BadPrompt(f"points and a mask go with one box at most, got {len(parsed_boxes)} boxes")
    if parsed and not (parsed_boxes or mask_path or any(p.label for p in parsed)):
        raise BadPrompt("all points are outside of what is meant (-): give one inside, a box or a mask too")
    mask = None if mask_path is None else read_mask(mask_path)
    xy = [(p.x, p.y) for p in parsed] or None
    labels = [p.label for p in parsed] or None
    boxes_or_none: list[Box | None] = [*parsed_boxes] or [None]
    text = texts[0] if texts else None
    return [Prompt.of(points=xy, labels=labels, box=box, mask=mask, text=text) for box in boxes_or_none]


def read_mask(path: Path) -> np.ndarray:
    """A mask from an image file, bool H x W: inside is what is over half as bright as the brightest pixel.

    So files of 0 and 1, of 0 and 255, and ones with compression noise all mean what they seem to. Clear
    pixels are outside; of a cut-out, which has clear pixels and no black beside white, all others are inside.
    """
    import numpy as np

    from anymask.images.reader import read_image, read_over_black

    pixels_HW3 = read_image(path)
    brightness_HW = pixels_HW3.max(axis=2)
    black_HW3 = read_over_black(path)
    clear_HW = (pixels_HW3[:, :, 0].astype(np.int16) - black_HW3[:, :, 0]) > 127  # 255 less the opacity
    if clear_HW.any() and not clear_HW.all():
        brightness_HW = np.where(clear_HW, 0, np.maximum(brightness_HW, 1))
        opaque = pixels_HW3.max(axis=2)[~clear_HW]
        dark, bright = opaque < 26, opaque > 229
        if not (dark.any() and bright.any() and (dark | bright).mean() > 0.95):
            return np.asarray(~clear_HW)
    if not brightness_HW.any():
        raise BadPrompt(f"--mask {path}: expected bright pixels inside the mask, got an all black image")
    inside: np.ndarray = brightness_HW > brightness_HW.max() / 2
    return inside


def parse_setting(text: str) -> tuple[str, Any]:
    """`lr=0.001`, `bf16=true`, `scale=[0.5,2]`, `weights_from=runs/a`: a name and a JSON value or a text."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key.isidentifier():
        raise BadOption(f"--set {text!r}: expected KEY=VALUE")
    try:
        parsed = json.loads(value)
    except ValueError:
        return key, value
    return key, tuple(parsed) if isinstance(parsed, list) else parsed
