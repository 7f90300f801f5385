"""Teaches a trained network which of its candidates is meant, on photos as it gets to see them in use.

    python recipes/choice.py START OUT DATA.tar [DATA.tar ...] [--mix BASE] [--views 2000] [--steps 1500]

START: a run's folder or a weights file. BASE: what that run started from; a part of it is mixed in first,
which answers first clicks better than either (Wortsman et al. 2022, "Model soups"). Each view is a whole
photo, never made larger, with one click on each of a few of its things. The masks stay as they are: only the
last layers that give candidates their chances learn, from what the network says of them and how well each
fits. OUT becomes the folder of a run.

Legend: P prompts, C channels of what is said about an answer, m mask side.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anymask.model.lite import Lite
from anymask.store.records import Record, open_records
from anymask.training.augment import ViewConfig, fitted_frame
from anymask.training.checkpoint import save_state
from anymask.training.dataset import MIN_CELLS, mask_array, with_mask
from anymask.training.distance import depth
from anymask.training.interaction import pick_cells
from anymask.training.loop import normalised
from anymask.training.losses import mask_iou, probability_loss
from anymask.training.objective import CLICKS
from anymask.training.recipes import LITE_WEIGHTS, starting_weights
from anymask.training.task import Choice

GRID, STRIDE = 32, 2
THINGS = 4  # of a photo, at most
CENTRE = 0.7  # share of clicks at the innermost place
BATCH, LR, DECAY = 512, 3e-4, 0.05
OF_BASE = {"image_encoder": 0.25, "prompt_encoder": 0.5, "mask_decoder": 0.5}  # shares of its weights


def mixed(model: Lite, base: Lite) -> Lite:
    others, result = base.state_dict(), Lite()
    shares = {name: OF_BASE[name.split(".")[0]] for name in others}
    result.load_state_dict(
        {name: own.lerp(others[name], shares[name]) for name, own in model.state_dict().items()}
    )
    return result


def asked(model: Lite, record: Record, rng: np.random.Generator) -> tuple[Tensor, Tensor] | None:
    """Of one click on each of a few things: what the network says of its answers, P x C, and the IoU of each
    mask, P x 4; None when nothing is large enough to be clicked.
    """
    height, width = record.size_hw
    side = min(model.spec.input_size, round(max(height, width) / GRID) * GRID)
    config = ViewConfig(side, STRIDE, THINGS)
    frame = fitted_frame((0, 0, width, height), config, flip=bool(rng.random() < 0.5))
    annotations = with_mask(record)
    order = rng.permutation(len(annotations))[:THINGS]
    masks = [frame.draw_mask(mask_array(annotations[int(i)]), STRIDE) for i in order]
    masks = [mask for mask in masks if mask.sum() >= MIN_CELLS]
    if not masks:
        return None
    masks_Pmm = torch.from_numpy(np.stack(masks))
    points_P2 = pick_cells(masks_Pmm, depth(masks_Pmm), CENTRE, rng) * STRIDE
    picture = np.array(frame.draw_pixels(record.read_pixels(), config.fill))
    pixels = normalised(torch.from_numpy(picture)[None], model.spec)
    return said_of(model, pixels, points_P2, masks_Pmm)


@torch.no_grad()
def said_of(model: Lite, pixels: Tensor, points_P2: Tensor, masks_Pmm: Tensor) -> tuple[Tensor, Tensor]:
    said: list[Tensor] = []
    hook = model.mask_decoder.probability_head.register_forward_pre_hook(
        lambda _, given: said.append(given[0])
    )
    labels = torch.ones(len(points_P2), 1, dtype=torch.long)
    answer = model.decode(model.encode_image(pixels), points_P2[:, None], labels)
    hook.remove()
    return said[0], mask_iou(answer.low_res_masks_P4mm, masks_Pmm[:, None])


def collected(model: Lite, data: list[str], views: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """What is said, IoUs, and the weight of each: all views count alike."""
    records = open_records(*data)
    choice = Choice(records, LITE_WEIGHTS, 6, CLICKS)
    for number in tqdm(range(views), unit="view", mininterval=5):
        rng = choice.rng(number)
        found = asked(model, records[choice.photo(rng)], rng)
        if found is not None:
            yield (*found, torch.full((len(found[0]),), 1 / len(found[0])))


def learn(
    head: nn.Module, said_PC: Tensor, iou_P4: Tensor, weight_P: Tensor, steps: int
) -> torch.optim.Optimizer:
    optimiser = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=DECAY)
    slope = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    chance = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.multinomial(weight_P, BATCH, replacement=True, generator=chance)
        one_click = torch.ones(BATCH, dtype=torch.bool)
        loss = probability_loss(head(said_PC[rows]), iou_P4[rows], one_click).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slope.step()
    return optimiser


def chosen_iou(head: nn.Module, said_PC: Tensor, iou_P4: Tensor, weight_P: Tensor) -> float:
    with torch.no_grad():
        likeliest = 1 + head(said_PC)[:, 1:4].argmax(1)
    return float((iou_P4.gather(1, likeliest[:, None])[:, 0] * weight_P).sum() / weight_P.sum())


def lite_of(start: str) -> Lite:
    model = starting_weights(start)
    assert isinstance(model, Lite), f"{start} holds no lite network"
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("start")
    parser.add_argument("out", type=Path)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--mix")
    parser.add_argument("--views", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    began, model = time.monotonic(), lite_of(options.start)
    model = mixed(model, lite_of(options.mix)) if options.mix else model
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    said, iou, weight = (
        torch.cat(part) for part in zip(*collected(model, options.data, options.views), strict=True)
    )
    head, kept = model.mask_decoder.probability_head, len(said) // 5  # a fifth tells how well it went
    before = chosen_iou(head, said[:kept], iou[:kept], weight[:kept])
    optimiser = learn(head, said[kept:], iou[kept:], weight[kept:], options.steps)
    after = chosen_iou(head, said[:kept], iou[:kept], weight[:kept])
    print(f"IoU of the chosen candidate on {kept} clicks left out: {before:.4f} before, {after:.4f} after")
    card = {
        "step": options.steps, "images": options.views, "seconds": time.monotonic() - began,
        "config": {"recipe": "choice", "start": options.start, "mix": options.mix},
    }  # fmt: skip
    save_state(options.out, model, deepcopy(model).state_dict(), optimiser, card)


if __name__ == "__main__":
    main()
