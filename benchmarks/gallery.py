"""Twenty answers on photos that are not ours to publish: drawn as masks alone, good and bad as the seed
picks them.

    python benchmarks/gallery.py DATA/val/{grabcut,davis,coco}.tar --out docs/images/answers.png
    python benchmarks/gallery.py ... --photos FOLDER    overlays on the photos, to look at, not to publish

Every tile is the answer to one click at the centre of the object: white is right, red is missing, blue is
too much, grey is not scored; the green dot is the click. The tile says which photo it is and the IoU.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import anymask
from anymask.core.mask import Mask
from anymask.core.prompt import Prompt
from anymask.data.sources import open_records
from anymask.drawing import Drawn, overlay
from anymask.evaluation.clicker import next_click
from anymask.evaluation.samples import Sample, checked_pixels, samples_of

TILE_WH = (240, 180)
COLUMNS = 5
RIGHT, MISSING, SURPLUS, VOID, NOTHING = (
    (255, 255, 255),
    (220, 60, 50),
    (60, 110, 230),
    (110, 110, 110),
    (24, 24, 27),
)


@dataclass(frozen=True)
class Shown:
    """One scored answer."""

    sample: Sample
    pixels_HW3: np.ndarray
    mask_HW: np.ndarray
    point_xy: tuple[float, float]
    iou: float


def answers(packs: list[Path], count: int, seed: int) -> Iterator[Shown]:
    """`count` answers in all, evenly over the packs: random photos, a random object of each."""
    model, rng = anymask.load(), np.random.default_rng(seed)
    for number, pack in enumerate(packs):
        records = open_records(pack)
        share = count * (number + 1) // len(packs) - count * number // len(packs)
        for index in sorted(rng.choice(len(records), share, replace=False)):
            record = records[int(index)]
            if samples := list(samples_of(record, int(index))):
                sample = samples[int(rng.integers(len(samples)))]
                yield answer(model, checked_pixels(record), sample)


def answer(model: anymask.Model, pixels: np.ndarray, sample: Sample) -> Shown:
    click = next_click(sample.ground_truth_HW, np.zeros_like(sample.ground_truth_HW), sample.scored_HW, [])
    assert click is not None
    mask = model.encode(pixels).segment(points=[click.point_xy]).best.array
    return Shown(sample, pixels, mask, click.point_xy, sample.iou(mask))


def tile(shown: Shown) -> Image.Image:
    truth, mask, scored = shown.sample.ground_truth_HW, shown.mask_HW, shown.sample.scored_HW
    drawn = np.full((*truth.shape, 3), NOTHING, np.uint8)
    for where, colour in (
        (truth & mask, RIGHT),
        (truth & ~mask, MISSING),
        (mask & ~truth, SURPLUS),
        (~scored, VOID),
    ):
        drawn[where] = colour
    image = Image.fromarray(drawn)
    scale = min(TILE_WH[0] / image.width, (TILE_WH[1] - 16) / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    page = Image.new("RGB", TILE_WH, (45, 45, 48))
    page.paste(image, (0, 16))
    pen, (x, y) = ImageDraw.Draw(page), (c * scale for c in shown.point_xy)
    pen.ellipse((x - 4, y + 12, x + 4, y + 20), fill=(40, 170, 80), outline=(255, 255, 255))
    pen.text((3, 2), f"{shown.iou:.2f}  {shown.sample.key[-30:]}", fill=(235, 235, 235))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shown = list(answers(options.packs, options.count, options.seed))
    rows = -(-len(shown) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (TILE_WH[0] + 4), rows * (TILE_WH[1] + 4)), (70, 70, 74))
    for number, one in enumerate(shown):
        page.paste(
            tile(one), (number % COLUMNS * (TILE_WH[0] + 4) + 2, number // COLUMNS * (TILE_WH[1] + 4) + 2)
        )
        if options.photos:
            options.photos.mkdir(parents=True, exist_ok=True)
            prompt = Prompt.of(points=[one.point_xy])
            picture = overlay(
                one.pixels_HW3, [Drawn(Mask.from_array(one.mask_HW), prompt, f"IoU {one.iou:.2f}")]
            )
            picture.save(options.photos / f"{number:02d}-{one.sample.key}.png")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    page.save(options.out, optimize=True)
    print(f"{options.out}: {len(shown)} answers, mean IoU {np.mean([s.iou for s in shown]):.3f}")


if __name__ == "__main__":
    main()
