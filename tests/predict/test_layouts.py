"""Prompts reach a decoder in the columns its family was trained with, and keep their company to equals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anymask.backends.base import DecodeInput
from anymask.backends.disk import DISK_SPEC
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.core.spec import ModelSpec
from anymask.predict.layouts import LAYOUTS, MASK_LOGIT, batches

LITE = replace(DISK_SPEC, name="lite", input_size=200, low_res_size=100)
SAM = replace(LITE, name="sam", family="sam", pixel_offset=-0.5)
HALF = ResizeLongest((300, 400), 200)  # the image is 150 x 200 in the model frame

POINT = Prompt.of(points=[(100, 50)])
POINTS = Prompt.of(points=[(100, 50), (10, 20)], labels=[1, 0])
BOX = Prompt.of(box=(20, 40, 200, 300))
BOX_AND_POINT = Prompt.of(points=[(100, 50)], labels=[0], box=(20, 40, 200, 300))
MASK = Prompt.of(mask=np.ones((300, 400), bool))


def arrays(prompt: Prompt, spec: ModelSpec) -> DecodeInput:
    ((indices, one),) = batches([prompt], spec, HALF, 8)
    assert indices == [0]
    return one


@pytest.mark.parametrize(
    ("prompt", "xy", "labels"),
    [
        (POINT, [(0, 0), (0, 0), (50, 25)], [-1, -1, 1]),
        (POINTS, [(0, 0), (0, 0), (50, 25), (5, 10)], [-1, -1, 1, 0]),
        (BOX, [(10, 20), (100, 150), (0, 0)], [2, 3, -1]),
        (BOX_AND_POINT, [(10, 20), (100, 150), (50, 25)], [2, 3, 0]),
        (MASK, [(0, 0), (0, 0), (0, 0)], [-1, -1, -1]),
    ],
)
def test_lite_has_the_box_first_and_always_a_point(
    prompt: Prompt, xy: list[tuple[float, float]], labels: list[int]
) -> None:
    one = arrays(prompt, LITE)
    np.testing.assert_array_equal(one.points_PN2, [xy])
    np.testing.assert_array_equal(one.labels_PN, [labels])


@pytest.mark.parametrize(
    ("prompt", "xy", "labels"),
    [
        (POINT, [(49.5, 24.5), (0, 0)], [1, -1]),
        (POINTS, [(49.5, 24.5), (4.5, 9.5), (0, 0)], [1, 0, -1]),
        (BOX, [(9.5, 19.5), (99.5, 149.5)], [2, 3]),
        (BOX_AND_POINT, [(49.5, 24.5), (9.5, 19.5), (99.5, 149.5)], [0, 2, 3]),
        (MASK, [(0, 0)], [-1]),
    ],
)
def test_the_published_family_has_points_then_the_box_or_padding(
    prompt: Prompt, xy: list[tuple[float, float]], labels: list[int]
) -> None:
    one = arrays(prompt, SAM)
    np.testing.assert_array_equal(one.points_PN2, [xy])
    np.testing.assert_array_equal(one.labels_PN, [labels])


@pytest.mark.parametrize("spec", [LITE, SAM], ids=["lite", "sam"])
@pytest.mark.parametrize("prompt", [POINT, POINTS, BOX, BOX_AND_POINT, MASK])
def test_the_number_of_columns_is_known_beforehand(prompt: Prompt, spec: ModelSpec) -> None:
    assert arrays(prompt, spec).labels_PN.shape == (1, LAYOUTS[spec.family].column_count(prompt))


@pytest.mark.parametrize("spec", [LITE, SAM], ids=["lite", "sam"])
def test_unequal_prompts_are_never_padded_and_none_is_lost(spec: ModelSpec) -> None:
    prompts = [POINT, BOX, POINTS, MASK, BOX_AND_POINT, POINT, BOX, POINTS] * 3
    seen: list[int] = []
    for indices, together in batches(prompts, spec, HALF, batch_size=4):
        assert len(indices) <= 4
        for row, index in enumerate(indices):
            alone = arrays(prompts[index], spec)
            np.testing.assert_array_equal(together.points_PN2[row], alone.points_PN2[0])
            np.testing.assert_array_equal(together.labels_PN[row], alone.labels_PN[0])
            np.testing.assert_array_equal(together.masks_P1mm[row], alone.masks_P1mm[0])
            assert together.has_mask_P[row] == alone.has_mask_P[0]
        seen += indices
    assert sorted(seen) == list(range(len(prompts)))


def test_a_binary_mask_is_fitted_into_the_frame_and_its_edge_is_uncertain() -> None:
    mask = np.zeros((300, 400), bool)
    mask[:, :101] = True  # a quarter of the cell at 25 as well
    one = arrays(Prompt.of(mask=mask), LITE)
    logits = one.masks_P1mm[0, 0]
    assert one.has_mask_P == 1
    assert (logits[:75, :25] == MASK_LOGIT).all()
    assert logits[0, 25] == pytest.approx(-MASK_LOGIT / 2, abs=0.05)
    assert (logits[:75, 26:] == -MASK_LOGIT).all() and (logits[75:] == -MASK_LOGIT).all()


def test_logits_of_an_earlier_answer_are_clipped_for_lite_only() -> None:
    logits = np.linspace(-50, 50, 100 * 100, dtype=np.float32).reshape(100, 100)
    prompt = Prompt.of(mask=logits)
    assert np.abs(arrays(prompt, LITE).masks_P1mm).max() == 32
    np.testing.assert_array_equal(arrays(prompt, SAM).masks_P1mm[0, 0], logits)


def test_without_a_mask_the_mask_input_is_zero() -> None:
    one = arrays(POINT, LITE)
    assert one.has_mask_P == 0 and not one.masks_P1mm.any()
