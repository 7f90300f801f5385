"""Heap trimming: freed memory goes back to the system.

After a large network has run, the C library keeps hundreds of megabytes of free blocks for later.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys


def trim_heap() -> None:
    """Return free heap pages to the system; with glibc alone, elsewhere nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
