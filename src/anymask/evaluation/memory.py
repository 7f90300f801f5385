"""Peak memory of this process."""

from __future__ import annotations

import sys

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_megabytes() -> float | None:
    """Largest resident size so far, evaluation included; None where the system cannot say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_UNIT / 1e6, 1)
