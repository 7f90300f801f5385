"""Label Studio's brush: run lengths of the values of a picture (RGBA, row by row), packed in bits.

  32 bits  how many values
   5 bits  bits of a value, less 1
4 x 4 bits sizes of run lengths in bits, less 1
  then     1 bit: a run (1) or single values (0); 2 bits: which size; how many, less 1; the value(s)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask
from anymask.data.formats.row_runs import mask_of_row_runs, row_runs
from anymask.data.formats.shapes import check_pixels
from anymask.errors import BadInput

SIZES = (3, 4, 8, 16)
CHANNELS, VALUE_BITS = 4, 8
LONGEST = 1 << SIZES[-1]
SHORT = "expected 'rle' to be a brush of Label Studio: it ends too early"


def encode_brush(mask: Mask) -> list[int]:
    """All four channels are 255 inside and 0 outside. Raises BadInput for a huge photo."""
    check_pixels(mask.size_hw)
    lengths = np.array(row_runs(mask), np.int64) * CHANNELS
    values = (np.arange(lengths.size) % 2) * 255
    pieces = -(-lengths // LONGEST)  # a run that is too long for its number becomes several
    ends = np.cumsum(pieces) - 1
    amounts = np.full(int(pieces.sum()), LONGEST, np.int64)
    amounts[ends[pieces > 0]] = (lengths - (pieces - 1) * LONGEST)[pieces > 0]
    values = np.repeat(values, pieces)
    size_index = np.searchsorted(np.left_shift(1, np.array(SIZES)), amounts)
    bits = np.array(SIZES)[size_index]
    codes = ((0b100 | size_index) << bits | (amounts - 1)) << VALUE_BITS | values
    height, width = mask.size_hw
    head = height * width * CHANNELS << 21 | (VALUE_BITS - 1) << 16
    for place, size in enumerate(SIZES):
        head |= size - 1 << 4 * (3 - place)
    head_bits = np.frombuffer(f"{head:053b}".encode(), np.uint8) - ord("0")
    return np.packbits(np.concatenate([head_bits, _bits(codes, 3 + bits + VALUE_BITS)])).tolist()


def _bits(codes: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Numbers of so many bits each, one after the other, highest first."""
    last = np.cumsum(widths)
    shifts = np.repeat(last, widths) - 1 - np.arange(int(last[-1]))
    return (np.repeat(codes, widths) >> shifts & 1).astype(np.uint8)


def decode_brush(rle: Sequence[int], size_hw: tuple[int, int]) -> Mask:
    """Inside is where alpha is not 0. Raises BadInput."""
    check_pixels(size_hw)
    try:
        data = bytes(rle)
    except (TypeError, ValueError, OverflowError):
        raise BadInput("expected 'rle' to be a list of bytes") from None
    height, width = size_hw
    if len(data) < 7:
        raise BadInput(SHORT)
    head = int.from_bytes(data[:7], "big") >> 3
    count = head >> 21
    if count != height * width * CHANNELS:
        raise BadInput(f"expected a brush of {width} x {height} pixels in four channels, got {count} values")
    value_bits = (head >> 16 & 31) + 1
    sizes = [(head >> 4 * (3 - place) & 15) + 1 for place in range(4)]
    ends, values = _runs(data, count, value_bits, sizes)
    pixels = np.asarray(ends, np.int64) // CHANNELS  # alpha is the last value of a pixel
    lengths = np.diff(pixels, prepend=0)
    inside = (np.asarray(values) != 0)[lengths > 0]
    lengths = lengths[lengths > 0]
    starts = np.flatnonzero(np.diff(inside, prepend=~inside[:1]))
    merged = np.add.reduceat(lengths, starts).tolist()
    return mask_of_row_runs([0, *merged] if inside[0] else merged, size_hw)


def _runs(data: bytes, count: int, value_bits: int, sizes: list[int]) -> tuple[list[int], list[int]]:
    """Where runs of one value end, and that value."""
    padded, available = data + bytes(8), len(data) * 8
    ends, values = list[int](), list[int]()
    value_mask, at, done = (1 << value_bits) - 1, 32 + 5 + 16, 0
    read = int.from_bytes
    while done < count:
        window = read(padded[at >> 3 : (at >> 3) + 4], "big") << (at & 7) & 0xFFFFFFFF
        size = sizes[window >> 29 & 3]
        amount = (window >> (29 - size) & (1 << size) - 1) + 1
        is_run, at = window >> 31, at + 3 + size
        needed = value_bits if is_run else amount * value_bits
        if at + needed > available or done + amount > count:
            raise BadInput(
                SHORT if at + needed > available else "expected 'rle' to be a brush: it is too long"
            )
        if is_run:
            shift = 40 - value_bits - (at & 7)
            values.append(read(padded[at >> 3 : (at >> 3) + 5], "big") >> shift & value_mask)
            ends.append(done + amount)
        else:
            bits = read(padded[at >> 3 : (at + needed >> 3) + 1], "big")
            shift = 8 * ((at + needed >> 3) + 1 - (at >> 3)) - (at & 7) - value_bits
            for place in range(amount):
                values.append(bits >> (shift - place * value_bits) & value_mask)
            ends.extend(range(done + 1, done + amount + 1))
        done, at = done + amount, at + needed
    return ends, values
