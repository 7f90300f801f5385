"""The training loop, flat: draw views, run one session per object, step, average, log, checkpoint.

`torchrun --nproc-per-node N` runs it on N processes; every process draws its own views and gradients are
averaged in one call, so parameters that a step does not touch need no special care.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from anymask.core.spec import ModelSpec
from anymask.store.records import RecordSource
from anymask.training.augment import ViewConfig
from anymask.training.checkpoint import STATE_FILE, restore_state, save_state
from anymask.training.depthwise import with_quick_gradients
from anymask.training.logs import RunLog
from anymask.training.objective import CLICKS, Objective
from anymask.training.task import Task, TrainingViews, V

GIANT = 1_000_003  # separates the random streams of steps and ranks


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run: up to `until` (share of all steps), `batch` views of `size` pixels per process."""

    until: float
    size: int
    batch: int
    objects: int


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run. `weights`: how often a source is drawn per photo, relative to 1."""

    steps: int
    phases: tuple[Phase, ...]
    lr: float = 1e-3
    trunk_lr: float = 2e-4
    weight_decay: float = 0.05
    warmup: int = 200
    final_lr: float = 0.01
    clip: float = 1.0
    average_decay: float = 0.999
    seed: int = 0
    scale: tuple[float, float] = (0.7, 2.5)
    colour: float = 0.3
    weights: Mapping[str, float] = field(default_factory=dict)
    objective: Objective = field(default_factory=Objective)
    bf16: bool = False
    workers: int = 0
    checkpoint_minutes: float = 4.0
    log_every: int = 20


@dataclass(frozen=True, slots=True)
class Process:
    """This process among those that train together."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        return self.rank == 0


def train(
    model: nn.Module,
    records: RecordSource,
    config: TrainConfig,
    out: Path,
    device: str = "auto",
    task: Task[Any] = CLICKS,
) -> Path:
    """Train until `config.steps`, resuming from `out` when a state lies there. Returns the state file.

    Ctrl-C saves the state before it leaves.
    """
    process = join_processes(device)
    with_quick_gradients(model).to(device=process.device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    views = TrainingViews(records, config.weights, config.seed, task)
    optimiser = make_optimiser(model, config)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    card: dict[str, Any] = {"step": 0, "images": 0, "seconds": 0.0}
    if (out / STATE_FILE).exists():
        card = restore_state(out, model, average, optimiser)
    log, saved, began, before = (
        RunLog(out, process.leads, config.steps),
        time.monotonic(),
        time.monotonic(),
        card["seconds"],
    )
    card |= {"config": asdict(config)}

    def save() -> None:
        if process.leads:
            save_state(out, model, average, optimiser, card)

    try:
        for step, batch in batches(views, spec_of(model), config, process, card["step"]):
            numbers = train_step(task, model, batch, optimiser, config, process, step)
            update_average(average, model, config, step)
            card["step"], card["images"] = step + 1, card["images"] + len(batch) * process.count
            card["seconds"] = before + time.monotonic() - began
            log.add(step, {**numbers, "images": card["images"], "seconds": card["seconds"]}, config.log_every)
            if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                save()
                saved = time.monotonic()
    finally:
        save()
        log.close()
        if dist.is_initialized():
            dist.destroy_process_group()
    return out / STATE_FILE


def spec_of(model: nn.Module) -> ModelSpec:
    assert isinstance(model.spec, ModelSpec)
    return model.spec


def join_processes(device: str) -> Process:
    """Read torchrun's environment; one process when there is none."""
    count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if device == "auto":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    if count > 1:
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Process(rank, count, torch.device(device))


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; a lower rate for the pretrained trunk, no decay on vectors (biases, norms)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            lr = config.trunk_lr if ".trunk." in name else config.lr
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": lr, "base_lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()]
    )


def batches(
    views: TrainingViews[V], spec: ModelSpec, config: TrainConfig, process: Process, start: int
) -> Iterator[tuple[int, list[V]]]:
    """(step, views of this process) from `start` on; `config.workers` threads draw one step ahead."""
    stride = spec.input_size // spec.low_res_size
    fill = (round(spec.mean[0]), round(spec.mean[1]), round(spec.mean[2]))

    def draw(step: int) -> list[V]:
        phase = phase_at(config, step)
        how = ViewConfig(phase.size, stride, phase.objects, config.scale, config.colour, fill)
        first = (step * process.count + process.rank) * GIANT
        return [views.view(first + i, how) for i in range(phase.batch)]

    if config.workers == 0:
        yield from ((step, draw(step)) for step in range(start, config.steps))
        return
    with ThreadPoolExecutor(config.workers) as pool:
        ahead: dict[int, Future[list[V]]] = {}
        for step in range(start, config.steps):
            for later in range(step, min(step + config.workers + 1, config.steps)):
                if later not in ahead:
                    ahead[later] = pool.submit(draw, later)
            yield step, ahead.pop(step).result()


def phase_at(config: TrainConfig, step: int) -> Phase:
    return next((p for p in config.phases if step < p.until * config.steps), config.phases[-1])


def train_step(
    task: Task[V],
    model: nn.Module,
    batch: list[V],
    optimiser: torch.optim.Optimizer,
    config: TrainConfig,
    process: Process,
    step: int,
) -> dict[str, float]:
    """One update; returns the numbers to log. A step whose gradient is not finite is skipped and counted."""
    rng = np.random.default_rng([config.seed + 1, step * process.count + process.rank])
    torch.manual_seed(config.seed + step)
    set_learning_rate(optimiser, learning_rate_factor(config, step))
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(process.device.type, torch.bfloat16) if config.bf16 else contextlib.nullcontext():
        pixels = normalised([v.pixels_SS3 for v in batch], spec_of(model), process.device)
        loss, numbers = task.loss(model, pixels, batch, config.objective, rng)
    loss.backward()
    average_gradients(model, process)
    norm = nn.utils.clip_grad_norm_((p for p in model.parameters() if p.grad is not None), config.clip)
    if torch.isfinite(norm):
        optimiser.step()
    skipped = float(not torch.isfinite(norm))
    return {"loss": float(loss.detach()), "gradient": float(norm), "skipped": skipped, **numbers}


def normalised(pixels: list[np.ndarray], spec: ModelSpec, device: torch.device) -> Tensor:
    """float32 B x 3 x S x S, channels last."""
    stack = torch.from_numpy(np.stack(pixels)).to(device).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (spec.mean, spec.std))
    return ((stack - mean) / std).contiguous(memory_format=torch.channels_last)


def average_gradients(model: nn.Module, process: Process) -> None:
    """Mean gradient over all processes; parameters without a gradient anywhere count as zero."""
    if process.count == 1:
        return
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
    dist.all_reduce(flat)
    flat /= process.count
    for parameter, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = grad.view(parameter.shape)


def learning_rate_factor(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine down to `final_lr`."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / config.steps)))
    return warm * (config.final_lr + (1 - config.final_lr) * cosine)


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: nn.Module, config: TrainConfig, step: int) -> None:
    """Exponential average of the weights, faster at first."""
    keep = min(config.average_decay, (1 + step) / (10 + step))
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - keep)
        else:
            average[name].copy_(tensor)
