"""Writes docs/forty.md: forty answers of the default model, drawn by chance and shown as they are.

    python recipes/forty.py DATA docs        DATA: the folder with val/*.tar

Eight random masks of eight random photos of each pack, asked for in turn by a click at the centre and by
the box. The photos are not ours to publish: the pictures show outlines and the prompt, nothing else. The
same data, weights and seed give the same page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import anymask
from anymask.core.candidates import Candidate
from anymask.core.mask import Mask
from anymask.data.sources import open_records
from anymask.drawing import contact_sheet
from anymask.evaluation.calibration import prompts_of
from anymask.evaluation.samples import Sample, checked_pixels, samples_of

PACKS = ("grabcut", "davis", "coco", "bsds", "parts")
EACH, COLUMNS, SEED = 8, 4, 40
ASKED = {"centre": "centre click", "box": "box"}
TILE_WH, TITLE, MARGIN, SMOOTH = (440, 360), 34, 12, 2  # pixels; drawn SMOOTH times larger
GROUND, FRAME, INK = (255, 255, 255), (238, 239, 242), (40, 40, 40)
TRUTH, ANSWER, PROMPT = (235, 140, 30), (30, 95, 200), (20, 150, 70)
COLOURS = 48  # of a picture


@dataclass(frozen=True)
class Shown:
    """One scored answer. `number`: 1..40."""

    number: int
    pack: str
    sample: Sample
    asked: str
    answer: Candidate

    @property
    def iou(self) -> float:
        """The true one."""
        return self.sample.iou(self.answer.array)


def forty(data: Path) -> Iterator[Shown]:
    model, rng = anymask.load(), np.random.default_rng(SEED)
    number = 0
    for pack in PACKS:
        for sample, pixels in drawn(data / "val" / f"{pack}.tar", rng):
            number += 1
            asked = list(ASKED)[number % len(ASKED)]
            image = model.encode(pixels)
            yield Shown(number, pack, sample, asked, image.segment(**prompts_of(sample)[asked]).best)


def drawn(pack: Path, rng: np.random.Generator) -> Iterator[tuple[Sample, np.ndarray]]:
    """Random masks of as many random photos, with the photo's pixels."""
    records = open_records(pack)
    left = EACH
    for index in rng.permutation(len(records)).tolist():
        samples = list(samples_of(records[index], index))
        if samples and left:
            left -= 1
            yield samples[int(rng.integers(len(samples)))], checked_pixels(records[index])


def sheet(shown: Sequence[Shown]) -> Image.Image:
    """Tiles side by side, in few colours."""
    whole = contact_sheet([tile(one) for one in shown], COLUMNS, ground=GROUND)
    return whole.quantize(COLOURS, dither=Image.Dither.NONE)


def tile(one: Shown) -> Image.Image:
    width, height = (SMOOTH * side for side in TILE_WH)
    picture = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(picture)
    rows, columns = one.sample.ground_truth_HW.shape
    room = width - 2 * SMOOTH * MARGIN, height - SMOOTH * (TITLE + MARGIN)
    scale = min(room[0] / columns, room[1] / rows)
    origin = np.array([(width - scale * columns) / 2, SMOOTH * TITLE + (room[1] - scale * rows) / 2])
    pen.rectangle((*origin, *(origin + scale * np.array([columns, rows]))), FRAME)
    outline(pen, Mask.from_array(one.sample.ground_truth_HW), origin, scale, TRUTH, 5 * SMOOTH)
    outline(pen, one.answer.mask, origin, scale, ANSWER, 2 * SMOOTH)
    mark(pen, one, origin, scale)
    title = f"{one.number}  {ASKED[one.asked]}, IoU {one.iou:.2f}"
    pen.text((SMOOTH * MARGIN, SMOOTH * 6), title, INK, ImageFont.load_default(20 * SMOOTH))
    return picture.resize(TILE_WH, Image.Resampling.BOX)


def outline(
    pen: ImageDraw.ImageDraw,
    mask: Mask,
    origin_xy: np.ndarray,
    scale: float,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    for rings in mask.polygons():
        for ring in rings:
            corners = np.concatenate([ring, ring[:1]]) * scale + origin_xy
            pen.line([tuple(xy) for xy in corners.tolist()], colour, width, joint="curve")


def mark(pen: ImageDraw.ImageDraw, one: Shown, origin_xy: np.ndarray, scale: float) -> None:
    """The click as a dot or the box as a thin frame."""
    prompt = prompts_of(one.sample)[one.asked]
    if "box" in prompt:
        x0, y0, x1, y1 = np.array(prompt["box"]) * scale + np.tile(origin_xy, 2)
        pen.rectangle((x0, y0, x1, y1), outline=PROMPT, width=SMOOTH)
        return
    x, y = np.array(prompt["points"][0]) * scale + origin_xy
    reach = 7 * SMOOTH
    pen.ellipse((x - reach, y - reach, x + reach, y + reach), PROMPT, GROUND, 2 * SMOOTH)


def page(shown: Sequence[Shown]) -> str:
    parts = [INTRODUCTION.strip(), summary(shown)]
    for pack in PACKS:
        ours = [one for one in shown if one.pack == pack]
        alt = f"outlines of {len(ours)} true masks and the answers"
        rows = "\n".join(map(row, ours))
        parts += [f"## {pack}", f"![{alt}](images/forty/{pack}.png)", f"{TABLE_HEAD}\n{rows}"]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """
<!-- Written by `python recipes/forty.py DATA docs`; do not edit. -->

# Forty answers, drawn by chance

Eight photos of each evaluation pack and one mask of each, as a seed drew them: nobody chose. Every other one
is asked for by a click at its centre (green dot), the others by their box (green frame). Orange is the true
outline, blue the answer that the model ranks first. The photos may not be shown. How good the model is on
all of them: [model card](model-card.md).
"""
TABLE_HEAD = """| | photo | mask | asked by | IoU | predicted IoU | probability |
|---|---|---|---|---|---|---|"""


def summary(shown: Sequence[Shown]) -> str:
    """Mean and median IoU, of all and of each way of asking."""
    groups = {"all": list(shown)}
    groups |= {told: [one for one in shown if one.asked == asked] for asked, told in ASKED.items()}
    lines = ["| | answers | mean IoU | median IoU | below 0.5 |", "|---|---|---|---|---|"]
    for name, group in groups.items():
        ious = np.array([one.iou for one in group])
        middle = f"{ious.mean():.3f} | {np.median(ious):.3f}"
        lines.append(f"| {name} | {len(ious)} | {middle} | {int((ious < 0.5).sum())} |")
    return "\n".join(lines)


def row(one: Shown) -> str:
    told = f"{one.iou:.3f} | {one.answer.iou:.3f} | {one.answer.probability:.3f}"
    return f"| {one.number} | {one.sample.key} | {one.sample.annotation} | {ASKED[one.asked]} | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("out", type=Path, metavar="DOCS")
    options = parser.parse_args()
    shown = list(forty(options.data))
    pictures = options.out / "images" / "forty"
    pictures.mkdir(parents=True, exist_ok=True)
    for pack in PACKS:
        sheet([one for one in shown if one.pack == pack]).save(pictures / f"{pack}.png", optimize=True)
    (options.out / "forty.md").write_text(page(shown), "utf-8")
    print(f"{options.out / 'forty.md'}: mean IoU {np.mean([one.iou for one in shown]):.3f}")


if __name__ == "__main__":
    main()
