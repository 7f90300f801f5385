"""Recall of ranked masks; pycocotools (`COCOeval` without categories) is the oracle."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from anymask.core.mask import Mask, iou_matrix
from anymask.evaluation.proposal_report import PhotoScore, summarise
from anymask.evaluation.recall import THRESHOLDS, ranks_of_finds, recall_per_target

SIZE = (150, 200)


def blob(rng: np.random.Generator) -> np.ndarray:
    """An ellipse of any size; many of one photo overlap."""
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    cy, cx, ry, rx = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1]), *rng.uniform(2, 70, 2)
    inside: np.ndarray = ((ys - cy) / ry) ** 2 + ((xs - cx) / rx) ** 2 < 1
    return inside if inside.any() else np.ones(SIZE, bool)


def near(target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy that is off by a few pixels."""
    shift = rng.integers(-8, 9, 2)
    moved: np.ndarray = np.roll(target, (int(shift[0]), int(shift[1])), (0, 1))
    return moved


def photo(rng: np.random.Generator) -> tuple[list[Mask], list[Mask]]:
    targets = [blob(rng) for _ in range(rng.integers(1, 9))]
    masks = [near(targets[rng.integers(len(targets))], rng) for _ in range(rng.integers(0, 60))]
    masks += [blob(rng) for _ in range(rng.integers(0, 20))]
    order = rng.permutation(len(masks))
    return [Mask.from_array(masks[i]) for i in order], [Mask.from_array(t) for t in targets]


def coco_recalls(photos: list[tuple[list[Mask], list[Mask]]]) -> dict[str, float]:
    """Average recall of COCOeval at 10, 100 and 1000, and at 100 by size."""
    with contextlib.redirect_stdout(io.StringIO()):
        scored = _coco_eval(photos)
    recall = scored.eval["recall"][:, 0]  # thresholds, areas, lengths

    def mean(area: int, length: int) -> float:
        values = recall[:, area, length]
        return float(values[values > -1].mean()) if (values > -1).any() else -1.0

    sizes = {name: mean(area, 1) for area, name in enumerate(("small", "medium", "large"), 1)}
    return {"10": mean(0, 0), "100": mean(0, 1), "1000": mean(0, 2), **sizes}


def _coco_eval(photos: list[tuple[list[Mask], list[Mask]]]) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, answers = COCO(), []
    truth.dataset = {
        "images": [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in range(len(photos))],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [],
    }
    for image, (masks, targets) in enumerate(photos):
        for target in targets:
            number = len(truth.dataset["annotations"]) + 1
            shape = {"segmentation": dict(target.rle), "area": target.area, "bbox": [0, 0, 1, 1]}
            truth.dataset["annotations"].append(
                {"id": number, "image_id": image, "iscrowd": 0, "category_id": 1, **shape}
            )
        for rank, mask in enumerate(masks):
            answers.append(
                {"image_id": image, "category_id": 1, "segmentation": dict(mask.rle), "score": 1 - rank / 1e3}
            )
    truth.createIndex()
    scored = COCOeval(truth, truth.loadRes(answers), "segm")
    scored.params.useCats, scored.params.maxDets = 0, [10, 100, 1000]
    scored.evaluate()
    scored.accumulate()
    return scored


def score(image: int, masks: list[Mask], targets: list[Mask]) -> PhotoScore:
    ious, none = iou_matrix(masks, targets), np.zeros(0, bool)
    areas = np.array([t.area for t in targets])
    return PhotoScore("key", image, areas, ious, ious[:0], none, none, none, np.zeros(0), len(masks), 0.1)


@pytest.mark.parametrize("seed", range(6))
def test_average_recall_is_that_of_the_coco_tools(seed: int) -> None:
    pytest.importorskip("pycocotools")
    rng = np.random.default_rng(seed)
    photos = [photo(rng) for _ in range(4)]
    report = summarise([score(image, *both) for image, both in enumerate(photos)])
    ours = report["ar_at"] | report["ar_at_100_by_size"]
    theirs = coco_recalls(photos)
    assert {k: -1.0 if v is None else v for k, v in ours.items()} == pytest.approx(theirs, abs=1e-12)
    assert 0 < theirs["100"] < 1


def test_each_target_is_found_once_and_by_the_best_ranked_mask_that_fits() -> None:
    ious = np.array([[0.0, 0.0], [0.8, 0.0], [0.9, 0.6], [0.97, 0.0]])
    ranks = ranks_of_finds(ious)
    assert ranks[THRESHOLDS.searchsorted(0.5)].tolist() == [1, 2]
    assert ranks[-1, 0] == 3
    assert recall_per_target(ranks, 1).tolist() == [0, 0]
    assert recall_per_target(ranks, 4) == pytest.approx([1, 0.3])


def test_of_two_fits_the_better_is_taken() -> None:
    assert ranks_of_finds(np.array([[0.6, 0.9], [0.7, 0.95]]))[0].tolist() == [1, 0]


def test_nothing_found_and_nothing_to_find() -> None:
    assert recall_per_target(ranks_of_finds(np.zeros((0, 2))), 10).tolist() == [0, 0]
    assert recall_per_target(ranks_of_finds(np.zeros((3, 0))), 10).shape == (0,)
