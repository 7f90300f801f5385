"""`anymask export`: a network as ONNX files that need no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.reporting import complain, needs_extra, say
from anymask.errors import BadOption
from anymask.files import staging

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the ONNX files and the card.")
]
BoxesFrom = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|MODEL",
        help="Attach a box head from a run of the recipe boxes on these weights, or from a model with the "
        "same encoder.",
    ),
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
    boxes: BoxesFrom = None,
    edges: Annotated[
        str | None,
        typer.Option(metavar="RUN|MODEL", help="Attach an edge head from a training run or model."),
    ] = None,
    words: Annotated[
        bool,
        typer.Option("--words", help="Also words as a graph, with their table, for programs without Python."),
    ] = False,
) -> None:
    """Export a network to ONNX (needs extra export).

    An encoder, a decoder and a card.

    Of a training run the averaged weights (EMA) are exported. Parity with the network is checked.
    """
    with needs_extra("export"):
        from anymask.training.checkpoint import is_run
        from anymask.training.publish import find_head
    runs = [Path(model), *(mean_with or [])]
    if mean_with and (other := next((r for r in runs if not is_run(r)), None)):
        raise BadOption(f"--mean-with takes the mean of training runs, and {other} is none")
    heads = {part: find_head(given) for part, given in (("boxes", boxes), ("edges", edges)) if given}
    say(str(out / written(model, out, heads, half, read_metadata(card), runs, words).name))


def written(
    model: str,
    out: Path,
    heads: dict[str, Path],
    half: bool | None,
    metadata: dict[str, Any],
    runs: list[Path],
    words: bool = False,
) -> Path:
    """The card, in a folder that is gone by now: `out` has the whole model, or nothing where this raises."""
    from anymask.export.graphs import export_weights
    from anymask.training.checkpoint import is_run
    from anymask.training.publish import attach_head, export_runs

    weights = None if is_run(runs[0]) else find_weights(model)
    complain(f"exporting {model}, which takes a minute or so")
    with staging(out, last="*.json") as staged:
        if weights is None:
            exported = export_runs(runs, staged, half=half is not False, metadata=metadata)
        else:
            exported = export_weights(weights, staged, half=half is True)
        for part, source in heads.items():
            attach_head(part, source, exported)
        if words:
            from anymask.words.exported import export_words
            from anymask.words.vocabulary import default_vocabulary

            export_words(exported, default_vocabulary())
    return exported


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
