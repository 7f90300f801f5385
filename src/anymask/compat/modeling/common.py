"""`segment_anything.modeling.common`: small layers."""

from __future__ import annotations

from torch import nn

from anymask.networks.layers import FeedForward, LayerNorm2d

__all__ = ["LayerNorm2d", "MLPBlock"]


class MLPBlock(FeedForward):
    """Two linear layers with one activation between."""

    def __init__(self, embedding_dim: int, mlp_dim: int, act: type[nn.Module] = nn.GELU) -> None:
        super().__init__(embedding_dim, mlp_dim, act())
