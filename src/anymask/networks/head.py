"""Heads: small networks on a frozen encoder, so that interactive masks do not change."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.networks.lite import Lite


class Head(nn.Module):
    """`reads`: names of embedding maps, in the order of `forward`'s arguments."""

    reads: ClassVar[tuple[str, ...]]


class HeadNetwork(nn.Module):
    """A frozen network and a head on its encoder."""

    spec: ModelSpec

    def __init__(self, network: Lite, head: Head) -> None:
        super().__init__()
        self.spec, self.network, self.head = network.spec, network, head
        self.network.requires_grad_(False)

    def train(self, mode: bool = True) -> HeadNetwork:
        """The network stays in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, pixels_B3SS: Tensor) -> tuple[Tensor, ...]:
        return self.head(*self.features(pixels_B3SS))  # type: ignore[no-any-return]

    def features(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """The embedding maps that the head reads."""
        with torch.no_grad():
            embedding = self.network.encode_image(pixels_B3SS)
        return [embedding[name] for name in self.head.reads]
