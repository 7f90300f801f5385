"""`anymask everything`: all masks of a photo, or of every photo of a data set."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.options import BackendName, ModelName
from anymask.cli.reporting import complain, say

if TYPE_CHECKING:
    from anymask.batch.annotate import RunConfig, RunProgress
    from anymask.data.photos import Photo

EVERYTHING_EXAMPLES = """\b
anymask everything photo.jpg
anymask everything photos/ --out masks --preset precise
anymask everything shards/*.tar --out masks --format coco
"""
LINE = 79  # characters in which it tells how far it is: more would not overwrite itself on a narrow terminal
OVERLAYS_UP_TO = 50  # photos of a call for which overlays are drawn unless asked otherwise

Sources = Annotated[
    list[Path], typer.Argument(metavar="IMAGE|DIR|SHARD", help="Photos, folders of photos, tar shards.")
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="One record per photo, a summary as JSON and HTML, overlays. A run that was stopped goes on "
        "when it is called again.",
    ),
]
Overlays = Annotated[
    bool | None,
    typer.Option(
        "--overlays/--no-overlays", help=f"Write a picture for each photo; default: up to {OVERLAYS_UP_TO}."
    ),
]


def _threshold(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text)


Preset = Annotated[
    str,
    typer.Option(
        metavar="default|precise|sa1b|sam_default", help="Grid, crops and thresholds to start from."
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="Also convert the records, see `anymask convert --help`."),
]
Processes = Annotated[
    int, typer.Option(metavar="N", min=0, help="0: one for each core with lite, one with larger models.")
]
PointsPerSide = Annotated[
    int | None, _threshold("N", "Grid points per side; 0: boxes of things alone, many times as fast.")
]
PredictedIou = Annotated[float | None, _threshold("X", "Predicted IoU must be above it.")]
Stability = Annotated[float | None, _threshold("X", "Least stability score.")]
StabilityOffset = Annotated[float | None, _threshold("X", "How far the logit threshold is moved for it.")]
BoxNms = Annotated[float | None, _threshold("X", "IoU above which the worse of two masks goes.")]
CropLayers = Annotated[int | None, _threshold("N", "Layers of zoomed-in crops.")]
CropNms = Annotated[float | None, _threshold("X", "The same between masks of different crops.")]
CropOverlap = Annotated[float | None, _threshold("X", "How far crops overlap, of the short side.")]
CropDownscale = Annotated[int | None, _threshold("N", "Each layer's grid is coarser by it.")]
RegionArea = Annotated[int | None, _threshold("PIXELS", "Smaller islands and holes are cleaned.")]
AreaFraction = Annotated[float | None, _threshold("X", "Masks of this fraction of the photo or more go.")]
Boxes = Annotated[
    int | None,
    _threshold("N", "Boxes of things that are asked for masks, at most, where the model finds any."),
]
BoxScore = Annotated[float | None, _threshold("X", "Least score of such a box.")]
BoxIou = Annotated[float | None, _threshold("X", "Predicted IoU of its mask must be above it.")]
BoxStability = Annotated[float | None, _threshold("X", "Least stability score of its mask.")]
Refine = Annotated[
    bool | None,
    typer.Option(
        "--refine/--no-refine",
        help="Draw what is kept once more, in the crop that shows it largest; default and precise do.",
    ),
]
AtLeast = Annotated[
    float | None,
    typer.Option("--at-least", metavar="X", help="Least probability of a mask; precise: 0.5."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]


def everything(
    sources: Sources,
    out: Out = Path("anymask-everything"),
    preset: Preset = "default",
    format_name: FormatName = None,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    processes: Processes = 0,
    overlays: Overlays = None,
    points_per_side: PointsPerSide = None,
    pred_iou_thresh: PredictedIou = None,
    stability_score_thresh: Stability = None,
    stability_score_offset: StabilityOffset = None,
    box_nms_thresh: BoxNms = None,
    crop_n_layers: CropLayers = None,
    crop_nms_thresh: CropNms = None,
    crop_overlap_ratio: CropOverlap = None,
    crop_n_points_downscale_factor: CropDownscale = None,
    min_mask_region_area: RegionArea = None,
    max_area_fraction: AreaFraction = None,
    boxes: Boxes = None,
    box_score_thresh: BoxScore = None,
    box_pred_iou_thresh: BoxIou = None,
    box_stability_thresh: BoxStability = None,
    refine: Refine = None,
    min_probability: AtLeast = None,
    as_json: AsJson = False,
) -> None:
    """Segment everything in photos, without prompts.

    Works through any number of photos on several processes. It can be stopped at any time, also by a power
    cut: the same call goes on where it was, and the result is the same. A photo that fails is reported, the
    others are done; the exit code is then 1.
    """
    given = locals()
    changes = {name: given[name] for name in CHANGES if given[name] is not None}
    from dataclasses import asdict

    from anymask.batch.annotate import annotate
    from anymask.batch.summary import text, write_summary
    from anymask.data.formats import find_format
    from anymask.data.photos import open_photos

    if format_name is not None:
        find_format(format_name)  # an unknown name is said before hours of work
    photos = open_photos(*sources, without=out)
    processes = min(len(photos), processes or _default_processes(model))
    drawn = len(photos) <= OVERLAYS_UP_TO if overlays is None else overlays
    config = _config(model, backend, preset, changes, drawn, processes)
    state = annotate(photos, out, config, processes=processes, progress=live(time.monotonic()))
    _complain(state)
    summary = write_summary(out, photos, title=f"Everything in {', '.join(p.name for p in sources)[:80]}")
    if format_name is not None:
        _convert(out, photos, format_name)
    told = f"{text(summary)}\n-> {out}{HINTS.get(preset, '')}"
    say(json.dumps(asdict(summary)) if as_json else told)
    if state.failed:
        raise typer.Exit(1)


HINTS = {"default": "\nmost probable first; --at-least 0.5 keeps those that are more likely right than wrong"}
CHANGES = (
    "points_per_side", "pred_iou_thresh", "stability_score_thresh", "stability_score_offset",
    "box_nms_thresh", "crop_n_layers", "crop_nms_thresh", "crop_overlap_ratio",
    "crop_n_points_downscale_factor", "min_mask_region_area", "max_area_fraction",
    "boxes", "box_score_thresh", "box_pred_iou_thresh", "box_stability_thresh", "refine",
    "min_probability",
)  # fmt: skip


def _config(
    model: str, backend: str, preset: str, changes: dict[str, Any], overlays: bool, processes: int
) -> RunConfig:
    """One thread for each of several processes: more would get in each other's way."""
    from anymask.batch.annotate import RunConfig

    threads = max(1, (os.cpu_count() or 1) // processes) if processes > 1 else 0
    return RunConfig(model, backend, preset, tuple(sorted(changes.items())), overlays, threads)


def _complain(state: RunProgress) -> None:
    for failed in state.failed:
        where = failed.photo.source
        complain(failed.error if where in failed.error else f"{where}: {failed.error}")


def _default_processes(model: str) -> int:
    return (os.cpu_count() or 1) if model == "lite" else 1


def live(started: float) -> Callable[[RunProgress], None]:
    """A line on the terminal that overwrites itself: how far, how fast, how many masks; silent elsewhere."""

    def show(state: RunProgress) -> None:
        if not sys.stderr.isatty():
            return
        worked = state.done + len(state.failed)
        rate = (worked + state.fraction) / max(1e-9, time.monotonic() - started)
        left = (state.total - state.already - worked - state.fraction) / rate if rate else 0
        within = f" + {state.fraction:.0%}" if state.fraction else ""
        line = (
            f"{state.already + worked}/{state.total} photos{within}  {rate:.2f} photos/s  "
            f"{state.masks / max(1, state.done):.1f} masks each  {len(state.failed)} failed  "
            f"{left / 60:.0f} min left"
        )
        end = "\n" if state.already + worked == state.total else ""
        print(f"\r{line:<{LINE}}", end=end, file=sys.stderr, flush=True)

    return show


def _convert(out: Path, photos: Sequence[Photo], format_name: str) -> None:
    """Into `OUT/<format>`; what the format cannot hold is told."""
    from anymask.batch.summary import records_of
    from anymask.data.formats import Contents, Notes, write
    from anymask.data.record import Record

    notes = Notes()
    records = (Record(photo.key, fields, photo.blob) for photo, fields in records_of(out, photos))
    write(Contents(records, len(photos)), out / format_name, notes, format_name=format_name)
    for line in notes.lines():
        complain(line)
