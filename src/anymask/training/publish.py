"""From a training run to a usable model: EMA weights as safetensors and ONNX, with a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anymask.errors import WeightsError
from anymask.export.graphs import export_model
from anymask.export.heads import HEADS, copy_head, export_head
from anymask.hub.card import HOW_ASKED, read_card
from anymask.hub.catalog import find_model
from anymask.networks.lite import Lite
from anymask.training.checkpoint import STATE_FILE, averaged_weights, is_run, read_state
from anymask.training.weights import run_weights

TRAINING_FIELDS = ("step", "images", "seconds")
INFERENCE_SETTINGS = (*HOW_ASKED, "automatic")


def export_runs(
    runs: Sequence[Path], out: Path, *, half: bool = True, metadata: Mapping[str, Any] | None = None
) -> Path:
    """Export the EMA weights of a run, or the mean of several, with the default model's inference settings.

    The card has the training settings of each run; `metadata`: more entries, which win. Returns the card's
    path. Raises WeightsError, Failure, StorageError.
    """
    stages = [training_of(run) for run in runs]
    training = stages[0] if len(stages) == 1 else {"mean_of": stages}
    entries = {"training": training, **inference_settings(), **(metadata or {})}
    return export_model(run_weights(*runs), out, half=half, metadata=entries)


def inference_settings() -> dict[str, Any]:
    """Those on the default model's card, which suit every model of its kind."""
    facts = read_card(find_model("lite")).facts
    return {name: facts[name] for name in INFERENCE_SETTINGS if name in facts}


def find_head(name: str) -> Path:
    """The source of a head: the folder of a run, or a model by its name or path. Raises ModelNotFound."""
    return Path(name) if is_run(Path(name)) else find_model(name)


def attach_head(part: str, source: Path, card: Path) -> Path:
    """Add the head `part` (boxes, edges) of a run or of another model to the exported model of `card`.

    Returns its graph. Raises WeightsError for a source without such a head or with another encoder, Failure,
    StorageError.
    """
    return add_head(part, source, card) if is_run(source) else copy_head(part, source, card)


def add_head(part: str, run: Path, card: Path) -> Path:
    """Add the head of a run of the recipe `part` to the exported model of `card`; returns its graph.

    Raises WeightsError for a run of another recipe or on another encoder, Failure, StorageError.
    """
    network = HEADS[part].network(Lite())
    try:
        network.load_state_dict(averaged_weights(run))
    except RuntimeError as error:
        raise WeightsError(f"{run} is no run of the recipe {part}") from error
    return export_head(part, network, card, {f"{part}_training": training_of(run)})


def training_of(run: Path) -> dict[str, Any]:
    card = read_state(run / STATE_FILE)[1]
    return {k: card[k] for k in TRAINING_FIELDS if k in card} | {"config": card.get("config", {})}
