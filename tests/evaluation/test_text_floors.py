"""Words on real photos: what was measured when the naming model was trained still holds, with a margin."""

from __future__ import annotations

from pathlib import Path

import pytest

import anymask
from anymask.evaluation import WordsUnderTest, evaluate_text

pytestmark = pytest.mark.slow


def test_words_find_what_they_name_on_photos_that_never_trained(shared_data: Path) -> None:
    report = evaluate_text(shared_data / "val" / "coco.tar", WordsUnderTest(anymask.load()))
    assert report["pairs"] == 171 and report["absent_pairs"] == 50 * 80 - 171
    assert report["presence_auroc"] > 0.93 and report["presence_auroc_per_name"] > 0.9
    assert report["recall_at_fpr"]["0.05"] > 0.67
    assert report["uiou_pairs"] > 0.28 and report["uiou_class"] > 0.25
    assert report["top1_on_thing"] > 0.48 and report["f1_50_present"] > 0.2
    assert report["shuffled_uiou_pairs"] < report["uiou_pairs"] / 4
    assert report["false_positive_rate"] < 0.1
