"""The configuration of a training run, validated on construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from anymask.errors import BadOption

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]

STRICT: ConfigDict = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, config=STRICT)
class Phase:
    """A part of the run: up to `until` (fraction of it), `batch` views of `size` pixels per process."""

    until: Annotated[float, Field(gt=0, le=1)]
    size: Annotated[int, Field(ge=32, multiple_of=32)]
    batch: Count
    objects: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, config=STRICT)
class FirstPrompt:
    """Probabilities of a point and of a box as first prompt (the rest: a coarse mask).

    `box_jitter`: uniform noise of each coordinate relative to the side; `centre`: fraction of clicks at the
    centre of the object or the error instead of anywhere in it; `mixed`: False draws one kind for the whole
    batch.
    """

    point: Fraction = 0.5
    box: Fraction = 0.45
    box_jitter: Amount = 0.1
    centre: Fraction = 0.5
    mixed: bool = True


@dataclass(frozen=True, slots=True, config=STRICT)
class Objective:
    """Loss weights and the simulated session.

    `corrections`: probabilities of 1, 2, 3 ... corrections. `drop_mask`: probability that a correction sees
    no previous mask. `look_again`: probability that the first correction is a refinement pass, without a new
    click; in windows it always is, and a first answer to a single click does not count there. `blur`: random
    low-pass of the mask prompt, factor <= blur, as a refinement window sees it. `dice`, `iou`, `probability`:
    weights of these losses. `single_when_ambiguous`: weight of slot 0 for ambiguous prompts;
    `all_candidates`: of the mean over candidates. `paper_focal`: plain focal x 20 with MSE on IoU (the
    paper) instead of normalised focal with L1.
    """

    corrections: Annotated[tuple[Amount, ...], Field(min_length=1)] = (0.3, 0.25, 0.15, 0.1, 0.1, 0.1)
    first: FirstPrompt = FirstPrompt()
    drop_mask: Fraction = 0.1
    look_again: Fraction = 0.0
    blur: Annotated[float, Field(ge=1)] = 1.0
    dice: Amount = 1.0
    iou: Amount = 0.5
    probability: Amount = 0.1
    single_when_ambiguous: Amount = 0.3
    all_candidates: Amount = 0.05
    paper_focal: bool = False


@dataclass(frozen=True, slots=True, config=STRICT)
class TrainConfig:
    """All settings of a run.

    `minutes`: wall-clock budget instead of `steps`; phases and learning rate go by the clock, so the next
    step of a resumed run is no longer the identical one. `trunk_lr`: learning rate of a pretrained trunk.
    `clip`: gradient norm. `average_decay`: of the exponential moving average (EMA) of the weights, which
    follows faster over the first `average_ramp` steps (1: never). `weights`: sampling weights of sources.
    `scale`, `colour`, `closer`, `stretch`: augmentation, see `ViewConfig`. `hold_out`: validation fraction of
    the photos, for `anymask evaluate --held-out`. `resident`: photos lie in GPU memory and views are drawn
    there (None: on CUDA devices). `workers`: threads that prepare batches.

    Raises BadOption that names the first invalid value.
    """

    steps: Count
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    minutes: Rate | None = None
    lr: Amount = 1e-3
    trunk_lr: Amount = 2e-4
    weight_decay: Amount = 0.05
    warmup: Annotated[int, Field(ge=0)] = 200
    final_lr: Fraction = 0.01
    clip: Rate = 1.0
    average_decay: Fraction = 0.999
    average_ramp: Count = 10
    seed: int = 0
    scale: tuple[Rate, Rate] = (0.7, 2.5)
    colour: Amount = 0.3
    closer: Fraction = 0.0
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
