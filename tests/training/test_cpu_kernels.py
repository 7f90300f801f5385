"""The quicker gradients of depthwise convolutions are those of the library."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from anymask.networks.lite import Lite
from anymask.networks.lite_trunk import SameConv2d
from anymask.training.cpu_kernels import DepthwiseConvolution, FastDepthwise, with_fast_depthwise


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size_hw", [(11, 14), (5, 5), (6, 32)])
def test_gradients_are_those_of_the_library(kernel: int, stride: int, size_hw: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours = SameConv2d(6, 6, kernel, stride, groups=6).double()
    plain, x = copy.deepcopy(ours), torch.randn(2, 6, *size_hw, dtype=torch.float64)
    ours.convolved = lambda x, padding: (  # type: ignore[method-assign]
        DepthwiseConvolution.apply(x, ours.weight, stride, padding) + ours.bias[:, None, None]  # type: ignore
    )
    results = []
    for layer in (ours, plain):
        asked = x.clone().requires_grad_()
        answer = layer(asked)
        answer.mul(torch.linspace(-1, 1, answer.numel(), dtype=x.dtype).view_as(answer)).sum().backward()
        results.append((answer, asked.grad, layer.weight.grad, layer.bias.grad))
    for got, wanted in zip(*results, strict=True):
        # the gradient of an input read with stride 2 passes through float32
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_in_bfloat16_they_differ_from_exact_ones_by_rounding_only(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    exact = SameConv2d(24, 24, kernel, stride, groups=24)
    quick = with_fast_depthwise(nn.Sequential(copy.deepcopy(exact)))
    x = torch.randn(2, 24, 20, 20).bfloat16()
    results = []
    for layer, asked in ((exact, x.float().requires_grad_()), (quick, x.clone().requires_grad_())):
        with torch.autocast("cpu", torch.bfloat16, enabled=layer is quick):
            answer = layer(asked)
        answer.float().square().sum().backward()
        results.append((asked.grad, *(p.grad for p in layer.parameters())))
    assert results[1][0].dtype == torch.bfloat16
    for wanted, got in zip(*results, strict=True):
        assert (got.float() - wanted).norm() < 0.01 * wanted.norm()


def test_only_depthwise_layers_change_and_the_weights_keep_their_names() -> None:
    network = Lite()
    names = list(network.state_dict())
    quick = with_fast_depthwise(network)
    assert list(quick.state_dict()) == names
    layers = [m for m in quick.modules() if isinstance(m, SameConv2d)]
    assert all(isinstance(m, FastDepthwise) == (m.groups > 1) for m in layers)
    assert sum(isinstance(m, FastDepthwise) for m in layers) == 16
