"""Searching a photo whose naming model and masks are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from anymask.core.candidates import Candidate, Candidates
from anymask.core.frames import ResizeLongest
from anymask.core.prompt import Prompt
from anymask.predict.detectors import DetectedBoxes
from anymask.words.naming import NamingFeatures, NamingModel, NamingTable, Query
from anymask.words.search import WordSearch, name_masks

SIZE = 512
FACTS = {
    "scale": 12.0, "dense_scale": 12.0, "class_scale": 12.0, "trained_threshold": 0.5,
    "imagenet_threshold": 0.5, "trained_instance": 0.3, "imagenet_instance": 0.3, "heat_over_region": 4.0,
    "heat_cut": 0.3, "like_threshold": 0.9, "name_threshold": 0.5,
}  # fmt: skip
DOG, CAT, GRASS, NONE = np.eye(4, dtype=np.float32)
BOXES = np.array([[0, 0, 128, 128], [256, 256, 384, 384], [8, 8, 128, 128]], np.float64)


class SeenModel(NamingModel):
    """Features are word vectors: the heads change nothing."""

    def __init__(self) -> None:
        tensors = {
            "bank_vectors": np.stack([DOG, CAT, GRASS]),
            "none_vectors": NONE[None],
            "dense_none_vectors": NONE[None],
            "class_vectors": np.stack([DOG, CAT]),
            "photo_biases": np.array([0, 0, np.nan], np.float32),
        }
        self.table = NamingTable(tensors, ("dog", "cat", "grass"), {}, FACTS)

    def _learned(self, pooled_RC: np.ndarray, context_C: np.ndarray) -> np.ndarray:
        return pooled_RC / np.maximum(np.linalg.norm(pooled_RC, axis=1, keepdims=True), 1e-9)


@dataclass
class Boxed:
    """Answers a box with the filled box."""

    size_hw: tuple[int, int] = (SIZE, SIZE)
    prompts: list[Prompt] = field(default_factory=list)

    def detect_boxes(self, max_boxes: int, min_score: float) -> DetectedBoxes:
        return DetectedBoxes(BOXES, np.array([0.9, 0.8, 0.7], np.float32))

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        self.prompts += prompts
        return [Candidates.of([filled(prompt)], 0.0) for prompt in prompts]


def filled(prompt: Prompt) -> Candidate:
    assert prompt.box_xyxy is not None
    logits = np.full((256, 256), -5, np.float32)
    x0, y0, x1, y1 = (int(edge) // 2 for edge in prompt.box_xyxy)
    logits[y0:y1, x0:x1] = 5
    return Candidate(logits, 0.9, 0.9, ResizeLongest((SIZE, SIZE), SIZE))


def seen() -> NamingFeatures:
    """A dog at the top left, a cat in the middle, grass along the bottom, nothing elsewhere."""
    map_Chw = np.zeros((4, 32, 32), np.float32)
    map_Chw[3] = 1
    for vector, rows, columns in (
        (DOG, (0, 8), (0, 8)),
        (CAT, (16, 24), (16, 24)),
        (GRASS, (26, 32), (0, 32)),
    ):
        map_Chw[:, slice(*rows), slice(*columns)] = vector[:, None, None]
    classes = np.zeros((2, 16, 16), np.float32)
    classes[0, :4, :4], classes[1, 8:12, 8:12] = 9, 9
    return NamingFeatures(
        ResizeLongest((SIZE, SIZE), SIZE),
        map_Chw,
        map_Chw,
        classes,
        np.zeros(0, np.float32),
        9 * DOG + 9 * CAT,
    )


@pytest.fixture
def search() -> WordSearch:
    return WordSearch(Boxed(), SeenModel(), seen())


def test_a_word_finds_its_thing_once(search: WordSearch) -> None:
    found = search.find(Query("dog", DOG))
    assert found.present and found.scorer == "trained" and len(found.masks) == 1
    assert found.masks[0].mask.box_xyxy == (0, 0, 128, 128) and found.masks[0].score > 0.9


def test_an_absent_word_says_so(search: WordSearch) -> None:
    other = Query("zebra", np.array([0.3, 0.3, 0.3, 0.85], np.float32))
    found = search.find(other)
    assert not found.present and found.presence < found.threshold and found.scorer == "imagenet"


def test_stuff_without_a_box_comes_from_the_heat(search: WordSearch) -> None:
    found = search.find(Query("grass", GRASS))
    heat = [one for one in found.masks if one.scorer == "heat"]
    assert len(heat) == 1 and heat[0].mask.box_xyxy[1] >= 400
    assert heat[0].mask.area > 0.9 * SIZE * 96


def test_what_the_whole_photo_shows_counts_for_presence(search: WordSearch) -> None:
    seen_there = search.find(Query("cat", CAT)).presence
    nowhere = replace(search.features, photo_D=-9 * CAT)
    doubted = WordSearch(Boxed(), SeenModel(), nowhere).find(Query("cat", CAT)).presence
    assert doubted < 0.1 < seen_there
    untaught = Query("grass", GRASS)
    assert WordSearch(Boxed(), SeenModel(), nowhere).find(untaught) == search.find(untaught)


def test_an_unknown_word_goes_by_the_imagenet_classes(search: WordSearch) -> None:
    puppy = Query("puppy", np.array([0.9, 0.1, 0.0, -0.42], np.float32), frozenset({"dog"}))
    found = search.find(puppy)
    assert found.scorer == "imagenet" and found.masks[0].mask.box_xyxy == (0, 0, 128, 128)


def test_a_related_name_does_not_compete(search: WordSearch) -> None:
    regions = search.namer.regions_of_boxes(search.features, BOXES)
    near = np.array([0.9, 0.436, 0, 0], np.float32)
    alone = search.namer.score_regions(regions, Query("hound", near))
    kin = search.namer.score_regions(regions, Query("hound", near, frozenset({"dog"})))
    assert kin[0] > alone[0]


def test_a_box_is_decoded_once_however_many_words_ask(search: WordSearch) -> None:
    first = search.find(Query("dog", DOG))
    assert search.find(Query("dog", DOG)) == first
    search.find(Query("cat", CAT))
    assert isinstance(search.parts, Boxed)
    boxes = [tuple(prompt.box_xyxy) for prompt in search.parts.prompts if prompt.box_xyxy is not None]
    assert len(boxes) == len(set(boxes))


def test_scores_do_not_depend_on_the_order_of_masks(search: WordSearch) -> None:
    query, regions = Query("cat", CAT), search.namer.regions_of_boxes(search.features, BOXES)
    backwards = search.namer.regions_of_boxes(search.features, BOXES[::-1])
    scores = search.namer.score_regions(regions, query)
    np.testing.assert_array_equal(scores, search.namer.score_regions(backwards, query)[::-1])


def test_an_exemplar_finds_its_like(search: WordSearch) -> None:
    cat = search.find(Query("cat", CAT)).masks[0].mask
    found = search.find_like([search.namer.exemplar(search.features, cat)])
    assert found.present and [one.mask for one in found.masks] == [cat]


def test_masks_get_names_or_unknown(search: WordSearch) -> None:
    masks = search._masks(np.array([0, 1]))
    assert [name for name, _ in name_masks(search.namer, search.features, masks)] == ["dog", "cat"]
    background = ~masks[0] - masks[1]
    assert name_masks(search.namer, search.features, [background])[0][0] == "unknown"
    assert name_masks(search.namer, search.features, []) == []


def test_a_box_limits_where_is_looked(search: WordSearch) -> None:
    assert search.find(Query("dog", DOG), box_xyxy=(0, 0, 200, 200)).masks[0].score > 0.9
    elsewhere = search.find(Query("dog", DOG), box_xyxy=(200, 200, 512, 512))
    assert not elsewhere.present and all(one.score < 0.1 for one in elsewhere.masks)


def test_what_another_word_names_rather_is_removed(search: WordSearch) -> None:
    found = search.find(Query("animal", (DOG + CAT) / np.sqrt(2), frozenset({"dog", "cat"})))
    assert len(found.masks) == 2
    left = search.without(found, Query("cat", CAT))
    assert [one.mask.box_xyxy for one in left.masks] == [(0, 0, 128, 128)]


def test_a_photo_without_boxes_has_no_masks(search: WordSearch) -> None:
    empty = Boxed()
    empty.detect_boxes = lambda *_: DetectedBoxes(np.zeros((0, 4)), np.zeros(0, np.float32))  # type: ignore[method-assign]
    found = WordSearch(empty, SeenModel(), seen()).find(Query("dog", DOG))
    assert all(one.scorer == "heat" for one in found.masks)
