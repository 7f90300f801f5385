"""`anymask evaluate`: measure a model on photos with true masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.commands.options import AsJson, BackendName, EdgeZoom, ModelName, Zoom
from anymask.commands.reporting import needs_extra, progress_line, say
from anymask.errors import BadOption, StorageError

if TYPE_CHECKING:
    from anymask.store.records import RecordSource

evaluate = typer.Typer(
    name="evaluate",
    help="Measure a model on photos with true masks (needs the extra eval).",
    no_args_is_help=True,
)

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="A tar pack, a folder of photos with JSON, or a COCO JSON file."),
]
Limit = Annotated[int | None, typer.Option(metavar="N", help="Only the first N photos.")]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write one line per mask.")]

HeldOut = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Only the photos that training with `--set hold_out=SHARE` left out. Default: all of them.",
    ),
]
PhotoCsv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write one line per photo.")]


@evaluate.command()
def clicks(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    first: Annotated[
        str,
        typer.Option(
            metavar="centre|random", help="Where the first click goes: farthest from the edge, or anywhere."
        ),
    ] = "centre",
    max_clicks: Annotated[int, typer.Option(metavar="N", help="Clicks per mask; the protocol has 20.")] = 20,
    zoom: Zoom = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: Csv = None,
    as_json: AsJson = False,
) -> None:
    """Simulated clicks that correct the mask: IoU after 1..20 clicks, and clicks to 85 % and 90 % (NoC).

    `--model grabcut` measures the algorithm without learning, as a floor.
    """
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_clicks
    subject, looks = _looking(_subject(model, backend), zoom)
    _run(
        evaluate_clicks,
        photos_of(data, held_out),
        subject,
        as_json,
        looks=looks,
        first=first,
        max_clicks=max_clicks,
        limit=limit,
        csv_path=csv_path,
    )


@evaluate.command()
def boxes(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    zoom: Zoom = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: Csv = None,
    as_json: AsJson = False,
) -> None:
    """One mask from the box of the true one: mean IoU, from the exact box and from one as people draw it."""
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_boxes
    subject, looks = _looking(_subject(model, backend), zoom)
    _run(
        evaluate_boxes,
        photos_of(data, held_out),
        subject,
        as_json,
        looks=looks,
        limit=limit,
        csv_path=csv_path,
    )


@evaluate.command()
def proposals(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    preset: Annotated[
        str, typer.Option(metavar="default|precise|sa1b|sam_default", help="How everything is asked for.")
    ] = "default",
    protocol: Annotated[
        str,
        typer.Option(
            metavar="preset|paper",
            help="What is ranked: what the preset returns, or a 64 x 64 grid without thresholds or crops.",
        ),
    ] = "preset",
    semantic: Annotated[
        bool,
        typer.Option(
            "--semantic/--no-semantic", help="Whether masks that join several things are to be found."
        ),
    ] = True,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: PhotoCsv = None,
    as_json: AsJson = False,
) -> None:
    """Everything in each photo against its true masks: average recall, precision at IoU 0.75, time, memory.

    Beside it stands what as many random boxes would find.
    """
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_proposals
    _run(
        evaluate_proposals,
        photos_of(data, held_out),
        _proposer(model, backend),
        as_json,
        preset=preset,
        protocol=protocol,
        semantic=semantic,
        limit=limit,
        csv_path=csv_path,
    )


@evaluate.command()
def edges(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    from_masks: Annotated[
        bool,
        typer.Option(
            "--from-masks",
            help="Edges of everything it finds, as in the paper, even if it has an edge head; with --zoom in"
            " windows too. Takes long.",
        ),
    ] = False,
    zoom: EdgeZoom = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: PhotoCsv = None,
    as_json: AsJson = False,
) -> None:
    """Edges in each photo against those people drew (BSDS500): ODS, OIS, AP, R50.

    Those of the model's edge head, or else of the masks of everything it finds. DATA needs
    `<key>.boundaries.npz` beside each photo. `--model sobel` measures the gradient of the photo as a floor.
    """
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_edges
    source, looks = _edge_source(model, backend, from_masks, zoom)
    options: dict[str, Any] = {"limit": limit, "csv_path": csv_path}
    _run(evaluate_edges, photos_of(data, held_out), source, as_json, looks=looks, **options)


def _edge_source(model: str, backend: str, from_masks: bool, zoom: bool | None) -> tuple[Any, int]:
    """What draws edges, and how often it looks. Raises BadOption."""
    from anymask.evaluation import EDGE_FLOORS, HeadEdges, MaskEdges

    if model in EDGE_FLOORS:
        if from_masks:
            raise BadOption(f"--from-masks: {model} finds no masks")
        return _looking(EDGE_FLOORS[model](), zoom)
    loaded = _proposer(model, backend)
    subject, looks = _looking(loaded, zoom)
    if loaded.edge_path is None or from_masks:
        return MaskEdges(loaded, closer=looks > 1), looks
    return HeadEdges(subject), looks


@evaluate.command()
def calibration(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    zoom: Zoom = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write one line per answer.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the reliability diagram.")] = None,
    fit: Annotated[
        bool,
        typer.Option(
            "--fit",
            help="Also fit the temperature for the model's card; on photos that neither train nor measure.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Probabilities against what comes true, for clicks and boxes: calibration error, Brier and log score."""
    with needs_extra("eval"):
        from anymask.evaluation import FLOORS, evaluate_calibration, reliability_diagram, summarise_with_fit
    if model in FLOORS:
        raise BadOption(f"model: {model} answers without probabilities; this protocol measures them")
    loaded = _subject(model, backend)
    subject, looks = _looking(loaded, zoom)
    options: dict[str, Any] = {"limit": limit, "csv_path": csv_path}
    if fit:
        options["summary"] = partial(summarise_with_fit, earlier=loaded.temperature)
    report = _run(evaluate_calibration, photos_of(data, held_out), subject, as_json, looks=looks, **options)
    if plot:
        title = f"{report['model']} on {report['dataset']}: calibration error {report['ece']:.3f}"
        write_picture(reliability_diagram(report["bins"], title), plot)


def write_picture(picture: Any, path: Path) -> None:
    """Raises StorageError."""
    try:
        picture.save(path, "PNG")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def photos_of(data: Path, held_out: float | None) -> RecordSource:
    """Raises BadInput, BadOption."""
    from anymask.store import splits
    from anymask.store.records import open_records

    records = open_records(data)
    return records if held_out is None else splits.held_out(records, held_out)


def _run(
    run: Callable[..., dict[str, Any]],
    data: RecordSource,
    model: Any,
    as_json: bool,
    /,
    looks: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    from anymask.evaluation import describe

    report = run(data, model, progress=progress_line, **options)
    if looks is not None:
        report = {**report, "looks": looks}
    say(json.dumps(report) if as_json else describe(report))
    return report


def _subject(name: str, backend: str) -> Any:
    from anymask.evaluation import FLOORS

    if name in FLOORS:
        return FLOORS[name]()
    from anymask.inference.predictor import load

    return load(name, backend=backend)


def _looking(subject: Any, zoom: bool | None) -> tuple[Any, int]:
    """The subject, and how often it looks: as asked, or as its card says. Raises BadOption for a floor."""
    from anymask.inference.predictor import Model
    from anymask.inference.zoom import Zooming

    if not isinstance(subject, Model):
        if zoom:
            raise BadOption(f"--zoom: {subject.name} is no network and sees all pixels anyway")
        return subject, 1
    twice = subject.zooms if zoom is None else zoom
    return (Zooming(subject), 2) if twice else (subject, 1)


def _proposer(name: str, backend: str) -> Any:
    """What can be asked for everything: no floor but those named by a protocol can."""
    from anymask.evaluation import FLOORS

    if name in FLOORS:
        raise BadOption(f"model: {name} answers prompts only; this protocol asks for everything")
    return _subject(name, backend)
