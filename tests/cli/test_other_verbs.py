"""`evaluate`, `train` and `models` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import Run, complaints

from anymask.cli.parsing import parse_setting
from anymask.cli.train import exported
from anymask.core.mask import Mask
from anymask.data.splits import in_validation
from anymask.files import staging


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two photos with a bright block each."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name, columns in (("a", slice(8, 30)), ("b", slice(20, 50))):
        pixels, inside = np.full((40, 60, 3), 30, np.uint8), np.zeros((40, 60), bool)
        inside[10:30, columns] = True
        pixels[inside] = (250, 200, 40)
        Image.fromarray(pixels).save(folder / f"{name}.png")
        mask = Mask.from_array(inside)
        annotation = {"id": 1, "segmentation": mask.rle, "bbox": mask.bbox_xywh}
        image = {"width": 60, "height": 40, "file_name": f"{name}.png"}
        (folder / f"{name}.json").write_text(json.dumps({"image": image, "annotations": [annotation]}))
    return folder


def test_evaluation_of_clicks_prints_one_object_and_writes_a_table(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "clicks", data, "--model", "grabcut", "--json", "--csv", "clicks.csv")
    report = json.loads(result.stdout)
    assert (result.exit_code, complaints(result)) == (0, [])
    expected = {
        "dataset",
        "model",
        "samples",
        "iou_at",
        "oracle_iou_at_1",
        "noc",
        "failures",
        "ci",
        "seconds_per_click",
    }
    assert expected <= report.keys()
    assert (report["model"], report["samples"]) == ("grabcut", 2)
    assert len(Path("clicks.csv").read_text().splitlines()) == 3


def test_evaluation_of_boxes_prints_one_object(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    report = json.loads(run("evaluate", "boxes", data, "--model", "grabcut", "--limit", "1", "--json").stdout)
    assert {"dataset", "model", "samples", "miou", "miou_jittered", "ci"} <= report.keys()
    assert report["samples"] == 1


def test_evaluation_of_what_was_held_out_leaves_the_rest_alone(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    keys = [key for key in "ab" if in_validation(key, 0.5)]
    assert len(keys) == 1, "the share of this test holds out one photo of the two"
    run("evaluate", "boxes", data, "--held-out", "0.5", "--model", "grabcut", "--csv", "boxes.csv")
    assert [line.split(",")[0] for line in Path("boxes.csv").read_text().splitlines()[1:]] == keys
    refused = run("evaluate", "boxes", data, "--held-out", "1.5", "--model", "grabcut")
    assert refused.exit_code != 0
    assert "above 0 and below 1" in refused.stderr


def as_coco(data: Path) -> Path:
    """The same photos in the layout of COCO, with an annotation that cannot be used."""
    images, annotations = [], []
    for number, name in enumerate("ab"):
        record = json.loads((data / f"{name}.json").read_text())
        images.append({**record["image"], "id": number})
        annotations += [{**record["annotations"][0], "image_id": number, "iscrowd": 0}]
    annotations.append({"image_id": 0, "segmentation": [[]]})
    coco = {"images": images, "annotations": annotations, "categories": None}
    (data / "annotations").mkdir()
    (data / "val2017").mkdir()
    for name in "ab":
        (data / f"{name}.png").rename(data / "val2017" / f"{name}.png")
    path = data / "annotations" / "instances_val2017.json"
    path.write_text(json.dumps(coco))
    return path


def test_a_coco_file_is_evaluated_trained_on_and_converted_alike(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("torch")
    folder = run("evaluate", "boxes", data, "--model", "grabcut", "--json")
    file = as_coco(data)
    coco = run("evaluate", "boxes", file, "--model", "grabcut", "--json")
    left_out = "anymask: note: 1 x photos or annotations that cannot be used left out (first: "
    assert (coco.exit_code, len(complaints(coco))) == (0, 2)
    assert complaints(coco)[-1].startswith(left_out)
    assert json.loads(coco.stdout)["miou"] == json.loads(folder.stdout)["miou"]
    options = ("--out", "run", "--steps", "1", "--device", "cpu")
    trained = run("train", "--recipe", "smoke", "--data", file, *options)
    assert trained.exit_code == 0, trained.stderr
    assert [line.startswith(left_out) for line in complaints(trained)].count(True) == 1
    converted = run("convert", file, "out", "--to", "sa1b")
    assert (converted.exit_code, converted.stdout) == (1, "2 masks of 2 photos: coco -> sa1b in out\n")


def test_evaluation_for_people_is_lines(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    assert "mIoU" in run("evaluate", "boxes", data, "--model", "grabcut").stdout


def test_evaluation_of_calibration_prints_one_object_and_draws_a_picture(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "calibration", data, "--json", "--plot", "reliability.png")
    report = json.loads(result.stdout)
    assert {"dataset", "model", "samples", "ece", "brier", "ranks", "ci", "refined"} <= report.keys()
    assert 0 <= report["ece"] <= 1 and 1 <= len(report["ranks"]["best"]) <= 3
    with Image.open("reliability.png") as picture:
        assert picture.size[0] > 300


def test_calibration_of_what_has_no_probabilities_is_refused(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "calibration", data, "--model", "grabcut")
    assert result.exit_code == 2 and "without probabilities" in complaints(result)[0]


def test_the_mean_with_what_is_no_run_is_refused(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    result = run("export", "lite", "--mean-with", "nowhere", "--out", "out")
    assert result.exit_code == 2 and "takes the mean of training runs" in complaints(result)[0]


def test_an_export_that_is_interrupted_leaves_nothing_that_is_a_model(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    left = []

    def interrupted(*_: object) -> None:
        left.extend(path.name for path in Path("out").iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr("anymask.export.graphs.write_graphs", interrupted)
    result = run("export", "lite", "--out", "out")
    assert result.exit_code == 130 and complaints(result)[0].startswith("anymask: exporting lite")
    assert len(left) == 1 and left[0].startswith(".unfinished-")
    assert list(Path("out").iterdir()) == []
    assert run("segment", "photo.png", "--point", "5,5", "--model", "out").exit_code != 0


def test_files_that_belong_together_appear_together_and_the_last_one_last(tmp_path: Path) -> None:
    folder = tmp_path / "together"
    folder.mkdir()
    (folder / "a.json").write_text("before")
    with pytest.raises(ValueError), staging(folder, "*.json") as staged:
        (staged / "a.json").write_text("after")
        raise ValueError
    assert [(p.name, p.read_text()) for p in folder.iterdir()] == [("a.json", "before")]
    with staging(folder, "*.json") as staged:
        (staged / "a.json").write_text("after")
        (staged / "b.onnx").write_text("graph")
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a.json": "after", "b.onnx": "graph"}


@pytest.mark.parametrize("name", ["lite", "sam_vit_b"])
def test_the_card_of_a_model_is_one_line_of_ascii(name: str, run: Run) -> None:
    result = run("models", "info", name, "--json")
    assert result.stdout.isascii() and result.stdout.count("\n") == 1
    assert {"path", "licence" if name == "sam_vit_b" else "spec"} <= json.loads(result.stdout).keys()


def test_a_run_is_told_how_it_is_exported() -> None:
    assert exported("lite", Path("run"), {}) == "run"
    assert exported("edges", Path("run"), {}) == "lite --edges run"
    assert exported("boxes", Path("run"), {"weights_from": "first"}) == "first --boxes run"


def test_evaluation_of_edges_prints_one_object_and_writes_a_table(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    for name in ("a", "b"):
        drawn = np.zeros((2, 40, 60), bool)
        drawn[:, 10, 8:50] = True
        np.savez(data / f"{name}.boundaries.npz", boundaries=drawn)
    result = run("evaluate", "edges", data, "--model", "sobel", "--json", "--csv", "edges.csv")
    report = json.loads(result.stdout)
    assert (result.exit_code, complaints(result)) == (0, [])
    assert report["ci"].keys() == {"ods", "ois", "ap", "r50"} <= report.keys()
    assert (report["model"], report["images"]) == ("sobel", 2)
    assert len(Path("edges.csv").read_text().splitlines()) == 3


def test_edges_of_a_head_are_measured_refined_or_not(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    for name in ("a", "b"):
        np.savez(data / f"{name}.boundaries.npz", boundaries=np.eye(40, 60, dtype=bool)[None])
    for refined, options in ((True, ()), (False, ("--no-refine",))):
        result = run("evaluate", "edges", data, "--backend", "onnx", "--limit", 1, "--json", *options)
        assert (result.exit_code, json.loads(result.stdout)["refined"]) == (0, refined)


def test_a_baseline_has_no_masks_to_take_edges_of(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "edges", data, "--model", "sobel", "--from-masks")
    assert result.exit_code == 2 and "sobel finds no masks" in complaints(result)[0]


def test_edges_of_masks_are_of_the_whole_photo(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "edges", data, "--from-masks", "--refine")
    assert result.exit_code == 2 and "--refine: edges of masks" in complaints(result)[0]


def test_evaluation_of_edges_without_drawings_says_what_is_missing(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "edges", data, "--model", "sobel")
    assert result.exit_code == 2 and "a.boundaries.npz" in complaints(result)[0]


def test_evaluation_of_proposals_prints_one_object(run: Run, data: Path) -> None:
    """The backend without weights finds a disk at each point."""
    pytest.importorskip("cv2")
    result = run("evaluate", "proposals", data, "--preset", "sam_default", "--json", "--csv", "photos.csv")
    report = json.loads(result.stdout)
    assert (result.exit_code, complaints(result)) == (0, [])
    assert report["ar_at"].keys() == report["baseline"]["ar_at"].keys() == {"10", "100", "1000"}
    assert (report["model"], report["images"], report["targets"]) == ("disk", 2, 2)
    assert len(Path("photos.csv").read_text().splitlines()) == 3
    assert "AR@100" in run("evaluate", "proposals", data, "--preset", "sam_default", "--limit", "1").stdout


def test_evaluation_of_calibration_prints_one_object_and_draws(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    files = ("--csv", "answers.csv", "--plot", "reliability.png")
    result = run("evaluate", "calibration", data, "--fit", "--json", *files)
    report = json.loads(result.stdout)
    assert (result.exit_code, complaints(result)) == (0, [])
    assert {"ece", "ece_even", "ece_null", "brier", "log_score", "ranks", "iou_error"} <= report.keys()
    assert (report["model"], report["samples"], report["answers"]) == ("disk", 2, 8)
    assert 0.1 <= report["fit"]["temperature"] <= 10
    assert len(Path("answers.csv").read_text().splitlines()) == 9
    with Image.open("reliability.png") as picture:
        assert len(picture.getcolors(1 << 20) or []) > 5


def test_evaluation_of_calibration_for_people_is_lines(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    assert "calibration error" in run("evaluate", "calibration", data, "--limit", "1").stdout


def test_evaluation_of_calibration_asks_for_probabilities_and_a_place_for_the_plot(
    run: Run, data: Path
) -> None:
    pytest.importorskip("cv2")
    for options in (("--model", "grabcut"), ("--plot", "missing/reliability.png")):
        result = run("evaluate", "calibration", data, *options)
        assert result.exit_code != 0 and len(complaints(result)) == 1


@pytest.mark.parametrize("option", [("--preset", "other"), ("--protocol", "other"), ("--limit", "0")])
def test_evaluation_of_proposals_refuses_what_it_does_not_know(
    option: tuple[str, str], run: Run, data: Path
) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "proposals", data, *option)
    assert result.exit_code == 2 and len(complaints(result)) == 1


def test_a_baseline_that_only_answers_prompts_cannot_propose(run: Run, data: Path) -> None:
    pytest.importorskip("cv2")
    result = run("evaluate", "proposals", data, "--model", "grabcut")
    assert result.exit_code == 2 and "answers prompts only" in complaints(result)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=0.001", ("lr", 0.001)),
        ("bf16=true", ("bf16", True)),
        ("scale=[0.5, 2]", ("scale", (0.5, 2))),
        ("weights_from=runs/a=b", ("weights_from", "runs/a=b")),
        (" steps =7", ("steps", 7)),
    ],
)
def test_a_setting_is_a_name_and_a_value(text: str, expected: tuple[str, object]) -> None:
    assert parse_setting(text) == expected


def test_a_folder_with_a_run_can_be_refused(run: Run, data: Path) -> None:
    pytest.importorskip("torch")
    Path("run").mkdir()
    Path("run/state.safetensors").write_bytes(b"")
    result = run("train", "--recipe", "smoke", "--data", data, "--out", "run", "--no-resume")
    assert result.exit_code == 2
    assert "run holds a run" in complaints(result)[0]


def test_an_unknown_field_of_a_recipe_is_told(run: Run, data: Path) -> None:
    pytest.importorskip("torch")
    result = run("train", "--recipe", "smoke", "--data", data, "--out", "run", "--set", "speed=11")
    assert result.exit_code == 2
    assert "speed" in complaints(result)[0]


@pytest.mark.slow
def test_a_run_of_a_few_steps_leaves_a_state(run: Run, data: Path) -> None:
    pytest.importorskip("torch")
    result = run("train", "--recipe", "smoke", "--data", data, "--out", "run", "--steps", "2")
    assert result.exit_code == 0, result.stderr
    assert Path("run/state.safetensors").exists()


def test_models_are_listed_with_what_is_here(run: Run) -> None:
    listed = {m["name"]: m for m in json.loads(run("models", "list", "--json").stdout)["models"]}
    assert {"sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam"} <= listed.keys()
    assert listed["sam_vit_h"]["download_bytes"] > 2e9
    assert "sam_vit_b" in run("models", "list").stdout


def test_a_model_that_is_not_here_is_described_by_where_it_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = json.loads(run("models", "info", "sam_vit_l").stdout)
    assert info["url"].endswith("sam_vit_l_0b3195.pth") and len(info["sha256"]) == 64
