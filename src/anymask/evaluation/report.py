"""What an evaluation leaves behind: a table of samples as CSV, and a few lines for people."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anymask.errors import StorageError

Report = dict[str, Any]


@contextmanager
def csv_table(path: str | os.PathLike[str] | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes a row, keys as the header; without a path it drops it. Raises StorageError."""
    if path is None:
        yield lambda row: None
        return
    writers: list[csv.DictWriter[str]] = []

    def write(row: Mapping[str, Any]) -> None:
        if not writers:
            writers.append(csv.DictWriter(file, list(row)))
            writers[0].writeheader()
        writers[0].writerow(row)

    try:
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            yield write
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def describe(report: Report) -> str:
    """The report of any protocol as lines of text; every mean with its 95 % interval over images."""
    lines = next(lines for key, lines in _LINES.items() if key in report)
    return "\n".join(lines(report))


def _head(report: Report, counted: str | None = None) -> str:
    masks = "" if counted is None else f"{report[counted]} masks of "
    passes = " · two passes" if report.get("refined") else ""
    return f"{report['dataset']} · {report['model']} · {masks}{report['images']} images{passes}"


def _click_lines(report: Report) -> list[str]:
    ci = report["ci"]
    shown = [k for k in ("1", "2", "3", "5", "10", "20") if k in report["iou_at"]]
    lines = [_head(report, "samples")]
    lines += [_line(f"IoU@{k}", report["iou_at"][k], ci["iou_at"][k]) for k in shown]
    lines.append(_line("oracle IoU@1", report["oracle_iou_at_1"], ci["oracle_iou_at_1"]))
    for goal, clicks in report["noc"].items():
        failed = f"   {report['failures'][goal]} of {report['samples']} failed"
        lines.append(_line(f"NoC@{goal}", clicks, ci["noc"][goal]) + failed)
    return [*lines, *_speed(report, "click", f" ({report['first_click']} first click)")]


def _box_lines(report: Report) -> list[str]:
    names = {
        "miou": "mIoU, exact boxes",
        "miou_jittered": "mIoU, jittered boxes",
        "miou_filled_box": "mIoU, box filled",
    }
    return [_head(report, "samples"), *_means(report, names), *_speed(report, "box")]


def _proposal_lines(report: Report) -> list[str]:
    ci, baseline = report["ci"], report["baseline"]["ar_at"]
    lines = [_head(report, "targets") + f" · {report['preset']} preset, {report['protocol']} protocol"]
    for length, recall in report["ar_at"].items():
        boxes = _line("random boxes", baseline[length], ci["baseline"]["ar_at"][length])
        lines += [_line(f"AR@{length}", recall, ci["ar_at"][length]), f"  {boxes}"]
    for size, recall in report["ar_at_100_by_size"].items():
        lines.append(_line(f"AR@100 {size}", recall, ci["ar_at_100_by_size"][size]))
    names = {
        "precision_at_75": "precision at 0.75",
        "precision_at_75_annotated": "  on annotated pixels",
        "tight_at_75": "  of those at 0.5",
    }
    lines += _means(report, names)
    memory = "" if report["peak_mb"] is None else f", at most {report['peak_mb']:.0f} MB"
    speed = f"{report['seconds_per_image']:.2f} s per image{memory}"
    return [*lines, f"{report['masks_per_image']:.1f} masks per image, {speed}"]


def _edge_lines(report: Report) -> list[str]:
    names = {"ods": "ODS", "ois": "OIS", "ap": "AP", "r50": "R50"}
    return [_head(report), *_means(report, names), f"{report['seconds_per_image']:.2f} s per image"]


def _calibration_lines(report: Report) -> list[str]:
    names = {
        "ece": "calibration error",
        "brier": "Brier score",
        "log_score": "log score",
        "none_predicted": "none, predicted",
        "none_observed": "none, observed",
    }
    ece, *others = _means(report, names)
    errors = [f"  {name:<19} {error:6.3f}" for name, error in report["by_prompt"].items()]
    ranks = zip(report["ranks"]["probability"], report["ranks"]["best"], strict=True)
    reported = [f"candidate {n}: {p:.0%} probable, best in {b:.0%}" for n, (p, b) in enumerate(ranks, 1)]
    if (iou := report["candidate_iou"]) is not None:
        reported.append(f"IoU between candidates {iou:.2f}")
    reported.append(f"predicted IoU is off by {report['iou_error']:.3f} on average")
    return [_head(report, "samples"), ece, *errors, *others, *reported, *_fit_lines(report)]


def _text_lines(report: Report) -> list[str]:
    head = f"{report['dataset']} · {report['model']} · {report['pairs']} named of {report['photos']} photos"
    names = {
        "presence_auroc": "presence, AUROC",
        "presence_auroc_per_name": "  per name",
        "recall": "recall, as decided",
        "false_positive_rate": "  false positives",
        "uiou_class": "union IoU, per class",
        "uiou_pairs": "  per pair",
        "uiou_decided": "  absent counts as 0",
        "shuffled_uiou_pairs": "  asked a wrong name",
        "ap50": "AP at IoU 0.5",
        "f1_50_present": "F1 at IoU 0.5",
        "top1_on_thing": "best mask on it",
    }
    rates = [
        _line(f"recall at {float(rate):.0%} false", recall, report["ci"]["recall_at_fpr"][rate])
        for rate, recall in report["recall_at_fpr"].items()
    ]
    means = _means(report, names)
    first, later = (report[f"seconds_{which}"] or 0.0 for which in ("first", "later"))
    speed = f"{first * 1000:.0f} ms for the first phrase of a photo, {later * 1000:.0f} ms for each later one"
    return [head, *means[:2], *rates, *means[2:], speed]


def _fit_lines(report: Report) -> list[str]:
    if not (fit := report.get("fit")):
        return []
    head = f"temperature {fit['temperature']:.3f} (was {fit['earlier']:.3f}) would make"
    names = {"ece": "calibration error", "brier": "Brier score", "log_score": "log score"}
    return [head, *(f"  {text:<19} {report[key]:6.3f} -> {fit[key]:.3f}" for key, text in names.items())]


def _speed(report: Report, prompt: str, more: str = "") -> list[str]:
    each, encode = report[f"seconds_per_{prompt}"], report["encode_seconds"]
    return [f"{each * 1000:.0f} ms per {prompt}{more}", f"encode {encode * 1000:.0f} ms per image"]


def _means(report: Report, names: Mapping[str, str]) -> list[str]:
    return [_line(text, report[key], report["ci"][key]) for key, text in names.items()]


def _line(name: str, mean: float | None, interval: Sequence[float] | None) -> str:
    if mean is None or interval is None:
        return f"{name:<21}   none"
    return f"{name:<21} {mean:6.3f}  [{interval[0]:.3f}, {interval[1]:.3f}]"


_LINES: dict[str, Callable[[Report], list[str]]] = {
    "iou_at": _click_lines,
    "miou": _box_lines,
    "ar_at": _proposal_lines,
    "ods": _edge_lines,
    "ece": _calibration_lines,
    "uiou_pairs": _text_lines,
}
"""By a key that only this protocol's report has."""
