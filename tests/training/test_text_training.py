"""Text as a prompt: learned from image embeddings of masked objects, asked by text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from PIL import Image
from sam_references import tiny_sam
from scenes import write_scenes

from anymask.data.sources import open_records
from anymask.errors import BadOption
from anymask.networks.lite import Lite
from anymask.networks.sam import Sam
from anymask.training.config import FirstPrompt, Objective, Phase, TrainConfig
from anymask.training.loop import normalised, train
from anymask.training.recipes import run_recipe
from anymask.training.tasks.text import crop_of, object_crops, prepare_for_text, text_task

COLOURS = {"the red box": (230, 80, 60), "the blue disk": (60, 200, 240)}
GREY = 110.0


class ColourTowers:
    """An aligned encoder of images and texts that knows colours: the brightest part of a crop, against a
    grey.
    """

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        means = [
            image[image.max(2) > 120].mean(0) if (image.max(2) > 120).any() else np.ones(3)
            for image in images
        ]
        return self._unit(np.array(means))

    def encode(self, texts: list[str]) -> np.ndarray:
        return self._unit(np.array([COLOURS.get(text, (200, 100, 200)) for text in texts], float))

    def _unit(self, colours: np.ndarray) -> np.ndarray:
        centred = (colours - GREY) / 100
        return (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)


CONFIG = TrainConfig(
    steps=120, phases=(Phase(1.0, 128, 2, 2),), lr=2e-3, trunk_lr=2e-3, warmup=10,
    average_decay=0.9, log_every=10, scale=(0.9, 1.1), colour=0.0,
    objective=Objective(corrections=(1.0,), first=FirstPrompt(), single_when_ambiguous=0.0,
                        all_candidates=0.0),
)  # fmt: skip


def asked(model: Sam, pixels_SS3: np.ndarray, text: str) -> np.ndarray:
    """The mask of a text alone, at the low resolution."""
    batch = normalised(torch.from_numpy(pixels_SS3.copy())[None], model.spec)
    token = torch.from_numpy(ColourTowers().encode([text]))[None]
    with torch.inference_mode():
        embedding = model.encode_image(batch)
        decoded = model.decode(embedding, torch.zeros(1, 1, 2), torch.full((1, 1), -1), text_PTD=token)
    return np.asarray(decoded.low_res_masks_P4mm[0, 0] > 0)


@pytest.mark.slow
def test_a_text_picks_the_object_that_its_image_embedding_taught(tmp_path: Path) -> None:
    records = open_records(write_scenes(tmp_path / "scenes", 8, (128, 128)))
    model = prepare_for_text(tiny_sam(), ColourTowers())
    train(
        model, records, CONFIG, tmp_path / "run", "cpu", text_task(ColourTowers()), progress=lambda *_: None
    )
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert np.mean([row["loss"] for row in log[-3:]]) < 0.6 * log[0]["loss"]
    model.eval()
    right = 0
    for number in range(8):
        pixels = np.asarray(Image.open(tmp_path / "scenes" / f"scene{number}.png"))
        true = {name: np.abs(pixels.astype(int) - colour).max(2) < 5 for name, colour in COLOURS.items()}
        for text in COLOURS:
            found = asked(model, pixels, text).repeat(4, 0).repeat(4, 1)
            iou = {name: (found & mask).sum() / max(1, (found | mask).sum()) for name, mask in true.items()}
            right += iou[text] == max(iou.values()) and iou[text] > 0.3
    assert right >= 14


def test_a_crop_shows_the_object_alone_or_with_what_is_around_it() -> None:
    pixels = np.full((1, 32, 32, 3), 50, np.uint8)
    pixels[0, 8:16, 8:16] = 200
    mask = np.zeros((1, 1, 8, 8), bool)
    mask[0, 0, 2:4, 2:4] = True
    rng = np.random.default_rng(0)
    crops = [object_crops(pixels, mask, rng)[0] for _ in range(20)]
    assert all(crop.max() == 200 and 8 <= min(crop.shape[:2]) <= 16 for crop in crops)
    backgrounds = {int(crop.min()) for crop in crops if crop.shape[0] > 8}
    assert backgrounds == {0, 50}


def test_a_crop_stays_in_the_view() -> None:
    inside = np.zeros((20, 20), bool)
    inside[0:4, 16:20] = True
    assert crop_of(inside, 3.0) == (slice(0, 8), slice(12, 20))


def test_the_recipe_asks_for_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.training.recipes.starting_weights", lambda _: tiny_sam())
    scenes = write_scenes(tmp_path / "scenes", 2)
    with pytest.raises(BadOption, match="text_encoder"):
        run_recipe("text_paper", [scenes], tmp_path / "run", device="cpu")


def test_only_networks_of_tokens_take_text() -> None:
    with pytest.raises(BadOption, match="SAM family"):
        prepare_for_text(Lite(), ColourTowers())


def test_the_recipe_trains_with_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.training.recipes.starting_weights", lambda _: tiny_sam())
    scenes = write_scenes(tmp_path / "scenes", 2)
    small = {
        "steps": 1,
        "phases": [{"until": 1.0, "size": 128, "batch": 1, "objects": 1}],
        "workers": 0,
        "bf16": False,
    }
    state = run_recipe(
        "text_paper", [scenes], tmp_path / "run", device="cpu", text_encoder=ColourTowers(), **small
    )
    assert state.is_file()
