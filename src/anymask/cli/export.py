"""`anymask export`: a network as ONNX files that need no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.reporting import needs_extra, say
from anymask.errors import BadOption

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the ONNX files and the card.")
]


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|WEIGHTS", help="A fetched model, a weights file, or the folder of a training run."
        ),
    ],
    out: Out,
    half: Annotated[
        bool | None,
        typer.Option(
            "--half/--full",
            help="Store weights in half precision (a run's default) or as they are; arithmetic is float32.",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of a run: JSON with more entries for the card (sources ...)."),
    ] = None,
    mean_with: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN",
            help="Of a run: average its weights with those of a run that started from it.",
        ),
    ] = None,
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|MODEL",
            help="Attach a box head from a run of the recipe boxes on these weights, or from a model with the"
            " same encoder.",
        ),
    ] = None,
    edges: Annotated[
        str | None,
        typer.Option(metavar="RUN|MODEL", help="Attach an edge head from a training run or model."),
    ] = None,
) -> None:
    """Export a network to ONNX (needs extra export).

    An encoder, a decoder and a card.

    Of a training run the averaged weights (EMA) are exported. Parity with the network is checked.
    """
    with needs_extra("export"):
        from anymask.export.graphs import export_weights
        from anymask.training.checkpoint import is_run
        from anymask.training.publish import attach_head, export_runs, find_head
    runs = [Path(model), *(mean_with or [])]
    if mean_with and (other := next((r for r in runs if not is_run(r)), None)):
        raise BadOption(f"--mean-with takes the mean of training runs, and {other} is none")
    heads = {part: find_head(given) for part, given in (("boxes", boxes), ("edges", edges)) if given}
    if is_run(runs[0]):
        exported = export_runs(runs, out, half=half is not False, metadata=read_metadata(card))
    else:
        exported = export_weights(find_weights(model), out, half=half is True)
    for part, source in heads.items():
        attach_head(part, source, exported)
    say(str(exported))


def read_metadata(card: Path | None) -> dict[str, Any]:
    """Raises BadOption for a file that is missing or holds no JSON object."""
    if card is None:
        return {}
    try:
        metadata = json.loads(card.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadOption(f"--card: cannot read {card}: {error}") from error
    if not isinstance(metadata, dict):
        raise BadOption(f"--card: expected a JSON object in {card}, got {type(metadata).__name__}")
    return metadata


def find_weights(model: str) -> Path:
    """Raises ModelNotFound; WeightsError for a model that is only here as ONNX."""
    from anymask.errors import WeightsError
    from anymask.hub.card import ModelFiles
    from anymask.hub.catalog import PUBLISHED_SUFFIXES, find_model

    path = Path(model)
    if path.suffix == ".safetensors" and path.exists():
        return path
    found = find_model(model)
    if found.suffix in PUBLISHED_SUFFIXES:
        return found
    weights = ModelFiles.of(found).weights
    if not weights.exists():
        raise WeightsError(f"{model} is here as ONNX files only: {found}")
    return weights
