"""Training in a process of its own: its result, its errors, its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import children
import pytest

pytest.importorskip("sqlalchemy")

from anymask.engine.apart import run_apart
from anymask.errors import BadInput, Failure


def ignore(done: int, total: int) -> None:
    pass


def test_the_result_and_the_progress_come_back() -> None:
    told: list[tuple[int, int]] = []
    assert run_apart(children.add_up, (2, 3), lambda done, total: told.append((done, total))) == 5
    assert (1, 2) in told


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (children.refuse, BadInput, "not like this"),
        (children.divide, Failure, "ZeroDivisionError"),
        (children.die, Failure, "enough memory"),
    ],
)
def test_what_goes_wrong_there_is_told_here(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run_apart(function, (), ignore)


def test_who_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if (tmp_path / "pid").exists():
            raise Enough

    with pytest.raises(Enough):
        run_apart(children.sleep, (tmp_path / "pid",), stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
