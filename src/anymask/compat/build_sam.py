"""`segment_anything.build_sam`: models by the published keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from anymask.compat.modeling.sam import Sam
from anymask.hub.card import ModelFiles
from anymask.hub.catalog import find_model
from anymask.networks.checkpoints import load_published

OWN = "lite"


def _build(key: str, name: str, checkpoint: str | Path | None = None) -> Sam:
    """With the weights of a published file, or of safetensors; ready for use, not for training.

    Without a checkpoint the network would have random weights and find nothing: then it is lite, with a
    warning, until `load_state_dict` is given weights of that network. Raises WeightsError.
    """
    if checkpoint is not None:
        return Sam.of(load_published(checkpoint, name))
    warnings.warn(
        f"{key} without a checkpoint: anymask's own model, lite, takes its place, whose weights are trained. "
        f'Give checkpoint=... for {key}; say sam_model_registry["lite"]() if lite is what you want',
        stacklevel=2,
    )
    model = _build_lite()
    model.stands_in_for = name
    return model


def _build_lite(checkpoint: str | Path | None = None) -> Sam:
    """The default model of this package, or own weights of its network."""
    files = ModelFiles.of(find_model(OWN) if checkpoint is None else Path(checkpoint))
    model = Sam.of(load_published(files.weights if checkpoint is None else checkpoint, OWN))
    model.card = files.card if files.card.is_file() else None
    return model


build_sam_vit_h, build_sam_vit_l, build_sam_vit_b, build_sam_vit_t = (
    partial(_build, key, name)
    for key, name in (
        ("vit_h", "sam_vit_h"),
        ("vit_l", "sam_vit_l"),
        ("vit_b", "sam_vit_b"),
        ("vit_t", "mobile_sam"),
    )
)
build_sam = build_sam_vit_h

sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,  # MobileSAM
    "lite": _build_lite,  # the default model of this package
}
