"""What a process of its own does in tests: it has to be found by name there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from anymask.core.progress import Progress
from anymask.errors import BadInput


def add_up(progress: Progress, a: int, b: int) -> int:
    progress(1, 2)
    return a + b


def refuse(_: Progress) -> Any:
    raise BadInput("not like this")


def divide(_: Progress) -> Any:
    return 1 / 0


def die(_: Progress) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(progress: Progress, place: Path) -> None:
    place.write_text(str(os.getpid()))
    progress(0, 1)
    time.sleep(60)
