"""`recipes/choice.py` mixes two networks and teaches the result what was meant, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from safetensors.torch import load_file
from scenes import write_scenes

from anymask.model.checkpoints import save_weights
from anymask.model.lite import LITE_SPEC, Lite
from anymask.training.checkpoint import averaged_weights

SCRIPT = Path(__file__).resolve().parents[2] / "recipes" / "choice.py"


@pytest.fixture(scope="module")
def choice() -> ModuleType:
    spec = importlib.util.spec_from_file_location("choice", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
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
    monkeypatch.setattr(sys, "argv", ["choice.py", *arguments, "--views", "6", "--steps", "3"])
    choice.main()
    result, a, b = averaged_weights(tmp_path / "run"), load_file(own), load_file(base)
    moved = set()
    for name, tensor in result.items():
        share = 0.25 if name.startswith("image_encoder.") else 0.5
        if not torch.allclose(tensor, a[name].lerp(b[name], share), atol=1e-6):
            moved.add(name)
    assert moved
    assert all(name.startswith("mask_decoder.probability_head.") for name in moved)


def test_a_head_learns_which_mask_fits(choice: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    said = torch.randn(400, 8)
    meant = 1 + said[:, :3].argmax(1)
    iou = 0.2 + 0.7 * torch.nn.functional.one_hot(meant, 4)
    head, weight = torch.nn.Linear(8, 5), torch.ones(400)
    before = choice.chosen_iou(head, said, iou, weight)
    monkeypatch.setattr(choice, "LR", 0.05)
    choice.learn(head, said, iou, weight, 200)
    assert before < 0.7
    assert choice.chosen_iou(head, said, iou, weight) > 0.85
