"""`anymask everything`: all masks of a photo, or of every photo of a data set."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.options import BackendName, ModelName
from anymask.cli.parsing import parse_box, parse_setting
from anymask.cli.reporting import complain, progress_line, say, say_json

if TYPE_CHECKING:
    from anymask.batch.annotate import RunProgress
    from anymask.data.photos import Photo
    from anymask.errors import BadInput

EVERYTHING_EXAMPLES = """\b
anymask everything photo.jpg
anymask everything photos/ --out masks --preset precise
anymask everything shards/*.tar --out masks --format coco
"""
OVERLAYS_UP_TO = 50  # photos of a call for which overlays are drawn unless asked otherwise

Sources = Annotated[
    list[Path], typer.Argument(metavar="IMAGE|DIR|SHARD", help="Photos, folders of photos, tar shards.")
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
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


Preset = Annotated[
    str,
    typer.Option(
        metavar="default|precise|sa1b|sam_default",
        help="default: everything, most probable first. precise: few, mostly right. The others as published, "
        "for models of the SAM family.",
    ),
]
AtLeast = Annotated[
    float | None,
    typer.Option("--at-least", metavar="P", help="Minimum probability of a mask, 0..1."),
]
Region = Annotated[
    str | None, typer.Option("--box", metavar="X0,Y0,X1,Y1", help="Only what lies in this box of each photo.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the preset: points_per_side, crop_n_layers, pred_iou_thresh, "
        "stability_score_thresh, box_nms_thresh, refine, ...; an unknown key lists them all.",
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option("--format", metavar="NAME", help="Also convert the records, see `anymask convert --help`."),
]
Processes = Annotated[
    int, typer.Option(metavar="N", min=0, help="0: one for each core with lite, one with larger models.")
]
Names = Annotated[bool, typer.Option("--names", help="A name for each mask, or unknown.")]
Like = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="MASK",
        help="Only masks that show what this one shows: an image, bright inside; several: all.",
    ),
]
LikePhoto = Annotated[
    Path | None,
    typer.Option(
        metavar="PHOTO", help="The photo that the masks of --like are of. Default: the first IMAGE."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]


def everything(
    sources: Sources,
    out: Out = Path("anymask-everything"),
    preset: Preset = "default",
    at_least: AtLeast = None,
    box: Region = None,
    format_name: FormatName = None,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    processes: Processes = 0,
    overlays: Overlays = None,
    names: Names = False,
    like: Like = None,
    like_photo: LikePhoto = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Segment everything in photos, without prompts.

    Works through any number of photos on several processes. It can be stopped at any time, also by a power
    cut: the same call goes on where it was, and the result is the same. A photo that fails is reported, the
    others are done; the exit code is then 1.
    """
    from dataclasses import asdict

    from anymask.batch.annotate import RunConfig, annotate
    from anymask.batch.run_folder import recorded
    from anymask.batch.summary import text, write_summary
    from anymask.data.formats import find_format
    from anymask.data.photos import open_photos
    from anymask.words.mask_words import MaskWords

    if format_name is not None:
        find_format(format_name)  # an unknown name is said before hours of work
    missing: list[BadInput] = []
    photos = open_photos(*sources, without=out, failed=missing.append)
    for error in missing:
        complain(str(error))
    default = (os.cpu_count() or 1) if model == "lite" else 1
    processes = min(len(photos), processes or default)
    earlier = recorded(out, "overlays")  # a run goes on as it began, however many photos there are now
    usual = len(photos) <= OVERLAYS_UP_TO if earlier is None else bool(earlier)
    drawn = usual if overlays is None else overlays
    settled, region = _changes(settings or (), at_least), None if box is None else parse_box(box)
    words = MaskWords(names, exemplars(model, backend, like or (), like_photo or sources[0]))
    config = RunConfig(model, backend, preset, settled, drawn, _threads(processes), region, words)
    state = annotate(photos, out, config, processes=processes, progress=live(time.monotonic()))
    _complain(state)
    bad = {failed.photo.key for failed in state.failed}
    done = [photo for photo in photos if photo.key not in bad]  # a record that is there is of another photo
    summary = write_summary(
        out, done, len(photos), title=f"Everything in {', '.join(p.name for p in sources)[:80]}"
    )
    if format_name is not None:
        _convert(out, done, format_name)
    hint = HINT if summary.masks and at_least is None and preset == "default" else ""
    say_json(json.dumps(asdict(summary))) if as_json else say(f"{text(summary)}\n-> {out}{hint}")
    if state.failed or missing:
        raise typer.Exit(1 if missing else min(failed.exit_code for failed in state.failed))


def _changes(settings: Sequence[str], at_least: float | None) -> tuple[tuple[str, Any], ...]:
    changes = dict(map(parse_setting, settings))
    changes |= {} if at_least is None else {"min_probability": at_least}
    return tuple(sorted(changes.items()))


def exemplars(model: str, backend: str, masks: Sequence[Path], photo: Path) -> tuple[tuple[float, ...], ...]:
    """What the masks show in the photo. Raises BadPrompt for a mask of another size."""
    from anymask.api import load
    from anymask.cli.parsing import read_mask
    from anymask.core.mask import Mask
    from anymask.errors import BadPrompt

    if not masks:
        return ()
    image = load(model, backend=backend).encode(photo, refine=True)
    read = [Mask.from_array(read_mask(path)) for path in masks]
    for path, one in zip(masks, read, strict=True):
        if one.size_hw != image.size_hw:
            raise BadPrompt(
                f"--like {path}: expected a mask of the size of {photo}; or name its photo: --like-photo"
            )
    return tuple(tuple(image.exemplar(one).tolist()) for one in read)


HINT = "\nmost probable first; --at-least 0.5 keeps those that are more likely right than wrong"


def _threads(processes: int) -> int:
    """One for each of several processes: more would get in each other's way."""
    return max(1, (os.cpu_count() or 1) // processes) if processes > 1 else 0


def _complain(state: RunProgress) -> None:
    if state.already and (state.done or state.failed):
        complain(f"{state.already:,} of {state.total:,} photos were done before")
    if state.replaced:
        complain(f"records replaced, of photos that had other pixels or another name: {state.replaced:,}")
    for failed in state.failed:
        where = failed.photo.source
        complain(failed.error if where in failed.error else f"{where}: {failed.error}")


def live(started: float) -> Callable[[RunProgress], None]:
    """Progress on one line: how far, how fast, how many masks."""

    def show(state: RunProgress) -> None:
        worked = state.done + len(state.failed)
        rate = (worked + state.fraction) / max(1e-9, time.monotonic() - started)
        left = (state.total - state.already - worked - state.fraction) / rate if rate else 0
        within = f" + {state.fraction:.0%}" if state.fraction else ""
        line = (
            f"{state.already + worked}/{state.total} photos{within}  {rate:.2f} photos/s  "
            f"{state.masks / max(1, state.done):.1f} masks each  {len(state.failed)} failed  "
            f"{left / 60:.0f} min left"
        )
        progress_line(state.already + worked, state.total, line)

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
