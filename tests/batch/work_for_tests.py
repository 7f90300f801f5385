"""Work that the tests give to processes; importable by them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable


def doubled() -> Callable[[int], int]:
    return lambda number: 2 * number


def who() -> Callable[[int], tuple[int, int]]:
    def work(number: int) -> tuple[int, int]:
        time.sleep(0.05)
        return number, os.getpid()

    return work


def moody() -> Callable[[int], int]:
    """Dies on 3, raises on 5."""

    def work(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 5:
            raise ValueError("five")
        return number

    return work


def broken() -> Callable[[int], int]:
    raise RuntimeError("cannot start")
