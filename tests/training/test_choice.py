"""`recipes/choice.py` mixes two networks and teaches the result what is probable, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from safetensors.torch import load_file
from scenes import write_scenes

from anymask.data.sources import open_records
from anymask.hub.weights import save_weights
from anymask.networks.lite import LITE_SPEC, Lite
from anymask.training.checkpoint import averaged_weights

SCRIPT = Path(__file__).resolve().parents[2] / "recipes" / "choice.py"


@pytest.fixture(scope="module")
def choice() -> ModuleType:
    spec = importlib.util.spec_from_file_location("choice", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def written(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    save_weights(Lite().state_dict(), path, "lite", LITE_SPEC, {})
    return path


def test_only_what_tells_candidates_apart_learns(
    choice: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, base = (written(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2))
    scenes = write_scenes(tmp_path / "scenes", size_hw=(60, 96))
    arguments = [str(own), str(tmp_path / "run"), str(scenes), "--mix", str(base)]
    monkeypatch.setattr(sys, "argv", ["choice.py", *arguments, "--held-out", "0.5", "--steps", "3"])
    choice.main()
    result, a, b = averaged_weights(tmp_path / "run"), load_file(own), load_file(base)
    moved = set()
    for name, tensor in result.items():
        if not torch.allclose(tensor, a[name].lerp(b[name], 0.25), atol=1e-6):
            moved.add(name)
    assert moved
    assert all(name.startswith("mask_decoder.probability_head.") for name in moved)


def test_a_head_learns_which_mask_fits_and_whether_any_does(
    choice: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    said = torch.randn(400, 8)
    several = torch.arange(400) < 300
    meant = 1 + said[:, :3].argmax(1)
    iou = 0.2 + 0.7 * torch.nn.functional.one_hot(meant, 4)
    iou[:, 0] = torch.where(said[:, 3] > 0, 0.9, 0.2)
    iou[several, 0], iou[~several, 1:] = -1.0, -1.0
    head, known = torch.nn.Linear(8, 5), choice.Answers(said, iou, several)

    def right() -> tuple[float, float]:
        logits = head(said)
        chosen = iou[:, 1:].gather(1, logits[:, 1:4].argmax(1, keepdim=True))[several, 0]
        fits = (logits[:, 0] > logits[:, 4]) == (iou[:, 0] > 0.5)
        return float((chosen > 0.5).float().mean()), float(fits[~several].float().mean())

    assert max(right()) < 0.75
    monkeypatch.setattr(choice, "LR", 0.05)
    monkeypatch.setattr(choice, "STEP_FRACTION", 1.0)
    choice.learn(head, known, 200)
    assert min(right()) > 0.9


def test_what_comes_true_is_told_of_the_slot_that_drew_it(choice: ModuleType, tmp_path: Path) -> None:
    """Candidates arrive in the order of their probabilities, the network learns by slots."""
    torch.manual_seed(3)
    network = Lite().eval()
    scenes = write_scenes(tmp_path / "scenes", size_hw=(64, 96))
    photos = open_records(scenes).only([0, 1])
    objects = sum(min(choice.MAX_OBJECTS, len(photo.annotations)) for photo in photos)
    found = [answer for _, answer in choice.answers(network, photos)]
    assert len(found) == objects * 4 > 0  # two clicks and two boxes each
    for answer in found:
        in_use = answer.iou_A4[0] >= 0
        expected = [False, True, True, True] if answer.ambiguous_A else [True, False, False, False]
        assert in_use.tolist() == expected


def test_slots_are_ranked_as_the_candidates_were(choice: ModuleType) -> None:
    said = torch.tensor([[0.0, 1.0, 3.0, 2.0, 0.0]])
    chance, iou = np.full(4, 0.25), np.array([0.9, 0.6, 0.3])
    prediction = choice.Prediction(None, "centre", chance, np.ones(3), iou, 0.5)
    answer = choice.by_slot(prediction, said, torch.nn.Identity())
    torch.testing.assert_close(answer.iou_A4, torch.tensor([[-1.0, 0.3, 0.9, 0.6]]))
