"""`segment_anything.utils.transforms`: images, coordinates and boxes to the model frame.

Legend: B images or prompts, H W image pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from anymask.core.frames import ResizeLongest

SizeHW = tuple[int, int]


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
