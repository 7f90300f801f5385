"""The lite trunk: EfficientNet-Lite0 without its classifier, BatchNorm folded into the convolutions.

The statistics of a fine-tuned trunk stay frozen anyway; folding them away saves their memory traffic in
training and leaves plain convolution + ReLU6 for export.

Legend: B images, C channels, H W pixels of the model frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# One row per block: expansion, kernel, stride, output channels (Lite0 of the EfficientNet-Lite family).
BLOCKS = (
    (1, 3, 1, 16),
    (6, 3, 2, 24), (6, 3, 1, 24),
    (6, 5, 2, 40), (6, 5, 1, 40),
    (6, 3, 2, 80), (6, 3, 1, 80), (6, 3, 1, 80),
    (6, 5, 1, 112), (6, 5, 1, 112), (6, 5, 1, 112),
    (6, 5, 2, 192), (6, 5, 1, 192), (6, 5, 1, 192), (6, 5, 1, 192),
    (6, 3, 1, 320),
)  # fmt: skip
TAPS = (0, 2, 4, 10, 15)  # last block at strides 2, 4, 8, 16, 32
TAP_CHANNELS = tuple(BLOCKS[i][3] for i in TAPS)
BN_EPSILON = 1e-3


class SameConv2d(nn.Conv2d):
    """Convolution padded as TensorFlow's "same": an odd remainder goes to the right and the bottom.

    The ImageNet weights were trained so; symmetric padding would shift their features by half a pixel.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return self.convolved(x_BCHW, kernel // 2)
        before = (kernel - stride) // 2
        return self.convolved(F.pad(x_BCHW, (before, kernel - stride - before) * 2), 0)

    def convolved(self, x_BCHW: Tensor, padding: int) -> Tensor:
        """Overridden where training on a CPU has faster gradients."""
        return F.conv2d(x_BCHW, self.weight, self.bias, self.stride, padding, 1, self.groups)


class InvertedBottleneck(nn.Module):
    """Expand, depthwise, project; a residual where the shape stays."""

    def __init__(self, in_chans: int, expansion: int, kernel: int, stride: int, out_chans: int) -> None:
        super().__init__()
        wide = in_chans * expansion
        self.expand = SameConv2d(in_chans, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv2d(wide, out_chans, 1)
        self.residual = stride == 1 and in_chans == out_chans

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class LiteTrunk(nn.Module):
    """Features at strides 2, 4, 8, 16 and 32 of a normalised image batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        in_chans = (32, *(row[3] for row in BLOCKS[:-1]))
        self.blocks = nn.ModuleList(InvertedBottleneck(c, *b) for c, b in zip(in_chans, BLOCKS, strict=True))

    def forward(self, x_B3HW: Tensor) -> tuple[Tensor, ...]:
        x, taps = F.relu6(self.stem(x_B3HW)), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return tuple(taps)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Fold a published EfficientNet-Lite0 state dict (keys `_blocks.i._bn0.weight` ...) into this trunk.

        Raises KeyError when a layer is missing.
        """
        for conv, conv_key, norm_key in self._published_names():
            weight, bias = fold_batch_norm(state, conv_key, norm_key)
            with torch.no_grad():
                conv.weight.copy_(weight)
                if conv.bias is not None:
                    conv.bias.copy_(bias)

    def _published_names(self) -> Iterator[tuple[nn.Conv2d, str, str]]:
        yield self.stem, "_conv_stem", "_bn0"
        for i, block in enumerate(self.blocks):
            assert isinstance(block, InvertedBottleneck)
            prefix = f"_blocks.{i}."
            if block.expand is not None:
                yield block.expand, prefix + "_expand_conv", prefix + "_bn0"
            yield block.depthwise, prefix + "_depthwise_conv", prefix + "_bn1"
            yield block.project, prefix + "_project_conv", prefix + "_bn2"


def fold_batch_norm(state: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of one convolution that equals `conv` followed by `norm` in evaluation mode."""
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + BN_EPSILON).sqrt()
    weight = state[f"{conv}.weight"] * scale[:, None, None, None]
    return weight, state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
