"""The prompt encoder: points, boxes, masks and text to embeddings the mask decoder reads.

Coordinates are pixel indices of the model frame, as in the published code: the encoder itself moves them to
pixel centres.

Source: Segment Anything, appendix A, "Prompt encoder"; text: section 7.5 and appendix D.5.

Legend: P prompts, N points, C channels, h w embedding grid, m side of a mask prompt (4 h), T text tokens of D
numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.errors import BadOption
from anymask.networks.layers import LayerNorm2d

LABELS = 4  # negative point, positive point, top-left corner, bottom-right corner
PADDING = -1
HALF_PIXEL = 0.5
MASK_CHANNELS = 16  # of the layers that shrink a mask prompt


class FourierPositions(nn.Module):
    """Positions in 0..1 as sines and cosines of random frequencies. The frequencies belong to the weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))
        self.positional_encoding_gaussian_matrix: Tensor

    def forward(self, unit_xy: Tensor) -> Tensor:
        """... x 2 to ... x C. Angles need float32: no matrix product here, so mixed precision keeps out."""
        frequencies = self.positional_encoding_gaussian_matrix
        signed_xy = 2 * unit_xy.float() - 1
        x, y = signed_xy[..., :1], signed_xy[..., 1:]  # slices: ONNX Runtime folds no sequences
        angles = 2 * math.pi * (x * frequencies[0] + y * frequencies[1])
        return torch.cat([angles.sin(), angles.cos()], dim=-1).to(frequencies.dtype)


class PromptEncoder(nn.Module):
    """Sparse prompts to tokens, dense prompts to a map of the size of the image embedding.

    `image_embedding_size`, `input_image_size`: (height, width) of the embedding grid and of the padded frame.
    Published weights know no text; `add_text` makes room for it.
    """

    text_projection: nn.Linear | None
    text_embed: nn.Embedding | None

    def __init__(
        self, embed_dim: int, image_embedding_size: tuple[int, int], input_image_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.image_embedding_size = image_embedding_size
        self.input_image_size = input_image_size
        self.pe_layer = FourierPositions(embed_dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(LABELS))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, MASK_CHANNELS // 4, 2, 2), LayerNorm2d(MASK_CHANNELS // 4), nn.GELU(),
            nn.Conv2d(MASK_CHANNELS // 4, MASK_CHANNELS, 2, 2), LayerNorm2d(MASK_CHANNELS), nn.GELU(),
            nn.Conv2d(MASK_CHANNELS, embed_dim, 1),
        )  # fmt: skip
        self.no_mask_embed = nn.Embedding(1, embed_dim)
        self.text_projection = self.text_embed = None

    def add_text(self, text_dim: int) -> None:
        """Weights for text tokens of `text_dim` numbers, freshly drawn; those that are there stay."""
        if self.text_projection is None:
            device = self.no_mask_embed.weight.device
            self.text_projection = nn.Linear(text_dim, self.embed_dim, device=device)
            self.text_embed = nn.Embedding(1, self.embed_dim, device=device)

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        text: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Embed any mix of prompts as the published encoder does.

        `points`: coordinates P x N x 2 and labels P x N (1 positive, 0 negative, -1 padding). `boxes`: P x 4
        (x0, y0, x1, y1). `masks`: logits P x 1 x m x m. `text`: tokens P x T x D of an encoder whose images
        and texts share a space. Points without a box get a padding point after them. Returns sparse P x N' x
        C (points, then corners, then text) and dense P x C x h x w.
        """
        given = (points and points[0], boxes, masks, text)
        prompts = next((tensor.shape[0] for tensor in given if tensor is not None), 1)
        sparse = [self.no_mask_embed.weight.new_empty(prompts, 0, self.embed_dim)]
        if points is not None:
            coords, labels = points
            if boxes is None:  # a padding point stands for "no box"
                coords, labels = F.pad(coords, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=PADDING)
            sparse.append(self.embed_points(coords, labels))
        if boxes is not None:
            corners = torch.tensor([2, 3], device=boxes.device).expand(len(boxes), 2)
            sparse.append(self.embed_points(boxes.reshape(-1, 2, 2), corners))
        if text is not None:
            sparse.append(self.embed_text(text))
        dense = self.no_mask(prompts) if masks is None else self.mask_downscaling(masks)
        return torch.cat(sparse, dim=1), dense

    def embed_points(self, points_PN2: Tensor, labels_PN: Tensor) -> Tensor:
        """P x N x C. Labels: 1 positive, 0 negative, 2 and 3 box corners, -1 padding (wherever it lies)."""
        height, width = self.input_image_size
        unit_xy = (points_PN2 + HALF_PIXEL) / points_PN2.new_tensor([width, height])
        kinds = torch.cat([self.not_a_point_embed.weight, *self.point_embeddings.parameters()])
        is_point = (labels_PN != PADDING).unsqueeze(-1)
        return torch.where(is_point, self.pe_layer(unit_xy), 0.0) + kinds[labels_PN.long() + 1]

    def embed_text(self, text_PTD: Tensor) -> Tensor:
        """P x T x C: projected to the prompts' width, plus "this is text". Raises BadOption without weights
        for it.
        """
        if self.text_projection is None or self.text_embed is None:
            raise BadOption("these weights know no text: train some with the recipe text_paper")
        projected: Tensor = self.text_projection(text_PTD)
        return projected + self.text_embed.weight

    def embed_masks(self, masks_P1mm: Tensor, has_mask_P: Tensor) -> Tensor:
        """P x C x h x w: the mask's embedding where `has_mask_P` is 1, "no mask" where it is 0."""
        has_mask = (has_mask_P > 0.5)[:, None, None, None]
        no_mask = self.no_mask_embed.weight[..., None, None]
        return torch.where(has_mask, self.mask_downscaling(masks_P1mm), no_mask)

    def no_mask(self, prompts: int) -> Tensor:
        return self.no_mask_embed.weight[..., None, None].expand(prompts, -1, *self.image_embedding_size)

    def dense_pe(self) -> Tensor:
        """Positions of the embedding's cell centres, 1 x C x h x w."""
        height, width = self.image_embedding_size
        device = self.no_mask_embed.weight.device
        # Numbers, not arange, which ONNX Runtime works out again in every call.
        y, x = (
            torch.tensor([(i + HALF_PIXEL) / size for i in range(size)], device=device)
            for size in (height, width)
        )
        grid_xy = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        positions: Tensor = self.pe_layer(grid_xy)
        return positions.permute(2, 0, 1).unsqueeze(0)
