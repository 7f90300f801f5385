"""Logging of a run: JSON lines, TensorBoard scalars when installed, and one progress line."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TOTALS = ("images", "seconds", "skipped")  # reported as they are or summed, not averaged


class RunLog:
    """Means over every few steps go to `log.jsonl`, `tensorboard/` and the terminal; only rank 0 writes.
    `done`: fraction of the run.
    """

    def __init__(self, folder: Path, active: bool, done: float) -> None:
        self.active, self._done = active, done
        self._sums: dict[str, float] = defaultdict(float)
        self._count, self._since = 0, time.monotonic()
        if active:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "log.jsonl").open("a")
            self._board = _tensorboard(folder / "tensorboard")

    def add(self, step: int, numbers: dict[str, float], every: int, done: float) -> None:
        """Collect one step; report every `every` steps and at the end. `done`: fraction of the run."""
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
        if self._board is not None:
            for name, value in means.items():
                self._board.add_scalar(name, value, step)
        self._show(step, min(1.0, done), means)
        self._sums.clear()
        self._count, self._since, self._done = 0, time.monotonic(), done

    def _show(self, step: int, done: float, means: dict[str, float]) -> None:
        filled = "#" * round(20 * done)
        shown = "  ".join(f"{k} {means[k]:.3f}" for k in ("loss", "first_iou", "last_iou") if k in means)
        end = "\r" if sys.stderr.isatty() else "\n"
        line = f"[{filled:<20}] step {step}  {shown}  {self._left(done)}"
        print(line, end=end, file=sys.stderr, flush=True)

    def _left(self, done: float) -> str:
        """At the pace since the last report."""
        minutes = (time.monotonic() - self._since) / 60
        return f"{minutes * (1 - done) / max(done - self._done, 1e-9):.0f} min left"

    def close(self) -> None:
        if self.active:
            self._file.close()
            if self._board is not None:
                self._board.close()


def _tensorboard(folder: Path) -> Any:
    """A TensorBoard writer, or None where the package is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))
