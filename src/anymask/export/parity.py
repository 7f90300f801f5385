"""Parity check of an export: the graphs must give the outputs of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymask.backends.base import DecodedArrays, DecodeInput, Floats
from anymask.backends.onnx import OnnxBackend
from anymask.backends.onnx_io import DECODER_OUTPUTS
from anymask.backends.torch import TorchBackend
from anymask.core.spec import ModelSpec
from anymask.errors import Failure
from anymask.networks.segmenter import Segmenter

TOLERANCE = 1e-4  # relative to the largest value of an output
PARITY_SIZES = ((1, 0), (1, 1), (2, 7), (5, 2))  # prompts, points


def check_parity(
    network: Segmenter, card: Path, sizes: Iterable[tuple[int, int]] = PARITY_SIZES
) -> dict[str, float]:
    """Compare the graphs beside `card` with the network at several numbers of prompts and points.

    Returns the largest relative difference of every output; raises Failure when one is above TOLERANCE.
    """
    ours, theirs = OnnxBackend(card, 2), TorchBackend.of(network)
    differences: dict[str, float] = {}
    for frame_hw in parity_frames(network.spec):
        pixels = example_image(network.spec, 2, frame_hw).numpy()
        expected, got = theirs.encode(pixels), ours.encode(pixels)
        note_differences(differences, expected, got)
        for prompts, points in sizes:
            some_masked = example_prompts(network.spec, prompts, points, seed=prompts)
            for asked in (some_masked, replace(some_masked, has_mask_P=np.zeros(prompts, np.float32))):
                answers = (named_outputs(backend.decode(expected, asked)) for backend in (theirs, ours))
                note_differences(differences, *answers)
    return check_tolerance(differences, network.spec.name)


def check_tolerance(differences: dict[str, float], name: str) -> dict[str, float]:
    if worst := {output: d for output, d in differences.items() if not d <= TOLERANCE}:  # NaN too
        raise Failure(f"the graphs of {name} differ from the network: {worst} (allowed {TOLERANCE})")
    return differences


def example_image(spec: ModelSpec, seed: int, size_hw: tuple[int, int] | None = None) -> Tensor:
    """Gaussian noise, 1 x 3 x `size_hw` (default: the whole frame)."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, *(size_hw or (spec.input_size, spec.input_size)), generator=draw)


def example_prompts(spec: ModelSpec, prompts: int, points: int, seed: int = 0) -> DecodeInput:
    """Random points of every label, every other prompt with a mask."""
    draw = np.random.default_rng(seed)
    xy = draw.random((prompts, points, 2), np.float32) * np.float32(spec.input_size)
    labels = draw.integers(-1, 4, (prompts, points)).astype(np.float32)
    has_mask = (np.arange(prompts) % 2).astype(np.float32)
    masks = draw.standard_normal((prompts, 1, spec.low_res_size, spec.low_res_size), np.float32)
    return DecodeInput(xy, labels, masks * 4 * has_mask[:, None, None, None], has_mask)


def parity_frames(spec: ModelSpec) -> list[tuple[int, int]]:
    """The whole frame and, where a part of it can be encoded, a wide one and a tall one."""
    side, part = spec.input_size, spec.frame_multiple
    return [(side, side), *([(side - part, side), (side, part)] if part else [])]


def named_outputs(decoded: DecodedArrays) -> dict[str, Floats]:
    """By the names of the graphs' outputs, without None."""
    arrays = (decoded.low_res_masks_P4mm, decoded.iou_P4, decoded.probability_logits_P5)
    return {name: a for name, a in zip(DECODER_OUTPUTS, arrays, strict=True) if a is not None}


def note_differences(
    largest: dict[str, float], expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray]
) -> None:
    for name, array in expected.items():
        larger = np.maximum(largest.get(name, 0.0), relative_difference(array, got[name]))
        largest[name] = float(larger)  # NaN stays, unlike with `max`


def relative_difference(expected: np.ndarray, got: np.ndarray) -> float:
    return float(f"{np.abs(expected - got).max() / max(float(np.abs(expected).max()), 1e-6):.2g}")
