"""Overlays: a photo with masks, outlines and the prompts that were given, for people to look at.

Drawn at the size of the overlay, at most 1600 pixels on the long side; the exact masks are in the mask files.
Legend: H W photo pixels, h w overlay pixels.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from anymask.core.mask import Mask
from anymask.core.prompt import Prompt

LONG_SIDE = 1600
FILL, DIM = 0.42, 0.72  # opacity of the colour inside a mask; brightness of the photo outside all of them
FILL_ALL = 0.55  # the same where there are many masks
SMOOTH = 4  # markers are drawn this much larger and scaled down
Colour = tuple[int, int, int]
WHITE, INK = (255, 255, 255), (24, 24, 27)
POSITIVE, NEGATIVE = (22, 163, 74), (220, 38, 38)
# Neighbours differ in hue and lightness, also for most colour-blind people.
PALETTE: tuple[Colour, ...] = (
    (37, 130, 246), (249, 115, 22), (20, 184, 166), (236, 72, 153), (250, 204, 21), (139, 92, 246),
    (132, 204, 22), (14, 165, 233), (244, 63, 94), (168, 162, 158),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """A mask to draw, the prompt it answers, if any, and a short text beside it (empty for none)."""

    mask: Mask
    prompt: Prompt | None
    tag: str = ""


def overlay(pixels_HW3: np.ndarray, drawn: Sequence[Drawn]) -> Image.Image:
    """The photo, darker outside the masks, each mask in a colour with an outline, prompts and tags on top."""
    canvas = Canvas(pixels_HW3)
    coverages = [canvas.coverage(d.mask) for d in drawn]
    canvas.dim_outside(coverages)
    for i in sorted(range(len(drawn)), key=lambda i: -drawn[i].mask.area):  # small masks over large ones
        canvas.paint(coverages[i], PALETTE[i % len(PALETTE)])
    for prompt in {id(d.prompt): d.prompt for d in drawn}.values():  # candidates of one prompt share it
        if prompt is not None:
            canvas.mark(prompt)
    for i, d in enumerate(drawn):
        if d.tag:
            canvas.write_tag(d, PALETTE[i % len(PALETTE)])
    return canvas.image


def everything_overlay(
    pixels_HW3: np.ndarray, masks: Sequence[Mask], long_side: int = LONG_SIDE
) -> Image.Image:
    """The photo with all masks in distinct colours, small ones over large ones, each with a thin outline."""
    canvas = Canvas(pixels_HW3, long_side)
    shape_hw = canvas.image.size[::-1]
    tint_hw3 = np.zeros((*shape_hw, 3), np.uint8)
    edges_hw = np.zeros(shape_hw, np.bool_)
    for number, mask in enumerate(sorted(masks, key=lambda m: -m.area)):
        inside_hw = canvas.inside(mask)
        tint_hw3[inside_hw] = distinct_colour(number)
        padded = np.pad(inside_hw, 1, mode="edge")  # the border of the picture is no edge
        eroded_hw = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        edges_hw = np.where(inside_hw, ~eroded_hw, edges_hw)
    photo_hw3 = np.asarray(canvas.image, np.float32)
    opacity_hw1 = tint_hw3.any(axis=2, keepdims=True) * np.float32(FILL_ALL)
    mixed_hw3 = photo_hw3 * (1 - opacity_hw1) + tint_hw3 * opacity_hw1
    mixed_hw3[edges_hw] = 0.4 * mixed_hw3[edges_hw] + 0.6 * 255
    return Image.fromarray(mixed_hw3.astype(np.uint8))


def distinct_colour(number: int) -> Colour:
    """Hues a golden angle apart, so that no two of many colours are close; lightness takes turns."""
    hue = (0.58 + number * 0.61803399) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, (0.55, 0.42, 0.66)[number % 3], 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)


def side_by_side(images: Sequence[Image.Image], gap: int = 8) -> Image.Image:
    """The images in one row, at most twice `LONG_SIDE` wide."""
    if len(images) == 1:
        return images[0]
    width = sum(i.width for i in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(i.height for i in images)), WHITE)
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + gap
    sheet.thumbnail((2 * LONG_SIDE, 2 * LONG_SIDE), Image.Resampling.BOX)
    return sheet


class Canvas:
    """A photo at overlay size that is drawn on."""

    def __init__(self, pixels_HW3: np.ndarray, long_side: int = LONG_SIDE) -> None:
        self._size_HW = pixels_HW3.shape[:2]
        self.scale = min(1.0, long_side / max(self._size_HW))
        self.image = self._shrink(Image.fromarray(pixels_HW3))

    def _shrink(self, image: Image.Image) -> Image.Image:
        if self.scale == 1.0:
            return image
        height, width = (max(1, round(side * self.scale)) for side in self._size_HW)
        return image.resize((width, height), Image.Resampling.BOX)

    @cached_property
    def unit(self) -> float:
        """The size of a marker's radius, in overlay pixels: it grows with the photo."""
        return max(4.0, min(14.0, 0.012 * max(self.image.size)))

    def coverage(self, mask: Mask) -> Image.Image:
        """How much of every overlay pixel the mask covers, 0..255, with edges softened by half a pixel."""
        covered_HW = np.multiply(mask.to_array(), 255, dtype=np.uint8)
        return self._shrink(Image.fromarray(covered_HW)).filter(ImageFilter.GaussianBlur(0.6))

    def inside(self, mask: Mask) -> np.ndarray:
        """h x w bool: the overlay pixels whose middle is inside the mask."""
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(np.intp)
            for new, old in zip(self.image.size[::-1], self._size_HW, strict=True)
        )
        return np.asarray(mask.to_array()[rows[:, None], columns])

    def dim_outside(self, coverages: Sequence[Image.Image]) -> None:
        if coverages:
            darker = self.image.point(lambda value: round(value * DIM))
            self.image = Image.composite(self.image, darker, reduce(ImageChops.lighter, coverages))

    def paint(self, coverage: Image.Image, colour: Colour) -> None:
        """Fill, then a white edge outside and a line of the colour inside."""
        width = 2 * max(1, round(self.unit / 5)) + 1
        grown = coverage.filter(ImageFilter.MaxFilter(3))
        shrunk = coverage.filter(ImageFilter.MinFilter(width))
        self.image.paste(colour, mask=coverage.point(lambda value: round(value * FILL)))
        self.image.paste(WHITE, mask=ImageChops.subtract(grown, coverage))
        self.image.paste(colour, mask=ImageChops.subtract(coverage, shrunk))

    def mark(self, prompt: Prompt) -> None:
        """The box as a white line with a dark edge; points as disks with a plus or a minus."""
        if prompt.box_xyxy is not None:
            self.mark_box(prompt.box_xyxy)
        for (x, y), label in zip(prompt.points_xy, prompt.labels, strict=True):
            self._mark_point(float(x) * self.scale, float(y) * self.scale, positive=bool(label == 1))

    def mark_box(self, box_xyxy: Sequence[float] | np.ndarray) -> None:
        x0, y0, x1, y1 = (round(float(v) * self.scale) for v in box_xyxy)
        x1, y1 = max(x0, x1 - 1), max(y0, y1 - 1)
        draw, line = ImageDraw.Draw(self.image), max(1, round(self.unit / 4))
        draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=INK, width=line + 2)
        draw.rectangle((x0, y0, x1, y1), outline=WHITE, width=line)

    def _mark_point(self, x: float, y: float, *, positive: bool) -> None:
        radius = self.unit * 1.15
        side = 2 * math.ceil(radius + 2)
        big, centre = side * SMOOTH, side * SMOOTH / 2
        sprite = Image.new("RGBA", (big, big), (*INK, 0))
        draw = ImageDraw.Draw(sprite)
        inner = POSITIVE if positive else NEGATIVE
        for ring, colour in ((radius + 1, (*INK, 140)), (radius, WHITE), (radius * 0.8, inner)):
            draw.circle((centre, centre), ring * SMOOTH, fill=colour)
        arm, half = radius * 0.48 * SMOOTH, radius * 0.12 * SMOOTH
        draw.rectangle((centre - arm, centre - half, centre + arm, centre + half), fill=WHITE)
        if positive:
            draw.rectangle((centre - half, centre - arm, centre + half, centre + arm), fill=WHITE)
        sprite = sprite.resize((side, side), Image.Resampling.BOX)
        self.image.paste(sprite, (round(x - side / 2), round(y - side / 2)), sprite)

    def write_tag(self, drawn: Drawn, colour: Colour) -> None:
        """The text on a plate of the mask's colour, above the box, the point or else the mask."""
        draw, font = ImageDraw.Draw(self.image), ImageFont.load_default(max(11.0, self.unit * 1.6))
        left, top, right, bottom = draw.textbbox((0, 0), drawn.tag, font=font)
        pad = max(2, round(self.unit / 3))
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        anchor_x, anchor_y = self._anchor(drawn)
        x = min(max(0.0, anchor_x), self.image.width - width)
        y = min(max(0.0, anchor_y - height), self.image.height - height)
        readable = INK if np.dot(colour, (0.3, 0.59, 0.11)) > 150 else WHITE
        draw.rounded_rectangle((x, y, x + width, y + height), pad, fill=colour)
        draw.text((x + pad - left, y + pad - top), drawn.tag, font=font, fill=readable)

    def _anchor(self, drawn: Drawn) -> tuple[float, float]:
        """Where the plate of a tag stands, its bottom left, in overlay pixels."""
        prompt = drawn.prompt
        if prompt is None:
            x0, y0 = drawn.mask.box_xyxy[:2]
            return x0 * self.scale, y0 * self.scale
        if prompt.box_xyxy is None and len(prompt.points_xy):
            x, y = (float(v) * self.scale for v in prompt.points_xy[0])
            return x + self.unit, y - self.unit
        x0, y0 = (drawn.mask.box_xyxy if prompt.box_xyxy is None else prompt.box_xyxy)[:2]
        return float(x0) * self.scale, float(y0) * self.scale


def contact_sheet(
    tiles: Sequence[Image.Image], columns: int, gap: int = 0, ground: Colour = WHITE
) -> Image.Image:
    """Pictures of one size side by side, row by row, `gap` pixels apart."""
    width, height = tiles[0].width + gap, tiles[0].height + gap
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * width - gap, rows * height - gap), ground)
    for place, one in enumerate(tiles):
        page.paste(one, (place % columns * width, place // columns * height))
    return page
