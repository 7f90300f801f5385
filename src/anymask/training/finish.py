"""From a training run to a model that can be used: the averaged weights as safetensors and ONNX, with a
card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anymask.errors import WeightsError
from anymask.export.graphs import export_model
from anymask.export.heads import HEADS, carry_head, export_head
from anymask.hub.card import HOW_ASKED, read_card
from anymask.hub.catalog import find_model
from anymask.networks.lite import Lite
from anymask.training.checkpoint import STATE_FILE, averaged_weights, is_run, read_state
from anymask.training.weights import run_weights

KEPT = ("step", "images", "seconds")
ASKED = (*HOW_ASKED, "automatic")  # how the default model is asked


def export_runs(
    runs: Sequence[Path], out: Path, *, half: bool = True, facts: Mapping[str, Any] | None = None
) -> Path:
    """Export the averaged weights of a run, or the mean of several; the card tells how long each trained and
    with which settings. It is asked as the default model is, unless `facts` say otherwise.

    Returns the card's path. Raises WeightsError, Failure, StorageError.
    """
    told = [training_of(run) for run in runs]
    training = told[0] if len(told) == 1 else {"mean_of": told}
    return export_model(
        run_weights(*runs), out, half=half, facts={"training": training, **how_it_is_asked(), **(facts or {})}
    )


def how_it_is_asked() -> dict[str, Any]:
    """What the default model's card says about using it: true of every model of its kind."""
    facts = read_card(find_model("lite")).facts
    return {name: facts[name] for name in ASKED if name in facts}


def find_head(name: str) -> Path:
    """Who has a head to give: the folder of a run, or a model by its name or path. Raises ModelNotFound."""
    return Path(name) if is_run(Path(name)) else find_model(name)


def give_head(part: str, giver: Path, card: Path) -> Path:
    """Give the exported model of `card` the head `part` (boxes, edges) of a run or of another model; returns
    its graph. Raises WeightsError for one without such a head or with another encoder, Failure, StorageError.
    """
    return add_head(part, giver, card) if is_run(giver) else carry_head(part, giver, card)


def add_head(part: str, run: Path, card: Path) -> Path:
    """Give the exported model of `card` the head of a run of the recipe `part` (boxes, edges); returns its
    graph.

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
    return {k: card[k] for k in KEPT if k in card} | {"config": card.get("config", {})}
