"""The text protocol on photos whose names are known, asked of models whose answers are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from evaluation_fakes import rectangle
from PIL import Image

from anymask.core.mask import Mask
from anymask.errors import BadInput
from anymask.evaluation.report import describe
from anymask.evaluation.text import auroc, evaluate_text, read_words, recall_at
from anymask.evaluation.text_pictures import chosen_pairs, tile, write_text_pictures

SIZE = (40, 60)
LEFT, RIGHT, CORNER = (rectangle(SIZE, *box) for box in ((0, 0, 20, 30), (40, 0, 60, 30), (0, 30, 8, 40)))


@dataclass(frozen=True)
class Told:
    mask: Mask
    score: float


@dataclass(frozen=True)
class Answered:
    present: bool
    presence: float
    masks: tuple[Told, ...]


@dataclass
class Scripted:
    """Answers a phrase with the masks of `script(phrase)`."""

    script: Callable[[str], tuple[float, list[np.ndarray]]]
    name: str = "scripted"

    def __post_init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, pixels_HW3: np.ndarray, /) -> Scripted:
        return self

    def find(self, phrase: str, /) -> Answered:
        self.asked.append(phrase)
        presence, masks = self.script(phrase)
        told = tuple(Told(Mask.from_array(m), 0.9 - 0.1 * i) for i, m in enumerate(masks))
        return Answered(presence >= 0.5, presence, told)


def write(folder: Path, key: str, named: list[tuple[str, np.ndarray]], names: list[str]) -> None:
    Image.new("RGB", SIZE[::-1], (90, 90, 90)).save(folder / f"{key}.png")
    annotations = [
        {"id": i, "segmentation": Mask.from_array(m).rle, "bbox": list(Mask.from_array(m).bbox_xywh),
         "area": int(m.sum()), "category": name}
        for i, (name, m) in enumerate(named)
    ]  # fmt: skip
    record = {
        "image": {"image_id": key, "height": SIZE[0], "width": SIZE[1], "file_name": f"{key}.png"},
        "annotations": annotations,
        "exhaustive_categories": names,
    }
    (folder / f"{key}.json").write_text(json.dumps(record), "utf-8")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two dogs in one photo, a cat in the other; a zebra in none."""
    write(tmp_path, "a", [("dog", LEFT), ("dog", RIGHT)], ["cat", "dog", "zebra"])
    write(tmp_path, "b", [("cat", LEFT)], ["cat", "dog", "zebra"])
    return tmp_path


def dogs_right(phrase: str) -> tuple[float, list[np.ndarray]]:
    """Dogs are always found, cats half, zebras never."""
    return {"dog": (0.9, [LEFT, RIGHT]), "cat": (0.6, [LEFT]), "zebra": (0.1, [CORNER])}[phrase]


def test_every_number_of_a_known_answer(photos: Path) -> None:
    report = evaluate_text(photos, Scripted(dogs_right))
    assert (report["photos"], report["pairs"], report["absent_pairs"]) == (2, 2, 4)
    assert report["uiou_pairs"] == report["uiou_class"] == report["uiou_decided"] == 1
    assert report["top1_on_thing"] == report["recall"] == report["f1_50_present"] == 1
    # present: dog .9, cat .6; absent: cat .6, dog .9, zebra .1 twice
    assert report["presence_auroc"] == pytest.approx((3 + 0.5 + 2 + 0.5) / 8)
    assert report["presence_auroc_per_name"] == 0.5
    assert report["false_positive_rate"] == 0.5
    assert 0 < report["ap50"] <= 1
    assert report["ci"]["uiou_pairs"] == [1, 1] and set(report["recall_at_fpr"]) == {"0.05", "0.01"}


def test_wrong_masks_score_nothing(photos: Path) -> None:
    report = evaluate_text(photos, Scripted(lambda phrase: (0.9, [CORNER])))
    assert report["uiou_pairs"] == report["f1_50_present"] == report["ap50"] == report["top1_on_thing"] == 0


def test_a_second_mask_on_the_same_thing_is_wrong(photos: Path) -> None:
    report = evaluate_text(photos, Scripted(lambda phrase: (0.9, [LEFT, LEFT])))
    assert report["f1_50_present"] == pytest.approx(2 * 2 / (4 + 3))


def test_an_absent_answer_counts_as_nothing_where_it_is_decided(photos: Path) -> None:
    report = evaluate_text(photos, Scripted(lambda phrase: (0.2, [LEFT])))
    assert (
        report["uiou_decided"] == 0 and report["uiou_pairs"] == pytest.approx(0.75) and report["recall"] == 0
    )


def test_the_control_asks_a_name_that_is_absent(photos: Path) -> None:
    report = evaluate_text(photos, Scripted(lambda phrase: (0.9, [LEFT] if phrase == "dog" else [CORNER])))
    assert report["shuffled_uiou_pairs"] < report["uiou_pairs"] or report["shuffled_uiou_pairs"] in (
        0,
        1,
        0.5,
    )
    wrong = evaluate_text(photos, Scripted(lambda phrase: (0.9, [CORNER] if phrase == "zebra" else [LEFT])))
    assert wrong["shuffled_uiou_pairs"] <= 1


def test_other_words_are_asked_for_their_names_alone(photos: Path) -> None:
    model = Scripted(lambda phrase: (0.9, [LEFT]))
    report = evaluate_text(photos, model, words={"dog": ["hound", "doggy"]})
    assert model.asked == ["hound", "doggy"] and report["pairs"] == 1


def test_the_table_has_a_line_for_each_photo_and_name(
    photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = tmp_path_factory.mktemp("out") / "pairs.csv"
    evaluate_text(photos, Scripted(dogs_right), csv_path=table)
    lines = table.read_text("utf-8").splitlines()
    assert len(lines) == 7 and lines[0].startswith("key,name,there,presence")


def test_the_report_reads_well(photos: Path) -> None:
    text = describe(evaluate_text(photos, Scripted(dogs_right)))
    assert "presence, AUROC" in text and "recall at 5% false" in text and "ms for the first phrase" in text


def test_photos_without_names_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", [], ["dog"])
    with pytest.raises(BadInput, match="named masks"):
        evaluate_text(tmp_path, Scripted(dogs_right))


@pytest.mark.parametrize("text", ["[]", '{"dog": []}', '{"dog": [1]}', "{", "{}"])
def test_a_file_of_words_must_be_names_with_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words.json"
    path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match="names"):
        read_words(path)


def test_one_word_may_stand_without_a_list(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text('{"couch": "sofa", "tv": ["television"]}', "utf-8")
    assert read_words(path) == {"couch": ["sofa"], "tv": ["television"]}


def test_ties_count_half_and_thresholds_let_few_through() -> None:
    right, wrong = np.array([0.5, 0.9]), np.array([0.5, 0.1])
    assert auroc(right, wrong) == pytest.approx((0.5 + 1 + 2) / 4)
    many = np.linspace(0, 1, 100)
    assert recall_at(np.array([0.945, 0.99]), many, 0.05) == pytest.approx(0.5)
    assert auroc(right, np.array([])) is None


def test_pictures_show_present_and_absent_names_in_turn(photos: Path, tmp_path: Path) -> None:
    told = {"a": {"dog"}, "b": {"cat"}}
    pairs = [(record.key, name) for record, name in chosen_pairs(photos, 10)]
    assert len(pairs) == 10 and [name in told[key] for key, name in pairs] == [True, False] * 5
    sheets = write_text_pictures(photos, Scripted(dogs_right), tmp_path / "drawn", 10)
    assert [one.name for one in sheets] == ["words-1.png", "words-2.png"]
    with Image.open(sheets[0]) as drawn:
        assert drawn.width > 1000


def test_a_picture_says_in_green_or_red_whether_the_answer_is_right(photos: Path) -> None:
    (record, _), *_ = chosen_pairs(photos, 1)
    right, wrong = (
        tile(record, "dog", Scripted(lambda phrase, sure=sure: (sure, [LEFT])))  # type: ignore[misc]
        for sure in ((0.9, 0.1) if record.key == "a" else (0.1, 0.9))
    )
    colours = [np.asarray(one)[24:40].reshape(-1, 3).astype(int) for one in (right, wrong)]
    reds = [(one[:, 0] - one[:, 1]).max() for one in colours]
    assert reds[0] < 60 < 120 < reds[1]
