"""The names of the `segment_anything` package, for code that migrates: change the import and it runs.

Arguments, array shapes, coordinates (pixel indices: the first centre is 0, 0) and results are those of the
published code, unlike in the rest of this package. Needs torch, as that code does. Weights are read without
running pickles.

    from anymask.compat import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

Legend: B images or prompts, N points, C masks per prompt, H W image pixels, m low-res mask size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anymask.api import Model
from anymask.automatic.config import AutomaticSettings
from anymask.automatic.generator import AutomaticMaskGenerator
from anymask.backends.base import SEVERAL, SINGLE
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask
from anymask.errors import MissingExtra
from anymask.hub.card import ModelFiles
from anymask.hub.catalog import find_model

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional as F
except ImportError as error:
    raise MissingExtra('anymask.compat needs torch: pip install "anymask[torch]"') from error

from anymask.backends.torch import TorchBackend
from anymask.networks.checkpoints import load_published
from anymask.networks.presets import build
from anymask.networks.segmenter import Segmenter

SizeHW = tuple[int, int]
Columns = tuple[Tensor, Tensor]  # coordinates B x N x 2 and labels B x N

PADDING, BOX_CORNERS = -1.0, (2.0, 3.0)  # labels
HALF_PIXEL = 0.5


class Sam(nn.Module):
    """A network with the attributes and methods of the published `Sam`, and its parameter names."""

    mask_threshold: float = 0.0
    image_format: str = "RGB"

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        parts: Any = network
        self.image_encoder: nn.Module = parts.image_encoder
        self.prompt_encoder: nn.Module = parts.prompt_encoder
        self.mask_decoder: nn.Module = parts.mask_decoder
        self.image_encoder.img_size = network.spec.input_size
        self._network = [network]  # in a list: its parts are registered above, under the published names

    @property
    def network(self) -> Segmenter:
        return self._network[0]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @torch.no_grad()
    def forward(
        self, batched_input: Sequence[Mapping[str, Any]], multimask_output: bool
    ) -> list[dict[str, Tensor]]:
        """For each image with its prompts: `masks` B x C x H x W bool, `iou_predictions`, `low_res_logits`.

        Keys: `image` (3 x h x w in the model frame, 0..255), `original_size`, and as in `predict_torch`
        `point_coords`, `point_labels`, `boxes`, `mask_inputs`.
        """
        return [self._answer(record, multimask_output) for record in batched_input]

    def _answer(self, record: Mapping[str, Any], multimask_output: bool) -> dict[str, Tensor]:
        image = record["image"]
        features = self.encode(self.preprocess(image)[None])
        points = (record["point_coords"], record["point_labels"]) if "point_coords" in record else None
        boxes, masks = record.get("boxes"), record.get("mask_inputs")
        low_res, iou = self.decode(features, points, boxes, masks, multimask_output)
        logits = self.postprocess_masks(low_res, tuple(image.shape[-2:]), record["original_size"])
        return {"masks": logits > self.mask_threshold, "iou_predictions": iou, "low_res_logits": low_res}

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalise (... x 3 x h x w, 0..255) and pad to the frame of the model."""
        spec = self.network.spec
        mean, std = (x.new_tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
        height, width = x.shape[-2:]
        frame_height, frame_width = spec.frame_hw((height, width))
        return F.pad((x - mean) / std, (0, frame_width - width, 0, frame_height - height))

    def postprocess_masks(self, masks: Tensor, input_size: SizeHW, original_size: SizeHW) -> Tensor:
        """Logits B x C x m x m of the padded square to B x C x H x W: enlarged, cut, resized."""
        side = self.network.spec.input_size
        square = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
        cut = square[..., : input_size[0], : input_size[1]]
        return F.interpolate(cut, original_size, mode="bilinear", align_corners=False)

    def encode(self, pixels_B3SS: Tensor) -> dict[str, Tensor]:
        return self.network.encode_image(pixels_B3SS.to(self.device, torch.float32))

    def decode(
        self,
        features: dict[str, Tensor],
        points: Columns | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Low-resolution logits B x C x m x m and predicted IoU B x C."""
        coords, labels = self._columns(points, boxes, 1 if masks is None else len(masks))
        mask_inputs = () if masks is None else (masks.to(coords), coords.new_ones(len(coords)))
        decoded = self.network.decode(features, coords, labels, *mask_inputs)
        slots = SEVERAL if multimask_output else SINGLE
        return decoded.low_res_masks_P4mm[:, slots], decoded.iou_P4[:, slots]

    def _columns(self, points: Columns | None, boxes: Tensor | None, prompts: int) -> Columns:
        """Points and box corners in the order the network's family knows."""
        given = boxes if points is None else points[0]
        prompts = prompts if given is None else len(given)
        padding_B13 = torch.tensor([0.0, 0.0, PADDING], device=self.device).expand(
            prompts, 1, 3
        )  # x, y, label
        shift = HALF_PIXEL + self.network.spec.pixel_offset  # published code takes pixel indices
        own = box = padding_B13[:, :0]
        if points is not None:
            coords, labels = (tensor.to(padding_B13) for tensor in points)
            own = torch.cat([coords + shift, labels.unsqueeze(-1)], dim=-1)
        if boxes is not None:
            corners_B22 = boxes.to(padding_B13).reshape(-1, 2, 2) + shift
            labels = corners_B22.new_tensor(BOX_CORNERS).expand(len(corners_B22), 2)
            box = torch.cat([corners_B22, labels.unsqueeze(-1)], dim=-1)
        if self.network.spec.family == "lite":
            box = padding_B13.expand(prompts, 2, 3) if boxes is None else box
            parts = box, padding_B13 if points is None else own
        else:
            parts = own, padding_B13 if boxes is None and points is not None else box
        columns_BN3 = torch.cat(parts, dim=1)
        return columns_BN3[..., :2].contiguous(), columns_BN3[..., 2].contiguous()


class ResizeLongestSide:
    """Images, coordinates and boxes to the model frame, and nothing back; sizes are (height, width)."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 H x W x 3, resized with antialias."""
        return ResizeLongest(image.shape[:2], self.target_length).resize_image(image)

    def apply_coords(self, coords: NDArray[Any], original_size: SizeHW) -> NDArray[np.float64]:
        """... x 2 (x, y)."""
        return np.asarray(coords, np.float64) * self._factors_xy(original_size)

    def apply_boxes(self, boxes: NDArray[Any], original_size: SizeHW) -> NDArray[np.float64]:
        """B x 4 (x0, y0, x1, y1)."""
        return self.apply_coords(np.asarray(boxes).reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """B x 3 x H x W, resized with antialias; close to `apply_image`, not equal."""
        size = self.get_preprocess_shape(image.shape[2], image.shape[3], self.target_length)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor, original_size: SizeHW) -> Tensor:
        """... x 2 (x, y)."""
        return coords.float() * coords.new_tensor(self._factors_xy(original_size), dtype=torch.float32)

    def apply_boxes_torch(self, boxes: Tensor, original_size: SizeHW) -> Tensor:
        """B x 4 (x0, y0, x1, y1)."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> SizeHW:
        return ResizeLongest((oldh, oldw), long_side_length).size_hw_model

    def _factors_xy(self, original_size: SizeHW) -> NDArray[np.float64]:
        height, width = self.get_preprocess_shape(*original_size, self.target_length)
        return np.array([width / original_size[1], height / original_size[0]])


class SamPredictor:
    """One image at a time: `set_image`, then `predict` as often as needed. Not for several threads."""

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.network.spec.input_size)
        self.reset_image()

    def reset_image(self) -> None:
        """Forget the image."""
        self.is_image_set = False
        self.original_size: SizeHW = (0, 0)
        self.input_size: SizeHW = (0, 0)
        self._features: dict[str, Tensor] = {}

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def features(self) -> Tensor | None:
        """1 x channels x h x w; None without an image."""
        return self._features.get("image_embeddings")

    def get_image_embedding(self) -> Tensor:
        """1 x channels x h x w. Raises RuntimeError without an image."""
        self._require_image()
        return self._features["image_embeddings"]

    def set_image(self, image: NDArray[np.uint8], image_format: str = "RGB") -> None:
        """uint8 H x W x 3 in 0..255, channels as `image_format` says (RGB or BGR)."""
        if image_format not in ("RGB", "BGR"):
            raise ValueError(f"image_format: expected RGB or BGR, got {image_format!r}")
        if image_format != self.model.image_format:
            image = np.ascontiguousarray(image[..., ::-1])
        resized = torch.from_numpy(self.transform.apply_image(image).copy())
        self.set_torch_image(resized.permute(2, 0, 1)[None], (image.shape[0], image.shape[1]))

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: SizeHW) -> None:
        """1 x 3 x h x w in 0..255, already resized so that its longest side is that of the model."""
        shape, side = tuple(transformed_image.shape), self.transform.target_length
        if len(shape) != 4 or shape[1] != 3 or max(shape[2:]) != side:
            raise ValueError(f"expected B x 3 x h x w with a longest side of {side}, got {shape}")
        self.reset_image()
        self.original_size, self.input_size = original_image_size, (shape[2], shape[3])
        self._features = self.model.encode(self.model.preprocess(transformed_image.to(self.device).float()))
        self.is_image_set = True

    def predict(
        self,
        point_coords: NDArray[Any] | None = None,
        point_labels: NDArray[Any] | None = None,
        box: NDArray[Any] | None = None,
        mask_input: NDArray[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """One prompt: points N x 2 with labels N, box of 4, mask logits 1 x m x m.

        Returns masks C x H x W (bool, or logits), predicted IoU C, low-resolution logits C x m x m.
        """
        self._require_image()
        size, tensor = self.original_size, partial(torch.as_tensor, device=self.device, dtype=torch.float32)
        if point_coords is not None and point_labels is None:
            raise ValueError("point_labels must be given with point_coords")
        coords = (
            None if point_coords is None else tensor(self.transform.apply_coords(point_coords, size))[None]
        )
        labels = None if point_labels is None else tensor(point_labels)[None]
        boxes = None if box is None else tensor(self.transform.apply_boxes(np.asarray(box), size))
        mask = None if mask_input is None else tensor(mask_input)[None]
        answers = self.predict_torch(coords, labels, boxes, mask, multimask_output, return_logits)
        masks, iou, low_res = (answer[0].cpu().numpy() for answer in answers)
        return masks, iou, low_res

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """B prompts in the model frame: points B x N x 2, labels B x N, boxes B x 4, masks B x 1 x m x m.

        Returns masks B x C x H x W (bool, or logits), IoU B x C, low-resolution logits B x C x m x m.
        """
        self._require_image()
        points = None if point_coords is None or point_labels is None else (point_coords, point_labels)
        low_res, iou = self.model.decode(self._features, points, boxes, mask_input, multimask_output)
        logits = self.model.postprocess_masks(low_res, self.input_size, self.original_size)
        return logits if return_logits else logits > self.model.mask_threshold, iou, low_res

    def _require_image(self) -> None:
        if not self.is_image_set:
            raise RuntimeError("no image: call .set_image(...) before asking for masks")


class SamAutomaticMaskGenerator:
    """All masks of an image from a grid of points. Arguments and records are those of the published class.

    `point_grids`: for each layer of crops, points x, y in the unit square, instead of `points_per_side`.
    `output_mode`: `binary_mask`, `uncompressed_rle` or `coco_rle`. Memory does not grow with
    `points_per_batch` times the size of the image, as it does there.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: list[NDArray[np.float64]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        if (points_per_side is None) == (point_grids is None):
            raise ValueError("expected either points_per_side or point_grids")
        if output_mode not in OUTPUT_MODES:
            raise ValueError(f"output_mode: expected one of {', '.join(OUTPUT_MODES)}, got {output_mode!r}")
        if point_grids is not None and len(point_grids) <= crop_n_layers:
            raise ValueError(f"point_grids: expected {crop_n_layers + 1} grids, got {len(point_grids)}")
        self.model, self.points_per_batch = model, points_per_batch
        self.point_grids, self.output_mode = point_grids, output_mode
        self.settings = AutomaticSettings(
            points_per_side=points_per_side or 1,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            stability_score_offset=stability_score_offset,
            box_nms_thresh=box_nms_thresh,
            crop_n_layers=crop_n_layers,
            crop_nms_thresh=crop_nms_thresh,
            crop_overlap_ratio=crop_overlap_ratio,
            crop_n_points_downscale_factor=crop_n_points_downscale_factor,
            min_mask_region_area=min_mask_region_area,
            point_offset_px=HALF_PIXEL,
        )

    def generate(self, image: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """uint8 H x W x 3. One record per mask, best first: `segmentation`, `area`, `bbox` (x, y, w, h from
        the first to the last pixel), `predicted_iou`, `point_coords`, `stability_score`, `crop_box`.
        """
        backend = TorchBackend.of(self.model.network, self.points_per_batch)
        generator = AutomaticMaskGenerator(Model(backend), self.settings, grids=self.point_grids)
        return [self._record(found) for found in generator.generate(image).masks]

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


OUTPUT_MODES: dict[str, Callable[[Mask], Any]] = {
    "binary_mask": Mask.to_array,
    "uncompressed_rle": lambda mask: {"size": list(mask.size_hw), "counts": mask.runs},
    "coco_rle": lambda mask: mask.rle,
}


def _build(name: str, checkpoint: str | Path | None = None) -> Sam:
    """With the weights of a published file (or safetensors), or random ones; ready for use, not for training.

    Raises WeightsError.
    """
    return Sam(build(name) if checkpoint is None else load_published(checkpoint, name)).eval()


def _build_lite(checkpoint: str | Path | None = None) -> Sam:
    """The default model of this package, or own weights of its network."""
    return _build("lite", checkpoint or ModelFiles.of(find_model("lite")).weights)


build_sam_vit_h, build_sam_vit_l, build_sam_vit_b, build_sam_vit_t = (
    partial(_build, name) for name in ("sam_vit_h", "sam_vit_l", "sam_vit_b", "mobile_sam")
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
