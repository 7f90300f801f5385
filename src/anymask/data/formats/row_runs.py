"""Run lengths row by row, as annotation programs count them; a `Mask` counts column by column."""

from __future__ import annotations

from typing import Any

from anymask.core.mask import Mask


def row_runs(mask: Mask) -> list[int]:
    """Lengths of the runs, row by row, those outside first."""
    return _transposed(mask).runs


def mask_of_row_runs(runs: Any, size_hw: tuple[int, int]) -> Mask:
    """Raises BadInput when the runs do not add up to the size."""
    return _transposed(Mask.from_rle({"size": size_hw[::-1], "counts": runs}))


def _transposed(mask: Mask) -> Mask:
    """At the cost of the box of the mask."""
    height, width = mask.size_hw
    if mask.is_empty:
        return Mask.from_rle({"size": [width, height], "counts": [height * width]})
    x, y = mask.box_xyxy[:2]
    return Mask.from_array(mask.array_of_box().T).placed((width, height), (y, x))
