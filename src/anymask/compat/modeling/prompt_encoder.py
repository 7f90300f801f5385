"""`segment_anything.modeling.prompt_encoder`: points, boxes and masks to embeddings.

Legend: B prompts, N points, C channels, h w embedding grid, m side of a mask prompt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.compat.modeling.adopt import adopted, only
from anymask.networks import prompt_encoder as own
from anymask.networks.prompt_encoder import HALF_PIXEL, LABELS, MASK_CHANNELS, PADDING

SizeHW = tuple[int, int]
Points = tuple[Tensor, Tensor]  # coordinates B x N x 2, labels B x N
BOX_CORNERS = (2, 3)  # their labels


class PositionEmbeddingRandom(own.FourierPositions):
    """Positions as sines and cosines of random frequencies."""

    def __init__(self, num_pos_feats: int = 64, scale: float | None = None) -> None:
        super().__init__(2 * num_pos_feats)
        if scale is not None and scale > 0:
            self.positional_encoding_gaussian_matrix *= scale

    def forward(self, size: SizeHW | Tensor) -> Tensor:
        """A grid of (height, width) cells, C x h x w; or coordinates 0..1, ... x 2, as the network asks."""
        if isinstance(size, Tensor):
            return super().forward(size)
        device = self.positional_encoding_gaussian_matrix.device
        y, x = ((torch.arange(n, device=device) + HALF_PIXEL) / n for n in size)
        grid_xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        return self._pe_encoding(grid_xy).permute(2, 0, 1)

    def forward_with_coords(self, coords_input: Tensor, image_size: SizeHW) -> Tensor:
        """Coordinates in pixels of an image of (height, width), ... x 2, to ... x C."""
        return self._pe_encoding(coords_input / coords_input.new_tensor(image_size[::-1]))

    def _pe_encoding(self, coords: Tensor) -> Tensor:
        """Coordinates 0..1, ... x 2, to ... x C."""
        return super().forward(coords)


class PromptEncoder(own.PromptEncoder):
    """`forward(points, boxes, masks)` gives sparse embeddings B x N' x C and dense ones B x C x h x w."""

    num_point_embeddings: int = LABELS

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: SizeHW,
        input_image_size: SizeHW,
        mask_in_chans: int = MASK_CHANNELS,
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        only("mask_in_chans", mask_in_chans, MASK_CHANNELS)
        only("activation", activation, nn.GELU)
        super().__init__(embed_dim, image_embedding_size, input_image_size)
        self._publish()

    @classmethod
    def of(cls, encoder: own.PromptEncoder) -> PromptEncoder:
        """An encoder of this package, with the same weights."""
        new = adopted(cls, encoder)
        new._publish()
        return new

    def _publish(self) -> None:
        height, width = self.image_embedding_size
        self.mask_input_size = (4 * height, 4 * width)
        self.pe_layer = adopted(PositionEmbeddingRandom, self.pe_layer)

    def get_dense_pe(self) -> Tensor:
        """Positions of the embedding's cells, 1 x C x h x w."""
        return self.dense_pe()

    def _embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        if pad:  # a padding point stands for "no box"
            points, labels = F.pad(points, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=PADDING)
        return self.embed_points(points, labels)

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        corners = boxes.reshape(-1, 2, 2)
        return self.embed_points(corners, corners.new_tensor(BOX_CORNERS).expand(len(corners), 2))

    def _embed_masks(self, masks: Tensor) -> Tensor:
        embedded: Tensor = self.mask_downscaling(masks)
        return embedded

    def _get_batch_size(self, points: Points | None, boxes: Tensor | None, masks: Tensor | None) -> int:
        given = (None if points is None else points[0], boxes, masks)
        return next((len(prompts) for prompts in given if prompts is not None), 1)

    def _get_device(self) -> torch.device:
        return self.no_mask_embed.weight.device
