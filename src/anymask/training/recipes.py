"""Training recipes: functions that return a network and its settings; `run_recipe` trains by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from anymask.data.sources import RecordSource, open_records
from anymask.errors import BadOption
from anymask.networks.box_head import BoxNetwork
from anymask.networks.edge_head import EdgeNetwork
from anymask.networks.lite import Lite, freeze_early_layers
from anymask.training.config import FirstPrompt, Objective, Phase, TrainConfig
from anymask.training.loop import spec_of, train
from anymask.training.task import Task
from anymask.training.tasks.boxes import BOXES
from anymask.training.tasks.clicks import CLICKS
from anymask.training.tasks.edges import EDGES
from anymask.training.tasks.text import Towers, prepare_for_text, text_task
from anymask.training.weights import imagenet_weights, starting_weights
from anymask.words.encoders import ClipTowers

# Sampling weights: photos of one salient object teach the first click, those with many teach boxes and parts.
LITE_WEIGHTS = {
    "duts-tr": 1.0, "coco": 5.0, "coco-person": 2.0, "ccp": 0.8, "bsds-train": 2.0, "facade": 0.6,
    "human-seg": 1.5, "food": 2.0, "balloon": 2.0, "car-damage": 2.0, "bottles": 1.0, "mugs": 1.0,
    "leaves": 1.0, "medical-waste": 1.0, "vehicles": 0.5, "aerial-roofs": 1.0, "tunnel-devices": 0.5,
}  # fmt: skip

# Whole objects; sources that annotate a single category, less often.
BOX_WEIGHTS = {
    "coco": 6.0, "coco-person": 3.0, "coco-boxes": 3.0, "duts-tr": 0.5, "ccp": 0.3, "human-seg": 0.7,
    "food": 1.0, "balloon": 1.0, "bottles": 1.0, "mugs": 1.0, "medical-waste": 1.0, "vehicles": 0.5,
    "bsds-train": 0.0, "facade": 0.0, "car-damage": 0.0, "leaves": 0.0, "aerial-roofs": 0.0,
    "tunnel-devices": 0.0,
}  # fmt: skip

# Edge annotations; masks that were drawn for other reasons, less often.
EDGE_WEIGHTS = {"bsds-train": 1.0, "coco": 0.5, "facade": 0.0, "food": 0.0, "car-damage": 0.0}

MULTISCALE_SIZES = (256, 384, 512)
MULTISCALE_TURNS = 240
PIXELS_PER_STEP = 96 * 448**2
HELD_OUT = 0.08  # of the photos, for the probability head (`recipes/choice.py`)

DataPath = str | Path | RecordSource


def lite() -> tuple[nn.Module, TrainConfig]:
    """First stage of the default model, for two CPU processes: ImageNet trunk, progressive resizing."""
    model = Lite()
    model.image_encoder.trunk.load_imagenet(imagenet_weights())
    freeze_early_layers(model)
    phases = (Phase(0.45, 256, 4, 3), Phase(0.75, 384, 3, 3), Phase(1.0, 448, 3, 3))
    return model, TrainConfig(steps=10_000, phases=phases, weights=LITE_WEIGHTS, bf16=True)


def smoke() -> tuple[nn.Module, TrainConfig]:
    """A few steps from random weights: a test of the installation."""
    return Lite(), TrainConfig(steps=4, phases=(Phase(1.0, 128, 2, 2),), warmup=1, log_every=1)


def finetune(start: str | Path = "lite") -> tuple[nn.Module, TrainConfig]:
    """Fine-tuning on a user's own photos. `start`: the folder of a run, a safetensors file, a model name."""
    return partly_frozen(start), TrainConfig(
        steps=1000, phases=(Phase(1.0, 384, 2, 4),), lr=2e-4, trunk_lr=4e-5, warmup=50, average_decay=0.99
    )


def stage2(start: str | Path = "lite") -> tuple[nn.Module, TrainConfig]:
    """Second stage of the default model: larger views, more scale jitter, corrections and refinement."""
    objective = Objective(corrections=(0.2, 0.2, 0.2, 0.15, 0.1, 0.05, 0.05, 0.05), look_again=0.5, blur=4.0)
    config = TrainConfig(
        steps=3000, phases=(Phase(1.0, 448, 3, 3),), lr=5e-4, trunk_lr=1e-4, warmup=100, seed=1,
        scale=(0.7, 4.0), weights=LITE_WEIGHTS, objective=objective, bf16=True,
    )  # fmt: skip
    return partly_frozen(start), config


def partly_frozen(start: str | Path) -> nn.Module:
    """`starting_weights` with the early layers of the lite encoder frozen."""
    model = starting_weights(start)
    if isinstance(model, Lite):
        freeze_early_layers(model)
    return model


def train_accelerator(start: str | Path = "lite") -> tuple[nn.Module, TrainConfig]:
    """Third stage of the default model, the whole network on one accelerator: multi-scale training with a
    constant number of pixels per step, and refinement windows.
    """
    model, config = starting_weights(start).requires_grad_(True), stage2()[1]
    phases = tuple[Phase, ...]()
    for turn in range(MULTISCALE_TURNS):
        sizes = MULTISCALE_SIZES[:2] if turn < MULTISCALE_TURNS / 2 else MULTISCALE_SIZES[1:]
        size = sizes[1 - turn % 2]
        phases += (Phase((turn + 1) / MULTISCALE_TURNS, size, PIXELS_PER_STEP // size**2, 3),)
    objective = replace(
        config.objective, corrections=(0.35, 0.25, 0.15, 0.1, 0.05, 0.05, 0.05), look_again=0.1, blur=5.0,
        first=FirstPrompt(point=0.6, box=0.35),
    )  # fmt: skip
    return model, replace(
        config, steps=3600, phases=phases, lr=2e-3, trunk_lr=5e-4, warmup=150, seed=5, scale=(0.75, 2.0),
        closer=0.4, stretch=0.5, average_decay=0.998, hold_out=HELD_OUT, objective=objective, workers=2,
    )  # fmt: skip


def boxes(start: str | Path = "lite") -> tuple[nn.Module, TrainConfig]:
    """The box head of the default model, on its frozen encoder. Photos with boxes alone are used, too."""
    config = TrainConfig(
        steps=2500, phases=(Phase(1.0, 512, 8, 0),), warmup=100, final_lr=0.02, clip=2.0, scale=(0.7, 1.8),
        average_decay=0.998, weights=BOX_WEIGHTS, bf16=True,
    )  # fmt: skip
    return BoxNetwork(starting_lite(start, "boxes")), config


def edges(start: str | Path = "lite") -> tuple[nn.Module, TrainConfig]:
    """The edge head of the default model, on its frozen encoder."""
    config = TrainConfig(
        steps=1500, phases=(Phase(1.0, 512, 4, 0),), lr=2e-3, weight_decay=0.01, warmup=100, final_lr=0.01,
        scale=(0.7, 1.5), average_decay=0.995, weights=EDGE_WEIGHTS, bf16=True,
    )  # fmt: skip
    return EdgeNetwork(starting_lite(start, "edges")), config


def starting_lite(start: str | Path, recipe: str) -> Lite:
    """The network that a head is trained on. Raises BadOption for one of another kind."""
    network = starting_weights(start)
    if not isinstance(network, Lite):
        raise BadOption(f"{recipe}: expected weights of lite, got those of {spec_of(network).name}")
    return network


def sam_paper() -> tuple[nn.Module, TrainConfig]:
    """SAM ViT-B as in the paper (Appendix A): focal x 20 + dice + MSE on IoU, point or box first, up to eight
    corrections, large-scale jitter. Needs accelerators; the batch here is per process.
    """
    from anymask.networks.presets import build

    objective = Objective(
        corrections=(0.0,) * 7 + (1.0,), first=FirstPrompt(point=0.5, box=0.5, centre=0.0, mixed=False),
        drop_mask=0.0, iou=1.0, single_when_ambiguous=0.0, all_candidates=0.0, paper_focal=True,
    )  # fmt: skip
    config = TrainConfig(
        steps=180_000, phases=(Phase(1.0, 1024, 4, 16),), lr=8e-4, trunk_lr=8e-4, weight_decay=0.1,
        warmup=250, scale=(0.1, 2.0), colour=0.0, objective=objective, bf16=True, workers=8,
    )  # fmt: skip
    return build("sam_vit_b"), config  # type: ignore[return-value]


def text_paper(start: str | Path = "sam_vit_b") -> tuple[nn.Module, TrainConfig]:
    """Text as a prompt, as in the paper (appendix D.5): trained with the image embeddings of masked objects
    by an encoder of images and texts (`text_encoder`), used with those of texts. Needs accelerators.
    """
    config = sam_paper()[1]
    return starting_weights(start), replace(config, steps=60_000, lr=1e-4, trunk_lr=1e-5)


RECIPES = {
    "lite": lite, "stage2": stage2, "train_accelerator": train_accelerator, "boxes": boxes, "edges": edges,
    "finetune": finetune, "sam_paper": sam_paper,
    "text_paper": text_paper, "smoke": smoke,
}  # fmt: skip
FROM_WEIGHTS = ("stage2", "train_accelerator", "boxes", "edges", "finetune", "text_paper")
MINIMAL = TrainConfig(steps=1, phases=(Phase(1.0, 32, 1, 1),))
TASKS: Mapping[str, Task] = {"boxes": BOXES, "edges": EDGES}  # all others: CLICKS


def run_recipe(
    name: str,
    data: Iterable[DataPath],
    out: str | Path,
    *,
    device: str = "auto",
    text_encoder: str | Path | Towers | None = None,
    **overrides: Any,
) -> Path:
    """Train by a named recipe, or resume where `out` holds a state; `overrides` replace fields of its
    TrainConfig (of its objective those that a mapping names), `weights_from` is what a recipe of FROM_WEIGHTS
    starts from. `text_encoder`: of text_paper, a CLIP-like model's folder, or an object that encodes images
    and texts. Raises BadOption for an unknown recipe or field and for a wrong value.
    """
    if name not in RECIPES:
        raise BadOption(f"unknown recipe {name!r}; choose one of {', '.join(RECIPES)}")
    start = overrides.pop("weights_from", None)
    if start and name not in FROM_WEIGHTS:
        others = ", ".join(FROM_WEIGHTS)
        raise BadOption(f"weights_from: the recipe {name} starts afresh; choose one of {others}")
    known = {f.name for f in fields(TrainConfig)}
    if unknown := set(overrides) - known:
        raise BadOption(f"unknown setting {sorted(unknown)[0]!r}; choose among {', '.join(sorted(known))}")
    if {"steps", "minutes"} <= set(overrides):
        raise BadOption("steps and minutes: a run ends by one of them; give one")
    given = replace(MINIMAL, **overrides)  # wrong values are reported before anything is read
    records = open_records(*data)
    torch.manual_seed(given.seed)
    model, config = RECIPES[name](start) if start else RECIPES[name]()  # type: ignore[call-arg]
    task = TASKS.get(name, CLICKS)
    if name == "text_paper":
        towers = towers_of(text_encoder)
        model, task = prepare_for_text(model, towers), text_task(towers)
    return train(model, records, changed(config, overrides), Path(out), device, task)


def towers_of(given: str | Path | Towers | None) -> Towers:
    """The encoder of images and texts. Raises BadOption without one, WeightsError for another folder."""
    if given is None:
        raise BadOption("text_paper: give text_encoder, the folder of a CLIP-like model")
    return ClipTowers(given) if isinstance(given, str | Path) else given


def changed(config: Any, overrides: Mapping[str, Any]) -> Any:
    """`config` with overrides; a part of it (`objective`) keeps the values that are not named."""
    parts = {k: (getattr(config, k), v) for k, v in overrides.items() if isinstance(v, Mapping)}
    nested = {k: changed(part, value) for k, (part, value) in parts.items() if is_dataclass(part)}
    return replace(config, **{**overrides, **nested})
