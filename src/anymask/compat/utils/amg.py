"""`segment_anything.utils.amg`: the small functions automatic masks are made with, by their published names.

Boxes are x0, y0, x1, y1, the last row and column inclusive. Legend: M masks, H W pixels, N points.
"""

from __future__ import annotations

import math
from collections.abc import ItemsView, Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from anymask.automatic.points import crop_layers, point_grid
from anymask.core.boxes import box_nms
from anymask.core.mask import Mask

SizeHW = tuple[int, ...]
RunLengths = dict[str, Any]  # {"size": [H, W], "counts": runs down the columns, background first}
ALLOWED = (list, np.ndarray, Tensor)


class MaskData:
    """Columns of a table with a row for each mask: lists, arrays and tensors by name."""

    def __init__(self, **columns: Any) -> None:
        self._stats: dict[str, Any] = {}
        for name, column in columns.items():
            self[name] = column

    def __setitem__(self, key: str, item: Any) -> None:
        if not isinstance(item, ALLOWED):
            raise TypeError(f"{key}: expected a list, an array or a tensor, got {type(item).__name__}")
        self._stats[key] = item

    def __getitem__(self, key: str) -> Any:
        return self._stats[key]

    def __delitem__(self, key: str) -> None:
        del self._stats[key]

    def items(self) -> ItemsView[str, Any]:
        return self._stats.items()

    def filter(self, keep: Tensor) -> None:
        """Keep the rows of a bool tensor, or those of indices, in their order."""
        kept = torch.as_tensor(keep).detach().cpu()
        rows = kept.nonzero().flatten() if kept.dtype == torch.bool else kept.long()
        for name, column in self._stats.items():
            if isinstance(column, list):
                self._stats[name] = [column[row] for row in rows.tolist()]
            else:
                self._stats[name] = column[
                    rows.numpy() if isinstance(column, np.ndarray) else rows.to(column.device)
                ]

    def cat(self, new_stats: MaskData) -> None:
        """Append the rows of another table."""
        for name, column in new_stats.items():
            mine = self._stats.get(name)
            if mine is None:
                self._stats[name] = deepcopy(column)
            elif isinstance(column, list):
                self._stats[name] = mine + deepcopy(column)
            elif isinstance(column, np.ndarray):
                self._stats[name] = np.concatenate([mine, column])
            else:
                self._stats[name] = torch.cat([mine, column])

    def to_numpy(self) -> None:
        """Tensors to arrays."""
        tensors = {name: column for name, column in self._stats.items() if isinstance(column, Tensor)}
        self._stats.update({name: column.detach().cpu().numpy() for name, column in tensors.items()})


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:
    """Up to `batch_size` rows at a time of sequences that are equally long."""
    if len({len(arg) for arg in args}) != 1:
        raise ValueError(f"expected sequences of one length, got {[len(arg) for arg in args]}")
    for start in range(0, len(args[0]), batch_size):
        yield [arg[start : start + batch_size] for arg in args]


def build_point_grid(n_per_side: int) -> NDArray[np.float64]:
    """n * n points x, y of the unit square, in the middle of their cells."""
    return point_grid(n_per_side)


def build_all_layer_point_grids(
    n_per_side: int, n_layers: int, scale_per_layer: int
) -> list[NDArray[np.float64]]:
    """A grid for the image and one for each layer of crops, each coarser by `scale_per_layer`."""
    return [point_grid(int(n_per_side / scale_per_layer**layer)) for layer in range(n_layers + 1)]


def generate_crop_boxes(
    im_size: SizeHW, n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """The image and its crops, and the layer of each."""
    layers = crop_layers((im_size[0], im_size[1]), n_layers, overlap_ratio)
    return [list(crop) for _, crop in layers], [layer for layer, _ in layers]


def calculate_stability_score(masks: Tensor, mask_threshold: float, threshold_offset: float) -> Tensor:
    """IoU of each mask cut a little higher with itself cut a little lower, of logits ... x H x W."""
    high, low = (
        (masks > mask_threshold + offset).flatten(-2).sum(-1, dtype=torch.int32)
        for offset in (threshold_offset, -threshold_offset)
    )
    return high / low


def batched_mask_to_box(masks: Tensor) -> Tensor:
    """... x H x W bool to ... x 4; zeros for an empty mask."""
    if not masks.numel():
        return torch.zeros(*masks.shape[:-2], 4, device=masks.device)
    edges = []
    for inside in (masks.any(-2), masks.any(-1)):  # of each column, of each row
        first = inside.int().argmax(-1)
        last = inside.shape[-1] - 1 - inside.flip(-1).int().argmax(-1)
        edges.append((first, last))
    (x0, x1), (y0, y1) = edges
    return torch.stack([x0, y0, x1, y1], -1) * masks.flatten(-2).any(-1, keepdim=True)


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """One box, or a copy of an array whose first axis is x0, y0, x1, y1."""
    box = deepcopy(box_xyxy)
    box[2], box[3] = box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
    return box


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: Sequence[int], orig_box: Sequence[int], atol: float = 20.0
) -> Tensor:
    """M bool: boxes, in pixels of the crop, near an edge of the crop that is no edge of the image."""
    moved = uncrop_boxes_xyxy(boxes, crop_box).float()
    at_crop, at_image = (
        (moved - torch.as_tensor(edges, dtype=torch.float32, device=moved.device)).abs() <= atol
        for edges in (crop_box, orig_box)
    )
    return (at_crop & ~at_image).any(dim=1)


def uncrop_boxes_xyxy(boxes: Tensor, crop_box: Sequence[int]) -> Tensor:
    """... x 4, from pixels of the crop to pixels of the image."""
    return boxes + torch.tensor([*crop_box[:2], *crop_box[:2]], device=boxes.device)


def uncrop_points(points: Tensor, crop_box: Sequence[int]) -> Tensor:
    """... x 2, from pixels of the crop to pixels of the image."""
    return points + torch.tensor(crop_box[:2], device=points.device)


def uncrop_masks(masks: Tensor, crop_box: Sequence[int], orig_h: int, orig_w: int) -> Tensor:
    """M x h x w of the crop to M x H x W of the image."""
    x0, y0, x1, y1 = crop_box
    return F.pad(masks, (x0, orig_w - x1, y0, orig_h - y1))


def mask_to_rle_pytorch(tensor: Tensor) -> list[RunLengths]:
    """M x H x W bool to uncompressed run lengths, as pycocotools reads them."""
    masks = (Mask.from_array(array) for array in tensor.detach().cpu().numpy().astype(np.bool_))
    return [{"size": list(mask.size_hw), "counts": mask.runs} for mask in masks]


def rle_to_mask(rle: RunLengths) -> NDArray[np.bool_]:
    """Uncompressed run lengths to H x W bool."""
    return Mask.from_rle(rle).to_array()


def area_from_rle(rle: RunLengths) -> int:
    return sum(rle["counts"][1::2])


def coco_encode_rle(uncompressed_rle: RunLengths) -> dict[str, Any]:
    """COCO's compressed run lengths, ready for JSON."""
    return dict(Mask.from_rle(uncompressed_rle).rle)


def remove_small_regions(
    mask: NDArray[np.bool_], area_thresh: float, mode: str
) -> tuple[NDArray[np.bool_], bool]:
    """Without islands or holes (`mode`) smaller than `area_thresh`, and whether there were any.

    Where all islands are small the largest stays.
    """
    if mode not in ("holes", "islands"):
        raise ValueError(f"mode: expected holes or islands, got {mode!r}")
    given = Mask.from_array(np.asarray(mask, np.bool_))
    clean = given.without_small_islands if mode == "islands" else given.without_small_holes
    cleaned = clean(math.ceil(area_thresh))
    return (mask, False) if cleaned is given else (cleaned.to_array(), True)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """As torchvision's, for boxes of one category: which boxes M x 4 stay, best score first."""
    kept = box_nms(
        boxes.detach().cpu().numpy().astype(np.float64), scores.detach().float().cpu().numpy(), iou_threshold
    )
    return torch.from_numpy(kept).to(boxes.device)
