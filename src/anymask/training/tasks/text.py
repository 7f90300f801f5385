"""Text as a prompt, learned without texts: an aligned encoder's embedding of each masked object is the first
prompt.

In use the embedding of a text takes its place: the encoder puts both into one space. Afterwards corrections
by clicks follow, as for any other first prompt.

Source: Segment Anything, section 7.5 and appendix D.5, "Zero-Shot Text-to-Mask".

Legend: B images, K objects each, P = B x K prompts, m mask side, S view side, T tokens of D numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from anymask.core.spec import ModelSpec
from anymask.errors import BadOption
from anymask.networks.sam import Sam
from anymask.training.config import Objective
from anymask.training.data.views import MaskTargets
from anymask.training.device import to_device
from anymask.training.task import Numbers, Task
from anymask.training.tasks.annotator import PAD, Prompts
from anymask.training.tasks.clicks import CLICKS, next_prompts, prediction_loss, repeated

LARGEST_CROP = 2.0  # sides of the object's box; random from 1 on
BACKGROUND_OUT = 0.5  # share of the crops in which only the object is left
PADDING_LABELS = 1  # columns of a prompt without a point


class Towers(Protocol):
    """Images and texts in one space, such as `words.encoders.ClipTowers`."""

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit vectors of RGB images, N x D."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of texts, N x D."""
        ...


def text_task(towers: Towers) -> Task:
    """The click task with an embedding of the object as the first prompt."""

    def loss(
        model: Sam, pixels_B3SS: Tensor, truth: MaskTargets, objective: Objective, rng: Generator
    ) -> tuple[Tensor, Numbers]:
        return text_loss(model, pixels_B3SS, truth, objective, rng, towers)

    return replace(CLICKS, loss=loss)


def prepare_for_text(model: object, towers: Towers) -> Sam:
    """Give the network its place for text. Raises BadOption for a network without one."""
    if not isinstance(model, Sam):
        raise BadOption("text_paper: expected weights of the SAM family, whose prompts are tokens")
    model.prompt_encoder.add_text(towers.encode(["a thing"]).shape[-1])
    return model


def text_loss(
    model: Sam,
    pixels_B3SS: Tensor,
    truth: MaskTargets,
    objective: Objective,
    rng: Generator,
    towers: Towers,
) -> tuple[Tensor, Numbers]:
    """Loss of the answer to the embedding alone and of the answer after the last correction."""
    objects, target_Pmm = truth.masks_BKmm.shape[1], truth.masks_BKmm.flatten(0, 1)
    target_P1mm, stride = target_Pmm.unsqueeze(1), pixels_B3SS.shape[-1] // target_Pmm.shape[-1]
    embedding = {name: repeated(t, objects) for name, t in model.encode_image(pixels_B3SS).items()}
    crops = object_crops(pixels_of(pixels_B3SS, model.spec), truth.masks_BKmm.cpu().numpy(), rng)
    text_PTD = to_device(towers.encode_images(crops)[:, None], pixels_B3SS.device)
    prompts = no_prompts(target_Pmm)
    all_P = torch.ones(len(target_Pmm), dtype=torch.bool, device=target_Pmm.device)
    decoded = model.decode(embedding, *prompts, text_PTD=text_PTD)
    loss, numbers = prediction_loss(decoded, target_P1mm, prompts, objective, "text", all_P)
    corrections = 1 + int(rng.choice(len(objective.corrections), p=objective.corrections))
    for number in range(corrections):
        prompts = next_prompts(prompts, decoded, target_Pmm, ~all_P, stride, objective, rng)
        last = number == corrections - 1
        with torch.set_grad_enabled(last and torch.is_grad_enabled()):
            decoded = model.decode(embedding, *prompts, text_PTD=text_PTD)
    correction_loss, more = prediction_loss(decoded, target_P1mm, prompts, objective, "last", all_P)
    return loss + correction_loss, {**numbers, **more, "corrections": float(corrections)}


def no_prompts(target_Pmm: Tensor) -> Prompts:
    """Neither points nor masks: one padding column each."""
    count = len(target_Pmm)
    points = torch.zeros(count, PADDING_LABELS, 2, device=target_Pmm.device)
    labels = torch.full((count, PADDING_LABELS), PAD, device=target_Pmm.device)
    masks = torch.zeros_like(target_Pmm, dtype=torch.float32)
    return Prompts(points, labels, masks[:, None], torch.zeros(count, device=target_Pmm.device))


def pixels_of(pixels_B3SS: Tensor, spec: ModelSpec) -> NDArray[np.uint8]:
    """The RGB pixels that were normalised, B x S x S x 3."""
    mean, std = (torch.tensor(v, device=pixels_B3SS.device)[:, None, None] for v in (spec.mean, spec.std))
    pixels = (pixels_B3SS.float() * std + mean).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    return cast("NDArray[np.uint8]", pixels.cpu().numpy())


def object_crops(
    pixels_BSS3: NDArray[np.uint8], masks_BKmm: NDArray[np.bool_], rng: Generator
) -> list[NDArray[np.uint8]]:
    """A crop around each object, one to two times its box; in half of them nothing but the object is left."""
    stride = pixels_BSS3.shape[1] // masks_BKmm.shape[-1]
    crops = []
    for pixels_SS3, masks_Kmm in zip(pixels_BSS3, masks_BKmm, strict=True):
        for mask_mm in masks_Kmm:
            inside = mask_mm.repeat(stride, 0).repeat(stride, 1)
            alone = rng.random() < BACKGROUND_OUT
            shown = np.where(inside[..., None], pixels_SS3, 0) if alone else pixels_SS3
            y, x = crop_of(inside, rng.uniform(1, LARGEST_CROP))
            crops.append(np.ascontiguousarray(shown[y, x]).astype(np.uint8))
    return crops


def crop_of(inside_SS: NDArray[np.bool_], factor: float) -> tuple[slice, slice]:
    """Rows and columns of the object's box, enlarged by `factor` about its centre, within the view."""
    sides = []
    for axis in (1, 0):
        used = np.flatnonzero(inside_SS.any(axis))
        centre, half = (used[0] + used[-1] + 1) / 2, factor * (used[-1] + 1 - used[0]) / 2
        sides.append(slice(max(0, round(centre - half)), min(len(inside_SS), round(centre + half))))
    return sides[0], sides[1]
