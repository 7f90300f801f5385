"""Promotion: does the model of a round replace the one before? Only if it is not worse, by paired intervals.

A pure function of the scores of both on the same photos, and of what is remembered of everyday photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from anymask.engine.round_scores import Estimate, RoundScores

MEASURES = ("iou_click_1", "iou_box", "ar_at_100", "precision_at_75")
TOLERANCE = 0.01  # a loss that nobody would notice
FEWEST = 3  # photos: an interval over fewer says nothing
FORGOTTEN = 0.03  # of the first click on everyday photos: more is too much


@dataclass(frozen=True, slots=True)
class Decision:
    """`why`: one sentence for people. `gains`: of each measure, over the model before."""

    promoted: bool
    why: str
    gains: dict[str, Estimate] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        gains = {name: [round(gain.value, 5), *gain.rounded] for name, gain in self.gains.items()}
        return {"promoted": self.promoted, "why": self.why, "gains": gains}


def promote(
    before: RoundScores,
    after: RoundScores,
    *,
    forgotten: float | None = None,
    measures: Sequence[str] = MEASURES,
    tolerance: float = TOLERANCE,
) -> Decision:
    """Not promoted when a measure is worse: its whole interval below 0 and its mean lower by more than the
    tolerance; when none is better and their mean is not; and when more than FORGOTTEN of the first click on
    everyday photos is lost (`forgotten`, a positive number). Measures that one of them lacks do not count.
    Of fewer than FEWEST photos the mean of all measures decides alone.

    Raises BadInput for scores of other photos.
    """
    shared = [name for name in measures if name in before.measures and name in after.measures]
    gains = {name: after.gain_over(before, name) for name in shared}
    if forgotten is not None and forgotten > FORGOTTEN:
        why = f"first clicks on everyday photos lose {forgotten:.3f} of IoU"
        return Decision(False, f"{why} (allowed {FORGOTTEN})", gains)
    sure = gains if len(before.keys) >= FEWEST else {}
    if worse := [name for name, gain in sure.items() if gain.high < 0 and gain.value < -tolerance]:
        return Decision(False, f"worse at {told(worse, gains)}", gains)
    if better := [name for name, gain in sure.items() if gain.low > 0]:
        return Decision(True, f"better at {told(better, gains)}, nothing worse", gains)
    mean = sum(gain.value for gain in gains.values()) / max(1, len(gains))
    told_mean = f"on the whole {mean:+.3f}" + ("" if sure else ", on too few photos to be sure")
    if mean > 0:
        return Decision(True, f"nothing worse, and {told_mean}" if sure else told_mean, gains)
    return Decision(False, f"nothing better ({told_mean})", gains)


def told(names: Sequence[str], gains: dict[str, Estimate]) -> str:
    shown = (
        f"{name} {gains[name].value:+.3f} [{gains[name].low:+.3f}, {gains[name].high:+.3f}]" for name in names
    )
    return ", ".join(shown)


def decide(before: dict[str, Any], after: dict[str, Any], forgotten: float | None) -> Decision:
    """The same for measurements as JSON, whose `scores` are those of `RoundScores`."""
    scores = [RoundScores.from_dict(one["scores"]) for one in (before, after)]
    return promote(*scores, forgotten=forgotten)
