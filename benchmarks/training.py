"""How many photos a second does training see, beside a plain loop?

By turns, in processes of their own.

    python benchmarks/training.py DATA.tar [DATA.tar ...] [--size 384] [--steps 25] [--rounds 3]
    python benchmarks/training.py DATA.tar [DATA.tar ...] --device cuda --batch 64 [--size 448]

plain: float32, one process with all threads, the library's memory layout and gradients.
ours: what `recipes/train_lite.sh` does: bfloat16, a process for each core, channels last,
`training/cpu_kernels.py`, and a heap that keeps its memory. The same network, views, sessions and optimiser
in both. On an accelerator plain is bfloat16 there too, but its views are drawn on the processor by as many
threads as it has; ours are drawn where they are used (`training/data/gpu_dataset.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OBJECTS = 3
RUN = "ANYMASK_TRAINING_BENCH"  # in the environment of a run: which, and its folder
LEFT_OUT = 5  # steps before the first report: libraries choose their kernels in them


def one_run(kind: str, out: str, options: argparse.Namespace) -> None:
    """In a process of its own: `kind` is plain or ours."""
    import torch

    from anymask.training import loop
    from anymask.training.recipes import run_recipe

    on_processor = options.device == "cpu"
    if kind == "plain" and on_processor:
        torch.channels_last = torch.contiguous_format
        loop.with_fast_depthwise = lambda model: model
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    phases = (loop.Phase(1.0, options.size, options.batch, OBJECTS),)
    run_recipe(
        "stage2",
        options.data,
        out,
        device=options.device,
        steps=options.steps,
        phases=phases,
        bf16=kind == "ours" or not on_processor,
        resident=kind == "ours" and not on_processor,
        workers=0 if on_processor else os.cpu_count(),
        log_every=LEFT_OUT,
        checkpoint_minutes=60.0,
    )


def views_per_second(kind: str, options: argparse.Namespace) -> float:
    cores = os.cpu_count() or 1
    processes = cores if kind == "ours" and options.device == "cpu" else 1
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores // processes)}
    if kind == "ours":
        environment["GLIBC_TUNABLES"] = kept_heap()
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), __file__]
    command += sys.argv[1:]
    with tempfile.TemporaryDirectory() as out:
        environment[RUN] = f"{kind} {out}"
        subprocess.run(command, env=environment, check=True, capture_output=True)
        rows = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()][1:]
    return float(processes * options.batch / statistics.mean(row["seconds_per_step"] for row in rows))


def kept_heap() -> str:
    """As the recipe sets it."""
    found = re.search(r"GLIBC_TUNABLES=(\S+)", (ROOT / "recipes" / "train_lite.sh").read_text("utf-8"))
    assert found
    return found[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if RUN in os.environ:  # torchrun takes options for its own
        kind, out = os.environ[RUN].split(" ", 1)
        return one_run(kind, out, options)
    ratios = []
    for _ in range(options.rounds):
        plain, ours = (views_per_second(kind, options) for kind in ("plain", "ours"))
        ratios.append(ours / plain)
        print(f"plain {plain:.2f} views/s   ours {ours:.2f}   {ratios[-1]:.2f}x", flush=True)
    print(f"median {statistics.median(ratios):.2f}x at {options.size} pixels")
    return None


if __name__ == "__main__":
    main()
