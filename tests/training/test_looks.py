"""What the last stage trains on is what a model in use gets to see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("cv2")

from scenes import write_scenes

from anymask.model.lite import Lite
from anymask.store.records import Record, open_records
from anymask.training.augment import ViewConfig
from anymask.training.dataset import mask_array
from anymask.training.looks import Look, draw_look, looks_loss, random_window, seen
from anymask.training.loop import Phase
from anymask.training.objective import Objective

HEIGHT, WIDTH = 300, 400
CONFIG = ViewConfig(size=200, stride=2, objects=2, colour=0.0)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return open_records(write_scenes(tmp_path / "scenes", 1, (HEIGHT, WIDTH)))[0]


def looks(record: Record, closer: bool) -> list[Look]:
    drawn = (draw_look(record, CONFIG, np.random.default_rng(seed)) for seed in range(40))
    return [look for look in drawn if look is not None and look.closer == closer]


def test_a_photo_is_shown_whole_and_where_the_model_gets_it(record: Record) -> None:
    small = record.read_pixels().reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
    for look in looks(record, closer=False):
        shown = look.pixels_SS3.astype(float)
        assert (shown[150:] == 127).all()
        off = min(np.abs(side - small).mean() for side in (shown[:150], shown[:150, ::-1]))
        assert off < 12  # a photo in twenty is grey, the others differ by how they are made small
        assert look.masks_Kmm.shape == (2, 100, 100)


def test_a_window_shows_all_of_its_thing_with_room(record: Record) -> None:
    areas = [mask_array(annotation).sum() for annotation in record.annotations]
    for look in looks(record, closer=True):
        share = look.masks_Kmm[0].mean()
        least, most = (share * side**2 for side in (70, 190))  # cut at the edges of the photo
        assert any(least <= area <= 1.1 * most for area in areas)
        assert np.array_equal(look.masks_Kmm[0], look.masks_Kmm[1])


def test_windows_stay_in_the_photo_and_hold_their_thing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        x0, y0 = rng.uniform(0, (WIDTH - 2, HEIGHT - 2))
        box = (x0, y0, rng.uniform(x0 + 1, WIDTH), rng.uniform(y0 + 1, HEIGHT))
        left, top, right, bottom = random_window(box, (HEIGHT, WIDTH), rng)
        assert 0 <= left <= box[0] and 0 <= top <= box[1]
        assert box[2] <= right <= WIDTH and box[3] <= bottom <= HEIGHT


@pytest.mark.parametrize(("closer", "names"), [(False, {"first"}), (True, {"look", "last"})])
def test_first_answers_are_learned_from_whole_photos_and_the_rest_from_windows(
    record: Record, closer: bool, names: set[str]
) -> None:
    truth = seen(looks(record, closer)[:2], torch.device("cpu"))
    truth = replace(truth, masks_BKmm=truth.masks_BKmm[..., :96, :96])
    objective = Objective(corrections=(0.0, 1.0), teacher=0.5)
    model = Lite()
    loss, numbers = looks_loss(
        model, Lite(), torch.rand(2, 3, 192, 192), truth, objective, np.random.default_rng(0)
    )
    loss.backward()
    assert {name.removesuffix("_iou") for name in numbers if name.endswith("_iou")} == names
    gradient = model.mask_decoder.up_2.weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_each_step_draws_its_size_the_same_in_all_processes() -> None:
    phase = Phase(1.0, 512, 3, 3, least=256)
    sizes = [phase.size_of(7, step) for step in range(200)]
    assert set(sizes) == {256, 320, 384, 448, 512}
    assert sizes == [phase.size_of(7, step) for step in range(200)]
    assert {Phase(1.0, 384, 3, 3).size_of(7, step) for step in range(5)} == {384}
