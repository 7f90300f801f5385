"""How often somebody may ask: a bucket of tokens for each person and kind of request, and for signing in."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BUCKETS = 10_000  # kept; those that were used longest ago are full again anyway


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second on average, and so many at once."""

    per_second: float
    burst: float


PROMPTS, SAVES, OTHER = Rate(60, 120), Rate(20, 60), Rate(100, 400)
SIGN_INS = Rate(5 / 60, 5)  # of one name
FROM_ADDRESS = Rate(1, 40)  # a team comes in the morning from one address


class Rates:
    """Token buckets by name. `clock` runs in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, Rate], tuple[float, float]] = OrderedDict()
        self._gate = threading.Lock()

    def take(self, who: str, method: str, route: str) -> float:
        """0 and one token less, or the seconds until there is one."""
        return self.take_of(who, _rate_of(method, route))

    def take_of(self, who: str, rate: Rate) -> float:
        now = self._clock()
        with self._gate:
            left, at = self._buckets.pop((who, rate), (rate.burst, now))
            left = min(rate.burst, left + (now - at) * rate.per_second)
            enough = left >= 1
            self._buckets[who, rate] = (left - enough, now)
            while len(self._buckets) > BUCKETS:
                self._buckets.popitem(last=False)
        return 0.0 if enough else (1 - left) / rate.per_second


def _rate_of(method: str, route: str) -> Rate:
    if route.endswith(("/prompt", "/preview", "/everything", "/find")):
        return PROMPTS
    return SAVES if "/actions" in route else OTHER
