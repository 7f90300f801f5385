"""Names of colours: each pixel gets one of eleven, by its lightness, chroma and hue in CIELAB.

The eleven are the basic colour words of Berlin and Kay (1969). The borders below were set by looking at drawn
patches and at things in photos whose colour is known; docs/experiments/2026-11-30-words-language.md has the
numbers.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from anymask.words.parts import Colour

NAMES: tuple[Colour, ...] = get_args(Colour)
# Linear sRGB to CIE XYZ of the white point D65, divided by that white. Source: IEC 61966-2-1.
TO_XYZ = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ],
    np.float32,
)
BLACK, WHITE = 20.0, 75.0  # lightness below and above which greys are black and white
GREY = 8.0  # chroma below which a colour is a grey
DARK_GREY = 10.0  # the same where it is darker than BLACK


def lab(pixels_N3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIELAB (lightness 0 to 100, a, b) of sRGB pixels. Source: CIE 15:2004."""
    encoded = pixels_N3.astype(np.float32) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T
    roots = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = roots[:, 0], roots[:, 1], roots[:, 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1).astype(np.float32)


def colour_names(pixels_N3: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The index into NAMES of each sRGB pixel."""
    lightness, a, b = lab(pixels_N3).T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    is_grey = chroma < np.where(lightness < BLACK, DARK_GREY, GREY)
    pale = (lightness > 85) & (chroma < 14)
    rules: list[tuple[NDArray[Any], Colour]] = [
        ((is_grey & (lightness < BLACK)) | (lightness < 7), "black"),
        ((is_grey & (lightness > WHITE)) | pale, "white"),
        (is_grey, "grey"),
        (((hue >= 335) | (hue < 20)) & (lightness > 55), "pink"),
        ((hue >= 20) & (hue < 45) & (lightness > 68) & (chroma < 55), "pink"),
        ((hue >= 308) & (hue < 335) & (lightness > 62), "pink"),
        ((hue >= 350) | (hue < 30), "red"),
        ((hue < 46) & (chroma > np.where(lightness < 35, 28, 40)), "red"),
        ((hue < 82) & (lightness > 47) & (chroma > 42), "orange"),
        ((hue < 82) | ((hue < 95) & (lightness < 55)) | ((hue < 95) & (chroma < 26)), "brown"),
        ((hue < 112) & (lightness > 48), "yellow"),
        (hue < 190, "green"),
        (hue < 308, "blue"),
    ]
    names = [NAMES.index(name) for _, name in rules]
    return np.select([where for where, _ in rules], names, NAMES.index("purple")).astype(np.int64)


def colour_shares(pixels_N3: NDArray[np.uint8]) -> dict[Colour, float]:
    """Which share of the pixels has each of the eleven names; all 0 without pixels."""
    counts = np.bincount(colour_names(pixels_N3.reshape(-1, 3)), minlength=len(NAMES))
    return {name: float(count) / max(int(counts.sum()), 1) for name, count in zip(NAMES, counts, strict=True)}
