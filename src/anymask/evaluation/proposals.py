"""The proposal protocol: of the annotated masks, how many does a model find that is asked for everything?

`ar_at` k: average recall of the k best masks of each photo, without categories, over the IoU thresholds
0.50, 0.55, ... 0.95, as COCO counts it (`recall.py`); masks are ranked by their probability. Sizes are
COCO's: small below 32^2 pixels, large above 96^2.

`precision_at_75`: the share of returned masks that have an IoU of 0.75 with some annotated mask. Photos are
not annotated exhaustively: a perfect mask of a thing that nobody annotated counts as wrong here, so this is a
lower bound. Two more numbers ask less of the annotation: `precision_at_75_annotated` counts only masks of
which more than half lies on annotated pixels (parts and groups of annotated things still count as wrong), and
`tight_at_75` only masks with an IoU of 0.5 with an annotated one. Masks that lie by more than half on ignored
pixels or crowds count nowhere; photos without an annotated mask are left out.

`reliability`: the masks that count, by their probability, in ten bins: how many of them are right, which is
an IoU of 0.5 with some annotated mask; `calibration_error` is the mean gap between the two (expected
calibration error). Where things are not annotated, masks are right more often than this says.

The baseline: as many filled boxes as the model returned masks, at random places; their widths and heights,
relative to the photo, are those of annotated masks of the same data set, drawn at random.
Legend: D masks in the order of their rank, G targets, T thresholds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from anymask.core.mask import Mask, iou_matrix
from anymask.core.progress import Progress
from anymask.data.record import Record
from anymask.data.sources import RecordSource, open_records
from anymask.errors import BadInput, BadOption
from anymask.evaluation.ground_truth import GroundTruth, GroundTruthMask, ground_truth_of, rectangle
from anymask.evaluation.memory import peak_megabytes
from anymask.evaluation.proposal_report import LENGTHS, PhotoScore, summarise
from anymask.evaluation.recall import Ious
from anymask.evaluation.report import Report, csv_table
from anymask.evaluation.samples import DataPath, Photos, checked_pixels

BASELINE_SEED = 4
TIGHT_IOU = 0.75
NEAR_IOU = 0.5

Settings = Literal["preset", "paper"]
PAPER = {
    "points_per_side": 64,
    "pred_iou_thresh": -1e9,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 0.9,
    "duplicates": "box",
    "crop_n_layers": 0,
    "min_mask_region_area": 0,
    "max_area_fraction": 1.0,
    "scoring": "low_res",
}
"""What differs from the `sa1b` preset when proposals are measured as in App. D.3; 12,288 answers."""


class ScoredMask(Protocol):
    @property
    def mask(self) -> Mask: ...

    @property
    def probability(self) -> float: ...


class Proposer(Protocol):
    """A model that can be asked for everything; what `anymask.load()` returns can."""

    @property
    def name(self) -> str: ...

    def everything(self, source: Any, /, preset: str = ..., **changes: Any) -> Sequence[ScoredMask]: ...


@dataclass(frozen=True, slots=True)
class _Request:
    """How the model is asked."""

    preset: str
    changes: dict[str, Any]


def evaluate_proposals(
    data: Photos,
    model: Proposer,
    *,
    preset: str = "default",
    protocol: Settings = "preset",
    semantic: bool = True,
    limit: int | None = None,
    csv_path: DataPath | None = None,
    progress: Progress | None = None,
) -> Report:
    """Score what `model.everything` finds in the photos of a data set (`limit`: of its first so many).

    `protocol`: "preset" takes what the preset returns; "paper" a 64 x 64 grid without thresholds or crops and
    NMS at 0.9, whatever the preset. Without `semantic`, masks that join several things are no targets.
    `progress(done, total)` is called after every photo; `csv_path` receives one line per photo. Raises
    BadInput for data that cannot be read or hold no mask, BadOption, StorageError for the CSV.
    """
    if protocol not in ("preset", "paper"):
        raise BadOption(f"protocol: expected 'preset' or 'paper', got {protocol!r}")
    request = _Request("sa1b", PAPER) if protocol == "paper" else _Request(preset, {})
    source = open_records(data)
    annotated = _annotated(source, semantic, limit)
    sizes = _relative_sizes(annotated)
    scores: list[PhotoScore] = []
    with csv_table(csv_path) as write_row:
        for done, (number, record, targets) in enumerate(annotated, 1):
            scores.append(_score(number, record, targets, model, request, sizes))
            write_row(scores[-1].row())
            if progress is not None:
                progress(done, len(annotated))
    facts = {"dataset": source.name, "model": model.name, "preset": request.preset, "protocol": protocol}
    return {**facts, **summarise(scores), "peak_mb": peak_megabytes()}


def _annotated(
    source: RecordSource, semantic: bool, limit: int | None
) -> list[tuple[int, Record, GroundTruth]]:
    """The photos with something to find. Their pixels are not read yet."""
    if limit is not None and limit < 1:
        raise BadInput(f"limit: expected at least 1 image, got {limit}")
    count = len(source) if limit is None else min(limit, len(source))
    records = ((number, source[number]) for number in range(count))
    targets = ((number, record, ground_truth_of(record, semantic=semantic)) for number, record in records)
    annotated = [entry for entry in targets if entry[2].targets]
    if not annotated:
        raise BadInput(f"no masks to score in {source.name} ({count} images)")
    return annotated


def _relative_sizes(annotated: Sequence[tuple[int, Record, GroundTruth]]) -> NDArray[np.float64]:
    """(S, 2): width and height of the box of every target, as a share of its photo's."""
    shares = [
        (target.mask.bbox_xywh[2] / record.size_hw[1], target.mask.bbox_xywh[3] / record.size_hw[0])
        for _, record, targets in annotated
        for target in targets.targets
    ]
    return np.array(shares)


def _score(
    number: int,
    record: Record,
    targets: GroundTruth,
    model: Proposer,
    request: _Request,
    sizes: NDArray[np.float64],
) -> PhotoScore:
    pixels = checked_pixels(record)
    started = time.perf_counter()
    found = model.everything(pixels, preset=request.preset, **request.changes)
    seconds = time.perf_counter() - started
    found = ranked(found)
    masks = [f.mask for f in found]
    baseline = list(random_boxes(len(masks), sizes, record.size_hw, number))
    ious = ious_with(masks, targets.targets)
    hits, annotated, neutral = _kinds(masks, ious, targets)
    return PhotoScore(
        key=record.key,
        image=number,
        target_areas=np.array([t.mask.area for t in targets.targets]),
        ious=ious[: LENGTHS[-1]],
        baseline_ious=ious_with(baseline, targets.targets)[: LENGTHS[-1]],
        hits=hits[~neutral],
        near=np.any(ious >= NEAR_IOU, axis=1)[~neutral],
        annotated=annotated[~neutral],
        probability=np.array([f.probability for f in found])[~neutral],
        masks=len(masks),
        seconds=seconds,
    )


def ranked(found: Sequence[ScoredMask]) -> list[ScoredMask]:
    """Most probable first; equal ones in their order."""
    return sorted(found, key=lambda f: -f.probability)


def ious_with(masks: Sequence[Mask], targets: Sequence[GroundTruthMask]) -> Ious:
    """(D, G): each on the pixels that are scored for its target."""
    ious = np.zeros((len(masks), len(targets)))
    for ignore in {target.ignore for target in targets}:
        scored = masks if ignore is None else [mask - ignore for mask in masks]
        columns = [column for column, target in enumerate(targets) if target.ignore == ignore]
        ious[:, columns] = iou_matrix(scored, [targets[column].mask for column in columns])
    return ious


def _kinds(
    masks: Sequence[Mask], ious: Ious, targets: GroundTruth
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each mask: does it fit a target; does it lie on targets; does it say nothing."""
    hits: NDArray[np.bool_] = np.any(ious >= TIGHT_IOU, axis=1)
    neutral = mostly_on(masks, targets.neutral) & ~hits
    return hits, mostly_on(masks, targets.covered), neutral


def mostly_on(masks: Sequence[Mask], pixels: Mask | None) -> NDArray[np.bool_]:
    if pixels is None:
        return np.zeros(len(masks), bool)
    return np.array([2 * (mask & pixels).area > mask.area for mask in masks], bool)


def random_boxes(
    count: int, sizes: NDArray[np.float64], size_hw: tuple[int, int], image: int
) -> Iterator[Mask]:
    """Filled boxes, always the same for an image number; `sizes` (S, 2) are shares of width and height."""
    rng = np.random.default_rng([BASELINE_SEED, image])
    height, width = size_hw
    for share_x, share_y in sizes[rng.integers(len(sizes), size=count)]:
        w, h = max(1, round(share_x * width)), max(1, round(share_y * height))
        x0, y0 = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        yield rectangle((x0, y0, x0 + w, y0 + h), size_hw)
