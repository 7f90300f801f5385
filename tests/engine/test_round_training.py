"""A round on four tiny photos: it learns, gives a model that everything works with, and survives a kill
-9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

import anymask
from anymask.core.mask import Mask
from anymask.data.record import annotation_of
from anymask.data.sources import open_records
from anymask.engine.round_evaluation import RoundProtocol, evaluate_round
from anymask.engine.round_model import blend, open_base, publish
from anymask.engine.round_settings import RoundSettings
from anymask.engine.round_training import split, train_round
from anymask.errors import BadInput, BadOption
from anymask.hub.card import ModelFiles, check_files

TINY = RoundSettings(
    mask_steps=4,
    box_steps=3,
    batch=2,
    objects=2,
    size=128,
    fitted_photos=2,
    shares=(1.0,),
    checkpoint_seconds=0,
)
ARGUMENTS = "mask_steps=4, box_steps=3, batch=2, objects=2, size=128, fitted_photos=2, shares=(1.0,)"


@pytest.fixture(scope="module")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with bright dots on dark noise, all of them annotated."""
    folder = tmp_path_factory.mktemp("dots")
    for number in range(4):
        rng = np.random.default_rng(number)
        pixels, annotations = rng.integers(0, 50, (128, 160, 3)).astype(np.uint8), []
        ys, xs = np.mgrid[:128, :160] + 0.5
        for cell in range(12):
            cx, cy = 20 + 40 * (cell % 4), 20 + 40 * (cell // 4)
            inside = (xs - cx) ** 2 + (ys - cy) ** 2 < rng.uniform(8, 13) ** 2
            pixels[inside] = rng.integers(150, 250, 3)
            annotations.append(annotation_of(cell + 1, Mask.from_array(inside)))
        Image.fromarray(pixels).save(folder / f"dots{number}.png")
        image = {"image_id": f"dots{number}", "width": 160, "height": 128, "file_name": f"dots{number}.png"}
        record = {"image": image, "annotations": annotations, "source": "dots"}
        (folder / f"dots{number}.json").write_text(json.dumps(record))
    return folder


def weights_of(folder: Path) -> tuple[bytes, bytes]:
    files = ModelFiles.of(folder / "model" / "lite.json")
    return files.weights.read_bytes(), files.boxes.read_bytes()


def test_unchanged_weights_give_the_files_of_the_model_before(tmp_path: Path) -> None:
    base = open_base("lite")
    same = blend(base.network.state_dict(), base.network.state_dict(), 0.5)
    ours = ModelFiles.of(publish(base, same, base.box_head, {}, tmp_path))
    for part in ("weights", "encoder", "decoder", "boxes", "edges"):
        assert ours.part(part).read_bytes() == base.files.part(part).read_bytes()


def test_of_two_photos_one_is_held_out(dots: Path) -> None:
    records = open_records(dots)
    for count in (1, 2, 3, 4):
        trained, held_out = split(records.only(range(count)), 0.01)
        assert len(trained) + len(held_out) == count
        assert len(held_out) == (count > 1)


def test_photos_without_masks_are_refused(dots: Path) -> None:
    with pytest.raises(BadInput, match="at least one photo with a mask"):
        split(open_records(dots).only([]), 0.1)


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"mask_steps": 0}, {"size": 100}, {"hold_out": 0.0}):
        with pytest.raises(BadOption):
            RoundSettings(**wrong)  # type: ignore[arg-type]
    assert RoundSettings().within(2).mask_steps > RoundSettings().within(1).mask_steps


@pytest.mark.slow
def test_a_round_makes_a_complete_model_and_another_folder_is_refused(dots: Path, tmp_path: Path) -> None:
    records, steps = open_records(dots), list[int]()
    made = train_round(records, "lite", tmp_path, TINY, progress=lambda done, total: steps.append(done))
    assert steps == list(range(1, 8))
    check_files(made.card)
    model = anymask.load(str(made.card))
    scores = evaluate_round(model, records, RoundProtocol(photos=2, masks=2, automatic=1))
    assert {"iou_click_1", "iou_box", "ar_at_100"} <= set(scores.measures)
    facts = json.loads(made.card.read_text())
    assert facts["automatic"]["default"]["min_mask_region_area"] <= 100
    assert facts["round"]["photos"] == len(made.trained)
    again = train_round(records, "lite", tmp_path, TINY)
    assert again == made
    (tmp_path / "round.json").unlink()
    with pytest.raises(BadOption, match="another round: settings"):
        train_round(records, "lite", tmp_path, replace(TINY, seed=1))


@pytest.mark.slow
def test_more_steps_answer_one_click_better(dots: Path, tmp_path: Path) -> None:
    records, protocol = open_records(dots), RoundProtocol(photos=4, masks=3, automatic=0)
    settings = replace(TINY, mask_steps=25, rehearsal=0.0, lr=5e-4)
    made = train_round(records, "lite", tmp_path, settings)
    log = [json.loads(line) for line in (tmp_path / "masks" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < log[0]["loss"]
    before, after = (evaluate_round(anymask.load(str(m)), records, protocol) for m in ("lite", made.card))
    assert after.mean("iou_click_1") > before.mean("iou_click_1") - 0.02


@pytest.mark.slow
def test_a_round_that_was_killed_ends_with_the_same_bits(dots: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from anymask.data.sources import open_records\n"
        "from anymask.engine.round_settings import RoundSettings\n"
        "from anymask.engine.round_training import train_round\n"
        "def slowly(done, total): print(done, flush=True); time.sleep(float(sys.argv[3]))\n"
        f"settings = RoundSettings({ARGUMENTS}, checkpoint_seconds=0)\n"
        "train_round(open_records(sys.argv[1]), 'lite', sys.argv[2], settings, progress=slowly)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(anymask.__file__).parents[1])}

    def command(out: str, pause: float) -> list[str]:
        return [sys.executable, "-c", code, str(dots), str(tmp_path / out), str(pause)]

    def finish(out: str) -> None:
        subprocess.run(command(out, 0), env=environment, stdout=subprocess.DEVNULL, check=True)

    finish("whole")
    for killed_at in (2, 5):  # while the network and while the box head is trained
        with subprocess.Popen(
            command("parts", 0.5), env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert any(int(line) >= killed_at for line in process.stdout)
            time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
    finish("parts")
    assert weights_of(tmp_path / "whole") == weights_of(tmp_path / "parts")
    cards = [json.loads((tmp_path / out / "model" / "lite.json").read_text()) for out in ("whole", "parts")]
    assert cards[0] == cards[1]
