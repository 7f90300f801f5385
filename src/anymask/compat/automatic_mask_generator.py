"""`segment_anything.automatic_mask_generator`: all masks of an image.

Two ways lead to the same records. Where nothing is overridden the generator of this package does the work:
faster, in less memory, and with lite from detected boxes too. Subclasses that override a step are followed
step by step as published, and so is a predictor of another make.

Legend: N points, H W image pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anymask.api import Model
from anymask.automatic.config import AutomaticSettings
from anymask.automatic.generator import THRESHOLDS, AutomaticMaskGenerator, settings_for
from anymask.backends.torch import TorchBackend
from anymask.compat.modeling.sam import Sam
from anymask.compat.predictor import SamPredictor
from anymask.compat.utils import amg
from anymask.compat.utils.amg import MaskData
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.mask import Mask
from anymask.networks.lite import Lite
from anymask.networks.segmenter import Segmenter
from anymask.predict.loaded import card_facts

SizeHW = tuple[int, ...]
Grids = Sequence[NDArray[np.float64]]

STEPS = ("_generate_masks", "_process_crop", "_process_batch", "postprocess_small_regions")
PREDICTOR_STEPS = ("set_image", "set_torch_image", "predict_torch", "reset_image")
PUBLISHED = AutomaticSettings()
SETTINGS = (
    "pred_iou_thresh", "stability_score_thresh", "stability_score_offset", "box_nms_thresh", "crop_n_layers",
    "crop_nms_thresh", "crop_overlap_ratio", "crop_n_points_downscale_factor", "min_mask_region_area",
)  # fmt: skip
OF_BOXES = {"pred_iou_thresh": "box_pred_iou_thresh", "stability_score_thresh": "box_stability_thresh"}
HALF_PIXEL = 0.5


class SamAutomaticMaskGenerator:
    """All masks of an image from a grid of points. Arguments and records are those of the published class.

    `point_grids`: for each layer of crops, points x, y in the unit square, instead of `points_per_side`.
    `output_mode`: `binary_mask`, `uncompressed_rle` or `coco_rle`.

    With lite, settings that are left at their published defaults are those of `everything`, boxes and
    refinement included, and the most probable mask comes first. Thresholds that differ from the defaults are
    scaled: 0 and 1 stay, and 0.88 (`pred_iou_thresh`) and 0.95 (`stability_score_thresh`) stand for what
    lite's card says.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = PUBLISHED.points_per_side,
        points_per_batch: int = 64,
        pred_iou_thresh: float = PUBLISHED.pred_iou_thresh,
        stability_score_thresh: float = PUBLISHED.stability_score_thresh,
        stability_score_offset: float = PUBLISHED.stability_score_offset,
        box_nms_thresh: float = PUBLISHED.box_nms_thresh,
        crop_n_layers: int = PUBLISHED.crop_n_layers,
        crop_nms_thresh: float = PUBLISHED.crop_nms_thresh,
        crop_overlap_ratio: float = PUBLISHED.crop_overlap_ratio,
        crop_n_points_downscale_factor: int = PUBLISHED.crop_n_points_downscale_factor,
        point_grids: list[NDArray[np.float64]] | None = None,
        min_mask_region_area: int = PUBLISHED.min_mask_region_area,
        output_mode: str = "binary_mask",
    ) -> None:
        if (points_per_side is None) == (point_grids is None):
            raise ValueError("expected either points_per_side or point_grids")
        if output_mode not in OUTPUT_MODES:
            raise ValueError(f"output_mode: expected one of {', '.join(OUTPUT_MODES)}, got {output_mode!r}")
        if point_grids is not None and len(point_grids) <= crop_n_layers:
            raise ValueError(f"point_grids: expected {crop_n_layers + 1} grids, got {len(point_grids)}")
        self.predictor = SamPredictor(model)
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        replace(self._settings(), points_per_side=points_per_side or 1)  # a value without sense is told now
        self.point_grids: Grids = point_grids or amg.build_all_layer_point_grids(
            points_per_side or 1, crop_n_layers, crop_n_points_downscale_factor
        )

    @property
    def model(self) -> Sam:
        return self.predictor.model

    @torch.no_grad()
    def generate(self, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """uint8 H x W x 3. One record per mask, best first: `segmentation`, `area`, `bbox` (x, y, w, h from
        the first to the last pixel), `predicted_iou`, `point_coords`, `stability_score`, `crop_box`.
        """
        network = self._network()
        if network is None:
            return self._records_step_by_step(image)
        generator = self._lite(network) if isinstance(network, Lite) else self._published(network)
        return [self._record(found) for found in generator.generate(image).masks]

    def _network(self) -> Segmenter | None:
        """The network, where every step is this package's own."""
        own = overrides_none(self, SamAutomaticMaskGenerator, STEPS) and overrides_none(
            self.predictor, SamPredictor, PREDICTOR_STEPS
        )
        return self.model.network if own and isinstance(self.model, Sam) else None

    def _settings(self) -> AutomaticSettings:
        chosen = {name: getattr(self, name) for name in SETTINGS}
        return AutomaticSettings(**chosen, point_offset_px=HALF_PIXEL)

    def _published(self, network: Segmenter) -> AutomaticMaskGenerator:
        model = Model(TorchBackend.of(network, self.points_per_batch))
        return AutomaticMaskGenerator(model, self._settings(), grids=self.point_grids)

    def _lite(self, network: Segmenter) -> AutomaticMaskGenerator:
        card: Path | None = self.model.card
        facts = {} if card is None else card_facts(card)
        model = Model(TorchBackend.of(network), threads=torch.get_num_threads(), **facts)
        changes: dict[str, Any] = {
            name: getattr(self, name) for name in SETTINGS if getattr(self, name) != getattr(PUBLISHED, name)
        }
        changed = changes.keys() & THRESHOLDS
        default = settings_for(model, "default")
        for name in changed:
            for scaled in (name, OF_BOXES[name]):
                changes[scaled] = rescaled(changes[name], getattr(PUBLISHED, name), getattr(default, scaled))
        return AutomaticMaskGenerator(
            model, settings_for(model, "default", **changes), grids=self._own_grids()
        )

    def _own_grids(self) -> Grids | None:
        """The grids, where they are not those of the published defaults."""
        default = amg.build_all_layer_point_grids(
            PUBLISHED.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor
        )
        same = len(default) == len(self.point_grids) and all(map(np.array_equal, default, self.point_grids))
        return None if same else self.point_grids

    def _record(self, found: AutomaticMask) -> dict[str, Any]:
        mask, (x0, y0, x1, y1) = found.mask, found.crop_box_xyxy
        x, y, width, height = mask.bbox_xywh
        return {
            "segmentation": OUTPUT_MODES[self.output_mode](mask),
            "area": mask.area,
            "bbox": [x, y, max(0, width - 1), max(0, height - 1)],
            "predicted_iou": found.predicted_iou,
            "point_coords": [list(found.point_xy)],
            "stability_score": found.stability_score,
            "crop_box": [x0, y0, x1 - x0, y1 - y0],
        }

    def _records_step_by_step(self, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        data = self._generate_masks(image)
        if self.min_mask_region_area > 0:
            threshold = max(self.box_nms_thresh, self.crop_nms_thresh)
            data = self.postprocess_small_regions(data, self.min_mask_region_area, threshold)
        return [
            {
                "segmentation": OUTPUT_MODES[self.output_mode](Mask.from_rle(rle)),
                "area": amg.area_from_rle(rle),
                "bbox": amg.box_xyxy_to_xywh(data["boxes"][i]).tolist(),
                "predicted_iou": data["iou_preds"][i].item(),
                "point_coords": [data["points"][i].tolist()],
                "stability_score": data["stability_score"][i].item(),
                "crop_box": amg.box_xyxy_to_xywh(data["crop_boxes"][i]).tolist(),
            }
            for i, rle in enumerate(data["rles"])
        ]

    def _generate_masks(self, image: NDArray[np.uint8]) -> MaskData:
        """`rles`, `boxes`, `iou_preds`, `points`, `stability_score` and `crop_boxes` of all crops."""
        size = image.shape[:2]
        crops, layers = amg.generate_crop_boxes(size, self.crop_n_layers, self.crop_overlap_ratio)
        data = MaskData()
        for crop, layer in zip(crops, layers, strict=True):
            data.cat(self._process_crop(image, crop, layer, size))
        if len(crops) > 1:  # of two alike that of the smaller crop stays
            boxes = data["crop_boxes"]
            scores = 1 / (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
            data.filter(nms(data["boxes"], scores, self.crop_nms_thresh))
        data.to_numpy()
        return data

    def _process_crop(
        self, image: NDArray[np.uint8], crop_box: list[int], crop_layer_idx: int, orig_size: SizeHW
    ) -> MaskData:
        """The masks of one crop, in the image."""
        x0, y0, x1, y1 = crop_box
        cropped = np.ascontiguousarray(image[y0:y1, x0:x1])
        size = cropped.shape[:2]
        self.predictor.set_image(cropped)
        points = self.point_grids[crop_layer_idx] * np.array([size[::-1]])
        data = MaskData()
        for (some,) in amg.batch_iterator(self.points_per_batch, points):
            data.cat(self._process_batch(some, size, crop_box, orig_size))
        self.predictor.reset_image()
        data.filter(nms(data["boxes"], data["iou_preds"], self.box_nms_thresh))
        data["boxes"] = amg.uncrop_boxes_xyxy(data["boxes"], crop_box)
        data["points"] = amg.uncrop_points(data["points"], crop_box)
        data["crop_boxes"] = torch.tensor(crop_box).expand(len(data["rles"]), 4).clone()
        return data

    def _process_batch(
        self, points: NDArray[np.float64], im_size: SizeHW, crop_box: list[int], orig_size: SizeHW
    ) -> MaskData:
        """The masks that answer some points N x 2 of a crop and that no filter drops; boxes in the crop."""
        moved = self.predictor.transform.apply_coords(points, (im_size[0], im_size[1]))
        coords = torch.as_tensor(moved, device=self.predictor.device, dtype=torch.float32)[:, None]
        labels = torch.ones(coords.shape[:2], dtype=torch.int, device=coords.device)
        logits, iou, _ = self.predictor.predict_torch(
            coords, labels, multimask_output=True, return_logits=True
        )
        each = logits.shape[1]
        data = MaskData(
            masks=logits.flatten(0, 1),
            iou_preds=iou.flatten(),
            points=torch.as_tensor(points.repeat(each, axis=0)),
        )
        least_iou, least_stability = self._thresholds()
        if self.pred_iou_thresh > 0:
            data.filter(data["iou_preds"] > least_iou)
        cut = self.predictor.model.mask_threshold
        data["stability_score"] = amg.calculate_stability_score(
            data["masks"], cut, self.stability_score_offset
        )
        if self.stability_score_thresh > 0:
            data.filter(data["stability_score"] >= least_stability)
        data["masks"] = data["masks"] > cut
        data["boxes"] = amg.batched_mask_to_box(data["masks"])
        height, width = orig_size
        data.filter(~amg.is_box_near_crop_edge(data["boxes"], crop_box, [0, 0, width, height]))
        data["rles"] = amg.mask_to_rle_pytorch(amg.uncrop_masks(data["masks"], crop_box, height, width))
        del data["masks"]
        return data

    def _thresholds(self) -> tuple[float, float]:
        """Of predicted IoU and stability; with lite what its card says instead of the published ones."""
        model = self.predictor.model
        own = isinstance(model, Sam) and model.is_lite and model.card is not None
        card = card_facts(model.card)["automatic"].get("default", {}) if own and model.card else {}
        least_iou, least_stability = (
            rescaled(getattr(self, name), getattr(PUBLISHED, name), card.get(name, getattr(PUBLISHED, name)))
            for name in THRESHOLDS
        )
        return least_iou, least_stability

    @staticmethod
    def postprocess_small_regions(mask_data: MaskData, min_area: int, nms_thresh: float) -> MaskData:
        """Without small islands and holes; of two that become alike the untouched one stays."""
        if not mask_data["rles"]:
            return mask_data
        given = [Mask.from_rle(rle) for rle in mask_data["rles"]]
        cleaned = [mask.without_small_regions(min_area) for mask in given]
        untouched = torch.tensor([float(a is b) for a, b in zip(given, cleaned, strict=True)])
        boxes = np.array([mask.box_xyxy for mask in cleaned]) - np.array([0, 0, 1, 1])
        mask_data["rles"] = [{"size": list(mask.size_hw), "counts": mask.runs} for mask in cleaned]
        mask_data["boxes"] = boxes
        mask_data.filter(nms(torch.from_numpy(boxes), untouched, nms_thresh))
        return mask_data


def nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    return amg.batched_nms(boxes, scores, torch.zeros(len(boxes)), threshold)


def overrides_none(thing: object, kind: type, names: Sequence[str]) -> bool:
    """Whether a `kind` does these things in the way of its class; also where a subclass adds other things."""
    if not isinstance(thing, kind):
        return False
    return all(
        getattr(type(thing), name) is getattr(kind, name) and name not in vars(thing) for name in names
    )


def rescaled(threshold: float, published: float, own: float) -> float:
    """A threshold on a scale of which 0 and 1 stay and `published` becomes `own`."""
    return float(np.interp(threshold, (0.0, published, 1.0), (0.0, own, 1.0)))


OUTPUT_MODES: dict[str, Callable[[Mask], Any]] = {
    "binary_mask": Mask.to_array,
    "uncompressed_rle": lambda mask: {"size": list(mask.size_hw), "counts": mask.runs},
    "coco_rle": lambda mask: mask.rle,
}
