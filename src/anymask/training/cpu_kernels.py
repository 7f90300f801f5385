"""Fast gradients of depthwise convolutions in bfloat16 on the CPU, where they took half of a training step.

The library is slow at 5 x 5 kernels and at stride 2: here the gradient of a 5 x 5 kernel is a convolution of
the input by the output gradient, and that of an input read with stride 2 is computed in float32.
Legend: B images, C channels, H W pixels, h w pixels of the result, k kernel side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from anymask.networks.lite_trunk import SameConv2d

LARGE_KERNEL = 5  # from here on the library's gradient of a kernel is slow


class DepthwiseConvolution(torch.autograd.Function):
    """`F.conv2d` with one kernel per channel, without bias."""

    @staticmethod
    def forward(ctx: Any, x_BCHW: Tensor, weight_C1kk: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x_BCHW, weight_C1kk)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x_BCHW, weight_C1kk, None, stride, padding, 1, len(weight_C1kk))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BChw: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        given = gradient_BChw, x, weight, ctx.stride, ctx.padding
        wanted = zip((input_gradient, kernel_gradient), ctx.needs_input_grad, strict=False)
        x_gradient, weight_gradient = (gradient(*given) if wants else None for gradient, wants in wanted)
        return x_gradient, weight_gradient, None, None


def input_gradient(gradient_BChw: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    given = gradient_BChw, x, weight
    given = given if stride == 1 else (gradient_BChw.float(), x.float(), weight.float())
    how = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], len(weight), [True, False, False]
    found: Tensor = torch.ops.aten.convolution_backward(*given, None, *how)[0]  # keeps channels last
    return found.to(x.dtype)


def kernel_gradient(gradient_BChw: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The first k x k results of a convolution of each channel of each image by its own gradient."""
    kernel = weight.shape[-1]
    if kernel < LARGE_KERNEL:
        found: Tensor = conv2d_weight(x, weight.shape, gradient_BChw, stride, padding, 1, len(weight))
        return found
    batch, channels = x.shape[:2]
    images = x.transpose(0, 1).flatten(0, 1).unsqueeze(0)
    filters = gradient_BChw.transpose(0, 1).flatten(0, 1).unsqueeze(1)
    taps = F.conv2d(images, filters, None, 1, padding, stride, batch * channels)[0, :, :kernel, :kernel]
    summed: Tensor = taps.unflatten(0, (channels, batch)).float().sum(1, keepdim=True)
    return summed.to(weight.dtype)


class FastDepthwise(SameConv2d):
    """A depthwise `SameConv2d` with fast gradients in bfloat16 on the CPU; elsewhere unchanged."""

    def convolved(self, x_BCHW: Tensor, padding: int) -> Tensor:
        if x_BCHW.dtype != torch.bfloat16 or x_BCHW.device.type != "cpu":
            return super().convolved(x_BCHW, padding)
        weight = self.weight.to(x_BCHW.dtype)
        result: Tensor = DepthwiseConvolution.apply(x_BCHW, weight, self.stride[0], padding)  # type: ignore[no-untyped-call]
        assert self.bias is not None
        return result + self.bias.to(x_BCHW.dtype)[:, None, None]


def with_fast_depthwise(model: nn.Module) -> nn.Module:
    """In place: depthwise convolutions become `FastDepthwise`."""
    for module in model.modules():
        if type(module) is SameConv2d and module.groups > 1:
            module.__class__ = FastDepthwise
    return model
