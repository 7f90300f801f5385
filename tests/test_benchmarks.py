"""The tools of the benchmarks: medians, budgets, processes of their own."""

from __future__ import annotations

import sys

import pytest
from timing import repeat, summary

from anymask.errors import Failure
from bench import run as run_process
from bench import table


def test_times_are_summed_up_by_rank() -> None:
    assert summary([5, 1, 2, 3, 4]) == {"p50": 3, "p95": 5, "runs": 5}
    assert summary(range(1, 101)) == {"p50": 50, "p95": 95, "runs": 100}


def test_repeats_stop_when_the_budget_is_spent_but_never_at_none() -> None:
    assert len(repeat(lambda: None, 10)) == 10
    assert len(repeat(lambda: None, 10, budget_seconds=0)) == 1


def test_a_process_that_fails_is_told_by_its_last_line() -> None:

    assert run_process([sys.executable, "-c", "print(7)"]).output == "7\n"
    with pytest.raises(Failure, match="ValueError: no"):
        run_process([sys.executable, "-c", "raise ValueError('no')"])


def test_the_table_shows_ratios_to_the_first_row() -> None:
    times = {"p50": 10.0, "p95": 12.0, "runs": 5}
    row = {"encode_ms": times, "decode_ms": times, "click_ms": times, "cold_start_s": 1.0, "peak_mb": 100}
    rows = [
        {"name": "ours", **row, "peak_mb_12_megapixels": 300},
        {"name": "peer", **row, "cold_start_s": 4.5},
    ]
    report = {"photo": "a.jpg", "point": [1, 2], "cores": 2, "load_average": 0.5, "rows": rows}
    lines = table(report).splitlines()
    assert "4.5 (4.5x)" in next(line for line in lines if line.startswith("peer"))
    assert "(" not in next(line for line in lines if line.startswith("ours"))
    assert any("300 MB" in line for line in lines)
