"""Heads: small networks that learn from what a finished encoder sees, while it stays as it is, so that clicks
are answered as before.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.networks.lite import Lite


class Head(nn.Module):
    """`reads`: of the embedding, in the order of `forward`'s arguments."""

    reads: ClassVar[tuple[str, ...]]


class HeadNetwork(nn.Module):
    """A trained network whose encoder is fixed, and a head that learns on what it sees."""

    spec: ModelSpec

    def __init__(self, network: Lite, head: Head) -> None:
        super().__init__()
        self.spec, self.network, self.head = network.spec, network, head
        self.network.requires_grad_(False)

    def train(self, mode: bool = True) -> HeadNetwork:
        """The encoder does not train, whatever the head does."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, pixels_B3SS: Tensor) -> tuple[Tensor, ...]:
        return self.head(*self.seen(pixels_B3SS))  # type: ignore[no-any-return]

    def seen(self, pixels_B3SS: Tensor) -> list[Tensor]:
        """What the encoder shows the head."""
        with torch.no_grad():
            embedding = self.network.encode_image(pixels_B3SS)
        return [embedding[name] for name in self.head.reads]
