"""Image and prompt embeddings to masks and their predicted quality.

It knows embeddings, not where they come from: positions are an argument. It returns every slot; which of them
is returned to the user is the caller's choice.

Source: Segment Anything, appendix A, "Lightweight mask decoder" and "Making the model ambiguity-aware".

Legend: P prompts, N prompt tokens, M mask slots, C channels, h w embedding grid, m mask side (4 h).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anymask.networks.layers import MLP, Activation, LayerNorm2d
from anymask.networks.transformer import TwoWayTransformer

HEAD_DEPTH = 3


class MaskDecoder(nn.Module):
    """One slot for a single mask and `num_multimask_outputs` for the masks of an ambiguous prompt."""

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: TwoWayTransformer,
        num_multimask_outputs: int = 3,
        activation: Activation = nn.GELU,
        iou_head_depth: int = HEAD_DEPTH,
        iou_head_hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        dim, slots = transformer_dim, num_multimask_outputs + 1
        self.transformer = transformer
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(slots, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, 2),
            LayerNorm2d(dim // 4),
            activation(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2),
            activation(),
        )
        heads = (MLP(dim, dim, dim // 8, HEAD_DEPTH) for _ in range(slots))
        self.output_hypernetworks_mlps = nn.ModuleList(heads)
        self.iou_prediction_head = MLP(dim, iou_head_hidden_dim, slots, iou_head_depth)

    def forward(
        self, image_QChw: Tensor, image_pe_1Chw: Tensor, sparse_PNC: Tensor, dense_QChw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode P prompts; the image and the dense prompts have batch 1 (shared by all prompts) or P.

        Returns mask logits P x M x m x m, slot 0 the single mask, and predicted IoU P x M.
        """
        tokens_PTC = torch.cat([self.output_tokens(sparse_PNC.shape[0]), sparse_PNC], dim=1)
        source = image_QChw + dense_QChw
        tokens_PTC, image_PLC = self.transformer(source, image_pe_1Chw, tokens_PTC)
        slots = len(self.output_hypernetworks_mlps)
        iou_PM: Tensor = self.iou_prediction_head(tokens_PTC[:, 0])
        features = self.upscaled(image_PLC)
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

    def output_tokens(self, prompts: int) -> Tensor:
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        return tokens.unsqueeze(0).expand(prompts, -1, -1)

    def masks(self, mask_tokens_PMC: Tensor, features_PL44C: Tensor, size_hw: Sequence[int]) -> Tensor:
        """Each slot's token becomes the weights of a 1 x 1 convolution over the upscaled features."""
        pairs = zip(self.output_hypernetworks_mlps, mask_tokens_PMC.unbind(1), strict=True)
        weights_PMC = torch.stack([head(token_PC) for head, token_PC in pairs], dim=1)
        height, width = size_hw
        cells: Tensor = (weights_PMC @ features_PL44C.flatten(1, 3).mT).unflatten(
            2, (height, width, 2, 2, 2, 2)
        )
        return cells.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5, 7).flatten(2, 4)


def doubled(x_C: Tensor, convolution: nn.Module) -> Tensor:
    """... x C to ... x 4 x C': what a transposed convolution makes of a cell, its 2 x 2 pixels row by row."""
    assert isinstance(convolution, nn.ConvTranspose2d) and convolution.bias is not None
    weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    pixels: Tensor = (x_C @ weight + convolution.bias.repeat(4)).unflatten(-1, (4, -1))
    return pixels
