"""What the tests of both heads share: a short run, and what has to be true of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anymask.training.checkpoint import averaged_weights
from anymask.training.config import Phase
from anymask.training.recipes import run_recipe
from anymask.training.weights import starting_weights


def train_head(part: str, data: Path, **changes: Any) -> Path:
    """The folder of a run beside `data`."""
    small = {"phases": (Phase(1.0, 128, 4, 0),), "warmup": 2, "average_decay": 0.9, "log_every": 1, **changes}
    run = data.parent / "run"
    run_recipe(part, [data], run, device="cpu", **small)
    return run


def check_that_the_head_alone_learned(run: Path) -> None:
    losses = [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    trained = averaged_weights(run)
    for name, tensor in starting_weights("lite").state_dict().items():
        assert torch.equal(trained[f"network.{name}"], tensor), name


def default_model_with(part: str, run: Path, folder: Path) -> Path:
    """The card of the default model with the head of a run; needs the extra export."""
    from anymask.export.graphs import export_weights
    from anymask.hub.card import ModelFiles, check_files
    from anymask.hub.catalog import find_model
    from anymask.training.publish import add_head

    card = export_weights(ModelFiles.of(find_model("lite")).weights, folder, half=True)
    graph = add_head(part, run, card)
    check_files(card)
    assert b"site-packages" not in graph.read_bytes()
    return card
