"""Weights of SamModel of the transformers library give the same numbers here under the published names."""

# ruff: noqa: E402
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from sam_references import (
    PROMPT_CASES,
    TINY_WINDOW,
    PromptCase,
    assert_parity,
    assert_same_masks,
    randomised,
    seeded,
    tiny_spec,
)

from anymask.networks.presets import build, sam
from anymask.networks.sam import Sam
from anymask.networks.transformers_names import from_transformers_state, is_transformers_state
from anymask.networks.vit import ViT

SIZES: dict[str, dict[str, Any]] = {
    "sam_vit_b": {},
    "sam_vit_l": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "global_attn_indexes": [5, 11, 17, 23],
        "mlp_dim": 4096,
    },
    "sam_vit_h": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
        "mlp_dim": 5120,
    },
}
MARKS = dict(zip(SIZES, (pytest.mark.slow, pytest.mark.huge, pytest.mark.huge), strict=True))
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "global_attn_indexes": [1],
    "mlp_dim": 128,
    "image_size": 128,
    "window_size": TINY_WINDOW,
}


def transformers_model(vision: dict[str, Any]) -> Any:
    size = vision.get("image_size", 1024)
    config = transformers.SamConfig(
        vision_config=transformers.SamVisionConfig(**vision).to_dict(),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(image_size=size).to_dict(),
    )
    return randomised(transformers.SamModel(config))


def with_weights_of(reference: Any, model: Any) -> Sam:
    model.load_state_dict(from_transformers_state(reference.state_dict()), strict=True, assign=True)
    assert isinstance(model, Sam)
    return model.eval()


@pytest.fixture(scope="module")
def small_reference() -> Any:
    return transformers_model(TINY)


@pytest.fixture(scope="module")
def small(small_reference: Any) -> Sam:
    encoder = ViT(
        input_size=128, embed_dim=32, depth=2, num_heads=2, global_blocks=(1,), window_size=TINY_WINDOW
    )
    return with_weights_of(small_reference, sam(encoder, replace(tiny_spec(128), name="tiny")))


def compare(model: Sam, reference: Any, cases: tuple[PromptCase, ...]) -> None:
    size = model.spec.input_size
    with seeded(5):
        pixels = torch.randn(1, 3, size, size)
    with torch.no_grad():
        embeddings = model.encode_image(pixels)["image_embeddings"]
        theirs = reference.get_image_embeddings(pixels)
        assert_parity(embeddings, theirs)
        for case in cases:
            decoded = model.decode({"image_embeddings": embeddings}, *case.decode_arguments(size))
            masks, iou = decode_both_ways(reference, theirs, case, size)
            assert_parity(decoded.low_res_masks_P4mm, masks)
            assert_same_masks(decoded.low_res_masks_P4mm, masks)
            assert_parity(decoded.iou_P4, iou)


def decode_both_ways(reference: Any, embeddings: Any, case: PromptCase, size: int) -> tuple[Any, Any]:
    """All four slots: the single mask from one call, the candidates from another."""
    points, boxes, masks = case.published_arguments(size)
    arguments = {
        "image_embeddings": embeddings,
        "input_points": points and points[0][None],
        "input_labels": points and points[1][None],
        "input_boxes": None if boxes is None else boxes[None],
        "input_masks": masks,
    }
    answers = [reference(**arguments, multimask_output=several) for several in (False, True)]
    return tuple(torch.cat([a[name][0] for a in answers], dim=1) for name in ("pred_masks", "iou_scores"))


@pytest.mark.parametrize(
    # a mask belongs to an image there, not to a prompt
    "case",
    [case for case in PROMPT_CASES if not (case.mask and case.prompts > 1)],
    ids=lambda case: case.name,
)
def test_a_small_model_equals_transformers(small: Sam, small_reference: Any, case: PromptCase) -> None:
    compare(small, small_reference, (case,))


def test_the_names_of_transformers_are_recognised(small: Sam, small_reference: Any) -> None:
    assert is_transformers_state(small_reference.state_dict())
    assert not is_transformers_state(small.state_dict())


@pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS[n]) for n in SIZES])
def test_full_sizes_equal_transformers(name: str) -> None:
    reference = transformers_model(SIZES[name])
    compare(with_weights_of(reference, build(name)), reference, PROMPT_CASES[:5])
