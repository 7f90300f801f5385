"""Tasks on several processes: every task is answered once, whatever happens to the processes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from work_for_tests import broken, doubled, moody, who

from anymask.batch.local import WorkerDied, run_all


def test_every_task_is_answered_once() -> None:
    assert dict(run_all(range(20), doubled, 2)) == {n: 2 * n for n in range(20)}


def test_work_is_shared_between_processes() -> None:
    answers = [answer for _, answer in run_all(range(12), who, 2)]
    assert sorted(n for n, _ in answers) == list(range(12))
    assert len({pid for _, pid in answers}) == 2


def test_a_process_that_dies_costs_its_task_alone() -> None:
    answers = dict(run_all(range(8), moody, 2))
    assert isinstance(answers.pop(3), WorkerDied)
    error = answers.pop(5)
    assert isinstance(error, ValueError)
    assert answers == {n: n for n in (0, 1, 2, 4, 6, 7)}


def test_what_cannot_start_fails_each_task_with_the_reason() -> None:
    answers = dict(run_all(range(3), broken, 2))
    assert [str(answers[n]) for n in range(3)] == ["cannot start"] * 3


def test_no_tasks_start_no_processes() -> None:
    assert list(run_all([], broken, 2)) == []
