"""Colour, size, place, order and number, measured on drawn scenes; colours also on photos."""

from __future__ import annotations

import io
import json
import tarfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anymask.core.mask import Mask
from anymask.errors import BadInput
from anymask.words import understand
from anymask.words.attributes import apply
from anymask.words.colours import NAMES, colour_names, colour_shares, lab

# left to right: a small red, a middle blue, the largest red, a small green ball
BALLS = [
    (10, 40, 20, (200, 20, 20)),
    (60, 40, 30, (20, 40, 200)),
    (120, 40, 40, (210, 30, 30)),
    (175, 5, 10, (20, 150, 30)),
]
SCORES = [0.9, 0.8, 0.7, 0.6]


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, list[Mask]]:
    pixels, masks = np.full((100, 200, 3), 255, np.uint8), []
    for x, y, side, colour in BALLS:
        inside = np.zeros((100, 200), bool)
        inside[y : y + side, x : x + side] = True
        pixels[inside] = colour
        masks.append(Mask.from_array(inside))
    return pixels, masks


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("balls", (0, 1, 2, 3)), ("red balls", (0, 2)), ("blue ball", (1,)), ("purple ball", ()),
        ("balls on the left", (0, 1)), ("ball on the right", (2, 3)), ("ball at the top", (3, 0, 1)),
        ("ball in the middle", (1, 2)), ("largest ball", (2,)), ("smallest ball", (3,)),
        ("largest blue ball", (1,)), ("second largest ball", (1,)), ("tallest ball", (2,)),
        ("big ball", (2, 1)), ("second ball from the left", (1,)), ("third ball from the right", (1,)),
        ("rightmost red ball", (2,)), ("two balls", (0, 1)), ("two leftmost balls", (0, 1)),
        ("two red balls", (0, 2)), ("five balls", (0, 1, 2, 3)), ("red and blue ball", ()),
        ("왼쪽에서 두 번째 공", (1,)), ("가장 작은 공", (3,)), ("빨간 공 한 개", (0,)),
        ("fifth ball from the left", ()),
    ],
)  # fmt: skip
def test_the_masks_that_a_phrase_means(
    scene: tuple[np.ndarray, list[Mask]], text: str, kept: tuple[int, ...]
) -> None:
    pixels, masks = scene
    applied = apply(understand(text), masks, SCORES, pixels)
    assert applied.kept == kept
    assert list(applied.scores) == sorted(applied.scores, reverse=True)
    assert all(score <= SCORES[index] for index, score in zip(applied.kept, applied.scores, strict=True))


def test_every_step_is_told(scene: tuple[np.ndarray, list[Mask]]) -> None:
    pixels, masks = scene
    told = apply(understand("largest red ball on the right"), masks, SCORES, pixels).told
    assert told == ("red: 2 of 4", "place right: 1 of 2", "number 1 by size, large first: 1 of 1")
    assert apply(understand("three purple balls"), masks, SCORES, pixels).told[-1] == "3 asked for: 0 of 0"


def test_where_none_lies_on_the_side_asked_for_the_nearest_to_it_is_meant(
    scene: tuple[np.ndarray, list[Mask]],
) -> None:
    pixels, masks = scene
    applied = apply(understand("left ball"), masks[2:], SCORES[2:], pixels)
    assert applied.kept == (0,)
    assert "none is on the left of the image" in applied.told[0]


def test_a_thing_alone_is_large_and_small(scene: tuple[np.ndarray, list[Mask]]) -> None:
    pixels, masks = scene
    assert apply(understand("small ball"), masks[:1], [0.5], pixels).scores == (0.5,)


def test_empty_masks_and_no_masks_are_never_meant(scene: tuple[np.ndarray, list[Mask]]) -> None:
    pixels, masks = scene
    empty = Mask.from_array(np.zeros((100, 200), bool))
    assert apply(understand("red ball"), [empty, masks[0]], [0.9, 0.8], pixels).kept == (1,)
    assert apply(understand("largest red ball on the left"), [], [], pixels).kept == ()


def test_masks_that_do_not_belong_to_the_image_are_refused(scene: tuple[np.ndarray, list[Mask]]) -> None:
    pixels, masks = scene
    with pytest.raises(BadInput, match="one score for each"):
        apply(understand("ball"), masks, [1.0], pixels)
    with pytest.raises(BadInput, match="size of the image"):
        apply(understand("ball"), masks, SCORES, pixels[:50])


PATCHES = {
    "black": [(0, 0, 0), (20, 20, 20), (30, 25, 25)],
    "white": [(255, 255, 255), (240, 240, 240), (245, 245, 235)],
    "grey": [(128, 128, 128), (90, 90, 95), (170, 170, 170)],
    "red": [(255, 0, 0), (200, 30, 30), (178, 34, 34), (139, 0, 0), (220, 20, 60)],
    "orange": [(255, 165, 0), (255, 140, 0), (240, 120, 20), (255, 127, 80)],
    "yellow": [(255, 255, 0), (255, 220, 0), (240, 230, 80), (255, 215, 0)],
    "green": [(0, 128, 0), (0, 255, 0), (50, 150, 50), (34, 80, 34), (107, 142, 35), (144, 238, 144)],
    "blue": [(0, 0, 255), (30, 60, 160), (135, 206, 235), (0, 0, 128), (70, 130, 180), (100, 149, 237)],
    "purple": [(128, 0, 128), (100, 40, 140), (148, 0, 211), (75, 0, 130)],
    "pink": [(255, 192, 203), (255, 105, 180), (255, 20, 147), (240, 160, 180)],
    "brown": [(139, 69, 19), (100, 60, 30), (160, 82, 45), (120, 90, 60), (181, 130, 80)],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_drawn_colour_has_its_name(name: str) -> None:
    found = [NAMES[index] for index in colour_names(np.array(PATCHES[name], np.uint8))]
    assert found == [name] * len(PATCHES[name])


def test_lab_is_that_of_the_standard() -> None:
    """Source of the numbers: the CIELAB values of sRGB red, green, blue and white under D65."""
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0]]
    pixels = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    assert np.allclose(lab(pixels), expected, atol=0.05)


def test_shares_add_up() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (500, 3)).astype(np.uint8)
    assert sum(colour_shares(pixels).values()) == pytest.approx(1)
    assert set(colour_shares(pixels[:0]).values()) == {0.0}


# Things of known colour, and how often at least a fifth of their pixels must have it.
PHOTOGRAPHED = {
    "banana": (("yellow",), 0.8), "broccoli": (("green",), 0.7), "leaf": (("green",), 0.9),
    "stop sign": (("red",), 0.7),
    "sky": (("blue", "white", "grey"), 0.9), "elephant": (("grey", "brown"), 0.7),
    "orange": (("orange",), 0.6),
}  # fmt: skip


def test_things_in_photos_have_their_colours(shared_data: Path) -> None:
    had = defaultdict(list)
    with (
        tarfile.open(shared_data / "train" / "train-000.tar") as first,
        tarfile.open(shared_data / "train" / "train-001.tar") as second,
    ):
        for tar in (first, second):
            members = {member.name: member for member in tar}
            for name in (name for name in members if name.endswith(".json")):
                record = json.load(tar.extractfile(members[name]))  # type: ignore[arg-type]
                known = [a for a in record["annotations"] if a.get("category") in PHOTOGRAPHED]
                if not known:
                    continue
                photo = tar.extractfile(members[name.removesuffix("json") + "webp"]).read()  # type: ignore[union-attr]
                pixels = np.array(Image.open(io.BytesIO(photo)).convert("RGB"))
                for annotation in known:
                    inside = Mask.from_rle(annotation["segmentation"]).to_array()
                    if inside.sum() >= 400:
                        colours, _ = PHOTOGRAPHED[annotation["category"]]
                        shares = colour_shares(pixels[inside])
                        had[annotation["category"]].append(max(shares[c] for c in colours) >= 0.2)  # type: ignore[index]
    rates = {name: float(np.mean(found)) for name, found in had.items()}
    assert set(rates) == set(PHOTOGRAPHED)
    assert {name: rate for name, rate in rates.items() if rate < PHOTOGRAPHED[name][1]} == {}
