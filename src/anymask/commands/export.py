"""`anymask export`: a network becomes ONNX files that need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anymask.commands.reporting import needs_extra, say


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|WEIGHTS", help="A fetched model, a weights file, or the folder of a training run."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the ONNX files and the card.")],
) -> None:
    """Write a network as ONNX encoder and decoder with a card (needs the extra export).

    Of a training run the averaged weights are taken.
    """
    with needs_extra("export"):
        from anymask.inference.export import export_weights
    state = run_state(Path(model))
    weights = averaged(state, out) if state else find_weights(model)
    say(str(export_weights(weights, out)))


def run_state(path: Path) -> Path | None:
    """The state file of a training run, given the file or its folder; None for anything else."""
    from anymask.training.checkpoint import STATE_FILE

    state = path / STATE_FILE if path.is_dir() else path
    return state if state.name == STATE_FILE and state.exists() else None


def averaged(state: Path, folder: Path) -> Path:
    """The averaged weights of a run, with a card, in `folder`. Raises WeightsError, StorageError."""
    from anymask.model.checkpoints import build_with, network_of, save_weights
    from anymask.training.checkpoint import averaged_weights

    tensors = averaged_weights(state.parent)
    network = network_of(tensors, state)
    target = folder / f"{network}.safetensors"
    save_weights(tensors, target, network, build_with(tensors, network, state).spec)
    return target


def find_weights(model: str) -> Path:
    """Raises ModelNotFound; WeightsError for a model that is only here as ONNX."""
    from anymask.errors import WeightsError
    from anymask.inference.model_files import ModelFiles
    from anymask.inference.zoo import PUBLISHED_SUFFIXES, find_model

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
