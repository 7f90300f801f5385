"""Words on the command line, with the default model on the example photos."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shell import Run, complaints

from anymask.core.mask import Mask

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def with_the_default_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYMASK_BACKEND", "onnx")


def annotations(folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(folder, "cat.json").read_text())["annotations"]
    return found


def test_a_word_gives_every_instance_a_mask(run: Run) -> None:
    result = run("segment", EXAMPLES / "cat.jpg", "--text", "cat", "--out", "out")
    assert (result.exit_code, complaints(result)) == (0, [])
    record = json.loads(Path("out/cat.json").read_text())
    (told,) = record["texts"]
    assert told["present"] and told["name"] == "cat" and told["masks"] == len(record["annotations"]) >= 1
    first = record["annotations"][0]
    assert first["category"] == "cat" and first["prompts"] == [{"text": "cat"}] and 0 < first["score"] <= 1
    assert max(one["area"] for one in record["annotations"]) > 0.4 * 451 * 300  # it fills the photo
    assert {"cat.json", "cat.overlay.png"} < set(os.listdir("out"))
    assert '"cat" (cat): ' in result.stdout


def test_korean_means_the_same(run: Run) -> None:
    english, korean = (
        json.loads(run("segment", EXAMPLES / "cat.jpg", "--text", text, "--json").stdout)
        for text in ("cat", "고양이")
    )
    masks = [[one["segmentation"] for one in record["annotations"]] for record in (english, korean)]
    assert masks[0] == masks[1] and korean["texts"][0]["name"] == "cat"


def test_what_is_absent_is_said_to_be_absent(run: Run) -> None:
    result = run("segment", EXAMPLES / "cat.jpg", "--text", "bicycle", "--out", "out")
    assert result.exit_code == 0 and "not here" in result.stdout
    assert sorted(os.listdir("out")) == ["cat.json", "cat.overlay.png"]
    assert json.loads(Path("out/cat.json").read_text())["annotations"] == []


def test_an_unknown_word_is_refused_before_any_photo_is_read(run: Run) -> None:
    result = run("segment", "missing.jpg", "--text", "blorf")
    assert result.exit_code == 2
    assert complaints(result)[0].startswith('anymask: unknown word: "blorf"; nearest known: ')


def test_a_phrase_that_only_excludes_is_refused(run: Run) -> None:
    result = run("segment", EXAMPLES / "cat.jpg", "--text", "not a cat")
    assert result.exit_code == 2 and "what is not wanted" in complaints(result)[0]


def test_what_was_not_understood_is_told(run: Run) -> None:
    result = run("segment", EXAMPLES / "cat.jpg", "--text", "sleeping cat", "--no-refine", "--out", "out")
    assert "not understood, and left out: sleeping" in result.stdout


def test_a_word_beside_a_click_says_what_is_meant(run: Run) -> None:
    point = ("segment", EXAMPLES / "cat.jpg", "--point", "230,180", "--json")
    record = json.loads(run(*point, "--text", "cat").stdout)
    (annotation,) = record["annotations"]
    assert annotation["area"] > 0.4 * 451 * 300
    assert annotation["prompts"][0]["text"] == "cat"


def test_only_what_lies_in_the_box_is_found(run: Run) -> None:
    corner = run("segment", EXAMPLES / "cat.jpg", "--text", "cat", "--box", "0,0,40,40", "--json")
    assert json.loads(corner.stdout)["annotations"] == []


def test_masks_get_names_from_a_data_set_to_a_data_set(run: Run) -> None:
    assert run("segment", EXAMPLES / "cat.jpg", "--box", "5,5,395,295", "--out", "masks").exit_code == 0
    shutil.copy(EXAMPLES / "cat.jpg", "masks/cat.jpg")
    result = run("name", "masks", "named", "--to", "coco")
    assert result.exit_code == 0, result.output
    assert "1 masks of 1 photos named" in result.stdout
    found = json.loads(Path("named/annotations.json").read_text())
    assert [one["name"] for one in found["categories"]] in (["cat"], ["unknown"])
    again = run("name", "named", "twice")
    assert "0 masks of 1 photos named, 0 unknown; 1 had names already (--again" in again.stdout


def test_names_of_automatic_masks_are_in_their_records(run: Run) -> None:
    result = run("everything", EXAMPLES / "cat.jpg", "--at-least", "0.3", "--names", "--out", "out")
    assert result.exit_code == 0, result.output
    found = annotations("out")
    assert found and all(one["category"] and 0 <= one["category_probability"] <= 1 for one in found)


def test_only_masks_like_the_exemplar_are_kept(run: Run) -> None:
    cat, options = EXAMPLES / "cat.jpg", ("--at-least", "0.1", "--out")
    run("everything", cat, *options, "all")
    masks = annotations("all")
    largest = Mask.from_rle(max(masks, key=lambda one: one["area"])["segmentation"])
    Image.fromarray(largest.to_array().astype(np.uint8) * 255).save("like.png")
    assert run("everything", cat, "--like", "like.png", *options, "like").exit_code == 0
    kept = annotations("like")
    assert 1 <= len(kept) < len(masks)
    assert max(one["similarity"] for one in kept) > 0.99


def test_an_exemplar_of_another_photo_is_refused(run: Run) -> None:
    Image.new("L", (20, 10), 255).save("like.png")
    result = run("everything", EXAMPLES / "cat.jpg", "--like", "like.png", "--out", "out")
    assert result.exit_code == 2 and "expected a mask of the size of" in complaints(result)[0]
