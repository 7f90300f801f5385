"""`bench.py everything`: all masks of a photo by the published generator and by ours, in one run."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.options import AsJson
from anymask.cli.reporting import say
from anymask.errors import BadOption
from bench import CHECKOUT, DEFAULT_PHOTO, Row, machine, run

SCRIPT = CHECKOUT / "benchmarks" / "everything.py"
BACKENDS = ("onnx", "openvino:bf16")
SAME_IOU, SAME_SCORE = 0.99, 1e-3


def bench_everything(
    photo: Annotated[
        Path | None, typer.Argument(metavar="[PHOTO]", help="Default: an example photo of the checkout.")
    ] = None,
    points: Annotated[int, typer.Option(metavar="N", min=1, help="Grid points per side.")] = 32,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Runs of each; the fastest counts.")] = 1,
    backend: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Default: onnx and openvino:bf16.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The preset `sam_default` against the published SamAutomaticMaskGenerator: time, memory, same masks.

    Both have the same random weights in the shape of MobileSAM; their decoders work in full, then a
    synthetic scene answers for them. The published generator takes minutes. Runs in a checkout where
    torch, segment-anything and mobile_sam are installed. Time is without the encoder.
    """
    photo = photo or DEFAULT_PHOTO
    for needed in (photo, SCRIPT):
        if not needed.exists():
            raise BadOption(f"{needed} does not exist")
    names = backend or BACKENDS
    with tempfile.TemporaryDirectory() as folder:
        run([sys.executable, str(SCRIPT), "prepare", folder])
        published = _measured("published", folder, photo, points, repeats)
        own = [_measured("ours", folder, photo, points, repeats, name) for name in names]
    rows = [_row("published (torch)", published, published)]
    rows += [_row(f"anymask ({name})", r, published) for name, r in zip(names, own, strict=True)]
    report = {"photo": photo.name, "points_per_side": points, **machine(), "rows": rows}
    say(json.dumps(report) if as_json else everything_table(report))


def _measured(verb: str, folder: str, photo: Path, points: int, repeats: int, *backend: str) -> Row:
    """The fastest of some processes, and the largest peak of them."""
    out = Path(folder) / "result.json"
    command = [sys.executable, str(SCRIPT), verb, folder, str(photo), str(points), str(out), *backend]
    results: list[Row] = []
    for _ in range(repeats):
        peak_mb = run(command).peak_mb
        results.append({**json.loads(out.read_text()), "peak_mb": peak_mb})
    fastest = min(results, key=lambda r: float(r["seconds"]))
    return {**fastest, "peak_mb": max(r["peak_mb"] for r in results)}


def _row(name: str, result: Row, published: Row) -> Row:
    return {
        "name": name,
        **{key: round(result[key], 2) for key in ("seconds", "encode_seconds", "processor_seconds")},
        "peak_mb": result["peak_mb"],
        "masks": len(result["masks"]),
        "matched": matched(result["masks"], published["masks"]),
        "times_faster": round(published["seconds"] / result["seconds"], 1),
        "times_less_memory": round(published["peak_mb"] / max(1, result["peak_mb"]), 1),
    }


def matched(masks: list[dict[str, Any]], expected: list[dict[str, Any]]) -> int:
    """How many masks are the same at the same place in the list, with the same scores."""
    from anymask.core.mask import Mask

    return sum(
        Mask.from_rle(a).iou(Mask.from_rle(b)) >= SAME_IOU
        and all(abs(a[score] - b[score]) <= SAME_SCORE for score in ("iou", "stability"))
        for a, b in zip(masks, expected, strict=False)
    )


def everything_table(report: Row) -> str:
    side = report["points_per_side"]
    head = ("seconds", "faster", "processor s", "peak MB", "less", "masks", "same")
    lines = [
        f"{report['photo']}, {side} x {side} points; {report['cores']} cores, load {report['load_average']}; "
        "seconds without the encoder",
        " " * 26 + "".join(f"{name:>12}" for name in head),
    ]
    for r in report["rows"]:
        ratios = f"{r['times_faster']:g}x", f"{r['times_less_memory']:g}x"
        cells = (r["seconds"], ratios[0], r["processor_seconds"], r["peak_mb"], ratios[1], r["masks"])
        lines.append(f"{r['name']:<26}" + "".join(f"{cell:>12}" for cell in (*cells, r["matched"])))
    lines.append("same: IoU >= 0.99 with the mask at its place in the published list, scores within 0.001.")
    return "\n".join(lines)
