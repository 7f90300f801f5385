"""The shipped naming model, and models without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import anymask
from anymask.api import Model
from anymask.core.mask import Mask
from anymask.core.prompt import Prompt
from anymask.errors import BadOption, WeightsError
from anymask.images.reader import read_image
from anymask.words.naming import NamingModel, NamingTable, Query


@pytest.fixture(scope="module")
def namer(model: Model) -> NamingModel:
    return NamingModel(model.names_path, model.names_table_path)


def test_a_model_without_names_says_which_has_them() -> None:
    without = anymask.load("disk")
    with pytest.raises(BadOption, match=r"no <stem>\.names\.onnx; the default model, lite, has one"):
        NamingModel(without.names_path, without.names_table_path)


def test_a_damaged_table_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.names.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="cannot read"):
        NamingTable.read(path)


def test_a_missing_constant_is_reported(namer: NamingModel) -> None:
    with pytest.raises(WeightsError, match="without threshold_of_moods"):
        namer.table.fact("threshold_of_moods")


def test_the_bank_has_the_everyday_names_as_unit_vectors(namer: NamingModel) -> None:
    assert {"person", "dog", "chair", "sky", "grass"} <= set(namer.names)
    lengths = np.linalg.norm(namer.table.tensors["bank_vectors"], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)


def test_the_middle_of_a_photo_of_a_cat_is_a_cat(namer: NamingModel, examples: Path) -> None:
    pixels = read_image(examples / "cat.jpg")
    features, (height, width) = namer.look(pixels), pixels.shape[:2]
    middle = [[width / 4, height / 4, width * 3 / 4, height * 3 / 4]]
    named_RN, none_R = namer.name_regions(namer.regions_of_boxes(features, middle))
    assert named_RN.sum() + none_R.sum() == pytest.approx(1, abs=1e-4)
    assert "cat" in namer.names[int(named_RN[0].argmax())].lower()


def test_looking_is_deterministic_and_regions_do_not_depend_on_company(
    namer: NamingModel, photo: np.ndarray
) -> None:
    one, two = namer.look(photo), namer.look(photo)
    np.testing.assert_array_equal(one.features_Chw, two.features_Chw)
    masks = [Mask.from_array(photo[..., 0] > 150), Mask.from_array(photo[..., 2] > 150)]
    query = Query("dog", namer.table.tensors["bank_vectors"][namer.names.index("dog")])
    together = namer.score_regions(namer.regions_of_masks(one, masks), query)
    backwards = namer.score_regions(namer.regions_of_masks(one, masks[::-1]), query)
    np.testing.assert_allclose(together, backwards[::-1], rtol=1e-4)


def test_heat_has_the_cells_of_the_photo_and_lies_between_0_and_1(
    namer: NamingModel, photo: np.ndarray
) -> None:
    features = namer.look(photo)
    query = Query("sky", namer.table.tensors["bank_vectors"][namer.names.index("sky")])
    cells = namer.cells(features)
    heat = namer.heat(cells, query)
    assert heat.shape == features.cells_hw == (24, 32) and heat.min() >= 0 and heat.max() <= 1
    unlearned = replace(query, word="gizmo", vector_D=-query.vector_D)
    assert not namer.heat(cells, unlearned).any()


def test_a_model_is_opened_without_reading_its_naming_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clicks pay nothing for words."""
    from anymask.hub import card

    hashed: list[str] = []
    real = card.sha256_of
    monkeypatch.setattr(card, "sha256_of", lambda path: hashed.append(path.name) or real(path))
    anymask.load()
    assert hashed and not [name for name in hashed if ".names." in name]


def test_asking_for_words_leaves_clicks_and_boxes_as_they_were(examples: Path) -> None:
    """Bit for bit, in the same photo and in one that no word was asked of."""
    model, path = anymask.load(threads=1), examples / "cat.jpg"
    asked, other = model.encode(path), model.encode(path)
    prompts = [Prompt.of(points=[(230, 180)]), Prompt.of(box=(60, 40, 300, 260))]
    before = asked.segment_batch(prompts)
    asked.find("cat")
    for answers in (asked.segment_batch(prompts), other.segment_batch(prompts)):
        for ours, theirs in zip(answers, before, strict=True):
            np.testing.assert_array_equal(ours.low_res_logits, theirs.low_res_logits)
            np.testing.assert_array_equal(ours.probability, theirs.probability)
