"""`segment_anything.predictor`: masks for prompts about one image.

Legend: B prompts, N points, C masks per prompt, H W image pixels, m low-res mask size.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anymask.compat.modeling.sam import Sam
from anymask.compat.utils.transforms import ResizeLongestSide

SizeHW = tuple[int, int]


class SamPredictor:
    """One image at a time: `set_image`, then `predict` as often as needed. Not for several threads."""

    model: Sam
    transform: ResizeLongestSide
    is_image_set: bool = False  # of the class: subclasses need not call the constructor
    features: Tensor | None = None  # 1 x channels x h x w; may be set
    original_size: SizeHW = (0, 0)
    input_size: SizeHW = (0, 0)
    orig_h: int | None = None  # published, and None there too
    orig_w: int | None = None
    input_h: int | None = None
    input_w: int | None = None

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.image_encoder.img_size)
        self.reset_image()

    def reset_image(self) -> None:
        """Forget the image."""
        self.is_image_set, self.features = False, None
        self.orig_h = self.orig_w = self.input_h = self.input_w = None

    @property
    def device(self) -> torch.device:
        return self.model.device

    def get_image_embedding(self) -> Tensor:
        """1 x channels x h x w. Raises RuntimeError without an image."""
        return self._require_image()

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
        shape, side = tuple(transformed_image.shape), self.model.image_encoder.img_size
        if len(shape) != 4 or shape[1] != 3 or max(shape[2:]) != side:
            raise ValueError(f"expected B x 3 x h x w with a longest side of {side}, got {shape}")
        self.reset_image()
        self.original_size, self.input_size = original_image_size, (shape[2], shape[3])
        pixels = self.model.preprocess(transformed_image.to(self.device).float())
        self.features = self.model.image_encoder(pixels)
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
        features = self._require_image()
        points = None if point_coords is None or point_labels is None else (point_coords, point_labels)
        low_res, iou = self.model.decode(features, points, boxes, mask_input, multimask_output)
        logits = self.model.postprocess_masks(low_res, self.input_size, self.original_size)
        return logits if return_logits else logits > self.model.mask_threshold, iou, low_res

    def _require_image(self) -> Tensor:
        if not self.is_image_set or self.features is None:
            raise RuntimeError("no image: call .set_image(...) before asking for masks")
        return self.features
