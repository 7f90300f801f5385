"""Augmentation of one square view: scale jitter, crop, flip and colour jitter.

Pixels and masks are resampled from the same floating-point crop box, so that no mask shifts against its
photo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance

from anymask.core.frames import around
from anymask.training.task import ViewConfig

Box = tuple[float, float, float, float]
PIXEL_MULTIPLE = 4  # of drawn sizes and origins of views

WINDOW_SCALE = (1.15, 2.0)  # sides of refinement windows, relative to those of the object
MIN_WINDOW_SIDE = (110.0, 190.0)  # pixels
CENTRE_JITTER = 0.08  # of the object's sides
GREY_FRACTION = 0.05


@dataclass(frozen=True, slots=True)
class ViewFrame:
    """A crop of a photo, drawn into a square view. `closer`: it is a window around one object."""

    crop_xyxy: Box
    drawn_hw: tuple[int, int]
    origin_yx: tuple[int, int]
    size: int
    flip: bool
    closer: bool = False

    def draw_pixels(self, pixels_HW3: np.ndarray, fill: tuple[int, int, int]) -> Image.Image:
        canvas = Image.new("RGB", (self.size, self.size), fill)
        drawn_wh = self.drawn_hw[::-1]
        part = Image.fromarray(pixels_HW3).resize(drawn_wh, Image.Resampling.BILINEAR, box=self.crop_xyxy)
        canvas.paste(part, self.origin_yx[::-1])
        return canvas.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.flip else canvas

    def draw_mask(self, mask_HW: np.ndarray, stride: int) -> np.ndarray:
        """bool (size/stride)^2: cells covered by at least half; `stride` divides origins and drawn sizes."""
        side, (h, w), (y, x) = self.size // stride, self.drawn_hw, self.origin_yx
        part = Image.fromarray(mask_HW.astype(np.uint8) * 255)
        part = part.resize((w // stride, h // stride), Image.Resampling.BOX, box=self.crop_xyxy)
        drawn = np.zeros((side, side), bool)
        drawn[y // stride : (y + h) // stride, x // stride : (x + w) // stride] = np.asarray(part) >= 128
        return drawn[:, ::-1].copy() if self.flip else drawn


def random_frame(size_hw: tuple[int, int], focus_xyxy: Box, config: ViewConfig, rng: Generator) -> ViewFrame:
    """Scale and aspect jitter with a random crop that holds a random point of `focus_xyxy`. The photo's long
    side measures `config.size` times a log-uniform factor of `config.scale`; `config.stretch` changes the
    aspect ratio by up to so much, the area stays.
    """
    (height, width), size, stretch = size_hw, config.size, config.stretch
    zoom = size / max(height, width) * _log_uniform(config.scale, rng)
    wider = math.exp(rng.uniform(-1, 1) * math.log1p(stretch) / 2) if stretch else 1.0
    zoom_hw = zoom / wider, zoom * wider
    tall, wide = (_rounded(side * by, size) for side, by in zip(size_hw, zoom_hw, strict=True))
    crop_h, crop_w = min(height, tall / zoom_hw[0]), min(width, wide / zoom_hw[1])
    y0 = _crop_start(height, crop_h, focus_xyxy[1], focus_xyxy[3], rng)
    x0 = _crop_start(width, crop_w, focus_xyxy[0], focus_xyxy[2], rng)
    top, left = (
        int(rng.integers(0, (size - d) // PIXEL_MULTIPLE + 1)) * PIXEL_MULTIPLE * int(rng.random() < 0.5)
        for d in (tall, wide)
    )
    crop = (x0, y0, x0 + crop_w, y0 + crop_h)
    return ViewFrame(crop, (tall, wide), (top, left), size, bool(rng.random() < 0.5))


def window_frame(size_hw: tuple[int, int], object_xyxy: Box, size: int, rng: Generator) -> ViewFrame:
    """A refinement window: jittered, cut at the edges of the photo; its long side fills the view."""
    edges = []
    for low, high, side in zip(object_xyxy[:2], object_xyxy[2:], size_hw[::-1], strict=True):
        scale = _log_uniform(WINDOW_SCALE, rng)
        min_side = rng.uniform(*MIN_WINDOW_SIDE)
        offset = rng.uniform(-CENTRE_JITTER, CENTRE_JITTER) * (high - low)
        edges.append(around(low, high, side, scale, min_side, offset))
    (x0, x1), (y0, y1) = edges
    zoom = size / max(x1 - x0, y1 - y0)
    drawn_hw = _rounded((y1 - y0) * zoom, size), _rounded((x1 - x0) * zoom, size)
    return ViewFrame((x0, y0, x1, y1), drawn_hw, (0, 0), size, bool(rng.random() < 0.5), closer=True)


def _log_uniform(low_high: tuple[float, float], rng: Generator) -> float:
    return math.exp(rng.uniform(math.log(low_high[0]), math.log(low_high[1])))


def _rounded(length: float, max_length: int) -> int:
    return max(PIXEL_MULTIPLE, min(max_length, round(length / PIXEL_MULTIPLE) * PIXEL_MULTIPLE))


def _crop_start(side: float, length: float, low: float, high: float, rng: Generator) -> float:
    """Start of a crop of `length` on an axis of `side` that contains a random point of low..high."""
    point = rng.uniform(low, max(high, low + 1e-3))
    return float(min(max(point - length * rng.uniform(0.1, 0.9), 0.0), side - length))


@dataclass(frozen=True, slots=True)
class ColourJitter:
    """Factors around 1 of brightness, contrast and saturation, in this order; `grey`: none, and no colour."""

    grey: bool
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    @classmethod
    def draw(cls, rng: Generator, strength: float) -> ColourJitter:
        """Factors of 1 +- `strength`; one photo in twenty turns grey."""
        if rng.random() < GREY_FRACTION:
            return cls(True)
        return cls(False, *(rng.uniform(1 - strength, 1 + strength) for _ in range(3)))

    def applied(self, image: Image.Image) -> Image.Image:
        if self.grey:
            return image.convert("L").convert("RGB")
        image = ImageEnhance.Brightness(image).enhance(self.brightness)
        image = ImageEnhance.Contrast(image).enhance(self.contrast)
        return ImageEnhance.Color(image).enhance(self.saturation)
