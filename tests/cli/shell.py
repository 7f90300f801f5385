"""What the tests of the command line share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from typer.testing import Result

Run = Callable[..., Result]
Start = Callable[..., "subprocess.CompletedProcess[str]"]


def complaints(result: Result) -> list[str]:
    """Lines of standard error; none of them is part of a traceback."""
    lines: list[str] = result.stderr.splitlines()
    assert not any(line.startswith(("Traceback", "  File")) for line in lines), result.stderr
    return lines
