"""Code written for `segment_anything` runs after a change of the import, with the same results."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sam_references import published, published_tiny_sam, tiny_sam

from anymask.compat import ResizeLongestSide, Sam, SamPredictor, sam_model_registry
from anymask.errors import WeightsError
from anymask.networks.presets import build

POINTS, LABELS = np.array([[40, 30], [100, 60]]), np.array([1, 0])
BOX = np.array([25, 15, 85, 70])
PROMPTS: dict[str, dict[str, Any]] = {
    "one point": {"point_coords": POINTS[:1], "point_labels": LABELS[:1]},
    "points": {"point_coords": POINTS, "point_labels": LABELS},
    "box": {"box": BOX},
    "box of one row": {"box": BOX[None]},
    "points and box": {"point_coords": POINTS, "point_labels": LABELS, "box": BOX},
}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """83 x 121 pixels: an odd size, to be resized and padded."""
    smooth = np.random.default_rng(1).random((6, 8, 3)).repeat(14, 0).repeat(16, 1)[:83, :121]
    return (smooth * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> Any:
    return tiny_sam()


@pytest.fixture(scope="module")
def ours(network: Any, photo: np.ndarray) -> SamPredictor:
    predictor = SamPredictor(Sam.of(network))
    predictor.set_image(photo)
    return predictor


@pytest.fixture(scope="module")
def theirs(network: Any, photo: np.ndarray) -> Any:
    predictor = published("segment_anything").SamPredictor(published_tiny_sam(network))
    predictor.set_image(photo)
    return predictor


def assert_same(ours: Any, theirs: Any) -> None:
    """Masks, predicted quality, low-resolution logits: shapes, types and values."""
    for a, b in zip(ours, theirs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    (masks, *rest), (expected, *others) = ours, theirs
    if masks.dtype == bool or str(masks.dtype) == "torch.bool":
        assert (masks & expected).sum() >= 0.999 * (masks | expected).sum()
    else:
        rest, others = [masks, *rest], [expected, *others]
    for a, b in zip(rest, others, strict=True):
        assert float(abs(a - b).max()) <= 1e-4 * float(abs(b).max())


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_predict_gives_the_published_results(
    ours: SamPredictor, theirs: Any, prompt: str, multimask_output: bool
) -> None:
    arguments = {**PROMPTS[prompt], "multimask_output": multimask_output}
    assert_same(ours.predict(**arguments), theirs.predict(**arguments))
    assert_same(
        ours.predict(**arguments, return_logits=True), theirs.predict(**arguments, return_logits=True)
    )


@pytest.mark.parametrize("prompt", [*PROMPTS, None])
def test_low_resolution_masks_are_prompts_as_published(
    ours: SamPredictor, theirs: Any, prompt: str | None
) -> None:
    _, _, low_res = theirs.predict(**PROMPTS["one point"], multimask_output=False)
    arguments = {**(PROMPTS[prompt] if prompt else {}), "mask_input": low_res}
    assert_same(ours.predict(**arguments), theirs.predict(**arguments))


@pytest.mark.parametrize("with_boxes", [True, False])
def test_predict_torch_takes_several_prompts(ours: SamPredictor, theirs: Any, with_boxes: bool) -> None:
    size = ours.original_size
    points = torch.tensor([[[40.0, 30.0]], [[70.0, 60.0]], [[10.0, 9.0]]])
    labels = torch.tensor([[1], [1], [0]])
    boxes = torch.tensor([[25, 15, 85, 70], [0, 0, 121, 83], [5, 5, 9, 9]])
    answers = []
    for predictor in (ours, theirs):
        moved = predictor.transform.apply_coords_torch(points, size)
        moved_boxes = predictor.transform.apply_boxes_torch(boxes, size) if with_boxes else None
        answers.append(predictor.predict_torch(moved, labels, moved_boxes, multimask_output=True))
    assert answers[0][0].shape == (3, 3, 83, 121)
    assert_same(*answers)


def test_bgr_is_turned_around(ours: SamPredictor, photo: np.ndarray) -> None:
    other = SamPredictor(ours.model)
    other.set_image(photo[..., ::-1], image_format="BGR")
    assert torch.equal(other.get_image_embedding(), ours.get_image_embedding())


def test_the_embedding_is_the_published_one(ours: SamPredictor, theirs: Any) -> None:
    a, b = ours.get_image_embedding(), theirs.get_image_embedding()
    assert ours.features is a and a.shape == b.shape
    assert float((a - b).abs().max() / b.abs().max()) < 1e-4


def test_a_model_is_called_with_a_batch_of_images(network: Any, photo: np.ndarray) -> None:
    answers = []
    for model in (Sam.of(network), published_tiny_sam(network)):
        transform = ResizeLongestSide(model.image_encoder.img_size)
        image = torch.from_numpy(transform.apply_image(photo).copy()).permute(2, 0, 1).float()
        size = photo.shape[:2]
        boxes = transform.apply_boxes_torch(torch.tensor(BOX)[None], size)
        points = transform.apply_coords_torch(torch.tensor(POINTS)[None], size)
        record = {"image": image, "original_size": size}
        clicks = {"point_coords": points, "point_labels": torch.tensor(LABELS)[None]}
        answers.append(model([{**record, "boxes": boxes}, {**record, **clicks}], multimask_output=True))
    keys = ("masks", "iou_predictions", "low_res_logits")
    for pair in zip(*answers, strict=True):
        assert_same(*([answer[key] for key in keys] for answer in pair))


def test_coordinates_are_moved_as_published() -> None:
    theirs = published("segment_anything").SamPredictor.__init__.__globals__["ResizeLongestSide"](1024)
    ours = ResizeLongestSide(1024)
    for size in ((83, 121), (3000, 4000), (1, 7), (1024, 1024)):
        assert ours.get_preprocess_shape(*size, 1024) == theirs.get_preprocess_shape(*size, 1024)
        np.testing.assert_allclose(ours.apply_coords(POINTS, size), theirs.apply_coords(POINTS, size))
        np.testing.assert_allclose(ours.apply_boxes(BOX[None], size), theirs.apply_boxes(BOX[None], size))


def test_without_an_image_nothing_is_predicted(network: Any) -> None:
    predictor = SamPredictor(Sam.of(network))
    assert predictor.features is None and not predictor.is_image_set
    with pytest.raises(RuntimeError, match="set_image"):
        predictor.predict(**PROMPTS["box"])


@pytest.mark.slow
def test_the_registry_loads_published_files(tmp_path: Path, photo: np.ndarray) -> None:
    model = Sam.of(build("mobile_sam")).eval()
    torch.save(model.state_dict(), tmp_path / "mobile_sam.pt")
    again = sam_model_registry["vit_t"](checkpoint=tmp_path / "mobile_sam.pt").to(device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert again.image_encoder.img_size == 1024 and not again.training
    with pytest.raises(WeightsError, match="does not fit sam_vit_b"):
        sam_model_registry["vit_b"](checkpoint=tmp_path / "mobile_sam.pt")
    assert set(sam_model_registry) >= {"default", "vit_h", "vit_l", "vit_b"}


def test_the_default_model_of_this_package_answers_too(photo: np.ndarray) -> None:
    import anymask
    from anymask.hub.catalog import EMBEDDED_FOLDER

    if not (EMBEDDED_FOLDER / "lite.json").exists():
        pytest.skip("no weights in this checkout")
    predictor = SamPredictor(sam_model_registry["lite"]())
    predictor.set_image(photo)
    image = anymask.load("lite").encode(photo, refine=False)
    for prompt, arguments in PROMPTS.items():
        masks, _, low_res = predictor.predict(**arguments, multimask_output=prompt == "one point")
        points = arguments.get("point_coords")
        box = arguments.get("box")
        answer = image.segment(
            points=points,  # published code scales pixel indices: as if they were our coordinates
            labels=arguments.get("point_labels"),
            box=None if box is None else box.reshape(4),
        )
        assert len(masks) == len(low_res) >= len(answer)  # near-duplicates are merged
        best = max(answer.best.mask.iou(anymask.Mask.from_array(mask)) for mask in masks)
        assert best > 0.95  # the published code resizes the photo in another way
    _, _, low_res = predictor.predict(**PROMPTS["box"], multimask_output=False)
    refined, _, _ = predictor.predict(**PROMPTS["points"], mask_input=low_res, multimask_output=False)
    assert refined.shape == (1, 83, 121)
