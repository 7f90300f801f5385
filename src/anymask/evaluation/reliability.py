"""Reliability diagram: predicted probability against observed frequency, drawn at twice its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw
from PIL.ImageFont import load_default as font

from anymask.evaluation.calibration import EVEN_BINS

SIDE, COUNTS, GAP = 640, 140, 24  # pixels: of the square, of the counts below it, between the two
LEFT, TOP, RIGHT, BOTTOM = 96, 64, 40, 96  # margins
BASE = TOP + SIDE + GAP + COUNTS  # of the counts
TEXT = 24
INK, FAINT, BAR, COUNT, IDEAL = (40, 40, 40), (215, 215, 215), (120, 165, 225), (150, 150, 150), (200, 80, 50)
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

Bins = Sequence[dict[str, Any]]


def reliability_diagram(bins: Bins, title: str) -> Image.Image:
    """`bins` as `evaluate_calibration` reports them: one bar for each, as high as the fraction of candidates
    that were meant, with a dot at the mean probability. Below it how many there are, by square root.
    """
    picture = Image.new("RGB", (LEFT + SIDE + RIGHT, TOP + SIDE + GAP + COUNTS + BOTTOM), "white")
    pen = ImageDraw.Draw(picture)
    highest = max(b["count"] for b in bins)
    for b in bins:
        (x0, y0), (x1, y1) = place(b["bin"] / EVEN_BINS, b["observed"]), place((b["bin"] + 1) / EVEN_BINS, 0)
        top = BASE - (COUNTS - TEXT) * (b["count"] / highest) ** 0.5
        pen.rectangle((x0 + 3, y0, x1 - 3, y1), BAR)
        pen.rectangle((x0 + 3, top, x1 - 3, BASE), COUNT)
        pen.text(((x0 + x1) / 2, top - 4), f"{b['count']:,}", INK, font(TEXT * 2 // 3), "ms")
    _axes(pen, title)
    for b in bins:
        x, y = place(b["predicted"], b["observed"])
        pen.ellipse((x - 7, y - 7, x + 7, y + 7), INK)
    return picture


def place(predicted: float, observed: float) -> tuple[float, float]:
    """Where a probability and a frequency lie, in pixels."""
    return LEFT + predicted * SIDE, TOP + (1 - observed) * SIDE


def _axes(pen: ImageDraw.ImageDraw, title: str) -> None:
    for tick in TICKS:
        x, y = place(tick, tick)
        pen.line((LEFT, y, LEFT + SIDE, y), FAINT, 1)
        pen.text((LEFT - 12, y), f"{tick:g}", INK, font(TEXT), "rm")
        pen.text((x, BASE + 12), f"{tick:g}", INK, font(TEXT), "mt")
    pen.rectangle((LEFT, TOP, LEFT + SIDE, TOP + SIDE), outline=INK, width=2)
    pen.line((LEFT, BASE, LEFT + SIDE, BASE), INK, 2)
    pen.line((*place(0, 0), *place(1, 1)), IDEAL, 3)
    pen.text((LEFT, TOP / 2), title, INK, font(TEXT), "lm")
    axes = "across: probability; up: fraction that was meant; below: how many"
    pen.text((LEFT + SIDE / 2, BASE + BOTTOM - 24), axes, INK, font(TEXT * 5 // 6), "ms")
