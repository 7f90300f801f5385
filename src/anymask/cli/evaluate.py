"""`anymask evaluate`: measure a model on photos with true masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.options import AsJson, BackendName, EdgeRefine, ModelName, Refine
from anymask.cli.reporting import needs_extra, open_data, progress_line, say, say_json
from anymask.errors import BadOption, StorageError

if TYPE_CHECKING:
    from anymask.api import EncodedImage, Model
    from anymask.data.sources import RecordSource

evaluate = typer.Typer(
    name="evaluate",
    help="Evaluate a model against ground truth (needs extra eval).",
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
    refine: Refine = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: Csv = None,
    as_json: AsJson = False,
) -> None:
    """Interactive segmentation: IoU after k clicks, NoC@85 and @90.

    The first click, then up to 19 simulated corrections, each in the largest error.

    `--model grabcut` measures the algorithm without learning, as a baseline.
    """
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_clicks
    tested, refines = _under_test(_model_under_test(model, backend), refine)
    options: dict[str, Any] = {"limit": limit, "csv_path": csv_path, "first": first, "max_clicks": max_clicks}
    _run(evaluate_clicks, photos_of(data, held_out), tested, as_json, refines=refines, **options)


@evaluate.command()
def boxes(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    refine: Refine = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: Csv = None,
    as_json: AsJson = False,
) -> None:
    """Masks from boxes: mean IoU from exact and jittered boxes."""
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_boxes
    tested, refines = _under_test(_model_under_test(model, backend), refine)
    options: dict[str, Any] = {"limit": limit, "csv_path": csv_path}
    _run(evaluate_boxes, photos_of(data, held_out), tested, as_json, refines=refines, **options)


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
    """Automatic masks: average recall, precision, time, memory.

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
            help="Edges of everything it finds, as in the Segment Anything paper, even if it has a head.",
        ),
    ] = False,
    refine: EdgeRefine = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: PhotoCsv = None,
    as_json: AsJson = False,
) -> None:
    """Edge detection as in BSDS500: ODS, OIS, AP, R50.

    Those of the model's edge head, or else of the masks of everything it finds. DATA needs
    `<key>.boundaries.npz` beside each photo. `--model sobel` measures the photo's gradient as a baseline.
    """
    with needs_extra("eval"):
        from anymask.evaluation import evaluate_edges
    source, refines = _edge_source(model, backend, from_masks, refine)
    options: dict[str, Any] = {"limit": limit, "csv_path": csv_path}
    _run(evaluate_edges, photos_of(data, held_out), source, as_json, refines=refines, **options)


def _edge_source(model: str, backend: str, from_masks: bool, refine: bool | None) -> tuple[Any, bool]:
    """What draws edges, and whether it refines. Raises BadOption."""
    from anymask.evaluation import EDGE_BASELINES, HeadEdges, MaskEdges

    if model in EDGE_BASELINES:
        if from_masks:
            raise BadOption(f"--from-masks: {model} finds no masks")
        return _under_test(EDGE_BASELINES[model](), refine)
    loaded = _proposer(model, backend)
    if loaded.edge_path is None or from_masks:
        if refine:
            raise BadOption("--refine: edges of masks are found in the whole photo alone")
        return MaskEdges(loaded), False
    tested, refines = _under_test(loaded, refine)
    return HeadEdges(tested), refines


@evaluate.command()
def calibration(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    refine: Refine = None,
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
    """Calibration: ECE, Brier and log score of the probabilities."""
    with needs_extra("eval"):
        from anymask.evaluation import (
            BASELINES,
            evaluate_calibration,
            reliability_diagram,
            summarise_with_fit,
        )
    if model in BASELINES:
        raise BadOption(f"model: {model} answers without probabilities; this protocol measures them")
    loaded = _model_under_test(model, backend)
    tested, refines = _under_test(loaded, refine)
    options: dict[str, Any] = {"limit": limit, "csv_path": csv_path}
    if fit:
        options["summary"] = partial(summarise_with_fit, earlier=loaded.temperature)
    report = _run(
        evaluate_calibration, photos_of(data, held_out), tested, as_json, refines=refines, **options
    )
    if plot:
        title = f"{report['model']} on {report['dataset']}: calibration error {report['ece']:.3f}"
        write_picture(reliability_diagram(report["bins"], title), plot)


@evaluate.command()
def text(
    data: Data,
    model: ModelName = "lite",
    backend: BackendName = "auto",
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Ask by other words, a JSON file: {"couch": ["sofa", "settee"], ...}; only these names.',
        ),
    ] = None,
    held_out: HeldOut = None,
    limit: Limit = None,
    csv_path: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write one line per photo and name.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw forty answers by chance, absent names too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Words: is what is named found, and what is absent left alone?

    Presence AUROC and recall over all names whose presence is known, IoU of all that is found with all that
    is annotated, average precision of instances, and a control with the wrong names.
    """
    with needs_extra("eval"):
        from anymask.evaluation import WordsUnderTest, evaluate_text, read_words, write_text_pictures
    words = None if names is None else read_words(names)
    tested, photos = WordsUnderTest(_proposer(model, backend)), photos_of(data, held_out)
    _run(evaluate_text, photos, tested, as_json, words=words, limit=limit, csv_path=csv_path)
    if pictures is not None:
        write_text_pictures(photos, tested, pictures)


def write_picture(picture: Any, path: Path) -> None:
    """Raises StorageError."""
    try:
        picture.save(path, "PNG")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def photos_of(data: Path, held_out: float | None) -> RecordSource:
    """Raises BadInput, BadOption."""
    from anymask.data import splits

    records = open_data(data)
    return records if held_out is None else splits.validation_split(records, held_out)


def _run(
    run: Callable[..., dict[str, Any]],
    data: RecordSource,
    model: Any,
    as_json: bool,
    /,
    refines: bool | None = None,
    **options: Any,
) -> dict[str, Any]:
    from anymask.evaluation import describe

    report = run(data, model, progress=progress_line, **options)
    if refines is not None:
        report = {**report, "refined": refines}
    say_json(json.dumps(report)) if as_json else say(describe(report))
    return report


def _model_under_test(name: str, backend: str) -> Any:
    from anymask.evaluation import BASELINES

    if name in BASELINES:
        return BASELINES[name]()
    from anymask.api import load

    return load(name, backend=backend)


@dataclass(frozen=True, slots=True)
class ModelUnderTest:
    """A model that encodes as the call asks for."""

    model: Model
    refine: bool

    @property
    def name(self) -> str:
        return self.model.name

    def encode(self, source: Any, /) -> EncodedImage:
        return self.model.encode(source, refine=self.refine)


def _under_test(model: Any, refine: bool | None) -> tuple[Any, bool]:
    """The model under test, and whether it refines (asked, or its card). BadOption for a baseline."""
    from anymask.api import Model

    if not isinstance(model, Model):
        if refine:
            raise BadOption(f"--refine: {model.name} is no network and sees all pixels anyway")
        return model, False
    refines = model.refines if refine is None else refine
    return ModelUnderTest(model, refines), refines


def _proposer(name: str, backend: str) -> Any:
    """A model that can be asked for everything. Raises BadOption for a baseline."""
    from anymask.evaluation import BASELINES

    if name in BASELINES:
        raise BadOption(f"model: {name} answers prompts only; this protocol asks for everything")
    return _model_under_test(name, backend)
