"""`anymask segment`: what it writes and what it prints."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import Run, complaints

from anymask.core.mask import Mask
from anymask.data.sources import open_records


def test_a_point_gives_an_overlay_a_mask_and_a_record(run: Run, photo: Path) -> None:
    result = run("segment", photo, "--point", "60,40", "--out", "out")
    assert (result.exit_code, complaints(result)) == (0, [])
    assert sorted(os.listdir("out")) == ["photo.json", "photo.mask.png", "photo.overlay.png"]
    record = json.loads(Path("out/photo.json").read_text())
    assert {k: record["image"][k] for k in ("width", "height", "file_name")} == {
        "width": 120, "height": 80, "file_name": "photo.png",
    }  # fmt: skip
    (annotation,) = record["annotations"]
    mask = np.asarray(Image.open("out/photo.mask.png"))
    assert set(np.unique(mask)) == {0, 255}
    assert Mask.from_rle(annotation["segmentation"]) == Mask.from_array(mask > 0)
    assert annotation["area"] == (mask > 0).sum()
    assert annotation["prompts"] == [{"points": [[60, 40]], "labels": [1]}]
    assert 0 <= annotation["probability"] <= 1
    assert record["model"] and record["seconds"]["encode"] >= 0
    with Image.open("out/photo.overlay.png") as overlay:
        assert overlay.size == (120, 80)
    assert f"{photo}  120 x 80" in result.stdout


def test_files_go_to_a_folder_of_their_own_by_default(run: Run, photo: Path) -> None:
    run("segment", photo, "--point", "60,40")
    assert sorted(os.listdir("anymask-out")) == ["photo.json", "photo.mask.png", "photo.overlay.png"]


def test_json_prints_a_record_per_photo_and_nothing_else(run: Run, photo: Path) -> None:
    result = run("segment", photo, photo, "--point", "60,40", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [r["image"]["file_name"] for r in records] == ["photo.png", "photo.png"]
    assert records[0]["image"]["image_id"] == records[1]["image"]["image_id"]
    assert result.stderr == ""
    assert os.listdir() == []


def test_json_with_a_folder_also_writes_what_it_prints(run: Run, photo: Path) -> None:
    result = run("segment", photo, "--point", "60,40", "--json", "--out", "out")
    assert json.loads(result.stdout) == json.loads(Path("out/photo.json").read_text())
    assert json.loads(result.stdout)["annotations"][0]["mask_file"] == "photo.mask.png"


def test_several_boxes_are_several_masks(run: Run, photo: Path) -> None:
    run("segment", photo, "--box", "5,5,40,40", "--box", "60,20,110,70", "--out", "out")
    assert {"photo.mask-1.png", "photo.mask-2.png"} < set(os.listdir("out"))
    annotations = json.loads(Path("out/photo.json").read_text())["annotations"]
    assert [a["prompts"][0]["box"] for a in annotations] == [[5, 5, 40, 40], [60, 20, 110, 70]]
    assert [a["mask_file"] for a in annotations] == ["photo.mask-1.png", "photo.mask-2.png"]


def test_all_candidates_of_a_point_stand_side_by_side(run: Run, photo: Path) -> None:
    run("segment", photo, "--point", "60,40", "--candidates", "--out", "out")
    annotations = json.loads(Path("out/photo.json").read_text())["annotations"]
    assert [a["candidate"] for a in annotations] == [1, 2, 3]
    assert [a["probability"] for a in annotations] == sorted(
        (a["probability"] for a in annotations), reverse=True
    )
    with Image.open("out/photo.overlay.png") as overlay:
        assert overlay.width > 3 * 120


def test_a_mask_file_is_a_prompt(run: Run, photo: Path) -> None:
    rough = np.zeros((80, 120), np.uint8)
    rough[20:60, 30:90] = 255
    Image.fromarray(rough).save("rough.png")
    result = run("segment", photo, "--mask", "rough.png", "--json")
    assert json.loads(result.stdout)["annotations"][0]["prompts"] == [{"mask": True}]


def test_photos_of_the_same_name_do_not_replace_each_other(run: Run, photo: Path) -> None:
    Path("other").mkdir()
    Image.new("RGB", (30, 30)).save("other/photo.jpg")
    run("segment", photo, "other/photo.jpg", "--point", "10,10", "--out", "out")
    sizes = [json.loads(Path(f"out/{n}.json").read_text())["image"]["width"] for n in ("photo", "photo-2")]
    assert sizes == [120, 30]


def test_a_rotated_photo_is_answered_upright(run: Run, photo: Path) -> None:
    image = Image.open(photo)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save("turned.jpg", exif=exif)
    run("segment", "turned.jpg", "--point", "70,110", "--out", "out")
    with Image.open("out/turned.mask.png") as mask:
        assert mask.size == (80, 120)


def test_the_written_record_is_a_data_set_together_with_the_photo(run: Run, photo: Path) -> None:
    run("segment", photo, "--box", "5,5,40,40", "--out", photo.parent)
    (record,) = [r for r in open_records(photo.parent) if r.key == "photo"]
    assert [a.mask is not None for a in record.annotations] == [True]


@pytest.mark.parametrize("model", ["the photo", "the mask"])
def test_an_input_is_never_overwritten(run: Run, photo: Path, model: str) -> None:
    Path("out").mkdir()
    inputs = {"the photo": ("out/photo.overlay.png", "photo.overlay"), "the mask": ("out/photo.mask.png", "")}
    victim = Path(inputs[model][0])
    Image.open(photo).save(victim)
    Path("out/photo.json").symlink_to(victim.name)
    before = victim.read_bytes()
    arguments = ["--mask", victim] if model == "the mask" else []
    photos = [photo] if model == "the mask" else [victim, photo]
    result = run("segment", *photos, "--point", "10,10", "--out", "out", *arguments)
    assert result.exit_code == 1
    assert any("is an input of this call" in line for line in complaints(result))
    assert victim.read_bytes() == before
