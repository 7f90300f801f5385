"""From a training run to a model that can be used: the averaged weights as safetensors and ONNX, with a
card.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anymask.inference.export import export_model
from anymask.training.checkpoint import STATE_FILE, read_state
from anymask.training.recipes import run_weights

KEPT = ("step", "images", "seconds")


def is_run(path: Path) -> bool:
    return (path / STATE_FILE).is_file()


def export_run(run: Path, out: Path, *, half: bool = True, facts: Mapping[str, Any] | None = None) -> Path:
    """Export the averaged weights of `run`; its card tells how long it trained and with which settings.

    Returns the card's path. Raises WeightsError, Failure, StorageError.
    """
    card = read_state(run / STATE_FILE)[1]
    training = {k: card[k] for k in KEPT if k in card} | {"config": card.get("config", {})}
    return export_model(run_weights(run), out, half=half, facts={"training": training, **(facts or {})})
