"""Masks of an image as bytes: for a page, thousands of them as JSON would take seconds.

"AMK1", u32 length n, n bytes of JSON (padded with blanks to a multiple of 4), then the run lengths of all
masks as u32; each mask of the JSON says where its own are: "runs": [offset, count]. Little-endian.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from anymask.store.values import StoredMask
from anymask.web.schemas import mask_told

MAGIC = b"AMK1"


def bytes_of_masks(
    masks: Sequence[tuple[StoredMask, str | None]], revision: int, size_hw: tuple[int, int]
) -> bytes:
    """See the module; each mask with its origin."""
    told, runs, offset = [], [], 0
    for one, origin in masks:
        own = np.array(one.mask.runs, "<u4")
        told.append({**mask_told(one, origin), "runs": [offset, len(own)]})
        runs.append(own)
        offset += len(own)
    header = json.dumps({"revision": revision, "size": list(size_hw), "masks": told}, separators=(",", ":"))
    encoded = header.encode()
    encoded += b" " * (-(len(encoded) + 8) % 4)
    length = np.array([len(encoded)], "<u4").tobytes()
    return MAGIC + length + encoded + b"".join(own.tobytes() for own in runs)
