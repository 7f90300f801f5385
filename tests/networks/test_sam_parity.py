"""The published networks and ours give the same numbers for the same weights: all sizes, all prompts."""

# ruff: noqa: E402
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sam_references import (
    PROMPT_CASES,
    PromptCase,
    assert_parity,
    assert_same_masks,
    published,
    published_tiny_sam,
    randomised,
    seeded,
    tiny_sam,
)

from anymask.core.frames import ResizeLongest
from anymask.core.resample import normalise_and_pad
from anymask.networks.presets import build
from anymask.networks.sam import Sam

VIT_SIZES = ("sam_vit_b", "sam_vit_l", "sam_vit_h")
MARKS = dict(zip(VIT_SIZES, (pytest.mark.slow, pytest.mark.huge, pytest.mark.huge), strict=True))
ODD_SIZES_HW = ((683, 1024), (333, 517), (1201, 799), (640, 97), (1024, 1024), (1, 50))
by_name = pytest.mark.parametrize("case", PROMPT_CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def small() -> Sam:
    return tiny_sam()


@pytest.fixture(scope="module")
def small_reference(small: Sam) -> Any:
    return published_tiny_sam(small)


@pytest.fixture(scope="module")
def full_frame() -> Sam:
    """A tiny encoder at the published input size, so that the published predictor can run it."""
    return tiny_sam(1024, window=14)


@pytest.fixture(scope="module")
def full_frame_reference(full_frame: Sam) -> Any:
    reference = published_tiny_sam(full_frame, 1024, window=14)
    return published("segment_anything").SamPredictor(reference)


def random_pixels(size: int) -> Any:
    with seeded(3):
        return torch.randn(1, 3, size, size)


def photo(size_hw: tuple[int, int]) -> Any:
    """Soft coloured noise, uint8 H x W x 3."""
    with seeded(sum(size_hw)):
        coarse = torch.rand(1, 3, 9, 9) * 255
    fine = torch.nn.functional.interpolate(coarse, size_hw, mode="bicubic").clamp(0, 255)
    return fine[0].permute(1, 2, 0).to(torch.uint8).numpy()


def image_embedding(model: Sam, pixels: Any) -> Any:
    with torch.no_grad():
        return model.encode_image(pixels)["image_embeddings"]


def decode_all_slots(reference: Any, image_embeddings: Any, case: PromptCase, size: int) -> tuple[Any, ...]:
    """Sparse, dense, low-res masks and IoU of all four slots by the published modules."""
    sparse, dense = reference.prompt_encoder(*case.published_arguments(size))
    arguments = (image_embeddings, reference.prompt_encoder.get_dense_pe(), sparse, dense)
    return sparse, dense, *reference.mask_decoder.predict_masks(*arguments)


def test_tiny_image_encoder_equals_the_published_one(small: Sam, small_reference: Any) -> None:
    with torch.no_grad():
        theirs = small_reference.image_encoder(random_pixels(128))
    assert_parity(image_embedding(small, random_pixels(128)), theirs)


@by_name
def test_decoding_equals_the_published_one(small: Sam, small_reference: Any, case: PromptCase) -> None:
    embeddings = image_embedding(small, random_pixels(128))
    with torch.no_grad():
        theirs = decode_all_slots(small_reference, embeddings, case, 128)
        sparse, dense = small.prompt_encoder(*case.published_arguments(128))
        decoded = small.decode({"image_embeddings": embeddings}, *case.decode_arguments(128))
    for ours, reference in zip((sparse, dense, *decoded[:2]), theirs, strict=True):
        assert_parity(ours, reference)


def test_dense_positions_equal_the_published_ones(small: Sam, small_reference: Any) -> None:
    assert_parity(small.prompt_encoder.dense_pe(), small_reference.prompt_encoder.get_dense_pe())


@pytest.mark.parametrize("size_hw", ODD_SIZES_HW, ids=str)
def test_masks_of_any_image_size_equal_the_published_predictor(
    full_frame: Sam, full_frame_reference: Any, size_hw: tuple[int, int]
) -> None:
    pixels, frame = photo(size_hw), ResizeLongest(size_hw, 1024)
    point = np.array([[size_hw[1] * 0.4, size_hw[0] * 0.6]])
    box = np.array([size_hw[1] * 0.2, size_hw[0] * 0.1, size_hw[1] * 0.9, size_hw[0] * 0.8])
    spec = full_frame.spec
    small, square_hw = frame.resize_image(pixels), spec.frame_hw(frame.size_hw_model)
    model_pixels = normalise_and_pad(small, spec.mean, spec.std, square_hw)
    embedding = {"image_embeddings": image_embedding(full_frame, torch.from_numpy(model_pixels))}
    full_frame_reference.set_image(pixels)
    masks, iou, low_res = full_frame_reference.predict(point, np.array([1]), box, multimask_output=True)
    corners = frame.to_model_boxes(box).reshape(2, 2)
    points = torch.from_numpy(np.concatenate([frame.to_model_points(point), corners]))[None]
    none = torch.zeros(1, 1, 256, 256), torch.zeros(1)
    with torch.no_grad():
        ours = full_frame.decode(embedding, points, torch.tensor([[1, 2, 3]]), *none)
    assert_parity(ours.low_res_masks_P4mm[0, 1:], torch.from_numpy(low_res))
    assert_parity(ours.iou_P4[0, 1:], torch.from_numpy(iou))
    final = frame.to_image_logits(ours.low_res_masks_P4mm[0, 1:].numpy()) > 0
    for mine, theirs in zip(final, masks, strict=True):
        assert (mine & theirs).sum() >= 0.999 * (mine | theirs).sum()


def test_mobile_sam_equals_the_published_one() -> None:
    model = randomised(build("mobile_sam"))
    assert isinstance(model, Sam)
    reference = published("mobile_sam").sam_model_registry["vit_t"]()
    missing, unexpected = reference.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected
    assert all(key.startswith(("image_encoder.head.", "image_encoder.norm_head.")) for key in missing)
    reference.train().eval()  # its position scores are cached by eval()
    compare_in_full(model, reference)


@pytest.mark.parametrize("name", VIT_SIZES)
def test_vit_sizes_have_the_names_and_shapes_of_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        ours = build(name).state_dict()
        theirs = published("segment_anything").sam_model_registry[name.removeprefix("sam_")]().state_dict()
    assert {key: tensor.shape for key, tensor in ours.items()} == {k: t.shape for k, t in theirs.items()}


@pytest.mark.parametrize("name", [pytest.param(n, marks=MARKS[n]) for n in VIT_SIZES])
def test_vit_sizes_equal_the_published_ones(name: str) -> None:
    model = randomised(build(name))
    assert isinstance(model, Sam)
    reference = published("segment_anything").sam_model_registry[name.removeprefix("sam_")]()
    reference.load_state_dict(model.state_dict(), strict=True, assign=True)
    compare_in_full(model, reference)


def compare_in_full(model: Sam, reference: Any) -> None:
    """Image embedding, and masks and quality for prompts of every kind, at the published size."""
    ours = image_embedding(model, random_pixels(1024))
    with torch.no_grad():
        theirs = reference.image_encoder(random_pixels(1024))
        assert_parity(ours, theirs)
        for case in PROMPT_CASES[:7]:
            decoded = model.decode({"image_embeddings": ours}, *case.decode_arguments(1024))
            *_, masks, iou = decode_all_slots(reference, theirs, case, 1024)
            assert_parity(decoded.low_res_masks_P4mm, masks)
            assert_same_masks(decoded.low_res_masks_P4mm, masks)
            assert_parity(decoded.iou_P4, iou)
