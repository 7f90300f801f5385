"""Views drawn on the GPU, from photos and masks that all lie in its memory, a whole batch at once.

The random streams are those of the CPU (`views.random_view`), so both show the same; supersampling stands in
for the wider filter of downscaling there. Legend: N photos, M masks of all photos, B views, K objects, L
candidate masks of a view, S view side, m mask side, H W the largest photo, u samples along a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anymask.data.record import Record
from anymask.data.sources import RecordSource
from anymask.errors import BadOption
from anymask.training.data.augment import Box, ColourJitter, ViewFrame
from anymask.training.data.sampler import Sampler
from anymask.training.data.views import MAX_COVER, MIN_CELLS, MaskTargets, mask_array, random_view, with_mask
from anymask.training.device import to_device
from anymask.training.task import Batch, ViewConfig

MAX_MEMORY_FRACTION = 0.7  # of the free memory that photos may take
SUPERSAMPLING = 2  # samples per pixel and axis
READER_THREADS = 8
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class PhotoIndex:
    """What the CPU keeps of a photo: its row, the row of its first mask, and the boxes of its masks."""

    row: int
    first_mask: int
    size_hw: tuple[int, int]
    boxes_xyxy: list[Box]


@dataclass(frozen=True, slots=True)
class PlannedView:
    """The parameters of a view before it is drawn. `masks`: rows of the masks it may show."""

    photo: PhotoIndex
    frame: ViewFrame
    masks: list[int]
    colour: ColourJitter
    config: ViewConfig


class GpuDataset:
    """Reads every photo of `sampler` once. Raises BadOption when they do not fit into the device memory.
    `pixels_N3HW`, `masks_MHW`: uint8, masks 0 or 1; the last mask is empty and stands for none.
    """

    def __init__(self, records: RecordSource, sampler: Sampler, device: torch.device) -> None:
        self.sampler = sampler
        chosen = [records[number] for number in sampler.indices.tolist()]
        counts = [len(with_mask(record)) for record in chosen]
        height, width = np.array([record.size_hw for record in chosen]).max(0).tolist()
        check_memory(len(chosen) * 3 * height * width + (sum(counts) + 1) * height * width, device)
        self.pixels_N3HW = torch.zeros(len(chosen), 3, height, width, dtype=torch.uint8, device=device)
        self.masks_MHW = torch.zeros(sum(counts) + 1, height, width, dtype=torch.uint8, device=device)
        firsts = np.cumsum([0, *counts]).tolist()
        with ThreadPoolExecutor(READER_THREADS) as pool:
            photos = pool.map(self._read, chosen, range(len(chosen)), firsts)
            self.photos = dict(zip(sampler.indices.tolist(), photos, strict=True))

    def _read(self, record: Record, row: int, first_mask: int) -> PhotoIndex:
        annotations, (height, width) = with_mask(record), record.size_hw
        pixels = torch.from_numpy(record.read_pixels()).permute(2, 0, 1)
        self.pixels_N3HW[row, :, :height, :width] = pixels
        masks = torch.from_numpy(np.stack([mask_array(annotation) for annotation in annotations]))
        self.masks_MHW[first_mask : first_mask + len(masks), :height, :width] = masks
        return PhotoIndex(row, first_mask, record.size_hw, [a.box_xyxy for a in annotations])

    def prepare(self, numbers: Sequence[int], config: ViewConfig) -> list[PlannedView]:
        plans = []
        for rng in map(self.sampler.rng, numbers):
            photo = self.photos[self.sampler.photo(rng)]
            frame, order = random_view(photo.boxes_xyxy, photo.size_hw, config, rng)
            masks = [photo.first_mask + i for i in order]
            plans.append(PlannedView(photo, frame, masks, ColourJitter.draw(rng, config.colour), config))
        return plans

    def batch(self, prepared: list[PlannedView], device: torch.device) -> Batch:
        """A view that shows no object gives its place to one of the others."""
        pixels_BSS3, cells_BLmm = self.drawn(prepared)
        masks_BKmm, shows_B = visible_masks(cells_BLmm, prepared[0].config.objects)
        which_B = torch.where(shows_B, torch.arange(len(prepared), device=device), shows_B.int().argmax())
        closer_B = to_device([plan.frame.closer for plan in prepared], device)
        return Batch(pixels_BSS3[which_B], MaskTargets(masks_BKmm[which_B], closer_B[which_B]))

    def drawn(self, plans: list[PlannedView]) -> tuple[Tensor, Tensor]:
        """uint8 B x S x S x 3, and bool B x L x m x m: cells covered by at least half."""
        device, config, frames = self.pixels_N3HW.device, plans[0].config, [plan.frame for plan in plans]
        rows_B = to_device([plan.photo.row for plan in plans], device).long()
        max_masks, none = 2 * config.objects, len(self.masks_MHW) - 1
        masks = [plan.masks + [none] * (max_masks - len(plan.masks)) for plan in plans]
        layers = torch.cat([self.pixels_N3HW[rows_B], self.masks_MHW[to_device(masks, device).long()]], 1)
        sizes_hw = [plan.photo.size_hw for plan in plans]
        grid_BSS2, inside_B1SS = sampling_grid(frames, sizes_hw, layers.shape[-2:], device)
        seen = F.grid_sample(layers.float(), grid_BSS2, mode="bilinear", align_corners=False)
        seen = F.avg_pool2d(seen, SUPERSAMPLING)
        cells_BLmm = F.avg_pool2d(seen[:, 3:] * inside_B1SS, config.stride) >= 0.5
        fill = to_device([config.fill], device)[..., None, None]
        pixels = torch.where(inside_B1SS, seen[:, :3], fill)
        return colour_jittered(pixels, [plan.colour for plan in plans]).permute(0, 2, 3, 1), cells_BLmm


def check_memory(needed: int, device: torch.device) -> None:
    if device.type != "cuda":
        return
    free = torch.cuda.mem_get_info(device)[0]
    if needed > MAX_MEMORY_FRACTION * free:
        sizes = f"photos and masks take {needed / 1e9:.1f} GB, the device has {free / 1e9:.1f} GB free"
        raise BadOption(f"resident: {sizes}; draw views on the CPU with resident=false")


def sampling_grid(
    frames: list[ViewFrame], sizes_hw: list[tuple[int, int]], stored_hw: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """For `grid_sample`: B x u x u x 2 in -1..1; and bool B x 1 x S x S: pixels that show the photo."""
    numbers = [(*frame.crop_xyxy, *frame.origin_yx, *frame.drawn_hw, frame.flip) for frame in frames]
    x0, y0, x1, y1, top, left, tall, wide, flip = to_device(numbers, device).double()[..., None].unbind(1)
    heights, widths = to_device(sizes_hw, device)[..., None].unbind(1)
    side = frames[0].size
    fine_u = (torch.arange(SUPERSAMPLING * side, device=device, dtype=torch.float64) + 0.5) / SUPERSAMPLING
    from_left = torch.where(flip > 0, side - fine_u, fine_u)
    at_x = sample_positions(from_left, left, wide, x0, x1, widths, stored_hw[1])
    at_y = sample_positions(fine_u, top, tall, y0, y1, heights, stored_hw[0])
    grid = torch.stack(torch.broadcast_tensors(at_x[:, None], at_y[..., None]), -1)
    shown_x, shown_y = (
        ((at > low) & (at < low + length))[:, ::SUPERSAMPLING]
        for at, low, length in ((from_left, left, wide), (fine_u, top, tall))
    )
    return grid, (shown_y[..., None] & shown_x[:, None])[:, None]


def sample_positions(
    at_Bu: Tensor, start: Tensor, length: Tensor, low: Tensor, high: Tensor, size: Tensor, stored: int
) -> Tensor:
    """Positions -1..1 in stored photos of `at_Bu`; `length` pixels from `start` on show `low`..`high`."""
    place = low + (at_Bu - start) / length * (high - low)
    place = torch.minimum(place.clamp(min=0.5), size - 0.5)
    return (2 * place / stored - 1).float()


def visible_masks(masks_BLmm: Tensor, objects: int) -> tuple[Tensor, Tensor]:
    """Of each view `objects` masks of a fit size, repeated where there are fewer; and whether it has any."""
    cells_BL = masks_BLmm.sum((2, 3))
    fits_BL = (cells_BL >= MIN_CELLS) & (cells_BL <= MAX_COVER * masks_BLmm[0, 0].numel())
    first_BL = torch.argsort((~fits_BL).int(), dim=1, stable=True)
    turn_BK = torch.arange(objects, device=masks_BLmm.device) % fits_BL.sum(1, keepdim=True).clamp(1, objects)
    views = torch.arange(len(masks_BLmm), device=masks_BLmm.device)[:, None]
    return masks_BLmm[views, first_BL.gather(1, turn_BK)], fits_BL.any(1)


def colour_jittered(pixels_B3SS: Tensor, colours: list[ColourJitter]) -> Tensor:
    """uint8; `ColourJitter.applied` up to rounding."""
    factors = [(1, 1, 0) if c.grey else (c.brightness, c.contrast, c.saturation) for c in colours]
    factors_B3 = to_device(factors, pixels_B3SS.device).float()
    brightness, contrast, saturation = factors_B3[..., None, None, None].unbind(1)
    pixels = (pixels_B3SS * brightness).clamp(0, 255)
    mean = luma(pixels).mean((1, 2, 3), keepdim=True)
    pixels = (mean + (pixels - mean) * contrast).clamp(0, 255)
    grey = luma(pixels)
    return (grey + (pixels - grey) * saturation).clamp(0, 255).round().to(torch.uint8)


def luma(pixels_B3SS: Tensor) -> Tensor:
    weights = to_device(LUMA, pixels_B3SS.device)[:, None, None]
    return (pixels_B3SS * weights).sum(1, keepdim=True)
