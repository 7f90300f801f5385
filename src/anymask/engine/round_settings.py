"""RoundSettings: how a round trains. What was tried, and what each choice gains: docs/experiments, data
engine.

Views are small (256 pixels of a photo enlarged as in use), since a decoder's cost goes with the area of what
it draws; steps count, not seconds, so that a round that was killed ends with the same weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from anymask.errors import BadOption
from anymask.training.config import FirstPrompt, Objective, Phase, TrainConfig

SECONDS_PER_STEP = {"masks": 0.8, "boxes": 0.35}  # one thread of an AMD EPYC, bfloat16
MASKS_FRACTION = 0.7  # of a budget in minutes that goes into masks
FEWEST_STEPS = 10


@dataclass(frozen=True, slots=True)
class RoundSettings:
    """`mask_steps`, `box_steps`: updates of the network and of the box head. `batch` views of `size` pixels,
    `objects` masks of each. `rehearsal`: share of views of everyday photos, against forgetting. `lr`,
    `trunk_lr`, `box_lr`: learning rates. `scale`: of views, the photo's long side relative to theirs.
    `hold_out`: share of the photos that is not trained on: calibrates. `shares`: of the new weights, tried
    from the first on until no more than `forgetting` of IoU is lost on everyday photos. `fitted_photos`:
    photos that automatic masks are fitted on, at most. `threads` of torch: with another number the weights
    differ in the last bits. `bf16`: None: where the processor has it.
    """

    mask_steps: int = 120
    box_steps: int = 120
    batch: int = 4
    objects: int = 4
    size: int = 256
    rehearsal: float = 0.35
    lr: float = 2e-4
    trunk_lr: float = 4e-5
    box_lr: float = 1e-3
    scale: tuple[float, float] = (1.0, 4.0)
    hold_out: float = 0.15
    shares: tuple[float, ...] = (0.9, 0.75, 0.5, 0.25)
    forgetting: float = 0.03
    fitted_photos: int = 8
    threads: int = 1
    bf16: bool | None = None
    seed: int = 0
    checkpoint_seconds: float = 20.0

    def __post_init__(self) -> None:
        """Raises BadOption."""
        whole = ("mask_steps", "box_steps", "batch", "objects", "fitted_photos", "threads")
        for name in whole:
            if getattr(self, name) < 1:
                raise BadOption(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.size < 64 or self.size % 32:
            raise BadOption(f"size: expected a multiple of 32 from 64 on, got {self.size}")
        if not 0 <= self.rehearsal < 1 or not 0 < self.hold_out < 1:
            raise BadOption("rehearsal, hold_out: expected fractions below 1")

    def within(self, minutes: float) -> RoundSettings:
        """With as many steps as take about so long. Raises BadOption."""
        if not minutes > 0:
            raise BadOption(f"minutes: expected a number above 0, got {minutes}")
        masks, boxes = 60 * minutes * MASKS_FRACTION, 60 * minutes * (1 - MASKS_FRACTION)
        steps = masks / SECONDS_PER_STEP["masks"], boxes / SECONDS_PER_STEP["boxes"]
        mask_steps, box_steps = (max(FEWEST_STEPS, round(n)) for n in steps)
        return replace(self, mask_steps=mask_steps, box_steps=box_steps)

    def to_dict(self) -> dict[str, Any]:
        """What the weights depend on."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoint_seconds"}

    def masks_config(self, weights: dict[str, float], bf16: bool) -> TrainConfig:
        objective = Objective(
            corrections=(0.6, 0.3, 0.1), first=FirstPrompt(point=0.65, box=0.3), look_again=0.1, blur=4.0
        )
        return replace(
            self._config(self.mask_steps, bf16),
            lr=self.lr,
            trunk_lr=self.trunk_lr,
            closer=0.3,
            weights=weights,
            objective=objective,
        )

    def boxes_config(self, weights: dict[str, float], bf16: bool) -> TrainConfig:
        return replace(self._config(self.box_steps, bf16), lr=self.box_lr, clip=2.0, weights=weights)

    def _config(self, steps: int, bf16: bool) -> TrainConfig:
        phases = (Phase(1.0, self.size, self.batch, self.objects),)
        return TrainConfig(
            steps=steps,
            phases=phases,
            warmup=10,
            average_decay=0.98,
            scale=self.scale,
            seed=self.seed,
            bf16=bf16,
            checkpoint_minutes=self.checkpoint_seconds / 60,
        )


DEFAULT = RoundSettings()
QUICK = RoundSettings(mask_steps=40, box_steps=40, fitted_photos=4)
"""For rounds of a minute."""
