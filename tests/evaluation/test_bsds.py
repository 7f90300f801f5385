"""Edge matching, thinning and the BSDS500 protocol with lines whose scores are known beforehand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_fakes import write_record
from PIL import Image, ImageFilter
from scipy.optimize import linear_sum_assignment

from anymask.api import load
from anymask.core.frames import ResizeLongest
from anymask.errors import BadInput
from anymask.evaluation import EDGE_BASELINES, HeadEdges, MaskEdges, describe, evaluate_edges
from anymask.evaluation.bsds.benchmark import count_matches
from anymask.evaluation.bsds.matching import match_edges
from anymask.evaluation.bsds.scores import THRESHOLDS, edge_scores
from anymask.evaluation.bsds.sources import scaled
from anymask.evaluation.bsds.thinning import keep_ridges, thin

SIZE = (120, 160)  # diagonal 200, tolerance 1.5


def line(column: int, size_hw: tuple[int, int] = SIZE, rows: slice = slice(None)) -> np.ndarray:
    drawn = np.zeros(size_hw, bool)
    drawn[rows, column] = True
    return drawn


def dense_assignment(first: np.ndarray, second: np.ndarray, tolerance: float) -> tuple[int, float]:
    """Number of pairs and total distance by the benchmark's rule, as a dense assignment."""
    a, b = np.argwhere(first), np.argwhere(second)
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    rows, columns = linear_sum_assignment(np.where(distances <= tolerance, distances, 100 * tolerance))
    pairs = distances[rows, columns]
    return int((pairs <= tolerance).sum()), float(pairs[pairs <= tolerance].sum())


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("tolerance", [1.0, 2.3, 4.3])
def test_the_matching_is_the_one_of_the_benchmarks_rule(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.random((30, 40)) < share for share in (0.02 + 0.03 * seed, 0.15))
    of_first, of_second = match_edges(first, second, tolerance)
    assert (len(of_first), len(of_second)) == (first.sum(), second.sum())
    count, total = dense_assignment(first, second, tolerance)
    assert of_first.sum() == of_second.sum() == count
    paired = np.zeros_like(first), np.zeros_like(second)  # of those that are paired, all are, as cheaply
    paired[0][first], paired[1][second] = of_first, of_second
    assert dense_assignment(*paired, tolerance) == (count, pytest.approx(total))


def test_a_pair_is_given_up_where_that_makes_two() -> None:
    first, second = np.zeros((1, 5), bool), np.zeros((1, 5), bool)
    first[0, [1, 2]] = second[0, [0, 2]] = True  # 2 takes 2; then 1 has only 0, two pixels away from 2
    assert [flags.tolist() for flags in match_edges(first, second, 1)] == [[True, True], [True, True]]
    second[0, [0, 2]], second[0, [1, 4]] = False, True  # 1 takes 1, 2 is left with 4
    assert match_edges(first, second, 1)[0].tolist() == [True, False]
    assert match_edges(first, second, 2)[0].tolist() == [True, True]


def test_no_pixels_match_nothing() -> None:
    nothing = np.zeros(SIZE, bool)
    of_nothing, of_line = match_edges(nothing, line(5), 3)
    assert of_nothing.shape == (0,) and not of_line.any()
    assert match_edges(nothing, nothing, 3)[1].shape == (0,)


@pytest.mark.parametrize(("shift", "found"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_a_shifted_edge_is_right_inside_the_tolerance_only(shift: int, found: float) -> None:
    counts_T4 = count_matches(line(80 + shift).astype(np.float32), [line(80)])
    assert edge_scores(counts_T4[None])["ods"] == found
    assert (counts_T4[:, 1] == 120).all() and (counts_T4[:, 3] == 120).all()


def test_an_edge_that_one_of_two_people_drew_is_precise_and_half_the_recall() -> None:
    counts_T4 = count_matches(line(40).astype(np.float32), [line(40), line(120)])
    assert counts_T4[0].tolist() == [120, 240, 120, 120]


def test_thresholds_weigh_the_strength_of_edges() -> None:
    strength = np.maximum(0.805 * line(40), 0.305 * line(100)).astype(np.float32)
    counts_T4 = count_matches(strength, [line(40)])
    right, wrong = (int(THRESHOLDS.searchsorted(t)) for t in (0.8, 0.3))
    assert counts_T4[right].tolist() == [120, 120, 120, 120]
    assert counts_T4[wrong].tolist() == [120, 120, 120, 240]
    assert counts_T4[-1].tolist() == [0, 120, 0, 0]
    scores = edge_scores(counts_T4[None])
    assert (scores["ods"], scores["ois"], scores["r50"]) == (1, 1, 1)


def test_the_best_threshold_of_each_photo_is_at_least_as_good_as_one_for_all() -> None:
    strong, weak = (np.maximum(s * line(40), s / 2 * line(100)).astype(np.float32) for s in (0.9, 0.3))
    scores = edge_scores(np.stack([count_matches(s, [line(40)]) for s in (strong, weak)]))
    assert scores["ois"] == 1.0 > scores["ods"] > 0.5


def test_scores_of_a_curve_worked_out_by_hand() -> None:
    """Recall 0.25, 0.5, 1 at precision 1, 0.8, 0.2: straight lines between."""
    counts = np.zeros((1, 99, 4))
    counts[0, 0], counts[0, 1], counts[0, 2:] = (100, 100, 20, 100), (50, 100, 40, 50), (25, 100, 25, 25)
    scores = edge_scores(counts)
    at = np.linspace(0.25, 1, 76)
    assert scores["ap"] == pytest.approx(np.interp(at, [0.25, 0.5, 1], [1, 0.8, 0.2]).sum() / 100)
    assert scores["r50"] == pytest.approx(0.75, abs=0.01)
    assert scores["ois"] == pytest.approx(2 * 0.8 * 0.5 / 1.3)
    steps = np.linspace(0, 1, 100)
    p, r = 0.2 + 0.6 * steps, 1 - 0.5 * steps
    assert scores["ods"] == pytest.approx((2 * p * r / (p + r)).max()) and scores["ods"] > scores["ois"]


def test_a_precision_of_one_half_that_is_never_reached_has_no_recall() -> None:
    counts_T4 = count_matches(np.maximum(line(40), line(80) | line(120)).astype(np.float32), [line(40)])
    scores = edge_scores(counts_T4[None])
    assert scores["r50"] == 0.0 and scores["ods"] == pytest.approx(0.5)


def test_nothing_predicted_scores_nothing() -> None:
    counts = count_matches(np.zeros(SIZE, np.float32), [line(3)])[None]
    assert edge_scores(counts) == {"ods": 0.0, "ois": 0.0, "ap": 0.0, "r50": 0.0}


def test_thinning_leaves_a_connected_line() -> None:
    bar = np.zeros((40, 60), bool)
    bar[18:23, 5:55] = True
    thinned = thin(bar)
    assert (thinned & ~bar).sum() == 0
    assert (thinned[:, 10:50].sum(axis=0) == 1).all()
    assert np.array_equal(thin(line(7)), line(7)) and not thin(np.zeros((3, 3), bool)).any()


def test_a_ring_stays_a_ring() -> None:
    ys, xs = np.mgrid[:61, :61] - 30
    radius = np.hypot(ys, xs)
    thinned = thin((radius > 15) & (radius < 21))
    assert not thinned[radius < 14].any() and 80 < thinned.sum() < 140
    reached = np.zeros((63, 63), np.uint8)
    cv2 = pytest.importorskip("cv2")
    count, _ = cv2.connectedComponents(np.pad(~thinned, 1, constant_values=True).astype(np.uint8), reached, 4)
    assert count == 3  # the ring, the inside and the outside


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 120])
def test_only_the_ridge_of_a_blurred_line_is_kept(angle: int) -> None:
    ys, xs = np.mgrid[:81, :81] - 40.0
    across = xs * np.cos(np.radians(angle)) + ys * np.sin(np.radians(angle))
    kept = keep_ridges(np.exp(-(across**2) / 18).astype(np.float32))
    inner = kept[10:-10, 10:-10]
    assert (np.abs(across[10:-10, 10:-10][inner > 0]) <= 1.5).all()
    assert (inner > 0).sum() >= 55


class SquareModel:
    """Finds one square of the photo, softly."""

    name = "square"

    def __init__(self, corner: int = 16) -> None:
        self._corner = corner

    def everything(self, source: np.ndarray, /, **options: Any) -> list[SquareModel]:
        self.frame = ResizeLongest(source.shape[:2], 64)
        return [self]

    @property
    def low_res_logits(self) -> np.ndarray:
        logits = np.full((64, 64), -8, np.float32)
        logits[self._corner : self._corner + 24, self._corner : self._corner + 24] = 8
        return logits


def write_square(folder: Path, corner: int) -> None:
    """A photo of 160 x 160 of a light square, whose outline two people drew alike."""
    first, last = round(corner * 2.5), round((corner + 24) * 2.5)
    outline = np.zeros((160, 160), bool)
    outline[[first, last - 1], first:last] = outline[first:last, [first, last - 1]] = True
    write_record(folder, "photo", [{"mask": outline}])
    np.savez(folder / "photo.boundaries.npz", boundaries=np.stack([outline, outline]))
    pixels = np.full((160, 160, 3), 90, np.uint8)
    pixels[first:last, first:last] = 200
    Image.fromarray(pixels).save(folder / "photo.png")


def test_the_edges_of_masks_are_their_outlines(tmp_path: Path) -> None:
    write_square(tmp_path, 16)
    report = evaluate_edges(tmp_path, MaskEdges(SquareModel()), csv_path=tmp_path / "rows.csv")
    assert report["ods"] > 0.97 and report["model"] == "square"
    assert evaluate_edges(tmp_path, MaskEdges(SquareModel(20)))["ods"] < 0.2
    assert {"dataset", "model", "images", "ods", "ois", "ap", "r50", "ci", "seconds_per_image"} == set(report)
    assert json.loads(json.dumps(report)) == report and "ODS" in describe(report)
    assert (tmp_path / "rows.csv").read_text().splitlines()[1].startswith("photo,2,")


class OutlineModel:
    """Draws the outline of what is light, as broad as a head does."""

    name = "outline"

    def encode(self, source: np.ndarray, /) -> OutlineModel:
        light = Image.fromarray(source).convert("L").filter(ImageFilter.GaussianBlur(2))
        self.strength = np.hypot(*np.gradient(np.asarray(light, np.float32) / 30))
        return self

    def detect_edges(self) -> np.ndarray:
        return self.strength


def test_the_edges_of_a_head_are_its_ridges(tmp_path: Path) -> None:
    write_square(tmp_path, 16)
    report = evaluate_edges(tmp_path, HeadEdges(OutlineModel()))
    assert report["ods"] > 0.95 and report["model"] == "outline"
    photo = np.asarray(Image.open(tmp_path / "photo.png"))
    broad, ridges = OutlineModel().encode(photo).detect_edges(), HeadEdges(OutlineModel()).edges(photo)
    assert (ridges > 0.1).sum() < (broad > 0.1).sum() / 2


def test_a_photo_without_edges_has_none_of_brightness(tmp_path: Path) -> None:
    write_square(tmp_path, 16)
    Image.new("RGB", (160, 160)).save(tmp_path / "photo.png")
    assert evaluate_edges(tmp_path, EDGE_BASELINES["sobel"]())["ods"] == 0.0
    assert not scaled(np.full((4, 4), 3, np.float32)).any()


def test_only_the_boundary_of_a_mask_is_an_edge_whatever_the_logits_do_inside() -> None:
    class Wavy(SquareModel):
        @property
        def low_res_logits(self) -> np.ndarray:
            logits = super().low_res_logits
            logits[26:30, 26:30] = 1  # still inside
            return logits

    strength = MaskEdges(Wavy()).edges(np.zeros((160, 160, 3), np.uint8))
    assert strength[38:42, 70].max() > 0.5 and not strength[50:90, 50:90].any()


def test_a_loaded_model_gives_edges_of_its_masks() -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    strength = MaskEdges(load("disk")).edges(photo)
    assert strength.shape == (60, 80) and 0 < strength.max() <= 1


def boundaries(array: np.ndarray, name: str = "boundaries") -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (None, "expected a file photo.boundaries.npz"),
        (b"no archive", "cannot read photo.boundaries.npz"),
        (boundaries(np.ones((1, 160, 160)), "other"), "cannot read photo.boundaries.npz"),
        (boundaries(np.ones((1, 9, 9))), "expected people x 160 x 160"),
        (boundaries(np.ones((0, 160, 160))), "expected people x 160 x 160"),
    ],
)
def test_drawings_that_are_missing_or_wrong_are_told(
    blob: bytes | None, message: str, tmp_path: Path
) -> None:
    write_square(tmp_path, 16)
    (tmp_path / "photo.boundaries.npz").unlink()
    if blob is not None:
        (tmp_path / "photo.boundaries.npz").write_bytes(blob)
    with pytest.raises(BadInput, match=message):
        evaluate_edges(tmp_path, EDGE_BASELINES["sobel"]())


def test_people_agree_with_themselves_and_brightness_agrees_a_little(shared_data: Path) -> None:
    report = evaluate_edges(shared_data / "val" / "bsds.tar", EDGE_BASELINES["sobel"](), limit=1)
    assert 0.3 < report["ods"] <= report["ois"] < 0.95
