"""Logging of a run: JSON lines and one progress line."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

TOTALS = ("images", "seconds", "skipped")  # reported as they are or summed, not averaged


class RunLog:
    """Means over every few steps, to `log.jsonl` and, if `shown`, the terminal. `done`: of the run."""

    def __init__(self, folder: Path, active: bool, done: float, shown: bool = True) -> None:
        self.active, self._shown, self._done = active, shown, done
        self._sums: dict[str, float] = defaultdict(float)
        self._count, self._since = 0, time.monotonic()
        if active:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "log.jsonl").open("a")

    def add(self, step: int, numbers: dict[str, float], every: int, done: float) -> None:
        """Collect one step; report every `every` steps and at the end."""
        if not self.active:
            return
        for name, value in numbers.items():
            self._sums[name] = value if name in ("images", "seconds") else self._sums[name] + value
        self._count += 1
        if (step + 1) % every == 0 or done >= 1:
            self._report(step + 1, done)

    def _report(self, step: int, done: float) -> None:
        means = {k: v if k in TOTALS else v / self._count for k, v in self._sums.items()}
        means["seconds_per_step"] = (time.monotonic() - self._since) / self._count
        row: dict[str, Any] = {"step": step, **{k: round(v, 5) for k, v in means.items()}}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._shown:
            self._show(step, means, done)
        self._sums.clear()
        self._count, self._since, self._done = 0, time.monotonic(), done

    def _show(self, step: int, means: dict[str, float], done: float) -> None:
        shown = "  ".join(f"{k} {means[k]:.3f}" for k in ("loss", "first_iou", "last_iou") if k in means)
        done = min(1.0, done)
        minutes = (time.monotonic() - self._since) / max(done - self._done, 1e-9) / 60 * (1 - done)
        line = f"[{'#' * round(20 * done):<20}] step {step}  {shown}  {minutes:.0f} min left"
        print(line, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.active:
            self._file.close()
