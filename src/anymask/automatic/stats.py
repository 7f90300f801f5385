"""GenerationStats: proposals that were filtered and by what, seconds of each part, prompts answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from anymask.core.progress import Progress

PARTS = ("encode", "decode", "refine", "rest")


class GenerationStats:
    """`filtered_by`: number of proposals that each filter dropped. `seconds`: of each of PARTS. `total`:
    prompts to be answered, as far as known: grid points, boxes, masks to be refined.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.filtered_by: Counter[str] = Counter()
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.total = 0
        self._answered, self._progress = 0, progress

    def add_answered(self, more: int) -> None:
        self._answered += more
        if self._progress and more:
            self._progress(self._answered, self.total)

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - started
