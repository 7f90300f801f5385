"""Trains the probability head of a network on held-out photos; the masks stay as they are.

    python recipes/choice.py START OUT DATA.tar [DATA.tar ...] [--mix BASE] [--held-out 0.08] [--steps 400]

START: a run's folder or a weights file. BASE: what that run started from; the weights are interpolated with
it first, which is better at the first click than either (Wortsman et al. 2022, "Model soups"). A few objects
of each photo that the run held out are prompted as in `evaluation/calibration.py`: by two clicks and two
boxes, with refinement. Only the probability head learns, from its input features in the first pass and the
IoU of each mask after the second; the result is interpolated with where it started, which is better on photos
of one object. OUT becomes the folder of a run.

Legend: A answers, C channels of the head's input.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from anymask.api import Model
from anymask.backends.torch import TorchBackend
from anymask.cli.reporting import progress_line
from anymask.data.sources import RecordSource, open_records
from anymask.data.splits import in_validation, validation_split
from anymask.evaluation.calibration import Prediction, predictions
from anymask.evaluation.samples import samples_of
from anymask.networks.lite import Lite
from anymask.predict.constraints import (
    clip_to_box,
    enforce_clicks,
    extend_to_edges,
    keep_clicked_component,
)
from anymask.training.checkpoint import save_state
from anymask.training.recipes import HELD_OUT
from anymask.training.tasks.losses import probability_loss
from anymask.training.weights import starting_weights

MAX_OBJECTS = 6  # of a photo
MIN_AREA = 64  # pixels of an object
ASIDE = 0.1  # of these photos
BATCH, LR, DECAY = 512, 2e-4, 0.05
BASE_FRACTION = 0.25  # of the weights of BASE
STEP_FRACTION = 0.25  # of what is learned


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Features of the head in the first pass, the IoU of each slot's mask after the second (-1: not in use),
    and whether several slots are; one row each.
    """

    said_AC: Tensor
    iou_A4: Tensor
    ambiguous_A: Tensor

    @classmethod
    def joined(cls, parts: list[Answers]) -> Answers:
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in cls.__slots__))


def blend(own: nn.Module, other: nn.Module, fraction: float) -> None:
    """Interpolate weights in place: `fraction` of `other`, the rest its own."""
    others = other.state_dict()
    own.load_state_dict({k: tensor.lerp(others[k], fraction) for k, tensor in own.state_dict().items()})


def answers(network: Lite, photos: RecordSource) -> Iterator[tuple[str, Answers]]:
    """The key of a photo and what is answered on it."""
    said = list[Tensor]()
    head = network.mask_decoder.probability_head
    hook = head.register_forward_pre_hook(lambda _, given: said.append(given[0]))
    steps = (extend_to_edges, clip_to_box, keep_clicked_component, enforce_clicks)
    model = Model(TorchBackend.of(network), postprocess=steps, refines=True)
    for number, record in enumerate(photos):
        samples = [s for s in samples_of(record, number) if s.area >= MIN_AREA]
        image = model.encode(record.read_pixels())
        for which in np.random.default_rng(number).permutation(len(samples))[:MAX_OBJECTS]:
            said.clear()
            for prediction in predictions(samples[int(which)], image):
                yield record.key, by_slot(prediction, said[0].clone(), head)
                said.clear()
        progress_line(number + 1, len(photos))
    hook.remove()


def by_slot(prediction: Prediction, said_1C: Tensor, head: nn.Module) -> Answers:
    """A prediction whose candidates, best ranked first, are back in their slots."""
    several, slots = len(prediction.iou_M) > 1, [0]
    if several:
        with torch.no_grad():
            slots = (1 + head(said_1C)[0, 1:4].argsort(descending=True, stable=True)).tolist()
    iou_14 = torch.full((1, 4), -1.0)
    iou_14[0, slots] = torch.tensor(prediction.iou_M, dtype=torch.float32)
    return Answers(said_1C, iou_14, torch.tensor([several]))


def learn(head: nn.Module, known: Answers, steps: int) -> torch.optim.Optimizer:
    """In place; returns what optimised it."""
    start = deepcopy(head)
    optimiser = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=DECAY)
    slope = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    chance = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(known.said_AC), (BATCH,), generator=chance)
        given = known.iou_A4[rows], known.ambiguous_A[rows]
        loss = probability_loss(head(known.said_AC[rows]), *given).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slope.step()
    blend(head, start, 1 - STEP_FRACTION)
    return optimiser


@torch.no_grad()
def quality(head: nn.Module, asked: Answers) -> str:
    """The mean log score, and the IoU of the candidate that is chosen where there are several."""
    logits = head(asked.said_AC)
    score = probability_loss(logits, asked.iou_A4, asked.ambiguous_A).mean()
    likeliest = 1 + logits[:, 1:4].argmax(1)
    iou = asked.iou_A4.gather(1, likeliest[:, None])[asked.ambiguous_A].mean()
    return f"log score {score:.4f}, IoU of the chosen candidate {iou:.4f}"


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
    parser.add_argument("--held-out", type=float, default=HELD_OUT)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    began, model = time.monotonic(), lite_of(options.start)
    if options.mix:
        blend(model, lite_of(options.mix), BASE_FRACTION)
    model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    photos = validation_split(open_records(*options.data), options.held_out)
    found, aside = list(answers(model, photos)), ASIDE * options.held_out
    known = Answers.joined([a for key, a in found if not in_validation(key, aside)])
    asked = Answers.joined([a for key, a in found if in_validation(key, aside)] or [known])
    head = model.mask_decoder.probability_head
    print(f"on {len(asked.said_AC)} answers left out, before: {quality(head, asked)}")
    optimiser = learn(head, known, options.steps)
    print(f"after: {quality(head, asked)}")
    card = {
        "step": options.steps, "images": len(photos), "seconds": time.monotonic() - began,
        "config": {"recipe": "choice", "start": options.start, "mix": options.mix},
    }  # fmt: skip
    save_state(options.out, model, deepcopy(model).state_dict(), optimiser, card)


if __name__ == "__main__":
    main()
