"""Time model: how long a person needs, from published measurements.

A first click on an object takes 2.4 s and each later one 0.9 s (Bearman et al. 2016, "What's the point"); a
mask drawn by hand 79 s (Lin et al. 2014, COCO: 22 hours for 1,000 masks). To look at an answer and choose is
set to 1 s. A nudge to move on comes after 30 s (paper, section 4). People slow down with fatigue.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_CLICK_S = 2.4
CLICK_S = 0.9
LOOK_S = 1.0
DRAW_S = 79.0
MIN_BRUSH_S = 3.0
REMOVE_S = 1.5
NUDGE_S = 30.0
FATIGUE_PER_HOUR = 0.05


@dataclass(slots=True)
class Stopwatch:
    """Active seconds of one person, slower by a share with every hour of work."""

    seconds: float = 0.0

    def spend(self, seconds: float) -> float:
        """Returns what it took."""
        taken = seconds * (1 + FATIGUE_PER_HOUR * self.seconds / 3600)
        self.seconds += taken
        return taken


def brush_seconds(iou: float) -> float:
    """To correct by hand what is wrong with a mask: the share of a whole drawing that its error is."""
    return max(MIN_BRUSH_S, DRAW_S * (1 - iou))
