"""The training loop: draw views, compute the loss, step, update the EMA, log, checkpoint.

`torchrun --nproc-per-node N` trains data-parallel on N processes, each on views of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a group: else it keeps its threads, which may abort at exit
from torch import Tensor, nn

from anymask.core.progress import Progress
from anymask.core.spec import ModelSpec
from anymask.data.sources import RecordSource
from anymask.data.splits import training_split
from anymask.training.checkpoint import STATE_FILE, is_run, restore_state, save_state
from anymask.training.config import Phase, TrainConfig
from anymask.training.cpu_kernels import with_fast_depthwise
from anymask.training.data.sampler import CpuDataset, Sampler
from anymask.training.device import to_device
from anymask.training.logs import RunLog
from anymask.training.task import Batch, BatchSource, Task, ViewConfig
from anymask.training.tasks.clicks import CLICKS

STREAM_STRIDE = 1_000_003  # separates the views of steps and ranks


@dataclass(frozen=True, slots=True)
class Process:
    """This process among the `count` of the process group."""

    rank: int
    count: int
    device: torch.device


def train(
    model: nn.Module,
    records: RecordSource,
    config: TrainConfig,
    out: Path,
    device: str = "auto",
    task: Task = CLICKS,
    progress: Progress | None = None,
) -> Path:
    """Train, or resume where `out` holds a state; returns the state file, which is saved at Ctrl-C, too.

    `progress(done, total)` is called after each step instead of the line in the terminal.
    """
    process = join_processes(device)
    model = with_fast_depthwise(model) if process.device.type == "cpu" else model
    model.to(device=process.device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    source = batch_source(training_split(records, config.hold_out), config, task, process)
    optimiser = make_optimiser(model, config)
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    card: dict[str, Any] = {"step": 0, "images": 0, "seconds": 0.0}
    if is_run(out):
        card = restore_state(out, model, average, optimiser)
    card["config"] = asdict(config)
    began = time.monotonic() - float(card["seconds"])  # as if it had never stopped

    def fraction(step: int) -> float:
        """Fraction of the run that is done when `step` begins."""
        seconds = time.monotonic() - began
        return step / config.steps if config.minutes is None else seconds / (60 * config.minutes)

    def save() -> None:
        if process.rank == 0:
            save_state(out, model, average, optimiser, card)

    done = synchronised(fraction(card["step"]), config, process)
    log = RunLog(out, process.rank == 0, done, progress is None)
    saved = time.monotonic()
    try:
        for step, batch in batches(source, spec_of(model), config, process, card["step"], fraction):
            if done >= 1:
                break
            numbers = train_step(task, model, batch, optimiser, config, process, step, done)
            update_average(average, model, config, step)
            card["step"], card["images"] = step + 1, card["images"] + len(batch.pixels_BSS3) * process.count
            card["seconds"] = time.monotonic() - began
            done = synchronised(fraction(step + 1), config, process)
            numbers |= {"images": card["images"], "seconds": card["seconds"]}
            log.add(step, numbers, config.log_every, done)
            if progress is not None:
                progress(step + 1, config.steps)
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


def synchronised(done: float, config: TrainConfig, process: Process) -> float:
    """The progress of rank 0, where the clock decides: all must end together and learn at the same rate."""
    if process.count == 1 or config.minutes is None:
        return done
    shared = torch.tensor([done], dtype=torch.float64, device=process.device)
    dist.broadcast(shared, 0)
    return float(shared)


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; a lower rate for the pretrained trunk, no decay on vectors (biases, norms)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            lr = config.trunk_lr if ".trunk." in name else config.lr
            groups.setdefault((lr, config.weight_decay * (parameter.ndim > 1)), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": lr, "base_lr": lr, "weight_decay": decay} for (lr, decay), p in groups.items()],
        fused=next(model.parameters()).is_cuda,
    )


def batch_source(records: RecordSource, config: TrainConfig, task: Task, process: Process) -> BatchSource:
    """On a CUDA device views are drawn there where the task can, unless `config.resident` says otherwise."""
    sampler = Sampler(records, config.weights, config.seed, task)
    on_device = process.device.type == "cuda" if config.resident is None else config.resident
    if on_device and task.gpu_dataset:
        return task.gpu_dataset(records, sampler, process.device)
    return CpuDataset(records, sampler, task)


def batches(
    source: BatchSource,
    spec: ModelSpec,
    config: TrainConfig,
    process: Process,
    start: int,
    progress: Callable[[int], float],
) -> Iterator[tuple[int, Batch]]:
    """(step, batch of this process) from `start` on, endless where the clock ends the run; `config.workers`
    threads prepare some steps ahead. `progress(step)`: fraction of the run that is done before a step.
    """

    def prepared(step: int) -> Any:
        phase = phase_at(config, progress(step))
        first = (step * process.count + process.rank) * STREAM_STRIDE
        return source.prepare(range(first, first + phase.batch), view_config(config, phase, spec))

    with ThreadPoolExecutor(max(1, config.workers)) as pool:
        ahead: dict[int, Future[Any]] = {}
        end = config.steps if config.minutes is None else sys.maxsize
        for step in range(start, end):
            for later in range(step, min(step + config.workers + 1, end)):
                if later not in ahead and config.workers:
                    ahead[later] = pool.submit(prepared, later)
            ready = ahead.pop(step).result() if config.workers else prepared(step)
            yield step, source.batch(ready, process.device)


def view_config(config: TrainConfig, phase: Phase, spec: ModelSpec) -> ViewConfig:
    stride = spec.input_size // spec.low_res_size
    red, green, blue = map(round, spec.mean)
    augmentation = config.scale, config.colour, (red, green, blue), config.closer, config.stretch
    return ViewConfig(phase.size, stride, phase.objects, *augmentation)


def phase_at(config: TrainConfig, done: float) -> Phase:
    return next((p for p in config.phases if done < p.until), config.phases[-1])


def train_step(
    task: Task,
    model: nn.Module,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    config: TrainConfig,
    process: Process,
    step: int,
    done: float,
) -> dict[str, float]:
    """One update, skipped where the gradient is not finite. `done`: fraction of the run. Numbers to log."""
    rng = np.random.default_rng([config.seed + 1, step * process.count + process.rank])
    torch.manual_seed(config.seed + step)
    set_learning_rate(optimiser, learning_rate_factor(config, step, done))
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(process.device.type, torch.bfloat16) if config.bf16 else contextlib.nullcontext():
        pixels = normalised(batch.pixels_BSS3, spec_of(model))
        loss, numbers = task.loss(model, pixels, batch.truth, config.objective, rng)
    loss.backward()
    average_gradients(model, process)
    norm = nn.utils.clip_grad_norm_((p for p in model.parameters() if p.grad is not None), config.clip)
    if torch.isfinite(norm):
        optimiser.step()
    numbers = {"loss": loss.detach(), "gradient": norm, "skipped": ~torch.isfinite(norm), **numbers}
    return {name: float(number) for name, number in numbers.items()}


def normalised(pixels_BSS3: Tensor, spec: ModelSpec) -> Tensor:
    """float32 B x 3 x S x S, channels last."""
    mean, std = (to_device(v, pixels_BSS3.device)[:, None, None] for v in (spec.mean, spec.std))
    pixels = (pixels_BSS3.permute(0, 3, 1, 2).float() - mean) / std
    return pixels.contiguous(memory_format=torch.channels_last)


def average_gradients(model: nn.Module, process: Process) -> None:
    """All-reduce to the mean; parameters without a gradient count as zero."""
    if process.count == 1:
        return
    parameters = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
    dist.all_reduce(flat)
    flat /= process.count
    for parameter, grad in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = grad.view(parameter.shape)


def learning_rate_factor(config: TrainConfig, step: int, done: float) -> float:
    """Linear warm-up over steps, then cosine decay over the run down to `final_lr`."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return warm * (config.final_lr + (1 - config.final_lr) * cosine)


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: nn.Module, config: TrainConfig, step: int) -> None:
    """Exponential moving average (EMA) of the weights, faster at first."""
    keep = min(config.average_decay, (1 + step) / (config.average_ramp + step))
    now = model.state_dict()
    moving = [name for name, tensor in now.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([average[name] for name in moving], [now[name] for name in moving], 1 - keep)
    for name in now.keys() - set(moving):
        average[name].copy_(now[name])
