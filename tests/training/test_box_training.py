"""Views with boxes, which cell answers for which thing, and a box head that learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from heads import check_that_the_head_alone_learned, default_model_with, train_head
from scenes import write_scenes

from anymask.data.sources import open_records
from anymask.errors import BadInput, BadOption, WeightsError
from anymask.networks.box_head import BoxNetwork, all_centres
from anymask.networks.lite import Lite
from anymask.training.config import Phase
from anymask.training.data.sampler import CpuDataset, Sampler
from anymask.training.recipes import run_recipe
from anymask.training.task import ViewConfig
from anymask.training.tasks.boxes import BOXES, BoxView, assign, iou_of, split_annotations

CONFIG = ViewConfig(size=128, stride=2, objects=0, scale=(0.7, 1.5), colour=0.0)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    return write_scenes(tmp_path / "scenes")


def views_of(scenes: Path, seed: int) -> CpuDataset[BoxView]:
    records = open_records(scenes)
    return CpuDataset(records, Sampler(records, {}, seed, BOXES), BOXES)


def test_boxes_lie_on_their_objects_after_crop_scale_and_flip(scenes: Path) -> None:
    """Things are bright and the ground is dark; what is bright outside all boxes is a thing barely seen."""
    views = views_of(scenes, 1)
    for number in range(40):
        view = views.view(number, CONFIG)
        bright = (view.pixels_SS3.max(-1) > 150).astype(float)
        for x0, y0, x1, y1 in np.concatenate([view.objects_K4, view.ignored_K4]).round().astype(int):
            assert 0 <= x0 <= x1 <= 128 and 0 <= y0 <= y1 <= 128
            bright[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = 0
        assert bright.mean() < 0.01
        assert len(view.objects_K4) >= 1


def test_boxes_are_tight(scenes: Path) -> None:
    views = views_of(scenes, 2)
    shares = []
    for number in range(30):
        view = views.view(number, CONFIG)
        for x0, y0, x1, y1 in view.objects_K4.round().astype(int):
            shares.append((view.pixels_SS3[y0:y1, x0:x1].max(-1) > 150).mean())
    assert np.mean(shares) > 0.75  # a disk fills 79 % of its box


def test_groups_teach_nothing_and_are_no_background(scenes: Path) -> None:
    path = scenes / "scene0.json"
    record = json.loads(path.read_text())
    record["annotations"][0]["semantic"] = True
    path.write_text(json.dumps(record))
    things, groups = split_annotations(open_records(scenes)[0])
    assert [a.fields["id"] for a in things] == [2]
    assert [a.fields["id"] for a in groups] == [1]


def test_photos_with_boxes_alone_are_used(scenes: Path) -> None:
    for path in scenes.glob("*.json"):
        record = json.loads(path.read_text())
        for annotation in record["annotations"]:
            del annotation["segmentation"]
        path.write_text(json.dumps(record))
    assert len(Sampler(open_records(scenes), {}, 0, BOXES).indices) == 4


def test_photos_without_objects_are_refused(scenes: Path) -> None:
    with pytest.raises(BadInput, match="no boxes to train on"):
        Sampler(open_records(scenes), {"scenes": 0.0}, 0, BOXES)


def test_each_object_is_answered_for_by_cells_inside_it_that_fit_best() -> None:
    centres = all_centres(64)
    things = torch.tensor([[0.0, 0.0, 24.0, 24.0], [32.0, 32.0, 64.0, 60.0]])
    boxes = torch.cat([centres - 4, centres + 4], -1)
    boxes[9] = things[0]  # cell (1, 1) of the first map knows the first thing exactly
    who, wanted = (t[0] for t in assign(torch.zeros(1, len(centres)), boxes[None], things[None], centres))
    assert who[9] == 0
    assert wanted[9] == pytest.approx(1)
    for thing in range(2):
        x, y = centres[who == thing].T
        x0, y0, x1, y1 = things[thing]
        assert len(x) >= 1
        assert bool(((x > x0) & (x < x1) & (y > y0) & (y < y1)).all())
    assert bool((wanted[who < 0] == 0).all())


def test_generalised_iou_of_boxes() -> None:
    a, b = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]])
    assert float(iou_of(a, b)) == pytest.approx(1 / 3, abs=1e-5)
    far = torch.tensor([[6.0, 0.0, 8.0, 2.0]])
    assert float(iou_of(a, far)) == 0
    assert float(iou_of(a, far, generalised=True)) == pytest.approx(-0.5, abs=1e-5)


def test_a_view_without_objects_has_a_loss() -> None:
    network = BoxNetwork(Lite()).train()
    nothing = np.zeros((0, 4), np.float32)
    view = BoxView(np.zeros((64, 64, 3), np.uint8), nothing, np.array([[0, 0, 32, 32]], np.float32), 1.0)
    rng = np.random.default_rng(0)
    truth = BOXES.truth([view], torch.device("cpu"))
    loss, numbers = BOXES.loss(network, torch.zeros(1, 3, 64, 64), truth, None, rng)
    assert torch.isfinite(loss)
    assert numbers["box"] == 0


@pytest.fixture(scope="module")
def box_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes")
    return train_head("boxes", write_scenes(folder / "scenes"), steps=40)


def test_the_head_learns_and_the_encoder_stays(box_run: Path) -> None:
    check_that_the_head_alone_learned(box_run)


@pytest.mark.slow
def test_an_exported_model_finds_boxes_with_it(box_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    import anymask

    card = default_model_with("boxes", box_run, tmp_path / "model")
    image = anymask.load(str(card)).encode(box_run.parent / "scenes" / "scene0.png")
    assert len(image.detect_boxes(min_score=0.0)) > 0


def test_a_head_of_another_encoder_is_refused(box_run: Path, tmp_path: Path) -> None:
    from anymask.hub.weights import save_weights
    from anymask.training.publish import attach_head

    torch.manual_seed(3)
    other = Lite()
    card = save_weights(other.state_dict(), tmp_path / "lite.safetensors", "lite", other.spec)
    with pytest.raises(WeightsError, match="not the encoder"):
        attach_head("boxes", box_run, card)


def test_a_model_with_another_decoder_keeps_the_box_head(tmp_path: Path) -> None:
    from anymask.export.heads import copy_head
    from anymask.hub.card import ModelFiles, read_card
    from anymask.hub.catalog import find_model
    from anymask.hub.weights import save_weights
    from anymask.training.weights import starting_weights

    source, network = find_model("lite"), starting_weights("lite")
    assert isinstance(network, Lite)
    with torch.no_grad():
        for layer in (network.mask_decoder.up_2, network.image_encoder.skip_2):
            layer.weight.mul_(0.5)
    card = save_weights(network.state_dict(), tmp_path / "lite.safetensors", "lite", network.spec)
    with pytest.raises(WeightsError, match="does not find boxes"):
        copy_head("boxes", card, card)
    graph = copy_head("boxes", source, card)
    assert graph.read_bytes() == ModelFiles.of(source).boxes.read_bytes()
    facts, given = read_card(card).facts, read_card(source).facts
    assert all(facts[name] == given[name] for name in ("boxes", "boxes_proof", "boxes_training"))


@pytest.mark.slow
def test_a_fine_tuned_model_has_the_inference_settings_of_the_default_one(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from typer.testing import CliRunner

    import anymask
    from anymask.cli.app import app

    scenes, small = write_scenes(tmp_path / "scenes"), {"steps": 1, "phases": (Phase(1.0, 128, 1, 1),)}
    run_recipe("finetune", [scenes], tmp_path / "run", device="cpu", lr=0.0, trunk_lr=0.0, **small)
    arguments = ["export", str(tmp_path / "run"), "--boxes", "lite", "--out", str(tmp_path / "model")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    default, tuned = anymask.load(), anymask.load(str(tmp_path / "model" / "lite.json"))
    assert tuned.refines and tuned.postprocess == default.postprocess != ()
    assert tuned.automatic == default.automatic
    assert tuned.box_path is not None


def test_a_head_is_not_carried_to_another_encoder(tmp_path: Path) -> None:
    from anymask.export.heads import copy_head
    from anymask.hub.card import ModelFiles
    from anymask.hub.catalog import find_model
    from anymask.hub.weights import save_weights

    other = Lite()
    card = save_weights(other.state_dict(), tmp_path / "lite.safetensors", "lite", other.spec)
    with pytest.raises(WeightsError, match="not the encoder"):
        copy_head("boxes", find_model("lite"), card)
    assert not ModelFiles.of(card).boxes.exists()


def test_boxes_are_learned_on_lite_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask.networks.presets import build
    from anymask.training import recipes

    monkeypatch.setattr(recipes, "starting_weights", lambda _start: build("mobile_sam"))
    with pytest.raises(BadOption, match="lite"):
        recipes.boxes("mobile_sam")
