"""Pixel formats: arrays of any depth and number of channels to H x W x 3 uint8.

Legend: H W pixels, C channels (1 grey, 3 RGB, 4 RGB and alpha).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.core.resample import Pixels, strips
from anymask.errors import BadImage

DEPTHS = (8, 10, 12, 14, 16)  # bits of the cameras and scanners there are
OVERSHOOT = 0.02  # of the range: what a sharpening filter or a bicubic resize adds


def rgb_from_array(array: NDArray[Any], name: str) -> Pixels:
    """H x W, or H x W x 1, 3 or 4, of bool, whole numbers or floats -> H x W x 3 uint8, C-contiguous.

    Transparent pixels are laid over white. May share memory with `array`.
    Raises BadImage with a message that begins with `name`.
    """
    array_HWC = _with_channels(array, name)
    pixels_HWC = to_uint8(array_HWC, name)
    if pixels_HWC.shape[2] == 3:
        return np.ascontiguousarray(pixels_HWC)
    height, width, channels = pixels_HWC.shape
    rgb_HW3 = np.empty((height, width, 3), np.uint8)
    for rows in strips(height, width):
        rgb_HW3[rows] = composited(pixels_HWC[rows]) if channels == 4 else pixels_HWC[rows]
    return rgb_HW3


def _with_channels(array: NDArray[Any], name: str) -> NDArray[Any]:
    expected = "H x W, or H x W x 1, 3 or 4"
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] > 4
        hint = " (channels first? transpose it)" if first else ""
        raise BadImage(f"{name}: expected an array of shape {expected}, got {_shape(array)}{hint}")
    if array.size == 0:
        raise BadImage(f"{name}: expected at least one pixel, got an array of {_shape(array)}")
    return array


def _shape(array: NDArray[Any]) -> str:
    return " x ".join(str(side) for side in array.shape) or "a single number"


def to_uint8(array_HWC: NDArray[Any], name: str) -> Pixels:
    """Brought to 0..255.

    bool: 0 and 255. uint8: as it is. Other whole numbers: the range is the smallest of 8, 10, 12, 14 and 16
    bits that holds the brightest pixel, so 12-bit data in 16-bit files is not black. Floats: 0..1 when none
    is above 1, 0..255 otherwise. Raises BadImage for other ranges, NaN and infinity.
    """
    if array_HWC.dtype == np.uint8:
        return array_HWC
    if array_HWC.dtype == np.bool_:
        return array_HWC.view(np.uint8) * np.uint8(255)
    if array_HWC.dtype.kind in "iu":
        return _scaled(array_HWC, _integer_range(array_HWC, name))
    if array_HWC.dtype.kind == "f":
        return _scaled(array_HWC, _float_range(array_HWC, name))
    raise BadImage(f"{name}: expected an array of bool, whole numbers or floats, got {array_HWC.dtype}")


def _integer_range(array: NDArray[Any], name: str) -> float:
    low, high = int(array.min()), int(array.max())
    for bits in DEPTHS:
        if low >= 0 and high < 1 << bits:
            return (1 << bits) - 1
    raise BadImage(f"{name}: expected whole numbers in 0..65535, got {low}..{high}")


def _float_range(array: NDArray[Any], name: str) -> float:
    low, high = _extremes(array, name)
    for top in (1.0, 255.0):
        if low >= -OVERSHOOT * high and high <= (1 + OVERSHOOT) * top:
            return top
    raise BadImage(f"{name}: expected floats in 0..1 or 0..255, got {low:g}..{high:g}")


def _extremes(array: NDArray[Any], name: str) -> tuple[float, float]:
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadImage(f"{name}: expected finite numbers, got NaN or infinity")
    return low, high


def _scaled(array_HWC: NDArray[Any], top: float) -> Pixels:
    pixels_HWC = np.empty(array_HWC.shape, np.uint8)
    for rows in strips(*array_HWC.shape[:2]):
        strip = array_HWC[rows].astype(np.float32)
        strip *= np.float32(255 / top)
        strip += np.float32(0.5)
        np.copyto(pixels_HWC[rows], strip.clip(0, 255), casting="unsafe")
    return pixels_HWC


def stretched(array_HW: NDArray[Any], name: str) -> Pixels:
    """Measurements (heights, temperatures): the smallest value becomes black, the largest white."""
    low, high = _extremes(array_HW, name)
    pixels_HW = np.empty(array_HW.shape, np.uint8)
    for rows in strips(*array_HW.shape[:2]):
        pixels_HW[rows] = (array_HW[rows].astype(np.float64) - low) / max(high - low, 1e-300) * 255 + 0.5
    return pixels_HW


def rgb_from_measurements(array: NDArray[Any], name: str, nodata: float | None = None) -> Pixels:
    """The same as `rgb_from_array`, and stretched where the numbers have another range (heights, ...).

    Pixels without a value (`nodata` of a raster, NaN, infinity, the end of the range of floats) do not count
    to the range, and become black. Raises BadImage, also where no pixel has a value.
    """
    missing = _missing(array, nodata)
    if missing is not None:
        if missing.all():
            raise BadImage(f"{name}: no pixel has a value: all are NaN, infinite or marked as no data")
        array = np.where(missing, array[~missing].min(), array)
    try:
        rgb_HW3 = rgb_from_array(array, name)
    except BadImage:
        if array.ndim < 2 or array.dtype.kind not in "iuf":
            raise
        rgb_HW3 = rgb_from_array(stretched(array, name), name)
    if missing is not None:
        rgb_HW3[missing if missing.ndim == 2 else missing[:, :, :3].all(axis=2)] = 0
    return rgb_HW3


def _missing(array: NDArray[Any], nodata: float | None) -> NDArray[np.bool_] | None:
    """Where there is no value; None where there is one everywhere."""
    missing = np.zeros(array.shape, np.bool_)
    if array.dtype.kind == "f":
        end = np.finfo(np.float32).max * (1 - 1e-6) if array.dtype.itemsize >= 4 else np.inf
        missing |= ~np.isfinite(array) | (np.abs(array) >= end)
    if array.dtype.kind == "i":
        missing |= (array == -(1 << 15)) | (array == -(1 << 31))  # the ends of 16 and 32 bits
    if nodata is not None:
        close = array.dtype.kind == "f" and np.isfinite(nodata)
        missing |= np.isclose(array, nodata, rtol=1e-6, atol=0) if close else array == nodata
    return missing if missing.any() else None


def composited(rgba_HW4: Pixels, backdrop: int = 255) -> Pixels:
    """Laid over white, or another grey; rounded to the nearest."""
    alpha = rgba_HW4[:, :, 3:].astype(np.uint32)
    return ((rgba_HW4[:, :, :3] * alpha + backdrop * (255 - alpha) + 127) // 255).astype(np.uint8)
