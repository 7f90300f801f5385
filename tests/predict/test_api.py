"""An image is encoded once; a prompt gets its answer alone, in a batch, from any thread and from a file."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import anymask
from anymask.api import EncodedImage, Model, load
from anymask.backends.base import DecodedArrays
from anymask.core.candidates import Candidates
from anymask.core.frames import OUTSIDE
from anymask.core.prompt import Prompt
from anymask.errors import BadImage, BadInput, BadOption, BadPrompt, ModelNotFound, StorageError, WeightsError
from anymask.predict.probabilities import probabilities

PROMPTS = [
    Prompt.of(points=[(40, 40)]),
    Prompt.of(box=(30, 20, 80, 60)),
    Prompt.of(points=[(40, 40), (100, 70)], labels=[1, 0]),
    Prompt.of(points=[(90, 70)]),
    Prompt.of(points=[(50, 50)], box=(30, 20, 80, 60)),
    Prompt.of(mask=np.arange(90 * 120).reshape(90, 120) % 120 < 60),
    Prompt.of(box=(70, 50, 115, 85)),
    Prompt.of(points=[(75, 55), (20, 10), (40, 40)], labels=[1, 0, 1]),
]


@pytest.fixture(params=["disk", "tiny", "lite"])
def model(request: pytest.FixtureRequest) -> Model:
    if request.param == "disk":
        return anymask.load("disk")
    card = {"tiny": "tiny_card", "lite": "default_card"}[request.param]
    return anymask.load(str(request.getfixturevalue(card)))


@pytest.fixture
def image(model: Model, photo: np.ndarray) -> EncodedImage:
    return model.encode(photo, refine=False)


@pytest.fixture
def disk_image(photo: np.ndarray) -> EncodedImage:
    return anymask.load("disk").encode(photo)


def assert_same(a: Candidates, b: Candidates) -> None:
    np.testing.assert_array_equal(a.low_res_logits, b.low_res_logits)
    np.testing.assert_array_equal(a.iou, b.iou)
    np.testing.assert_array_equal(a.probability, b.probability)
    assert a.none_probability == b.none_probability


def test_a_point_alone_has_three_candidates_and_anything_else_one(image: EncodedImage) -> None:
    counts = [len(answer) for answer in image.segment_batch(PROMPTS)]
    if image.model.postprocess:  # near-duplicates are merged
        assert 1 <= counts[0] <= 3 and 1 <= counts[3] <= 3
    else:
        assert counts[0] == counts[3] == 3
    assert counts[1:3] + counts[4:] == [1] * 6


def test_probabilities_sum_to_one_with_none_of_these(image: EncodedImage) -> None:
    for answer in image.segment_batch(PROMPTS):
        assert answer.probability.sum() + answer.none_probability == pytest.approx(1, abs=1e-5)
        assert (np.diff(answer.probability) <= 0).all()
        assert answer.best.mask.size_hw == (90, 120)


def test_a_batch_of_unequal_prompts_gets_the_single_answers(image: EncodedImage) -> None:
    for prompt, answer in zip(PROMPTS * 3, image.segment_batch(PROMPTS * 3), strict=True):
        assert_same(answer, image.segment_batch([prompt])[0])


def test_the_default_model_is_not_shown_what_a_photo_leaves_empty(
    default_card: Path, photo: np.ndarray
) -> None:
    model = anymask.load(str(default_card))
    wide, tall = model.encode(photo), model.encode(np.ascontiguousarray(photo.transpose(1, 0, 2)))
    assert wide.embedding.arrays["image_embeddings"].shape[2:] == (26, 32)  # 384 of 512 rows and some more
    assert tall.embedding.arrays["image_embeddings"].shape[2:] == (32, 26)
    for image in (wide, tall):
        logits_mm = image.segment(box=(30, 20, 80, 60)).low_res_logits[0]
        height, width = (8 * n for n in image.embedding.arrays["image_embeddings"].shape[2:])
        assert (logits_mm[height:] == OUTSIDE).all() and (logits_mm[:, width:] == OUTSIDE).all()
        assert (logits_mm[:height, :width] != OUTSIDE).all()


def test_the_same_question_gets_the_same_answer(image: EncodedImage) -> None:
    for prompt in PROMPTS:
        assert_same(*(image.segment_batch([prompt])[0] for _ in range(2)))


def test_threads_get_the_answers_of_one_thread(model: Model, photo: np.ndarray) -> None:
    photos = [photo, photo[::-1].copy(), photo[:, ::-1].copy()]

    def answer(index: int) -> Candidates:
        image = model.encode(photos[index % len(photos)])
        return image.segment_batch([PROMPTS[index % len(PROMPTS)]])[0]

    expected = [answer(i) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        for ours, theirs in zip(pool.map(answer, range(12)), expected, strict=True):
            assert_same(ours, theirs)


def test_an_answer_is_refined_with_itself(image: EncodedImage) -> None:
    first = image.segment(points=[(50, 40)])
    for mask in (first, first.best, first.best.low_res_logits):
        refined = image.segment(points=[(50, 40), (100, 80)], labels=[1, 0], mask=mask)
        assert len(refined) == 1
    assert_same(image.segment(mask=first), image.segment(mask=first[0]))


def test_a_saved_embedding_answers_like_the_image(model: Model, image: EncodedImage, tmp_path: Path) -> None:
    again = model.load_embedding(image.save(tmp_path / "photo.embedding"))
    assert (again.size_hw, again.content_hash) == (image.size_hw, image.content_hash)
    for ours, theirs in zip(again.segment_batch(PROMPTS), image.segment_batch(PROMPTS), strict=True):
        np.testing.assert_allclose(ours.iou, theirs.iou, atol=0.02)
        assert ours.low_res_logits.shape == theirs.low_res_logits.shape
        scale = np.abs(theirs.low_res_logits).max()
        assert np.abs(ours.low_res_logits - theirs.low_res_logits).max() < 0.05 * scale


def test_a_saved_embedding_is_half_precision_and_leaves_no_other_file(
    disk_image: EncodedImage, tmp_path: Path
) -> None:
    path = disk_image.save(tmp_path / "photo.embedding")
    assert {name: array.dtype.name for name, array in load_file(path).items()} == {
        "image_embeddings": "float16"
    }
    assert [p.name for p in tmp_path.iterdir()] == ["photo.embedding"]


def test_an_embedding_of_other_weights_is_refused(
    disk_image: EncodedImage, photo: np.ndarray, tmp_path: Path
) -> None:
    path = Model(disk_image.model.backend, "aaaa").encode(photo).save(tmp_path / "a")
    with pytest.raises(BadInput, match="expected disk bbbb, got disk aaaa"):
        Model(disk_image.model.backend, "bbbb").load_embedding(path)


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_damaged_embedding_is_refused(disk_image: EncodedImage, tmp_path: Path, keep: int) -> None:
    path = disk_image.save(tmp_path / "photo.embedding")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="photo.embedding"):
        disk_image.model.load_embedding(path)


def test_an_embedding_that_cannot_be_read_or_kept_is_told(disk_image: EncodedImage, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        disk_image.model.load_embedding(tmp_path / "missing")
    (tmp_path / "no-folder").touch()
    with pytest.raises(StorageError, match="no-folder"):
        disk_image.save(tmp_path / "no-folder" / "photo.embedding")


def test_text_is_refused_in_words(disk_image: EncodedImage) -> None:
    with pytest.raises(BadOption, match="words: expected an image that keeps its photo"):
        disk_image.segment(text="a red car")
    with_photo = load("disk").encode(np.zeros((20, 30, 3), np.uint8), refine=True)
    with pytest.raises(BadOption, match=r"this model has no <stem>\.names\.onnx"):
        with_photo.segment(text="a red car")


def test_a_wrong_prompt_of_a_batch_is_numbered(disk_image: EncodedImage) -> None:
    with pytest.raises(BadPrompt, match="prompt 2 of 2: point 1 is outside"):
        disk_image.segment_batch([PROMPTS[0], Prompt.of(points=[(500, 5)])])


def test_an_empty_batch_has_no_answers(disk_image: EncodedImage) -> None:
    assert disk_image.segment_batch([]) == []


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(BadImage):
        anymask.load("disk").encode(b"not an image")


def test_the_smallest_and_the_narrowest_image_have_masks(model: Model) -> None:
    for height, width in ((1, 1), (1, 300), (300, 1), (7, 5)):
        image = model.encode(np.full((height, width, 3), 90, np.uint8))
        assert image.segment(points=[(0.5, 0.5)]).best.mask.size_hw == (height, width)


def test_probabilities_without_a_head_share_out_the_predicted_quality() -> None:
    iou = np.array([[0.0, 0.9, 0.6, 0.5], [0.0, 0.3, -0.2, 0.1]], np.float32)
    decoded = DecodedArrays(np.zeros((2, 4, 2, 2), np.float32), iou, None)
    share, none = probabilities(decoded, 0, slice(1, 4), iou[0, 1:])
    np.testing.assert_allclose(share, [0.45, 0.3, 0.25], atol=1e-6)
    assert none == pytest.approx(0, abs=1e-6)
    share, none = probabilities(decoded, 1, slice(1, 4), iou[1, 1:])
    np.testing.assert_allclose([*share, none], [0.3, 0, 0.1, 0.6], atol=1e-6)


def test_probabilities_of_a_head_leave_out_unused_slots() -> None:
    logits = np.log(np.array([[0.9, 0.3, 0.4, 0.2, 0.1]], np.float32))
    decoded = DecodedArrays(np.zeros((1, 4, 2, 2), np.float32), np.zeros((1, 4), np.float32), logits)
    share, none = probabilities(decoded, 0, slice(0, 1), decoded.iou_P4[0, :1])
    np.testing.assert_allclose([*share, none], [0.9, 0.1], atol=1e-6)


def test_a_temperature_divides_the_logits_of_a_head() -> None:
    logits = np.array([[0.0, 2.0, -1.0, 0.5, 1.0]], np.float32)
    decoded = DecodedArrays(np.zeros((1, 4, 2, 2), np.float32), np.zeros((1, 4), np.float32), logits)
    share, none = probabilities(decoded, 0, slice(1, 4), decoded.iou_P4[0, 1:], temperature=2.0)
    expected = np.exp(logits[0, 1:] / 2) / np.exp(logits[0, 1:] / 2).sum()
    np.testing.assert_allclose([*share, none], expected, atol=1e-6)


def test_the_temperature_on_a_card_is_the_models(
    default_card: Path, tmp_path: Path, photo: np.ndarray
) -> None:
    """Hotter: the best is less probable, and everything else about the answer stays."""
    card = folder_with_fact(default_card, tmp_path, 3.0)
    hot, cold = anymask.load(str(card)), anymask.load(str(default_card))
    assert hot.temperature == 3.0
    told = [
        replace(m, temperature=t).encode(photo).segment(points=[(50, 40)])
        for m, t in ((cold, 1.0), (hot, 3.0))
    ]
    np.testing.assert_array_equal(told[0].low_res_logits, told[1].low_res_logits)
    assert told[0].best.probability > told[1].best.probability
    assert float(told[1].probability.sum()) + told[1].none_probability == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("value", [0, -1.0, True, "2", None, float("inf"), float("nan")])
def test_a_temperature_that_is_none_is_told(default_card: Path, tmp_path: Path, value: object) -> None:
    card = folder_with_fact(default_card, tmp_path, value)
    with pytest.raises(WeightsError, match="temperature on the card: expected a number above 0"):
        anymask.load(str(card))


def folder_with_fact(default_card: Path, folder: Path, value: object, fact: str = "temperature") -> Path:
    """The default model with a fact on its card."""
    for file in default_card.parent.glob("lite.*"):
        (folder / file.name).symlink_to(file)
    card = folder / default_card.name
    facts = json.loads(card.read_text("utf-8"))
    card.unlink()
    card.write_text(json.dumps({**facts, fact: value}), "utf-8")
    return card


def test_a_disk_is_where_the_click_is(disk_image: EncodedImage) -> None:
    answer = disk_image.segment(points=[(60, 45), (60, 20)], labels=[1, 0]).best.array
    assert answer[50, 60] and not answer[20, 60] and not answer[0, 0]


@pytest.mark.parametrize("name", ["nothing", "./nothing.json", "sam_vit_b.pth"])
def test_an_unknown_model_is_told(name: str) -> None:
    with pytest.raises(ModelNotFound, match="nothing|sam_vit_b"):
        anymask.load(name)


@pytest.mark.parametrize("backend", ["tensorflow", "onnx:fast", "torch:tpu", "disk:2", ":", "openvino:int8"])
def test_an_unknown_backend_is_told(default_card: Path, backend: str) -> None:
    with pytest.raises(BadOption, match="expected one of auto, onnx"):
        anymask.load(str(default_card), backend=backend)


def test_a_damaged_graph_is_told(tiny_card: Path, tmp_path: Path) -> None:
    for path in tiny_card.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "tiny.decoder.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match="tiny.decoder.onnx"):
        anymask.load(str(tmp_path / "tiny.json"))


def test_a_flipped_bit_in_a_saved_embedding_is_noticed(disk_image: EncodedImage, tmp_path: Path) -> None:
    path = disk_image.save(tmp_path / "photo.embedding")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match="photo.embedding is damaged: its content is not what"):
        disk_image.model.load_embedding(path)


def test_a_saved_embedding_with_its_photo_is_refined(model: Model, photo: np.ndarray, tmp_path: Path) -> None:
    image = model.encode(photo, refine=True)
    path = image.save(tmp_path / "photo.embedding")
    assert not model.load_embedding(path).refines
    again = model.attach(image.embedding, photo, refine=True)
    for ours, theirs in zip(again.segment_batch(PROMPTS), image.segment_batch(PROMPTS), strict=True):
        assert_same(ours, theirs)
    with pytest.raises(BadInput, match="photo: expected the one that was encoded"):
        model.load_embedding(path, photo[::-1].copy())
    with pytest.raises(BadOption, match="refine: expected the photo too"):
        model.attach(image.embedding, refine=True)


@pytest.mark.parametrize("threads", [-3, 5000])
def test_a_number_of_threads_that_makes_no_sense_is_refused(threads: int) -> None:
    with pytest.raises(BadOption, match="threads: expected 0"):
        anymask.load("disk", threads=threads)


@pytest.mark.parametrize(
    ("fact", "value", "message"),
    [
        (
            "postprocess",
            ["clip_to_box", "dream"],
            "expected a list of .*, got 'dream'",
        ),
        ("postprocess", "clip_to_box", "postprocess on the card: expected a list"),
        ("refine", "yes", "refine on the card: expected true or false, got 'yes'"),
    ],
)
def test_a_fact_on_a_card_that_makes_no_sense_is_told(
    default_card: Path, tmp_path: Path, fact: str, value: object, message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        anymask.load(str(folder_with_fact(default_card, tmp_path, value, fact)))


def test_changed_facts_of_a_saved_embedding_are_noticed(disk_image: EncodedImage, tmp_path: Path) -> None:
    path = disk_image.save(tmp_path / "photo.embedding")
    path.write_bytes(path.read_bytes().replace(b"[90, 120]", b"[91, 120]"))
    with pytest.raises(BadInput, match="photo.embedding is damaged"):
        disk_image.model.load_embedding(path)


def test_what_is_no_prompt_is_refused(disk_image: EncodedImage) -> None:
    with pytest.raises(BadPrompt, match="prompt 2 of 2: expected a Prompt .* got dict"):
        disk_image.segment_batch([PROMPTS[0], {"points": [(5, 5)]}])  # type: ignore[list-item]
