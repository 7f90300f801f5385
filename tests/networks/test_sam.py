"""Sam as a Segmenter: masks per prompt, shared and own images, mixed precision, presets, windows."""

# ruff: noqa: E402
from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sam_references import assert_parity, seeded, tiny_sam
from torch.nn import functional as F

from anymask.errors import ModelNotFound
from anymask.networks.layers import LayerNorm2d, in_windows
from anymask.networks.presets import PRESETS, build
from anymask.networks.sam import Sam

SIZE = 128


@pytest.fixture(scope="module")
def model() -> Sam:
    return tiny_sam(SIZE)


@pytest.fixture(scope="module")
def two_images(model: Sam) -> Any:
    with seeded(1), torch.no_grad():
        return model.encode_image(torch.randn(2, 3, SIZE, SIZE))["image_embeddings"]


def prompts(count: int) -> tuple[Any, Any, Any, Any]:
    with seeded(2):
        points, masks = torch.rand(count, 2, 2) * SIZE, torch.randn(count, 1, SIZE // 4, SIZE // 4)
    return points, torch.tensor([[1, -1]]).expand(count, -1), masks, torch.zeros(count)


def decode(model: Sam, image: Any, *arguments: Any) -> Any:
    with torch.no_grad():
        return model.decode({"image_embeddings": image}, *arguments)


def test_each_prompt_says_for_itself_whether_it_has_a_mask(model: Sam, two_images: Any) -> None:
    points, labels, masks, _ = prompts(3)
    has_mask = torch.tensor([1.0, 0.0, 1.0])
    together = decode(model, two_images[:1], points, labels, masks, has_mask)
    for p in range(3):
        one = slice(p, p + 1)
        alone = decode(model, two_images[:1], points[one], labels[one], masks[one], has_mask[one])
        assert_parity(together.low_res_masks_P4mm[p], alone.low_res_masks_P4mm[0], 1e-5)
        assert_parity(together.iou_P4[p], alone.iou_P4[0], 1e-5)


def test_a_mask_changes_the_answer_only_where_there_is_one(model: Sam, two_images: Any) -> None:
    points, labels, masks, no_mask = prompts(2)
    without = decode(model, two_images[:1], points, labels, masks, no_mask)
    blank = decode(model, two_images[:1], points, labels, torch.full_like(masks, torch.nan), no_mask)
    with_mask = decode(model, two_images[:1], points, labels, masks, no_mask + 1)
    assert torch.equal(without.low_res_masks_P4mm, blank.low_res_masks_P4mm)
    assert not torch.allclose(without.low_res_masks_P4mm, with_mask.low_res_masks_P4mm, atol=1e-2)


def test_one_mask_input_may_serve_all_prompts(model: Sam, two_images: Any) -> None:
    points, labels, masks, no_mask = prompts(4)
    own = decode(model, two_images[:1], points, labels, masks, no_mask)
    common = decode(model, two_images[:1], points, labels, masks[:1], no_mask[:1])
    assert_parity(common.low_res_masks_P4mm, own.low_res_masks_P4mm, 1e-5)


def test_prompts_may_have_an_image_each(model: Sam, two_images: Any) -> None:
    points, labels, masks, no_mask = prompts(2)
    together = decode(model, two_images, points, labels, masks, no_mask)
    for p in range(2):
        one = slice(p, p + 1)
        alone = decode(model, two_images[one], points[one], labels[one], masks[one], no_mask[one])
        assert_parity(together.low_res_masks_P4mm[p], alone.low_res_masks_P4mm[0], 1e-5)


def test_positions_keep_float32_in_mixed_precision(model: Sam) -> None:
    points, labels, *_ = prompts(3)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        mixed = model.prompt_encoder.embed_points(points, labels)
    with torch.no_grad():
        assert torch.equal(mixed, model.prompt_encoder.embed_points(points, labels))


def test_there_are_no_probabilities_without_a_head(model: Sam, two_images: Any) -> None:
    decoded = decode(model, two_images[:1], *prompts(1))
    assert decoded.probability_logits_P5 is None
    assert decoded.low_res_masks_P4mm.shape == (1, 4, SIZE // 4, SIZE // 4)
    assert decoded.iou_P4.shape == (1, 4)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_carries_its_name(name: str) -> None:
    with torch.device("meta"):
        assert build(name).spec.name == name


def test_the_published_sizes() -> None:
    sizes = {}
    for name in ("sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam"):
        with torch.device("meta"):
            model: Any = build(name)
        sizes[name] = round(sum(weight.numel() for weight in model.parameters()) / 1e6, 1)
    assert sizes == {"sam_vit_b": 93.7, "sam_vit_l": 312.3, "sam_vit_h": 641.1, "mobile_sam": 9.8}


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ModelNotFound, match="unknown network 'sam_vit_x'; known: lite, mobile_sam, sam_vit_b"
    ):
        build("sam_vit_x")


@pytest.mark.parametrize("size_hw", [(7, 7), (8, 5), (3, 14)], ids=str)
def test_windows_are_padded_with_zeros_and_put_together_again(size_hw: tuple[int, int]) -> None:
    with seeded(0):
        x = torch.randn(2, *size_hw, 3)
    windows = torch.nn.Identity()
    seen = []
    windows.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    assert torch.equal(in_windows(windows, x, 7), x)
    count = 2 * -(-size_hw[0] // 7) * -(-size_hw[1] // 7)
    assert seen[0].shape == (count, 7, 7, 3)
    assert seen[0].count_nonzero() == x.count_nonzero()
    height, width = (min(side, 7) for side in size_hw)
    assert torch.equal(seen[0][0, :height, :width], x[0, :7, :7])


def test_layer_norm_2d_normalises_the_channels_of_each_pixel() -> None:
    layer = LayerNorm2d(5, eps=1e-3)
    with seeded(0), torch.no_grad():
        torch.nn.init.normal_(layer.weight), torch.nn.init.normal_(layer.bias)
        x = torch.randn(2, 5, 3, 4)
        pixel = F.layer_norm(x[1, :, 2, 3], (5,), layer.weight, layer.bias, 1e-3)
        assert torch.allclose(layer(x)[1, :, 2, 3], pixel, atol=1e-6)
