"""Views drawn on the GPU show what those drawn on the CPU show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from scenes import write_scenes

from anymask.data.sources import open_records
from anymask.errors import BadOption
from anymask.training.checkpoint import read_state
from anymask.training.data.augment import ColourJitter
from anymask.training.data.gpu_dataset import GpuDataset, colour_jittered, visible_masks
from anymask.training.data.sampler import CpuDataset, Sampler
from anymask.training.data.views import MaskView
from anymask.training.recipes import run_recipe
from anymask.training.task import ViewConfig
from anymask.training.tasks.clicks import CLICKS

CPU = torch.device("cpu")
CONFIG = ViewConfig(size=128, stride=2, objects=2, scale=(0.6, 3.0))


@pytest.fixture
def both(tmp_path: Path) -> tuple[CpuDataset[MaskView], GpuDataset]:
    records = open_records(write_scenes(tmp_path / "scenes", size_hw=(120, 160)))
    sampler = Sampler(records, {}, 3, CLICKS)
    return CpuDataset(records, sampler, CLICKS), GpuDataset(records, sampler, CPU)


def test_the_same_numbers_give_the_same_views(both: tuple[CpuDataset[MaskView], GpuDataset]) -> None:
    plain, on_device = (views.batch(views.prepare(range(40), CONFIG), CPU) for views in both)
    assert on_device.pixels_BSS3.shape == plain.pixels_BSS3.shape
    assert on_device.pixels_BSS3.dtype == torch.uint8
    off_B = (plain.pixels_BSS3.float() - on_device.pixels_BSS3).abs().mean((1, 2, 3))
    a, b = (batch.truth.masks_BKmm.flatten(0, 1) for batch in (plain, on_device))
    iou = (a & b).sum((1, 2)) / (a | b).sum((1, 2))
    assert off_B.median() < 4  # of 255, on noise enlarged and made smaller
    assert (iou > 0.9).float().mean() > 0.95 and iou.median() > 0.98


def test_the_same_views_are_windows(both: tuple[CpuDataset[MaskView], GpuDataset]) -> None:
    config = replace(CONFIG, closer=0.5, stretch=0.5)
    plain, on_device = (views.batch(views.prepare(range(40), config), CPU) for views in both)
    assert torch.equal(plain.truth.closer_B, on_device.truth.closer_B)
    assert 10 < plain.truth.closer_B.sum() < 30
    a, b = (batch.truth.masks_BKmm[:, 0] for batch in (plain, on_device))
    iou = (a & b).sum((1, 2)) / (a | b).sum((1, 2))
    assert (iou > 0.9).float().mean() > 0.95 and iou.median() > 0.97


def test_a_number_is_the_same_view_in_any_batch(both: tuple[CpuDataset[MaskView], GpuDataset]) -> None:
    views = both[1]
    alone = views.batch(views.prepare([7], CONFIG), CPU)
    among = views.batch(views.prepare(range(5, 9), CONFIG), CPU)
    assert torch.equal(alone.pixels_BSS3[0], among.pixels_BSS3[2])
    assert torch.equal(alone.truth.masks_BKmm[0], among.truth.masks_BKmm[2])


@pytest.mark.parametrize("seed", range(6))
def test_colour_jitter_is_that_of_the_cpu(seed: int) -> None:
    from PIL import Image

    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    colour = ColourJitter(True) if seed == 0 else replace(ColourJitter.draw(rng, 0.4), grey=False)
    expected = np.asarray(colour.applied(Image.fromarray(pixels))).astype(int)
    given = colour_jittered(torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), [colour])[0]
    off = np.abs(expected - given.permute(1, 2, 0).numpy())
    assert off.max() <= 3  # the library rounds after every change


def test_hardly_visible_objects_make_room_for_others() -> None:
    masks = torch.zeros(4, 16, 16, dtype=torch.bool)
    masks[1, :4, :4] = masks[3, 8:, 8:] = True
    masks[2] = True
    chosen, some = visible_masks(torch.stack([masks, masks & False]), 3)
    assert some.tolist() == [True, False]
    assert [int(m.sum()) for m in chosen[0]] == [16, 64, 16], "two fit; the third place starts again"


def test_a_view_without_objects_gives_its_place_away(
    both: tuple[CpuDataset[MaskView], GpuDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    views = both[1]
    plans = views.prepare(range(3), CONFIG)
    whole = views.batch(plans, CPU)
    pixels, cells = views.drawn(plans)
    cells[0] = False
    monkeypatch.setattr(views, "drawn", lambda _: (pixels, cells))
    assert torch.equal(views.batch(plans, CPU).pixels_BSS3, whole.pixels_BSS3[[1, 1, 2]])


def test_photos_that_do_not_fit_into_memory_are_refused_with_the_way_out(
    both: tuple[CpuDataset[MaskView], GpuDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    with pytest.raises(BadOption, match="with resident=false"):
        GpuDataset(both[0].records, both[0].sampler, torch.device("cuda"))


def test_a_run_on_resident_photos_learns_and_resumes(tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path / "scenes")
    run_recipe("smoke", [scenes], tmp_path / "run", device="cpu", steps=2, resident=True)
    run_recipe("smoke", [scenes], tmp_path / "run", device="cpu", steps=3, resident=True)
    state, card = read_state(tmp_path / "run" / "state.safetensors")
    assert (card["step"], card["images"], card["config"]["resident"]) == (3, 6, True)
    assert all(torch.isfinite(t).all() for t in state.values() if t.is_floating_point())
