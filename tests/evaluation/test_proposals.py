"""The proposal protocol with models whose masks are known beforehand."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_fakes import rectangle, write_record

from anymask.automatic.config import settings_of
from anymask.core.mask import Mask
from anymask.errors import BadInput, BadOption
from anymask.evaluation import describe, evaluate_proposals
from anymask.evaluation.proposals import PAPER, random_boxes, ranked

SIZE = (120, 160)
BIG, SMALL, OTHER = (
    rectangle(SIZE, *box) for box in ((10, 10, 120, 110), (20, 20, 40, 40), (128, 60, 158, 100))
)


@dataclass(frozen=True)
class FakeFound:
    mask: Mask
    probability: float = 0.9


@dataclass
class FakeProposer:
    """Finds the same masks in every photo; remembers how it was asked."""

    found: Sequence[np.ndarray]
    name: str = "fake"
    asked: list[dict[str, Any]] = field(default_factory=list)

    def everything(self, source: Any, /, preset: str = "default", **changes: Any) -> list[FakeFound]:
        assert source.shape == (*SIZE, 3)
        self.asked.append({"preset": preset, **changes})
        return [FakeFound(Mask.from_array(m)) for m in self.found]


Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def call(*masks: np.ndarray, more: dict[str, Any] | None = None, **fields: np.ndarray) -> None:
        """A photo with these masks; `more` goes into the first annotation."""
        write_record(tmp_path, "photo", [{"mask": m} for m in masks], **fields)
        if more:
            record = json.loads((tmp_path / "photo.json").read_text())
            record["annotations"][0] |= more
            (tmp_path / "photo.json").write_text(json.dumps(record))

    return call


def add_crowd(folder: Path, crowd: dict[str, Any]) -> None:
    record = json.loads((folder / "photo.json").read_text())
    (folder / "photo.json").write_text(json.dumps({**record, "crowd": [crowd]}))


def test_perfect_masks_are_all_found(write: Write, tmp_path: Path) -> None:
    write(BIG, SMALL, OTHER)
    report = evaluate_proposals(tmp_path, FakeProposer([OTHER, SMALL, BIG]))
    assert report["ar_at"] == {"10": 1.0, "100": 1.0, "1000": 1.0}
    assert report["ar_at_100_by_size"] == {"small": 1.0, "medium": 1.0, "large": 1.0}
    assert report["precision_at_75"] == report["precision_at_75_annotated"] == report["tight_at_75"] == 1.0
    assert report["ci"]["ar_at"]["100"] == [1.0, 1.0]
    assert (report["images"], report["targets"], report["masks"], report["masks_per_image"]) == (1, 3, 3, 3.0)


def test_a_mask_of_known_overlap_is_found_at_the_lower_thresholds_only(write: Write, tmp_path: Path) -> None:
    write(rectangle(SIZE, 0, 0, 100, 100))
    report = evaluate_proposals(tmp_path, FakeProposer([rectangle(SIZE, 0, 0, 72, 100)]))
    assert report["ar_at"]["10"] == pytest.approx(0.5)  # an IoU of 0.72 is enough for 0.50 to 0.70
    assert (report["precision_at_75"], report["tight_at_75"]) == (0.0, 0.0)
    assert report["ar_at_100_by_size"]["small"] is None and report["ci"]["ar_at_100_by_size"]["small"] is None


def test_the_most_probable_masks_count_for_a_short_list() -> None:
    masks = [Mask.from_array(m) for m in (BIG, SMALL, OTHER)]
    found = [FakeFound(mask, chance) for mask, chance in zip(masks, (0.5, 0.9, 0.6), strict=True)]
    assert [f.mask for f in ranked(found)] == [masks[1], masks[2], masks[0]]


@dataclass
class ScoringProposer(FakeProposer):
    """With a probability for each mask."""

    chances: Sequence[float] = ()

    def everything(self, source: Any, /, preset: str = "default", **changes: Any) -> list[FakeFound]:
        return [FakeFound(Mask.from_array(m), p) for m, p in zip(self.found, self.chances, strict=True)]


def test_the_reliability_table_says_how_many_of_each_bin_are_right(write: Write, tmp_path: Path) -> None:
    write(BIG, SMALL)
    model = ScoringProposer([BIG, OTHER, SMALL, OTHER], chances=[0.92, 0.96, 1.0, 0.31])
    report = evaluate_proposals(tmp_path, model)
    low, high = report["reliability"]
    assert low == {"from": 0.3, "to": 0.4, "count": 1, "mean_probability": 0.31, "fraction_right": 0.0}
    assert (high["from"], high["to"], high["count"]) == (0.9, 1.0, 3)
    assert high["mean_probability"] == pytest.approx(0.96)
    assert high["fraction_right"] == pytest.approx(2 / 3, abs=1e-4)
    assert report["calibration_error"] == pytest.approx((0.31 + 3 * (0.96 - 2 / 3)) / 4, abs=1e-3)


def test_recall_of_ten_differs_from_recall_of_a_hundred(write: Write, tmp_path: Path) -> None:
    write(OTHER)
    report = evaluate_proposals(tmp_path, FakeProposer([SMALL] * 10 + [OTHER]))
    assert report["ar_at"] == {"10": 0.0, "100": 1.0, "1000": 1.0}


def test_precision_tells_masks_on_annotated_pixels_apart(write: Write, tmp_path: Path) -> None:
    write(BIG)
    part, elsewhere, loose = SMALL, OTHER, rectangle(SIZE, 10, 10, 120, 76)
    report = evaluate_proposals(tmp_path, FakeProposer([BIG, part, elsewhere, loose]))
    assert report["precision_at_75"] == pytest.approx(1 / 4)
    assert report["precision_at_75_annotated"] == pytest.approx(1 / 3)
    assert report["tight_at_75"] == pytest.approx(1 / 2)


def test_ignored_pixels_of_the_photo_are_not_scored(write: Write, tmp_path: Path) -> None:
    write(BIG, ignore=rectangle(SIZE, 80, 0, 160, 120))
    cut = BIG & ~rectangle(SIZE, 80, 0, 160, 120)
    report = evaluate_proposals(tmp_path, FakeProposer([cut | OTHER, OTHER]))
    assert report["ar_at"]["10"] == 1.0
    assert report["precision_at_75"] == 1.0  # the second mask lies on ignored pixels and says nothing


def test_ignored_pixels_of_one_mask_are_scored_for_the_others(write: Write, tmp_path: Path) -> None:
    right = rectangle(SIZE, 80, 0, 160, 120)
    write(BIG, OTHER, more={"ignore": Mask.from_array(right).rle})
    report = evaluate_proposals(tmp_path, FakeProposer([BIG & ~right, OTHER]))
    assert report["ar_at"]["10"] == 1.0
    assert evaluate_proposals(tmp_path, FakeProposer([BIG & ~right]))["ar_at"]["10"] == 0.5


@pytest.mark.parametrize("crowd", [{"bbox": [128, 60, 30, 40]}, {"segmentation": Mask.from_array(OTHER).rle}])
def test_a_crowd_is_neither_a_target_nor_wrong(crowd: dict[str, Any], write: Write, tmp_path: Path) -> None:
    write(BIG)
    add_crowd(tmp_path, crowd)
    report = evaluate_proposals(tmp_path, FakeProposer([BIG, OTHER]))
    assert (report["targets"], report["precision_at_75"], report["masks"]) == (1, 1.0, 2)


def test_masks_of_several_things_can_be_left_out(write: Write, tmp_path: Path) -> None:
    write(OTHER, BIG, more={"semantic": True})
    model = FakeProposer([BIG, OTHER])
    assert evaluate_proposals(tmp_path, model)["targets"] == 2
    report = evaluate_proposals(tmp_path, model, semantic=False)
    assert (report["targets"], report["precision_at_75"]) == (1, 1.0)


def test_the_baseline_is_as_many_boxes_of_the_sizes_of_the_targets(write: Write, tmp_path: Path) -> None:
    write(SMALL)
    sizes = np.array([[20 / 160, 20 / 120]])
    boxes = list(random_boxes(30, sizes, SIZE, 0))
    assert {box.bbox_xywh[2:] for box in boxes} == {(20, 20)} and len({box.box_xyxy for box in boxes}) > 20
    assert boxes == list(random_boxes(30, sizes, SIZE, 0)) != list(random_boxes(30, sizes, SIZE, 1))
    few, many = (
        evaluate_proposals(tmp_path, FakeProposer([BIG] * n))["baseline"]["ar_at"]["1000"] for n in (1, 500)
    )
    assert few < many <= 1


def test_a_target_that_fills_the_photo_is_found_by_the_floor(write: Write, tmp_path: Path) -> None:
    write(np.ones(SIZE, bool))
    assert evaluate_proposals(tmp_path, FakeProposer([BIG]))["baseline"]["ar_at"]["10"] == 1.0


def test_a_model_that_finds_nothing_has_a_report_too(write: Write, tmp_path: Path) -> None:
    write(BIG)
    report = evaluate_proposals(tmp_path, FakeProposer([]))
    assert report["ar_at"]["1000"] == 0.0 and report["precision_at_75"] is None and report["masks"] == 0
    assert (report["reliability"], report["calibration_error"]) == ([], None)
    assert json.loads(json.dumps(report)) == report and "none" in describe(report)


def test_the_paper_protocol_asks_without_thresholds(write: Write, tmp_path: Path) -> None:
    write(BIG)
    model = FakeProposer([BIG])
    report = evaluate_proposals(tmp_path, model, protocol="paper")
    evaluate_proposals(tmp_path, model, preset="sam_default")
    assert model.asked == [{"preset": "sa1b", **PAPER}, {"preset": "sam_default"}]
    assert (report["preset"], report["protocol"]) == ("sa1b", "paper")


@pytest.mark.parametrize("changes", [PAPER])
def test_what_the_protocols_ask_for_are_settings(changes: dict[str, Any]) -> None:
    settings = settings_of("sa1b", **changes)
    assert settings.crop_n_layers == 0 and settings.point_offset_px == 0


def test_the_table_has_a_line_per_photo_and_progress_is_told(write: Write, tmp_path: Path) -> None:
    write(BIG, SMALL)
    steps: list[tuple[int, int]] = []
    evaluate_proposals(
        tmp_path, FakeProposer([BIG]), csv_path=tmp_path / "r.csv", progress=lambda *s: steps.append(s)
    )
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["key"], row["targets"], row["masks"], row["ar_10"], row["hits_75"]) == (
        "photo",
        "2",
        "1",
        "0.5",
        "1",
    )
    assert steps == [(1, 1)]


def test_bad_calls_say_what_is_wrong(write: Write, tmp_path: Path) -> None:
    write(BIG, ignore=BIG)
    with pytest.raises(BadInput, match="no masks to score"):
        evaluate_proposals(tmp_path, FakeProposer([]))
    with pytest.raises(BadInput, match="limit"):
        evaluate_proposals(tmp_path, FakeProposer([]), limit=0)
    with pytest.raises(BadOption, match="'preset' or 'paper'"):
        evaluate_proposals(tmp_path, FakeProposer([]), protocol="other")  # type: ignore[arg-type]
