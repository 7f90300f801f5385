"""Account: what a search has done so far: answers it dropped and why, seconds of each part, points asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from anymask.core.progress import Progress

PARTS = ("encode", "decode", "closer", "rest")


class Account:
    """`rejected`: answers by what dropped them. `seconds`: of each of PARTS. `total`: what is to be asked, as
    far as it is known: grid points, then masks that are drawn again.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.rejected: Counter[str] = Counter()
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.total = 0
        self._asked, self._progress = 0, progress

    def add_asked(self, more: int) -> None:
        self._asked += more
        if self._progress and more:
            self._progress(self._asked, self.total)

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - started
