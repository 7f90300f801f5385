"""What an evaluation leaves behind: a table of samples as CSV, and a few lines for people."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from anymask.errors import StorageError

Report = dict[str, Any]


@contextmanager
def csv_table(path: str | os.PathLike[str] | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes a row; the keys of the first one are the header. No path: rows are dropped.

    The file is opened first, so that a path that cannot be written is told before the long run, and not after
    it. Raises StorageError.
    """
    if path is None:
        yield lambda row: None
        return
    try:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            yield _row_writer(file)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _row_writer(file: TextIO) -> Callable[[Mapping[str, Any]], None]:
    writer: csv.DictWriter[str] | None = None

    def write(row: Mapping[str, Any]) -> None:
        nonlocal writer
        if writer is None:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
        writer.writerow(row)

    return write


def describe(report: Report) -> str:
    """The report of either protocol as lines of text; every mean with its 95 % interval over images."""
    head = f"{report['dataset']} · {report['model']} · {report['samples']} masks of {report['images']} images"
    body = _click_lines(report) if "iou_at" in report else _box_lines(report)
    return "\n".join([head, *body, f"encode {report['encode_seconds'] * 1000:.0f} ms per image"])


def _click_lines(report: Report) -> list[str]:
    ci = report["ci"]
    shown = [k for k in ("1", "2", "3", "5", "10", "20") if k in report["iou_at"]]
    lines = [_line(f"IoU@{k}", report["iou_at"][k], ci["iou_at"][k]) for k in shown]
    lines.append(_line("oracle IoU@1", report["oracle_iou_at_1"], ci["oracle_iou_at_1"]))
    for goal, clicks in report["noc"].items():
        failed = f"   {report['failures'][goal]} of {report['samples']} failed"
        lines.append(_line(f"NoC@{goal}", clicks, ci["noc"][goal]) + failed)
    return [
        *lines,
        f"{report['seconds_per_click'] * 1000:.0f} ms per click ({report['first_click']} first click)",
    ]


def _box_lines(report: Report) -> list[str]:
    names = {
        "miou": "mIoU, exact boxes",
        "miou_jittered": "mIoU, jittered boxes",
        "miou_filled_box": "mIoU, box filled",
    }
    lines = [_line(text, report[key], report["ci"][key]) for key, text in names.items()]
    return [*lines, f"{report['seconds_per_box'] * 1000:.0f} ms per box"]


def _line(name: str, mean: float, interval: Sequence[float]) -> str:
    return f"{name:<21} {mean:6.3f}  [{interval[0]:.3f}, {interval[1]:.3f}]"
