"""Does a decoder gain by photos as a model in use gets to see them? Whole for a first answer, and a window
around one thing for second looks and corrections (`inference/zoom.py`); nothing is cropped at random.

    torchrun --standalone --nproc-per-node 2 benchmarks/looks.py OUT DATA.tar [DATA.tar ...]
        [--start lite] [--steps 3000] [--least 384]
    anymask export OUT --boxes lite --out EXPORTED

Goes on from a state in OUT. Sizes from `--least` to 512 pixels take turns, because what a user has is sharper
than a training photo that was enlarged. Part of no recipe: docs/LOG.md says what it gave.

Legend: B images, K objects each, P = B x K prompts, S view side, m mask side.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from anymask.model.segmenter import Decoded, Segmenter
from anymask.store.records import Record, open_records
from anymask.training.augment import Box, Colour, ViewConfig, ViewFrame
from anymask.training.dataset import (
    MAX_COVER,
    MIN_CELLS,
    View,
    has_mask,
    mask_array,
    stacked_masks,
    with_mask,
)
from anymask.training.interaction import FirstPrompt, Prompts, first_prompts
from anymask.training.loop import Phase, train
from anymask.training.objective import (
    Objective,
    answer_loss,
    corrected,
    decode,
    looked_again,
    repeated,
    teacher_loss,
)
from anymask.training.recipes import refine
from anymask.training.task import Numbers, Task

CLOSER = 1 / 3  # of the views show a window
ROOM = (1.15, 2.0)  # a window's sides relative to those of the thing
LEAST_SIDE = (110.0, 190.0)  # of a window, in pixels
OFF_CENTRE = 0.08  # of the thing's sides
SIZE_STEP, TURNS = 64, 300


@dataclass(frozen=True, slots=True)
class Look(View):
    """`closer`: whether it is a window."""

    closer: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """`masks_BKmm`: bool. `closer_B`: which views are windows."""

    masks_BKmm: Tensor
    closer_B: list[bool]


def draw_look(record: Record, config: ViewConfig, rng: Generator) -> Look | None:
    """A whole photo with some of its things, or one of them from close by; None when nothing is visible."""
    annotations = with_mask(record)
    closer = bool(rng.random() < CLOSER)
    order = rng.permutation(len(annotations))[: 1 if closer else 2 * config.objects]
    height, width = record.size_hw
    whole: Box = (0, 0, width, height)
    focus = annotations[int(order[0])].box_xyxy
    shown = random_window(focus, record.size_hw, rng) if closer else whole
    frame = fitted(shown, config, flip=bool(rng.random() < 0.5))
    drawn = (frame.draw_mask(mask_array(annotations[int(i)]), config.stride) for i in order)
    masks = [m for m in drawn if MIN_CELLS <= m.sum() <= MAX_COVER * m.size][: config.objects]
    if not masks:
        return None
    picture = Colour.draw(rng, config.colour).applied(frame.draw_pixels(record.read_pixels(), config.fill))
    chosen = [masks[i % len(masks)] for i in range(config.objects)]
    return Look(np.asarray(picture), np.stack(chosen), closer)


def random_window(box_xyxy: Box, size_hw: tuple[int, int], rng: Generator) -> Box:
    """Around a thing, with more or less room, not quite in the middle, cut at the edges of the photo."""
    edges = []
    for low, high, side in zip(box_xyxy[:2], box_xyxy[2:], size_hw[::-1], strict=True):
        room = math.exp(rng.uniform(math.log(ROOM[0]), math.log(ROOM[1])))
        reach = max((high - low) * room, rng.uniform(*LEAST_SIDE)) / 2
        middle = (low + high) / 2 + rng.uniform(-OFF_CENTRE, OFF_CENTRE) * (high - low)
        edges.append((max(0, int(middle - reach)), min(side, math.ceil(middle + reach))))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1


def fitted(shown_xyxy: Box, config: ViewConfig, flip: bool) -> ViewFrame:
    """A part of a photo at the top left of the square, top right when flipped; its long side fills it."""
    x0, y0, x1, y1 = shown_xyxy
    scale, stride = config.size / max(x1 - x0, y1 - y0), config.stride
    height, width = (
        min(config.size, max(stride, round(side * scale / stride) * stride)) for side in (y1 - y0, x1 - x0)
    )
    return ViewFrame(shown_xyxy, (height, width), (0, 0), config.size, flip)


def seen(views: list[Look], device: torch.device) -> Seen:
    return Seen(stacked_masks(views, device), [view.closer for view in views])


def looks_loss(
    model: Segmenter,
    teacher: Segmenter,
    pixels_B3SS: Tensor,
    truth: Seen,
    objective: Objective,
    rng: Generator,
) -> tuple[Tensor, Numbers]:
    """Of a batch: whole photos and windows each by their share of the views."""
    masks_BKmm = truth.masks_BKmm
    embedding = model.encode_image(pixels_B3SS)
    stride = pixels_B3SS.shape[-1] // masks_BKmm.shape[-1]
    loss = pixels_B3SS.new_zeros(())
    numbers: Numbers = {}
    for closer, part_loss in ((False, first_look_loss), (True, second_look_loss)):
        rows = [i for i, is_closer in enumerate(truth.closer_B) if is_closer == closer]
        if not rows:
            continue
        of_rows = {name: repeated(t[rows], masks_BKmm.shape[1]) for name, t in embedding.items()}
        asked = Asked(model, teacher, of_rows, masks_BKmm[rows].flatten(0, 1), objective)
        part, more = part_loss(
            asked, first_prompts(asked.target_Pmm, stride, objective.first, rng), stride, rng
        )
        loss = loss + part * (len(rows) / len(truth.closer_B))
        numbers |= more
    return loss, numbers


@dataclass(frozen=True, slots=True)
class Asked:
    """Objects in views of one kind, and who answers for them."""

    model: Segmenter
    teacher: Segmenter
    embedding: dict[str, Tensor]
    target_Pmm: Tensor
    objective: Objective

    def answer(self, prompts: Prompts) -> Decoded:
        return decode(self.model, self.embedding, prompts)

    def loss(self, answer: Decoded, prompts: Prompts, name: str) -> tuple[Tensor, Numbers]:
        loss, numbers = answer_loss(answer, self.target_Pmm[:, None], prompts, self.objective, name)
        return loss + teacher_loss(answer, self.teacher, self.embedding, prompts, self.objective), numbers


def first_look_loss(asked: Asked, prompts: Prompts, stride: int, rng: Generator) -> tuple[Tensor, Numbers]:
    """Of the answer to a first prompt."""
    return asked.loss(asked.answer(prompts), prompts, "first")


def second_look_loss(asked: Asked, prompts: Prompts, stride: int, rng: Generator) -> tuple[Tensor, Numbers]:
    """Of the same question asked with its answer, and of the last of some corrections, if there are any."""
    target_Pmm, objective = asked.target_Pmm, asked.objective
    with torch.no_grad():
        answer = asked.answer(prompts)
    prompts = looked_again(prompts, answer, target_Pmm[:, None], objective, rng)
    answer = asked.answer(prompts)
    loss, numbers = asked.loss(answer, prompts, "look")
    corrections = int(rng.choice(len(objective.corrections), p=objective.corrections))
    for number in range(corrections):
        prompts = corrected(prompts, answer, target_Pmm, stride, objective, rng)
        with torch.set_grad_enabled(number == corrections - 1 and torch.is_grad_enabled()):
            answer = asked.answer(prompts)
    if corrections:
        last, more = asked.loss(answer, prompts, "last")
        loss, numbers = loss + last, {**numbers, **more}
    return loss, numbers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--start", default="lite")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--least", type=int, default=384)
    options = parser.parse_args()
    model, config = refine(options.start)
    objective = replace(
        config.objective, corrections=(0.35, 0.25, 0.15, 0.1, 0.06, 0.04, 0.03, 0.02), drop_mask=0.0,
        blur=5.0, first=FirstPrompt(point=0.65, box=0.35),
    )  # fmt: skip
    sizes = range(options.least, 513, SIZE_STEP)
    phases = tuple(Phase((i + 1) / TURNS, sizes[i % len(sizes)], 3, 3) for i in range(TURNS))
    config = replace(
        config, steps=options.steps, phases=phases, warmup=40, seed=3, bf16=False, objective=objective
    )
    task = Task("masks", has_mask, draw_look, seen, looks_loss)
    train(model, open_records(*options.data), config, options.out, "cpu", task)


if __name__ == "__main__":
    main()
