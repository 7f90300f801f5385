"""Which photos say where edges are, what of their masks is an edge, and an edge head that learns it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from heads import check_that_the_head_alone_learned, default_model_with, train_head
from scenes import record, write_scenes

from anymask.core.mask import Mask
from anymask.data.sources import open_records
from anymask.errors import BadInput, BadOption, WeightsError
from anymask.networks.edge_head import EdgeNetwork
from anymask.networks.lite import Lite
from anymask.training.data.sampler import CpuDataset, Sampler
from anymask.training.task import ViewConfig
from anymask.training.tasks.edges import EDGES, EdgeView, outlines
from anymask.training.weights import starting_weights

CONFIG = ViewConfig(size=128, stride=2, objects=0, scale=(0.7, 1.5), colour=0.0)
KNOWN = np.ones((8, 8), bool)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of which every pixel belongs to a mask: two things and what is behind them."""
    folder = write_scenes(tmp_path_factory.mktemp("edges") / "scenes")
    for path in folder.glob("*.json"):
        things = [a.mask.to_array() for a in open_records(folder)[int(path.stem[-1])].annotations]
        path.write_text(json.dumps(record(path.stem, [*things, ~np.any(things, axis=0)])))
    return folder


def block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((8, 8), bool)
    mask[rows, columns] = True
    return mask


def test_an_edge_has_a_pixel_on_either_side() -> None:
    edges = outlines([block(np.s_[:], np.s_[:3])], KNOWN)
    assert edges.any(0).tolist() == [False, False, True, True, False, False, False, False]
    assert edges[:, 2:4].all()


def test_two_masks_that_touch_share_one_edge() -> None:
    left, right = block(np.s_[:], np.s_[:3]), block(np.s_[:], np.s_[3:])
    assert (outlines([left, right], KNOWN) == outlines([left], KNOWN)).all()


def test_the_end_of_the_photo_is_no_edge() -> None:
    known = block(np.s_[:], np.s_[:6])
    assert not outlines([known], known).any()


def test_mirrored_masks_have_mirrored_edges() -> None:
    masks = [block(np.s_[1:5], np.s_[0:4]), block(np.s_[3:8], np.s_[5:7])]
    assert (outlines([m[:, ::-1] for m in masks], KNOWN)[:, ::-1] == outlines(masks, KNOWN)).all()


def test_edges_of_views_lie_where_the_picture_changes(scenes: Path) -> None:
    records = open_records(scenes)
    views: CpuDataset[EdgeView] = CpuDataset(records, Sampler(records, {}, 1, EDGES), EDGES)
    for number in range(20):
        view = views.view(number, CONFIG)
        bright = view.pixels_SS3.max(-1) > 130
        inside = bright & view.known_SS
        steps = (inside[:, 1:] != inside[:, :-1]) & view.known_SS[:, 1:] & view.known_SS[:, :-1]
        reach = np.lib.stride_tricks.sliding_window_view(np.pad(view.edges_SS, 2), (5, 5)).any((-1, -2))
        assert reach[:, 1:][steps].mean() > 0.98
        assert view.edges_SS.mean() < 0.2


def test_photos_with_pixels_of_no_mask_say_nothing_about_edges(tmp_path: Path) -> None:
    records = open_records(write_scenes(tmp_path / "scenes"))
    with pytest.raises(BadInput, match="no photos with masks everywhere to train on"):
        Sampler(records, {}, 0, EDGES)


def test_masks_need_not_say_how_large_they_are(scenes: Path) -> None:
    (first, *_) = open_records(scenes)
    for annotation in first.annotations:
        annotation.fields.pop("area")
    assert EDGES.is_usable(first)


def test_beyond_the_photo_nothing_is_learned() -> None:
    network = EdgeNetwork(Lite()).train()
    nothing = np.zeros((64, 64), bool)
    views = [EdgeView(np.zeros((64, 64, 3), np.uint8), edges, nothing) for edges in (nothing, ~nothing)]
    truths = [EDGES.truth([view], torch.device("cpu")) for view in views]
    pixels, rng = torch.zeros(1, 3, 64, 64), np.random.default_rng(0)
    with torch.no_grad():
        losses = [EDGES.loss(network, pixels, truth, None, rng)[0] for truth in truths]
    assert [float(loss) for loss in losses] == [0, 0]


@pytest.fixture(scope="module")
def edge_run(scenes: Path) -> Path:
    return train_head("edges", scenes, steps=80, lr=1e-2, weights={})


def test_the_head_learns_and_the_encoder_stays(edge_run: Path) -> None:
    check_that_the_head_alone_learned(edge_run)


@pytest.mark.slow
def test_an_exported_model_finds_edges_with_it(edge_run: Path, scenes: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    import anymask

    card = default_model_with("edges", edge_run, tmp_path / "model")
    strength = anymask.load(str(card)).encode(scenes / "scene0.png").detect_edges()
    masks = [a.mask for a in open_records(scenes)[0].annotations]
    assert all(isinstance(mask, Mask) for mask in masks)
    edges = outlines([mask.to_array() for mask in masks], np.ones((96, 128), bool))
    assert strength[edges].mean() > 2 * strength[~edges].mean()


def test_a_head_of_another_encoder_is_refused_in_its_finest_map_too(edge_run: Path, tmp_path: Path) -> None:
    from anymask.hub.weights import save_weights
    from anymask.training.publish import attach_head

    other = starting_weights("lite")
    assert isinstance(other, Lite)
    with torch.no_grad():
        other.image_encoder.skip_2.weight.mul_(0.5)
    card = save_weights(other.state_dict(), tmp_path / "lite.safetensors", "lite", other.spec)
    with pytest.raises(WeightsError, match="skip_2.*recipe edges"):
        attach_head("edges", edge_run, card)


def test_a_run_of_boxes_has_no_edge_head(edge_run: Path, tmp_path: Path) -> None:
    from anymask.hub.catalog import find_model
    from anymask.training.publish import attach_head

    with pytest.raises(WeightsError, match="no run of the recipe boxes"):
        attach_head("boxes", edge_run, find_model("lite"))


def test_edges_are_learned_on_lite_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask.networks.presets import build
    from anymask.training import recipes

    monkeypatch.setattr(recipes, "starting_weights", lambda _start: build("mobile_sam"))
    with pytest.raises(BadOption, match="lite"):
        recipes.edges("mobile_sam")
