"""`segment_anything.modeling.transformer`: the two-way transformer of the mask decoder."""

from __future__ import annotations

from torch import nn

from anymask.compat.modeling.adopt import only
from anymask.networks import transformer
from anymask.networks.transformer import DOWNSAMPLE_RATE, Attention
from anymask.networks.transformer import TwoWayBlock as TwoWayAttentionBlock

__all__ = ["Attention", "TwoWayAttentionBlock", "TwoWayTransformer"]


class TwoWayTransformer(transformer.TwoWayTransformer):
    """`forward(image_embedding, image_pe, point_embedding)` gives tokens and the image, B x N x C both."""

    def __init__(
        self,
        depth: int,
        embedding_dim: int,
        num_heads: int,
        mlp_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        attention_downsample_rate: int = DOWNSAMPLE_RATE,
    ) -> None:
        only("activation", activation, nn.ReLU)
        only("attention_downsample_rate", attention_downsample_rate, DOWNSAMPLE_RATE)
        super().__init__(depth, embedding_dim, num_heads, mlp_dim)
        self.depth, self.embedding_dim, self.num_heads, self.mlp_dim = (
            depth,
            embedding_dim,
            num_heads,
            mlp_dim,
        )
