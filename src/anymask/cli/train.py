"""`anymask train`: a recipe, photos with masks, an output folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from anymask.cli.parsing import parse_setting
from anymask.cli.reporting import needs_extra, open_data, say
from anymask.errors import BadOption


def train(
    recipe: Annotated[
        str,
        typer.Option(
            metavar="lite|stage2|train_accelerator|boxes|edges|finetune|sam_paper|text_paper|smoke",
            help="Network, data weights and hyperparameters; see docs/how-to/train.md.",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="PATH", help="Tar packs, folders of photos with JSON, folders of packs, COCO JSON files."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the state, the log and the weights."),
    ],
    resume: Annotated[
        bool,
        typer.Option(help="Go on where the run in the output folder ends, or refuse a folder with a run."),
    ] = True,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Optimiser steps of the whole run.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", help="Wall-clock budget of the whole run, instead of steps."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where it runs.")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace a field of the recipe; values are JSON or text."
        ),
    ] = None,
) -> None:
    """Train a network by a recipe (needs extra train).

    Checkpoints are written every few minutes and at Ctrl-C; the same command resumes with the identical next
    step (with --minutes, by the clock, not quite identical). On several devices:
    `torchrun --nproc-per-node 2 -m anymask train ...`.
    """
    overrides = dict(map(parse_setting, settings or ()))
    overrides |= {} if steps is None else {"steps": steps}
    overrides |= {} if minutes is None else {"minutes": minutes}
    with needs_extra("train"):
        from anymask.training.checkpoint import is_run
        from anymask.training.recipes import run_recipe
    if is_run(out) and not resume:
        raise BadOption(f"--no-resume: {out} holds a run; choose another folder")
    with needs_extra("train"):
        state = run_recipe(recipe, map(open_data, data), out, device=device, **overrides)
    if os.environ.get("RANK", "0") == "0":  # torchrun starts several of us
        say(f"{state}\nto use it: anymask export {exported(recipe, out, overrides)} --out {out / 'exported'}")


def exported(recipe: str, run: Path, settings: Mapping[str, Any]) -> str:
    """Arguments of `anymask export`: the run, or the model and its new head."""
    from anymask.hub.card import HEAD_PARTS

    is_head = recipe in HEAD_PARTS
    return f"{settings.get('weights_from', 'lite')} --{recipe} {run}" if is_head else str(run)
