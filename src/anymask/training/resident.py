"""The views of a data set, drawn from photos and masks that lie on the device whole.

Where each view looks is drawn from the same chance as on the processor (`dataset.aim`), so both show the
same; only cutting, scaling and colouring happen on the device. A second sample in each direction stands in
for the wider filter a smaller picture asks for.

Legend: B views, K objects, C channels, S view side, m mask side, H W pixels of a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anymask.errors import BadOption
from anymask.store.records import Record, RecordSource
from anymask.training.augment import Box, Colour, ViewConfig, ViewFrame
from anymask.training.dataset import MAX_COVER, MIN_CELLS, aim, mask_array, with_mask
from anymask.training.task import Batch, Choice

ROOM = 0.7  # share of free memory that photos may take
FINER = 2  # samples per pixel and axis
READERS = 8
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Photo:
    """`pixels_3HW`, `masks_KHW`: uint8 on the device, masks 0 or 1."""

    pixels_3HW: Tensor
    masks_KHW: Tensor
    boxes_xyxy: list[Box]

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.pixels_3HW.shape[1], self.pixels_3HW.shape[2]


@dataclass(frozen=True, slots=True)
class Plan:
    """A view before it is drawn."""

    photo: int
    frame: ViewFrame
    order: list[int]
    colour: Colour
    config: ViewConfig


class ResidentViews:
    """Reads every photo of `choice` once. Raises BadOption when they do not fit the device."""

    def __init__(self, records: RecordSource, choice: Choice, device: torch.device) -> None:
        self.choice = choice
        numbers = choice.indices.tolist()
        check_room(records, numbers, device)
        with ThreadPoolExecutor(READERS) as pool:
            photos = pool.map(lambda number: read(records[number], device), numbers)
            self.photos = dict(zip(numbers, photos, strict=True))

    def prepare(self, numbers: Sequence[int], config: ViewConfig) -> list[Plan]:
        return [self._plan(number, config) for number in numbers]

    def _plan(self, number: int, config: ViewConfig) -> Plan:
        rng = self.choice.rng(number)
        chosen = self.choice.photo(rng)
        photo = self.photos[chosen]
        frame, order = aim(photo.boxes_xyxy, photo.size_hw, config, rng)
        return Plan(chosen, frame, order, Colour.draw(rng, config.colour), config)

    def batch(self, prepared: list[Plan], device: torch.device) -> Batch:
        """A view that shows no object gives its place to one of the others."""
        drawn = [draw(self.photos[plan.photo], plan) for plan in prepared]
        pixels, masks, shows = zip(*drawn, strict=True)
        shows_B = torch.stack(shows)
        views = torch.arange(len(prepared), device=shows_B.device)
        which = torch.where(shows_B, views, shows_B.int().argmax())
        return Batch(torch.stack(pixels)[which], torch.stack(masks)[which])


def read(record: Record, device: torch.device) -> Photo:
    annotations = with_mask(record)
    masks = np.stack([mask_array(annotation) for annotation in annotations])
    pixels = torch.from_numpy(record.read_pixels()).permute(2, 0, 1).contiguous()
    boxes = [annotation.box_xyxy for annotation in annotations]
    return Photo(pixels.to(device), torch.from_numpy(masks).to(torch.uint8).to(device), boxes)


def check_room(records: RecordSource, numbers: Sequence[int], device: torch.device) -> None:
    if device.type != "cuda":
        return
    needed = sum(
        r.size_hw[0] * r.size_hw[1] * (3 + len(with_mask(r))) for r in map(records.__getitem__, numbers)
    )
    free = torch.cuda.mem_get_info(device)[0]
    if needed > ROOM * free:
        raise BadOption(
            f"resident: photos and masks take {needed / 1e9:.1f} GB, the device has {free / 1e9:.1f} GB free;"
            " draw views on the processor with --set resident=false"
        )


def draw(photo: Photo, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 S x S x 3; bool K x m x m, cells covered by at least half; and whether anything is to be seen."""
    frame, stride = plan.frame, plan.config.stride
    layers = torch.cat([photo.pixels_3HW, photo.masks_KHW[plan.order]])
    part_Chw = F.avg_pool2d(sampled(layers, frame), FINER)
    masks = F.avg_pool2d(part_Chw[3:], stride) >= 0.5
    (y, x), (h, w), side = frame.origin_yx, frame.drawn_hw, frame.size
    fill = torch.tensor(plan.config.fill, device=layers.device, dtype=torch.float32)
    pixels = fill[:, None, None].repeat(1, side, side)
    pixels[:, y : y + h, x : x + w] = part_Chw[:3]
    cells = masks.new_zeros(len(masks), side // stride, side // stride)
    cells[:, y // stride : (y + h) // stride, x // stride : (x + w) // stride] = masks
    if frame.flip:
        pixels, cells = pixels.flip(-1), cells.flip(-1)
    chosen, some = visible(cells, plan.config.objects)
    return coloured(pixels, plan.colour).permute(1, 2, 0), chosen, some


def sampled(layers_CHW: Tensor, frame: ViewFrame) -> Tensor:
    """The crop of a frame at `FINER` times its drawn size, bilinear, float32."""
    height, width = layers_CHW.shape[1:]
    (x0, y0, x1, y1), (h, w) = frame.crop_xyxy, frame.drawn_hw
    left, top = int(x0), int(y0)
    right, bottom = min(width, int(np.ceil(x1))), min(height, int(np.ceil(y1)))
    part = layers_CHW[:, top:bottom, left:right].float()[None]
    scale = ((x1 - x0) / (right - left), (y1 - y0) / (bottom - top))
    shift = ((x0 + x1 - 2 * left) / (right - left) - 1, (y0 + y1 - 2 * top) / (bottom - top) - 1)
    theta = torch.tensor([[[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]], device=part.device)
    grid = F.affine_grid(theta, [1, part.shape[1], FINER * h, FINER * w], align_corners=False)
    return F.grid_sample(part, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def visible(masks_Kmm: Tensor, objects: int) -> tuple[Tensor, Tensor]:
    """The first `objects` masks that are neither too small nor nearly everything, again from the first when
    there are fewer; and whether there are any.
    """
    cells_K = masks_Kmm.sum((1, 2))
    fits_K = (cells_K >= MIN_CELLS) & (cells_K <= MAX_COVER * masks_Kmm[0].numel())
    first = torch.argsort((~fits_K).int(), stable=True)
    turn = torch.arange(objects, device=masks_Kmm.device) % fits_K.sum().clamp(1, objects)
    return masks_Kmm[first[turn]], fits_K.any()


def coloured(pixels_3SS: Tensor, colour: Colour) -> Tensor:
    """uint8; as `Colour.applied`, but for rounding."""
    weights = torch.tensor(LUMA, device=pixels_3SS.device)[:, None, None]
    if not colour.grey:
        pixels_3SS = (pixels_3SS * colour.brightness).clamp(0, 255)
        mean = (pixels_3SS * weights).sum(0).mean()
        pixels_3SS = (mean + (pixels_3SS - mean) * colour.contrast).clamp(0, 255)
    luma = (pixels_3SS * weights).sum(0)
    saturation = 0.0 if colour.grey else colour.saturation
    return (luma + (pixels_3SS - luma) * saturation).clamp(0, 255).round().to(torch.uint8)
