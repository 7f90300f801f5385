"""The pages that recipes write: fresh, complete, and without a photo that is not ours."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from anymask.core.candidates import Candidate
from anymask.core.frames import ResizeLongest

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "images" / "forty"


def recipe(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "recipes" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model_card() -> ModuleType:
    return recipe("model_card")


@pytest.fixture(scope="module")
def forty() -> ModuleType:
    pytest.importorskip("cv2")
    return recipe("forty")


@pytest.fixture
def card() -> dict[str, Any]:
    spec = {"name": "small", "input_size": 64, "low_res_size": 32}
    return {"spec": spec, "about": "A card."}


def test_the_model_card_is_fresh(model_card: ModuleType) -> None:
    if not model_card.CARD.exists():
        pytest.skip("no weights in this checkout")
    text = model_card.page(json.loads(model_card.CARD.read_text("utf-8")))
    assert model_card.PAGE.read_text("utf-8") == text, "run `python recipes/model_card.py`"


def test_every_result_is_on_the_page_with_its_interval(model_card: ModuleType, card: dict[str, Any]) -> None:
    card["results"] = {
        "grabcut": {"photos": 50, "iou_at_1": [0.812, 0.751, 0.867], "failures": 3},
        "proposals": {"ar_at": {"10": 0.25, "100": [0.5, 0.4, 0.6]}},
        "edges": {"ods": 0.6},
        "other_set": {"new_measure": None},
        "calibration": {"masks": 388, "ece": [0.04, 0.03, 0.06], "centre": {"ece": 0.07}},
    }
    lines = model_card.page(card).splitlines()
    for line in (
        "| GrabCut, clicks (50 photos) | IoU after one click | 0.812 [0.751, 0.867] |",
        "| GrabCut, clicks (50 photos) | failures | 3 |",
        "| Everything in a photo, ar at | 100 | 0.500 [0.400, 0.600] |",
        "| BSDS500, edges | ODS | 0.600 |",
        "| other set | new measure | None |",
        "| 388 masks | calibration error (15 bins) | 0.040 [0.030, 0.060] |",
        "| centre | calibration error (15 bins) | 0.070 |",
    ):
        assert lines.count(line) == 1, line


def test_a_card_that_says_little_has_a_short_page(model_card: ModuleType, card: dict[str, Any]) -> None:
    titles = re.findall("^## (.*)$", model_card.page(card), re.MULTILINE)
    assert titles == ["Calibration", "Failures"]


def test_data_sources_are_listed_and_counted(model_card: ModuleType, card: dict[str, Any]) -> None:
    card["data"] = [
        {"source": "a|b", "photos": 1000, "masks": 2000, "licence": "CC BY 4.0"},
        {"source": "c", "photos": 1, "masks": 1, "licence": "none"},
    ]
    text = model_card.page(card)
    assert "1,001 photos with 2,001 masks" in text
    assert "| a\\|b | 1,000 | 2,000 |  | CC BY 4.0 |" in text


def test_hours_are_those_of_all_stages(model_card: ModuleType, card: dict[str, Any]) -> None:
    card["recipe"] = {"seed": 0}
    card["training"] = {"mean_of": [{"seconds": 3600.0}, {"seconds": 5400.0}]}
    assert "**hours**: 2.5" in model_card.page(card)
    card["training"] = {"seconds": 1800.0}
    assert "**hours**: 0.5" in model_card.page(card)


def shown(forty: ModuleType, number: int, asked: str) -> Any:
    """A true block of 40 x 30 pixels, of which the answer has the left half."""
    from anymask.evaluation.samples import Sample

    truth = np.zeros((60, 80), bool)
    truth[10:40, 20:60] = True
    logits = np.full((64, 64), -9, np.float32)
    logits[8:32, 16:32] = 9
    candidate = Candidate(logits, 0.7, 0.4, ResizeLongest((60, 80), 64))
    sample = Sample("a_photo", 0, 2, truth, np.ones_like(truth), (20.0, 10.0, 60.0, 40.0))
    return forty.Shown(number, "coco", sample, asked, candidate)


@pytest.mark.parametrize("asked", ["centre", "box"])
def test_a_tile_shows_both_outlines_and_the_prompt(forty: ModuleType, asked: str) -> None:
    pixels = np.asarray(forty.tile(shown(forty, 1, asked))).reshape(-1, 3).astype(int)
    for colour in (forty.TRUTH, forty.ANSWER, forty.PROMPT):
        assert (np.abs(pixels - colour).max(1) < 40).sum() > 50


def test_the_page_has_a_line_for_each_answer_and_their_means(forty: ModuleType) -> None:
    text = forty.page([shown(forty, 1, "box"), shown(forty, 2, "centre")])
    assert re.search(r"^\| 1 \| a_photo \| 2 \| box \| 0\.\d{3} \| 0\.700 \| 0\.400 \|$", text, re.MULTILINE)
    assert re.search(r"^\| all \| 2 \| (0\.\d{3}) \| \1 \| \d \|$", text, re.MULTILINE)


def test_the_page_in_the_documents_shows_forty() -> None:
    text = (ROOT / "docs" / "forty.md").read_text("utf-8")
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == [str(n) for n in range(1, 41)]
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 400_000


def test_chance_draws_the_same_masks_of_different_photos(forty: ModuleType, shared_data: Path) -> None:
    pack = shared_data / "val" / "coco.tar"
    first, again = ([s for s, _ in forty.drawn(pack, np.random.default_rng(1))] for _ in range(2))
    assert len({s.image for s in first}) == forty.EACH
    assert [(s.key, s.annotation) for s in first] == [(s.key, s.annotation) for s in again]
