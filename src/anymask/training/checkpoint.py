"""Checkpoints: one safetensors file with weights, EMA weights and optimiser moments, and a JSON card in its
header. Written atomically. Views and sessions are drawn from (seed, step), so the step is all it takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from anymask.errors import WeightsError
from anymask.networks.checkpoints import write_tensors

STATE_FILE = "state.safetensors"
CARD_KEY = "card"


def is_run(folder: Path) -> bool:
    return (folder / STATE_FILE).is_file()


def save_state(
    folder: Path, model: nn.Module, average: Mapping[str, Tensor], optimiser: Optimizer, card: dict[str, Any]
) -> None:
    """Write `folder/state.safetensors`. Raises StorageError."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()}
    write_tensors(folder / STATE_FILE, tensors, {CARD_KEY: json.dumps(card)})


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a state file, and its card. Raises WeightsError when it is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {}).get(CARD_KEY, "{}"))
            return {key: file.get_tensor(key) for key in file.keys()}, card  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(f"cannot read the training state {path}: {error}") from error


def restore_state(
    folder: Path, model: nn.Module, average: Mapping[str, Tensor], optimiser: Optimizer
) -> dict[str, Any]:
    """Load a saved state into the given objects; returns its card."""
    tensors, card = read_state(folder / STATE_FILE)
    model.load_state_dict(_under(tensors, "model."))
    for name, tensor in _under(tensors, "average.").items():
        average[name].copy_(tensor)
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _under(tensors, "optimiser.").items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return card


def averaged_weights(folder: Path) -> dict[str, Tensor]:
    """The EMA weights of a run: what is exported and evaluated."""
    return _under(read_state(folder / STATE_FILE)[0], "average.")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
