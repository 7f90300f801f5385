"""`segment_anything.modeling.mask_decoder`: image and prompt embeddings to masks and predicted IoU.

Legend: B prompts, C masks of a prompt, m low-res mask size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from anymask.backends.base import SINGLE
from anymask.compat.modeling.adopt import adopted, only
from anymask.networks import mask_decoder as own
from anymask.networks.layers import MLP as OwnMLP
from anymask.networks.mask_decoder import IOU_HIDDEN_DIM, SLOTS


class MLP(nn.Module):
    """`num_layers` linear layers with ReLU between."""

    def __init__(
        self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int, sigmoid_output: bool = False
    ) -> None:
        super().__init__()
        widths = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.num_layers, self.sigmoid_output = num_layers, sigmoid_output

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        x = self.layers[-1](x)
        return x.sigmoid() if self.sigmoid_output else x


def of_one_or_several(masks: Tensor, iou: Tensor, several: bool) -> tuple[Tensor, Tensor]:
    """The first mask of each prompt, or all the others."""
    slots = slice(1, None) if several else SINGLE
    return masks[:, slots], iou[:, slots]


class MaskDecoder(own.MaskDecoder):
    """The published arguments; a few that no published weights use are refused with ValueError."""

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: Any,
        num_multimask_outputs: int = SLOTS - 1,
        activation: type[nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = IOU_HIDDEN_DIM,
    ) -> None:
        only("activation", activation, nn.GELU)
        super().__init__(transformer_dim, transformer)
        slots = num_multimask_outputs + 1
        if slots != SLOTS:
            heads = (OwnMLP(transformer_dim, transformer_dim, transformer_dim // 8) for _ in range(slots))
            self.mask_tokens = nn.Embedding(slots, transformer_dim)
            self.output_hypernetworks_mlps = nn.ModuleList(heads)
        if (slots, iou_head_depth, iou_head_hidden_dim) != (SLOTS, 3, IOU_HIDDEN_DIM):
            head = MLP(transformer_dim, iou_head_hidden_dim, slots, iou_head_depth)
            self.iou_prediction_head = head  # type: ignore[assignment]

    @classmethod
    def of(cls, decoder: own.MaskDecoder) -> MaskDecoder:
        """A decoder of this package, with the same weights."""
        return adopted(cls, decoder)

    @property
    def transformer_dim(self) -> int:
        return self.mask_tokens.embedding_dim

    @property
    def num_mask_tokens(self) -> int:
        return self.mask_tokens.num_embeddings

    @property
    def num_multimask_outputs(self) -> int:
        return self.num_mask_tokens - 1

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Logits B x C x m x m and predicted IoU B x C: of several masks, or of a single one."""
        masks, iou = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        return of_one_or_several(masks, iou, multimask_output)

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits and predicted IoU of all masks, the single one first.

        `image_embeddings`: one image for all prompts, or one for each.
        """
        dense = dense_prompt_embeddings
        if dense.shape[0] > 1 and not dense.stride(0):  # the same for all: then prompts share the image
            dense = dense[:1]
        return super().forward(image_embeddings, image_pe, sparse_prompt_embeddings, dense)
