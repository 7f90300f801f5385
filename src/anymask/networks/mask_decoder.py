"""The mask decoder: image and prompt embeddings to masks of every slot and their predicted IoU.

Source: Segment Anything, appendix A, "Lightweight mask decoder" and "Making the model ambiguity-aware".

Legend: P prompts, N prompt tokens, M mask slots, C channels, h w embedding grid, m mask side (4 h).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.layers import MLP, LayerNorm2d, with_output_tokens
from anymask.networks.transformer import TwoWayTransformer

SLOTS = 4  # the single mask, and three for an ambiguous prompt
IOU_HIDDEN_DIM = 256


class MaskDecoder(nn.Module):
    """Two-way transformer, dynamic mask weights over the upscaled image, and an IoU prediction head."""

    def __init__(self, dim: int, transformer: TwoWayTransformer) -> None:
        super().__init__()
        self.transformer = transformer
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(SLOTS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, 2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, dim // 8) for _ in range(SLOTS))
        self.iou_prediction_head = MLP(dim, IOU_HIDDEN_DIM, SLOTS)

    def forward(
        self, image_QChw: Tensor, image_pe_1Chw: Tensor, sparse_PNC: Tensor, dense_QChw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts; the image and the dense prompts have batch 1 (shared by all prompts) or P.

        Returns mask logits P x M x m x m, slot 0 the single mask, and predicted IoU P x M.
        """
        tokens_PTC = with_output_tokens((self.iou_token, self.mask_tokens), sparse_PNC)
        source = image_QChw + dense_QChw
        tokens_PTC, image_PLC = self.transformer(source, image_pe_1Chw, tokens_PTC)
        iou_PM: Tensor = self.iou_prediction_head(tokens_PTC[:, 0])
        features = self.upscaled(image_PLC)
        slots = self.mask_tokens.num_embeddings
        return self.masks(tokens_PTC[:, 1 : 1 + slots], features, source.shape[-2:]), iou_PM

    def upscaled(self, image_PLC: Tensor) -> Tensor:
        """Features of the 4 x 4 mask pixels of every cell, P x L x 4 x 4 x C/8.

        `output_upscaling` as it is published, cell by cell: a transposed convolution whose kernel is as wide
        as its stride is one matrix product. Channels stay last, so no large map is ever turned around.
        """
        first, norm, activation, second, last = self.output_upscaling
        assert isinstance(norm, LayerNorm2d)
        doubled_PL4C = F.layer_norm(
            doubled(image_PLC, first), norm.weight.shape, norm.weight, norm.bias, norm.eps
        )
        features: Tensor = last(doubled(activation(doubled_PL4C), second))
        return features

    def masks(self, mask_tokens_PMC: Tensor, features_PL44C: Tensor, size_hw: Sequence[int]) -> Tensor:
        """Each slot's token becomes the weights of a 1 x 1 convolution over the upscaled features."""
        pairs = zip(self.output_hypernetworks_mlps, mask_tokens_PMC.unbind(1), strict=True)
        weights_PMC = torch.stack([head(token_PC) for head, token_PC in pairs], dim=1)
        logits_PML = weights_PMC @ features_PL44C.flatten(1, 3).mT
        cells: Tensor = logits_PML.unflatten(2, (*size_hw, 2, 2, 2, 2))
        return cells.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5, 7).flatten(2, 4)


def doubled(x_C: Tensor, convolution: nn.Module) -> Tensor:
    """... x C to ... x 4 x C': what a transposed convolution makes of a cell, its 2 x 2 pixels row by row."""
    assert isinstance(convolution, nn.ConvTranspose2d) and convolution.bias is not None
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    pixels: Tensor = (x_C @ weight + convolution.bias.repeat(4)).unflatten(-1, (4, -1))
    return pixels
