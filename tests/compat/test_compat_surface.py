"""What clients of `segment_anything` reach for beyond predicting: submodules, parts, attributes, steps."""

# ruff: noqa: E402
from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sam_references import TINY_VIT, published, tiny_sam
from scenes_for_grids import plain_nms

from anymask.compat import Sam, SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from anymask.compat.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from anymask.compat.utils import amg
from anymask.compat.utils.onnx import SamOnnxModel
from anymask.compat.utils.transforms import ResizeLongestSide
from anymask.core.mask import Mask, iou_matrix
from anymask.hub.catalog import EMBEDDED_FOLDER

KEEP_MOST = {
    "points_per_side": 4,
    "pred_iou_thresh": -10.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
}
weights_shipped = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "lite.json").exists(), reason="no weights in this checkout"
)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    smooth = np.random.default_rng(1).random((6, 8, 3)).repeat(14, 0).repeat(16, 1)[:83, :121]
    return (smooth * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> Sam:
    return Sam.of(tiny_sam())


@pytest.fixture(scope="module")
def lite() -> Sam:
    if not (EMBEDDED_FOLDER / "lite.json").exists():
        pytest.skip("no weights in this checkout")
    return sam_model_registry["lite"]()


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("modeling", "Sam ImageEncoderViT MaskDecoder PromptEncoder TwoWayTransformer"),
        ("modeling.common", "LayerNorm2d MLPBlock"),
        ("modeling.image_encoder", "ImageEncoderViT window_partition window_unpartition PatchEmbed"),
        ("modeling.mask_decoder", "MaskDecoder MLP"),
        ("modeling.prompt_encoder", "PromptEncoder PositionEmbeddingRandom"),
        ("modeling.sam", "Sam"),
        ("modeling.transformer", "TwoWayTransformer Attention TwoWayAttentionBlock"),
        ("predictor", "SamPredictor"),
        ("automatic_mask_generator", "SamAutomaticMaskGenerator"),
        ("build_sam", "build_sam build_sam_vit_h build_sam_vit_l build_sam_vit_b sam_model_registry"),
        ("utils.transforms", "ResizeLongestSide"),
        ("utils.onnx", "SamOnnxModel"),
        ("utils.amg", "MaskData remove_small_regions build_all_layer_point_grids mask_to_rle_pytorch"),
    ],
)
def test_a_submodule_has_the_published_names(module: str, names: str) -> None:
    found = importlib.import_module(f"anymask.compat.{module}")
    assert all(hasattr(found, name) for name in names.split())


def test_parts_built_with_the_published_arguments_take_the_weights(model: Sam, photo: np.ndarray) -> None:
    built = Sam(
        ImageEncoderViT(
            img_size=128,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=[1],
            window_size=3,
            out_chans=256,
            **TINY_VIT,
        ),
        PromptEncoder(
            embed_dim=256, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_chans=16
        ),
        MaskDecoder(
            transformer_dim=256,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
        ),
    ).eval()
    built.load_state_dict(model.state_dict())
    answers = []
    for one in (built, model):
        predictor = SamPredictor(one)
        predictor.set_image(photo)
        answers.append(predictor.predict(np.array([[40, 30]]), np.array([1]), return_logits=True)[0])
    np.testing.assert_allclose(*answers, atol=1e-4)
    with pytest.raises(ValueError, match="use_rel_pos"):
        ImageEncoderViT(img_size=128, **TINY_VIT)


def test_attributes_of_the_parts(model: Sam, lite: Sam) -> None:
    for one, side in ((model, 128), (lite, 512)):
        prompts, decoder = one.prompt_encoder, one.mask_decoder
        assert one.image_encoder.img_size == side and one.pixel_mean.shape == one.pixel_std.shape == (3, 1, 1)
        assert prompts.mask_input_size == tuple(4 * n for n in prompts.image_embedding_size)
        assert prompts.num_point_embeddings == decoder.num_mask_tokens == 4
        assert prompts.get_dense_pe().shape[0] == 1
        assert not {"pixel_mean", "pixel_std"} & set(one.state_dict())


def test_dense_and_sparse_embeddings_are_the_published_ones(model: Sam) -> None:
    theirs = published("segment_anything").modeling.PromptEncoder(256, (8, 8), (128, 128), 16)
    theirs.load_state_dict(model.prompt_encoder.state_dict())
    ours = model.prompt_encoder
    points, labels = torch.rand(2, 3, 2) * 100, torch.tensor([[1, 0, 1], [0, 1, -1]])
    boxes, masks = torch.rand(2, 4) * 100, torch.randn(2, 1, 32, 32)
    for arguments in (
        {"points": (points, labels), "boxes": None, "masks": masks},
        {"points": None, "boxes": boxes, "masks": None},
    ):
        for a, b in zip(ours(**arguments), theirs(**arguments), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    pairs = [
        (ours.get_dense_pe(), theirs.get_dense_pe()),
        (ours.pe_layer((8, 8)), theirs.pe_layer((8, 8))),
        (ours._embed_points(points, labels, True), theirs._embed_points(points, labels, True)),
        (ours._embed_boxes(boxes), theirs._embed_boxes(boxes)),
        (ours._embed_masks(masks), theirs._embed_masks(masks)),
    ]
    for a, b in pairs:
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_features_can_be_set_also_by_subclasses_that_skip_the_constructor(
    lite: Sam, photo: np.ndarray
) -> None:
    class Bare(SamPredictor):
        def __init__(self, sam_model: Sam) -> None:
            self.model = sam_model
            self.transform = ResizeLongestSide(sam_model.image_encoder.img_size)

    one, other = SamPredictor(lite), Bare(lite)
    one.set_image(photo)
    assert not other.is_image_set and other.orig_h is None
    other.features = one.get_image_embedding().cpu()[:1]
    other.original_size, other.input_size, other.is_image_set = one.original_size, one.input_size, True
    prompt = {"box": np.array([25, 15, 85, 70])}
    np.testing.assert_array_equal(one.predict(**prompt)[0], other.predict(**prompt)[0])


@pytest.mark.parametrize("which", ["model", "lite"])
def test_the_published_predictor_works_with_our_model(
    which: str, photo: np.ndarray, request: pytest.FixtureRequest
) -> None:
    ours, theirs = (
        kind(request.getfixturevalue(which))
        for kind in (SamPredictor, published("segment_anything").SamPredictor)
    )
    for predictor in (ours, theirs):
        predictor.set_image(photo)
    prompt = {"point_coords": np.array([[40, 30]]), "point_labels": np.array([1]), "return_logits": True}
    np.testing.assert_allclose(ours.predict(**prompt)[0], theirs.predict(**prompt)[0], atol=1e-3)


def test_an_overridden_step_takes_effect_and_the_others_are_as_published(
    model: Sam, photo: np.ndarray
) -> None:
    calls = []

    class Mine(SamAutomaticMaskGenerator):
        def _process_batch(self, *arguments: Any) -> amg.MaskData:
            calls.append(arguments)
            return super()._process_batch(*arguments)

    arguments = {**KEEP_MOST, "crop_n_layers": 1, "min_mask_region_area": 8, "crop_nms_thresh": 1.0}
    plain = SamAutomaticMaskGenerator(model, **arguments).generate(photo)
    mine = Mine(model, **arguments).generate(photo)
    assert len(calls) == 5 and len(mine) == len(plain) > 1
    for a, b in zip(plain, mine, strict=True):
        assert list(a) == list(b) and a["crop_box"] == b["crop_box"]
        assert a["area"] == pytest.approx(b["area"], rel=0.02, abs=20)
        assert a["stability_score"] == pytest.approx(b["stability_score"], abs=1e-3)


def test_settings_of_the_generator_are_attributes(model: Sam, photo: np.ndarray) -> None:
    generator = SamAutomaticMaskGenerator(model, **KEEP_MOST)
    assert generator.predictor.model is generator.model is model and generator.crop_n_layers == 0
    before = len(generator.generate(photo))
    generator.pred_iou_thresh = 1e6
    assert before > 0 and generator.generate(photo) == []


def test_small_functions_are_the_published_ones() -> None:
    theirs = published("segment_anything").SamAutomaticMaskGenerator._process_crop.__globals__
    masks = torch.rand(5, 9, 13) > 0.6
    masks[2] = False
    logits = torch.randn(4, 9, 13) * 3
    torch.testing.assert_close(
        amg.batched_mask_to_box(masks), theirs["batched_mask_to_box"](masks), check_dtype=False
    )
    assert amg.mask_to_rle_pytorch(masks) == theirs["mask_to_rle_pytorch"](masks)
    torch.testing.assert_close(
        amg.calculate_stability_score(logits, 0.0, 1.0), theirs["calculate_stability_score"](logits, 0.0, 1.0)
    )
    assert amg.generate_crop_boxes((90, 130), 2, 0.34) == theirs["generate_crop_boxes"]((90, 130), 2, 0.34)
    for a, b in zip(
        amg.build_all_layer_point_grids(8, 2, 2), theirs["build_all_layer_point_grids"](8, 2, 2), strict=True
    ):
        np.testing.assert_allclose(a, b)
    boxes, crop, whole = torch.tensor([[0, 0, 9, 9], [30, 30, 40, 40]]), [10, 10, 60, 60], [0, 0, 99, 99]
    assert (
        amg.is_box_near_crop_edge(boxes, crop, whole).tolist()
        == theirs["is_box_near_crop_edge"](boxes, crop, whole).tolist()
    )
    data = amg.MaskData(a=[1, 2, 3], b=np.arange(3), c=torch.arange(3))
    data.filter(torch.tensor([True, False, True]))
    data.cat(amg.MaskData(a=[7], b=np.array([7]), c=torch.tensor([7])))
    assert data["a"] == [1, 3, 7] and data["b"].tolist() == data["c"].tolist() == [0, 2, 7]
    inside = np.zeros((20, 20), bool)
    inside[3:12, 3:12], inside[5, 5], inside[18, 18] = True, False, True
    without_hole, changed = amg.remove_small_regions(inside, 3, "holes")
    assert changed and without_hole[5, 5] and without_hole[18, 18]
    without_island, changed = amg.remove_small_regions(without_hole, 3, "islands")
    assert changed and not without_island[18, 18]
    assert not amg.remove_small_regions(without_island, 3, "islands")[1]
    assert plain_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), 0.5).numel() == 0


def test_the_onnx_model_is_the_published_one(model: Sam) -> None:
    published("segment_anything")
    onnx = pytest.importorskip("segment_anything.utils.onnx")
    inputs = (
        torch.randn(1, 256, 8, 8), torch.rand(1, 5, 2) * 100, torch.tensor([[1.0, 0, 2, 3, -1]]),
        torch.randn(1, 1, 32, 32), torch.ones(1), torch.tensor([60.0, 90.0]),
    )  # fmt: skip
    for single in (True, False):
        ours, theirs = (kind(model, single)(*inputs) for kind in (SamOnnxModel, onnx.SamOnnxModel))
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_copies_and_pickles_answer_alike(lite: Sam, photo: np.ndarray) -> None:
    answers = []
    for one in (lite, copy.deepcopy(lite), pickle.loads(pickle.dumps(lite)).to(device="cpu")):
        predictor = SamPredictor(one)
        predictor.set_image(photo)
        answers.append(predictor.predict(np.array([[40, 30]]), np.array([1]))[2])
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


@weights_shipped
def test_a_key_without_a_checkpoint_gives_lite_until_weights_are_loaded() -> None:
    with pytest.warns(UserWarning, match="vit_t without a checkpoint.*lite"):
        model = sam_model_registry["vit_t"]()
    assert model.is_lite
    from anymask.networks.presets import build

    wanted = build("mobile_sam").state_dict()
    model.load_state_dict(wanted)
    assert not model.is_lite and model.image_encoder.img_size == 1024
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in model.state_dict().items())


@weights_shipped
def test_with_lite_the_default_thresholds_find_what_everything_finds(lite: Sam) -> None:
    from pathlib import Path

    import anymask

    photo = anymask.read_image(Path(__file__).parents[2] / "examples" / "cat.jpg")
    records = SamAutomaticMaskGenerator(lite).generate(photo)
    expected = [found.mask for found in anymask.load("lite").everything(photo)]
    found = [Mask.from_array(record["segmentation"]) for record in records]
    assert len(records) == len(expected) > 0
    assert (iou_matrix(expected, found).max(axis=1) > 0.9).all()
    assert set(records[0]) == {
        "segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"
    }  # fmt: skip
    strict = SamAutomaticMaskGenerator(lite, pred_iou_thresh=0.99, stability_score_thresh=0.99).generate(
        photo
    )
    assert len(strict) < len(records)


def test_an_embedding_of_another_network_is_refused(lite: Sam) -> None:
    sparse, dense = lite.prompt_encoder(points=None, boxes=torch.tensor([[[1.0, 1, 9, 9]]]), masks=None)
    with pytest.raises(ValueError, match="expected 464 channels"):
        lite.mask_decoder(
            torch.zeros(1, 256, 64, 64), lite.prompt_encoder.get_dense_pe(), sparse, dense, False
        )


def test_install_takes_the_place_of_the_published_package() -> None:
    code = """
import sys
import anymask.compat.install
import segment_anything.utils.amg as amg
from segment_anything import SamPredictor
from segment_anything.modeling.image_encoder import window_partition
import anymask.compat.predictor
assert SamPredictor is anymask.compat.predictor.SamPredictor
assert amg is sys.modules["anymask.compat.utils.amg"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    code = """
import sys, types
sys.modules["segment_anything"] = types.ModuleType("segment_anything")
try:
    import anymask.compat.install
except ImportError as error:
    assert "imported already" in str(error)
else:
    raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
