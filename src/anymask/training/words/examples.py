"""Examples for two heads: regions with their names, and photos with the names of every cell.

Legend: E examples, F features at stride 16, h w cells, N names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anymask.core.frames import ResizeLongest
from anymask.core.mask import Mask, iou_matrix
from anymask.core.spec import NAMING_SIZE
from anymask.data.record import Record
from anymask.training.words.cache import read_features, read_proposals
from anymask.words.regions import box_weights, mask_weights, pooled

NONE = ""  # the name of a region that shows no named thing
UNLABELLED = "?"  # ... of a cell that shows none, but perhaps stuff
MOSTLY, LITTLE = 0.5, 0.02  # share of a cell that a name covers
CELLS_OF_NAME, CELLS_OF_NONE = 24, 48  # of a photo that are used
SAME, APART = 0.5, 0.3  # IoU with an annotated mask: is it / is nothing annotated
MAX_REGIONS = 60  # annotated masks of a photo that are used
MIN_AREA = 16
DUTS, COMPLETE = "duts-tr", "coco"  # one thing a photo is labelled; all things of 80 kinds are

Floats = NDArray[np.float32]
Named = tuple[Mask, str]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """`masks_EF`, `boxes_EF`: features pooled in the mask and in its box. `whole_EF`: in the photo. Half
    precision. `photo_E`: number of the record.
    """

    masks_EF: NDArray[np.float16]
    boxes_EF: NDArray[np.float16]
    whole_EF: NDArray[np.float16]
    names_E: NDArray[np.str_]
    photo_E: NDArray[np.int64]

    def only(self, chosen_E: NDArray[np.bool_]) -> Regions:
        masks, boxes, whole = (part[chosen_E] for part in (self.masks_EF, self.boxes_EF, self.whole_EF))
        return Regions(masks, boxes, whole, self.names_E[chosen_E], self.photo_E[chosen_E])


def duts_names(path: Path) -> dict[str, dict[str, list[str]]]:
    """By synset, without those whose masks show something else."""
    told = json.loads(path.read_text("utf-8"))
    return {synset: facts for synset, facts in told.items() if "mask_shows" not in facts}


def named_masks(record: Record, duts: Mapping[str, Mapping[str, object]]) -> list[Named]:
    """The masks of a record whose names are known."""
    if record.source == DUTS:
        facts = duts.get(record.key.removeprefix(f"{DUTS}_").split("-")[0])
        return [] if facts is None else [(mask, str(facts["name"])) for _, mask in record.drawn[:1]]
    return [(mask, one.category) for one, mask in record.drawn if one.category]


def regions_of(
    records: Sequence[Record], cache: Path, duts: Mapping[str, Mapping[str, object]], seed: int = 0
) -> Regions:
    """Annotated masks, proposals that fit one, and proposals that fit none where all are annotated."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Floats, Floats, Floats, list[str], int]] = []
    for number, record in enumerate(records):
        named = named_masks(record, duts)
        if len(named) > MAX_REGIONS:
            named = [named[i] for i in rng.choice(len(named), MAX_REGIONS, replace=False)]
        named += list(_proposed(record, cache, named_masks(record, duts)))
        if not named or not (cache / f"{record.key}.npz").is_file():
            continue
        map_Fhw = read_features(cache, record.key).numpy()
        frame, cells = ResizeLongest(record.size_hw, NAMING_SIZE), (map_Fhw.shape[1], map_Fhw.shape[2])
        height, width = record.size_hw
        boxes = [mask.box_xyxy for mask, _ in named]
        whole = pooled(box_weights([[0, 0, width, height]], frame, cells), map_Fhw)
        inside = pooled(mask_weights([mask for mask, _ in named], frame, cells), map_Fhw)
        around = pooled(box_weights(boxes, frame, cells), map_Fhw)
        rows.append((inside, around, whole.repeat(len(named), 0), [name for _, name in named], number))
    masks, by_box, wholes = (np.concatenate([row[i] for row in rows]).astype(np.float16) for i in range(3))
    names = np.array([name for row in rows for name in row[3]])
    photo_E = np.repeat([row[4] for row in rows], [len(row[3]) for row in rows])
    return Regions(masks, by_box, wholes, names, photo_E)


def _proposed(record: Record, cache: Path, named: Sequence[Named]) -> Iterator[Named]:
    """Masks of box proposals, as what they are."""
    if record.source == DUTS:
        return
    masks = [mask for mask in read_proposals(cache, record.key)[1] if mask.area >= MIN_AREA]
    crowds = [mask for one in record.crowd if (mask := one.mask) is not None]
    known = [mask for mask, _ in named] + crowds
    if not masks or not known:
        return
    complete = "exhaustive_categories" in record.fields
    for mask, ious in zip(masks, iou_matrix(masks, known), strict=True):
        best = int(ious.argmax())
        if ious[best] >= SAME and best < len(named):
            yield mask, named[best][1]
        elif ious[best] < APART and complete:
            yield mask, NONE


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells of feature maps. `own_EC`, `near_EC`, `whole_EC`: of the cell, around it, of the photo. Half
    precision. A cell of UNLABELLED shows no named thing, but it may show stuff.
    """

    own_EC: NDArray[np.float16]
    near_EC: NDArray[np.float16]
    whole_EC: NDArray[np.float16]
    names_E: NDArray[np.str_]
    photo_E: NDArray[np.int64]

    def only(self, chosen_E: NDArray[np.bool_]) -> Cells:
        own, near, whole = (part[chosen_E] for part in (self.own_EC, self.near_EC, self.whole_EC))
        return Cells(own, near, whole, self.names_E[chosen_E], self.photo_E[chosen_E])


def labelled_cells(
    record: Record, cells_hw: tuple[int, int], named: Sequence[Named], rng: np.random.Generator
) -> tuple[NDArray[np.intp], list[str]]:
    """Some cells of each name, mostly covered by it, and some that nothing covers where all is labelled."""
    frame = ResizeLongest(record.size_hw, NAMING_SIZE)
    names = sorted({name for _, name in named})
    shares = np.zeros((len(names), *cells_hw), np.float32)
    for weights, (_, name) in zip(mask_weights([m for m, _ in named], frame, cells_hw), named, strict=True):
        row = names.index(name)
        shares[row] = np.maximum(shares[row], weights)
    flat, chosen, labels = shares.reshape(len(names), -1), list[int](), list[str]()
    main_P = flat.argmax(0)
    for row, name in enumerate(names):
        mine = np.flatnonzero((main_P == row) & (flat[row] >= min(MOSTLY, flat[row].max())) & (flat[row] > 0))
        mine = rng.choice(mine, min(len(mine), CELLS_OF_NAME), replace=False)
        chosen, labels = chosen + mine.tolist(), labels + [name] * len(mine)
    if record.source == COMPLETE:
        height, width = record.size_hw
        inside_P = box_weights([[0, 0, width, height]], frame, cells_hw)[0].ravel()
        empty = np.flatnonzero((inside_P > MOSTLY) & (flat.max(0, initial=0.0) < LITTLE))
        empty = rng.choice(empty, min(len(empty), CELLS_OF_NONE), replace=False)
        semantic = any(one.semantic for one in record.annotations)
        chosen += empty.tolist()
        labels += [NONE if semantic else UNLABELLED] * len(empty)
    return np.array(chosen, np.intp), labels
