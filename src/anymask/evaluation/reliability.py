"""The reliability diagram: what was forecast against what came true, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIDE, MARGIN, COUNTS = 360, 48, 70  # pixels: of the square, around it, of the counts below it
INK, BAR, IDEAL = (40, 40, 40), (70, 120, 190), (200, 90, 60)


def reliability_diagram(bins: Sequence[dict[str, Any]], title: str) -> Image.Image:
    """`bins` as `evaluate_calibration` reports them. A dot on the line: forecasts come true as often as they
    say. Below: how many forecasts there are, by square root.
    """
    size = (SIDE + 2 * MARGIN, SIDE + COUNTS + 2 * MARGIN)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13)
    pen.text((MARGIN, MARGIN / 3), title, INK, font)
    pen.rectangle((MARGIN, MARGIN, MARGIN + SIDE, MARGIN + SIDE), outline=INK)
    pen.line((*place(0, 0), *place(1, 1)), IDEAL, 2)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = place(tick, tick)
        pen.text((x, MARGIN + SIDE + COUNTS + 16), f"{tick:g}", INK, font, "mm")
        pen.text((MARGIN - 6, y), f"{tick:g}", INK, font, "rm")
    pen.text((MARGIN + SIDE / 2, size[1] - 12), "forecast (across), came true (up)", INK, font, "mm")
    _dots(pen, bins)
    _counts(pen, bins)
    return picture


def place(forecast: float, observed: float) -> tuple[float, float]:
    """Where a pair of shares lies, in pixels."""
    return MARGIN + forecast * SIDE, MARGIN + (1 - observed) * SIDE


def _dots(pen: ImageDraw.ImageDraw, bins: Sequence[dict[str, Any]]) -> None:
    dots = [place(b["forecast"], b["observed"]) for b in bins]
    pen.line(dots, BAR, 2)
    for x, y in dots:
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), BAR)


def _counts(pen: ImageDraw.ImageDraw, bins: Sequence[dict[str, Any]]) -> None:
    floor = MARGIN + SIDE + COUNTS
    most = max(b["count"] for b in bins) ** 0.5
    for b in bins:
        x, _ = place(b["forecast"], 0)
        pen.rectangle((x - 8, floor - (COUNTS - 10) * b["count"] ** 0.5 / most, x + 8, floor), BAR)
