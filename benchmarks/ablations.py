"""What is a training trick worth? Each is tried alone, in short runs from the same weights that differ in
nothing else, and measured on photos none of the runs has seen.

    python benchmarks/ablations.py PACKS VAL.tar OUT [--arms base,paste] [--steps 240] [--boxes BOXES.tar]

PACKS: folder of packs to train on, a part of which is held out. VAL: clicks and boxes are measured there too.
The recipe is `stage2` with a frozen encoder, but for the layers that the box head does not read.
Prints a line of JSON per arm: differences to `base` come with an interval over photos.

A trick is a `Task` made from the plain one: nothing of the library knows of it before it has proved itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from anymask.api import load
from anymask.core.boxes import box_iou
from anymask.data.record import Record
from anymask.data.sources import RecordSource, open_records
from anymask.data.splits import training_split
from anymask.evaluation.statistics import intervals
from anymask.networks.lite import DETAIL_LAYERS
from anymask.training.config import FirstPrompt, Phase, TrainConfig
from anymask.training.data.views import MAX_COVER, MIN_CELLS, MaskView, draw_view
from anymask.training.loop import train
from anymask.training.recipes import stage2
from anymask.training.task import Task, ViewConfig
from anymask.training.tasks import clicks as sessions
from anymask.training.tasks.clicks import CLICKS
from anymask.training.tasks.losses import dice
from training import kept_heap

HELD_OUT, MEASURED = 0.05, 0.02  # shares of photos: left out of training, and measured on
START = "start"  # no arm: the weights all of them start from
RUN = "ANYMASK_ABLATION"  # in the environment of a run: arm and folder
Draw = Callable[[Record, ViewConfig, Generator], MaskView | None]


def decoder_only(start: str) -> tuple[torch.nn.Module, TrainConfig]:
    model, config = stage2(start)
    encoder = model.get_submodule("image_encoder").requires_grad_(False)
    for name in DETAIL_LAYERS:
        encoder.get_submodule(name).requires_grad_(True)
    return model, config


@dataclass(frozen=True)
class Arm:
    """`task` makes a task from the records; `config` changes the plain run's."""

    about: str
    task: Callable[[RecordSource], Task] = lambda records: CLICKS
    config: Callable[[TrainConfig], TrainConfig] = lambda config: config
    recipe: Callable[[str], Any] = decoder_only
    extra_data: bool = False


def drawing(draw: Draw) -> Task:
    return replace(CLICKS, draw=draw)


def with_unions(records: RecordSource) -> Task:
    """Of every four masks one becomes something else a click may mean: two things, what is around a thing,
    one piece of a thing.
    """

    def draw(record: Record, config: ViewConfig, rng: Generator) -> MaskView | None:
        view = draw_view(record, config, rng)
        if view is None:
            return None
        masks = [other_meaning(m, view.masks_Kmm, rng) if rng.random() < 0.25 else m for m in view.masks_Kmm]
        return MaskView(view.pixels_SS3, np.stack(masks))

    return drawing(draw)


def other_meaning(mask_mm: np.ndarray, all_Kmm: np.ndarray, rng: Generator) -> np.ndarray:
    choice = rng.integers(3)
    if choice == 0:
        new = mask_mm | all_Kmm[int(rng.integers(len(all_Kmm)))]
    elif choice == 1:
        new = ~mask_mm
    else:
        count, pieces = cv2.connectedComponents(mask_mm.astype(np.uint8))
        new = pieces == rng.integers(1, count)
    return new if MIN_CELLS <= new.sum() <= MAX_COVER * new.size else mask_mm


def with_pasting(records: RecordSource) -> Task:
    """Into half of the views up to two things of other photos are pasted, with edges hard or soft; the first
    is something to segment.
    """
    usable = [i for i in range(len(records)) if CLICKS.is_usable(records[i])]

    def draw(record: Record, config: ViewConfig, rng: Generator) -> MaskView | None:
        view = draw_view(record, config, rng)
        if view is None or rng.random() < 0.5:
            return view
        for number in range(int(rng.integers(1, 3))):
            other = draw_view(records[usable[int(rng.integers(len(usable)))]], config, rng)
            if other is not None and other.masks_Kmm[0].mean() < 0.4:
                view = pasted(view, other, number == 0, rng)
        return view

    return drawing(draw)


def pasted(view: MaskView, other: MaskView, wanted: bool, rng: Generator) -> MaskView:
    side, small = view.pixels_SS3.shape[0], other.masks_Kmm[0]
    alpha = cv2.resize(small.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    softness = rng.uniform(0, 2.5)
    alpha = cv2.GaussianBlur(alpha, (0, 0), softness) if softness > 0.5 else alpha
    pixels = view.pixels_SS3 + (other.pixels_SS3.astype(np.float32) - view.pixels_SS3) * alpha[..., None]
    masks = [m & ~small for m in view.masks_Kmm]
    masks = [m for m in ([small, *masks] if wanted else masks) if m.sum() >= MIN_CELLS]
    if not masks:
        return view
    count = len(view.masks_Kmm)
    return MaskView(pixels.round().astype(np.uint8), np.stack([masks[i % len(masks)] for i in range(count)]))


def with_boundary(records: RecordSource) -> Task:
    """Dice once more, in a band of three cells on either side of the true boundary."""

    def both(logits_PMmm: Tensor, target_P1mm: Tensor) -> Tensor:
        true = target_P1mm.float()
        wide, narrow = F.max_pool2d(true, 7, 1, 3), 1 - F.max_pool2d(1 - true, 7, 1, 3)
        band = wide - narrow
        chance = logits_PMmm.sigmoid() * band
        shared = (chance * true).sum((2, 3))
        edge = 1 - (2 * shared + 1) / (chance.sum((2, 3)) + (true * band).sum((2, 3)) + 1)
        return dice(logits_PMmm, target_P1mm) + 0.5 * edge

    sessions.dice = both  # type: ignore[attr-defined]
    return CLICKS


ARMS = {
    "base": Arm("nothing else"),
    "unions": Arm("unions, backgrounds and pieces as targets", with_unions),
    "paste": Arm("things of other photos pasted in", with_pasting),
    "boundary": Arm("dice along the boundary", with_boundary),
    "pseudo": Arm("masks the model made for photos with boxes", extra_data=True),
    "clicks": Arm(
        "more first clicks, fewer boxes",
        config=lambda c: replace(c, objective=replace(c.objective, first=FirstPrompt(0.7, 0.25))),
    ),
    "choice": Arm(
        "five times the weight on which candidate is meant",
        config=lambda c: replace(c, objective=replace(c.objective, probability=0.5)),
    ),
    "all": Arm("the whole network learns", recipe=stage2),
}


def made_masks(boxes: Path, start: str, out: Path) -> Path:
    """A folder of the photos of `boxes` with the masks the model draws in them from two looks: those that are
    stable, that it thinks well of and that fill their box.
    """
    model = load(start)
    for record in training_split(open_records(boxes), HELD_OUT):
        image, annotations = model.encode(record.read_pixels()), []
        for annotation in record.annotations:
            answer = image.segment(box=annotation.box_xyxy).best
            logits = answer.low_res_logits
            steady = (logits > 1).sum() / max(1, (logits > -1).sum())
            fits = box_iou(answer.mask.box_xyxy, annotation.box_xyxy)[0, 0] if answer.mask.area else 0
            if steady > 0.6 and answer.iou > 0.75 and fits > 0.8:
                annotations.append({**annotation.fields, "segmentation": answer.rle})
        if annotations:
            fields = {**record.fields, "annotations": annotations, "source": "coco-person"}
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{record.key}.webp").write_bytes(record.blob.read())
            (out / f"{record.key}.json").write_text(json.dumps(fields))
    return out


def one_run(name: str, out: Path, options: argparse.Namespace) -> None:
    arm = ARMS[name]
    packs = [options.packs, *([options.out / "made"] if arm.extra_data else [])]
    records = training_split(open_records(*packs), HELD_OUT)
    model, config = arm.recipe(options.start)
    config = replace(
        config, steps=options.steps, phases=(Phase(1.0, 448, 3, 3),), lr=3e-4, trunk_lr=6e-5, warmup=30,
        average_decay=0.99, average_ramp=10, seed=7, bf16=False,
    )  # fmt: skip
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    train(model, records, arm.config(config), out, "cpu", arm.task(records))


def run_arm(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train, export and measure; what is there already is not done again."""
    out = options.out / name
    if name == START:
        return measured(options.start, out, options)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLIBC_TUNABLES": kept_heap(), RUN: f"{name} {out}"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    subprocess.run(
        [*command, str(options.processes), *sys.argv], env=environment, check=True, capture_output=True
    )
    model = out / "exported" / "lite.json"
    if not model.exists():
        command = [sys.executable, "-m", "anymask", "export", str(out), "--out", str(model.parent)]
        subprocess.run(command, check=True, capture_output=True)
    return measured(model, out, options)


def measured(model: str | Path, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Rows of tables by what was asked and where; one look each."""
    rows: dict[str, Any] = {}
    out.mkdir(parents=True, exist_ok=True)
    for where, data in {"held out": [options.packs, "--held-out", MEASURED], "val": [options.val]}.items():
        for what, more in {"clicks": ["--max-clicks", 4], "boxes": []}.items():
            table = out / f"{what}-{where.replace(' ', '-')}.csv"
            if not table.exists():
                part = [*data, "--model", model, "--no-refine", "--csv", table.with_suffix(".part"), *more]
                command = [sys.executable, "-m", "anymask", "evaluate", what, *map(str, part)]
                subprocess.run(command, check=True, capture_output=True)
                table.with_suffix(".part").rename(table)
            rows[f"{what}, {where}"] = list(csv.DictReader(table.open()))
    return rows


MEASURES = {
    "IoU@1": ("clicks", "iou_1"), "best of three": ("clicks", "oracle_iou_1"), "IoU@4": ("clicks", "iou_4"),
    "box": ("boxes", "iou"),
}  # fmt: skip


def compared(rows: dict[str, Any], base: dict[str, Any]) -> dict[str, str]:
    """Mean of each measure, and beside it the difference to the base with a 95 % interval."""
    told = {}
    for where in ("held out", "val"):
        for name, (what, column) in MEASURES.items():
            ours, theirs = rows[f"{what}, {where}"], base[f"{what}, {where}"]
            values, before = (np.array([float(r[column]) for r in table]) for table in (ours, theirs))
            photos = np.array([r["key"] for r in ours])
            low, high = intervals({name: values - before}, photos)[name]
            told[f"{name}, {where}"] = f"{values.mean():.4f} ({low:+.4f} .. {high:+.4f})"
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", default=",".join(["base", START, *list(ARMS)[1:]]))
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--start", default="lite")
    parser.add_argument("--boxes", type=Path, help="Pack of photos with boxes alone, for `pseudo`.")
    options = parser.parse_args()
    if RUN in os.environ:
        name, out = os.environ[RUN].split(" ", 1)
        return one_run(name, Path(out), options)
    if options.boxes and not (options.out / "made").exists():
        made_masks(options.boxes, options.start, options.out / "made")
    base = None
    for name in options.arms.split(","):
        rows = run_arm(name, options)
        base = base or rows
        print(json.dumps({"arm": name, **compared(rows, base)}), flush=True)
    return None


if __name__ == "__main__":
    main()
