"""Times against a target, as one JSON object. Nothing here judges: a slow machine is no error."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Measure:
    """Milliseconds of one thing that people wait for. `target`: what the 95th percentile shall not exceed.

    `cpu_ms`: processor time of the server and of the browser, over all runs.
    """

    what: str
    target: float | None = None
    times_ms: list[float] = field(default_factory=list)
    cpu_ms: dict[str, float] = field(default_factory=dict)

    def add(self, *times_ms: float) -> None:
        self.times_ms += times_ms

    def told(self) -> dict[str, Any]:
        ordered = sorted(self.times_ms)
        if not ordered:
            return {"what": self.what, "runs": 0, "target_p95_ms": self.target}
        p95 = rank(ordered, 0.95)
        told = {"what": self.what, "runs": len(ordered), "min_ms": round(ordered[0], 1)}
        told |= {"p50_ms": rank(ordered, 0.5), "p95_ms": p95, "max_ms": round(ordered[-1], 1)}
        if self.target is not None:
            told |= {"target_p95_ms": self.target, "met": p95 <= self.target}
        for name, spent in self.cpu_ms.items():
            told[f"{name}_cpu_ms_each"] = round(spent / len(ordered), 1)
        return told


def rank(ordered: list[float], share: float) -> float:
    """By the nearest rank."""
    return round(ordered[max(0, -int(-share * len(ordered) // 1) - 1)], 1)


def rate(what: str, frames_ms: list[float], target: float) -> dict[str, Any]:
    """Frames a second, from the times between frames."""
    whole = sum(frames_ms)
    per_second = round(1_000 * len(frames_ms) / whole, 1) if whole else 0.0
    told = {"what": what, "frames": len(frames_ms), "fps": per_second, "target_fps": target}
    return {
        **told,
        "met": per_second >= target,
        "p95_gap_ms": rank(sorted(frames_ms), 0.95) if whole else None,
    }


def machine() -> dict[str, Any]:
    return {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def load_average() -> list[float] | None:
    """Of 1, 5 and 15 minutes."""
    return [round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else None


def cpu_ms(pids: Iterable[int]) -> float:
    """Processor time that processes have used; of those that can be looked up (Linux)."""
    ticks = sum(int(fields[11]) + int(fields[12]) for pid in pids if (fields := _stat(pid)))
    return 1_000.0 * ticks / os.sysconf("SC_CLK_TCK") if ticks else 0.0


def _stat(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on; empty where it cannot be looked up."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(pid: int, without: int | None = None) -> list[int]:
    """Processes that were started by one, and by those. `without`: not this one, nor what it started."""
    children: dict[int, list[int]] = {}
    names = os.listdir("/proc") if os.path.isdir("/proc") else []
    for other in map(int, filter(str.isdigit, names)):
        if fields := _stat(other):
            children.setdefault(int(fields[1]), []).append(other)
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child != without:
                found.append(child)
                waiting.append(child)
    return found
