"""What decides a training run. Every value is checked when a configuration is made, so that a slip of the pen
is found before any photo is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from anymask.errors import BadOption

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

STRICT: ConfigDict = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, config=STRICT)
class Phase:
    """A part of the run: up to `until` (share of all of it), `batch` views of `size` pixels per process."""

    until: Annotated[float, Field(gt=0, le=1)]
    size: Annotated[int, Field(ge=32, multiple_of=32)]
    batch: Count
    objects: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, config=STRICT)
class FirstPrompt:
    """How often a first prompt is a point or a box (the rest: a loose mask), and how far a box is off.

    `box_jitter`: uniform error of each coordinate relative to the side; `centre`: share of clicks put at
    the centre of the object or the error instead of anywhere in it; `mixed`: False draws one kind for the
    whole batch.
    """

    point: Share = 0.5
    box: Share = 0.45
    box_jitter: Amount = 0.1
    centre: Share = 0.5
    mixed: bool = True


@dataclass(frozen=True, slots=True, config=STRICT)
class Objective:
    """Loss weights and the length of a session.

    `corrections`: odds of 1, 2, 3 ... corrections. `drop_mask`: how often a correction sees no previous mask.
    `look_again`: how often the first correction is none: the same question with its answer, as in a second
    look at a window of the image; always so where a window is what is seen, and the first answer there counts
    only if it is not to a click alone, which nobody asks of a window. `blur`: an answer that is fed back was
    drawn up to so many times coarser, as it is when a window is looked at.
    `teacher`: weight of the distance to what the slowly moving average of the weights answers to the same
    prompts on the same embedding.
    `paper_focal`: plain focal x 20 with MSE on IoU (the paper) instead of normalised focal with L1.
    """

    corrections: Annotated[tuple[Amount, ...], Field(min_length=1)] = (0.3, 0.25, 0.15, 0.1, 0.1, 0.1)
    first: FirstPrompt = FirstPrompt()
    drop_mask: Share = 0.1
    look_again: Share = 0.0
    blur: Annotated[float, Field(ge=1)] = 1.0
    dice: Amount = 1.0
    iou: Amount = 0.5
    probability: Amount = 0.1
    single_when_ambiguous: Amount = 0.3
    all_candidates: Amount = 0.05
    teacher: Amount = 0.0
    paper_focal: bool = False


@dataclass(frozen=True, slots=True, config=STRICT)
class TrainConfig:
    """Everything that decides a run. `weights`: how often a source is drawn per photo, relative to 1.

    `minutes`: the run takes so long instead, however many steps that is; its phases and the rate go by the
    clock, so the next step of a resumed run is no longer the identical one.
    `average_ramp`: the average of the weights follows faster over the first so many steps; 1: never, for runs
    that start from weights worth keeping.
    `resident`: whether photos lie on the device whole and views are drawn there (None: on CUDA devices).
    `closer`: share of views that are windows around one thing, as a second look sees it. `stretch`: by how
    much the others are made wider or taller at most.
    `hold_out`: share of the photos to leave out, for `anymask evaluate --held-out` (`data/splits.py`).

    Raises BadOption that names the first value that makes no sense.
    """

    steps: Count
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    minutes: Rate | None = None
    lr: Amount = 1e-3
    trunk_lr: Amount = 2e-4
    weight_decay: Amount = 0.05
    warmup: Annotated[int, Field(ge=0)] = 200
    final_lr: Share = 0.01
    clip: Rate = 1.0
    average_decay: Share = 0.999
    average_ramp: Count = 10
    seed: int = 0
    scale: tuple[Rate, Rate] = (0.7, 2.5)
    colour: Amount = 0.3
    closer: Share = 0.0
    stretch: Amount = 0.0
    weights: Mapping[str, Amount] = field(default_factory=dict)
    hold_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    objective: Objective = field(default_factory=Objective)
    bf16: bool = False
    workers: Annotated[int, Field(ge=0)] = 0
    resident: bool | None = None
    checkpoint_minutes: Amount = 4.0
    log_every: Count = 20

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, check: ModelWrapValidatorHandler[TrainConfig]) -> TrainConfig:
        try:
            return check(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise BadOption(f"{name}={first['input']}: {first['msg'].lower()}") from None
