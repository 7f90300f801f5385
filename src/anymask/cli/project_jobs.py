"""`anymask project prefill`, `annotate`, `train` and `work`: what machines do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.project import Folder, open_project, project, report
from anymask.cli.reporting import needs_extra, progress_line, say

if TYPE_CHECKING:
    from anymask.core.progress import Progress
    from anymask.engine.rounds import Recipe

AtLeast = Annotated[
    float, typer.Option("--at-least", metavar="P", help="Minimum probability of a mask, 0..1.")
]
Queue = Annotated[bool, typer.Option("--queue", help="Leave it to `work`.")]


@project.command()
def prefill(
    folder: Folder,
    at_least: AtLeast = 0.5,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Compute embeddings ahead too, about 4 MB a photo.")
    ] = False,
    queue: Queue = False,
) -> None:
    """Confident masks for every photo that nobody has annotated (stage 2)."""
    _fill(folder, "prefilled", at_least, queue, embeddings)


@project.command()
def annotate(folder: Folder, at_least: AtLeast = 0.5, queue: Queue = False) -> None:
    """Automatic masks for every photo that nobody has annotated, with the model of now (stage 3)."""
    _fill(folder, "automatic", at_least, queue)


def _fill(folder: Path, stage: str, at_least: float, queue: bool, embeddings: bool = False) -> None:
    from anymask.errors import BadOption

    if not 0 <= at_least <= 1:
        raise BadOption(f"--at-least: expected a probability of 0 to 1, got {at_least:g}")
    with open_project(folder) as opened:
        from anymask.api import load
        from anymask.engine.embeddings import compute_embeddings, queue_embeddings
        from anymask.engine.prefill import prefill as run
        from anymask.engine.prefill import queue_masks

        model = load(opened.model)
        if embeddings:
            queue_embeddings(opened, model)
        if queue:
            photos = queue_masks(opened, model, stage=stage, min_probability=at_least)
            say(f"{photos} photos are queued")
            return
        done = run(opened, stage=stage, min_probability=at_least, model=model, progress=progress_line)
        failures = (*done.failures, *(compute_embeddings(opened, model) if embeddings else ()))
    report(failures)
    say(f"{done.masks} masks on {done.photos} photos")
    if failures:
        raise typer.Exit(1)


Quick = Annotated[bool, typer.Option(help="A minute of training instead of several.")]


@project.command()
def train(
    folder: Folder,
    quick: Quick = False,
    queue: Queue = False,
) -> None:
    """One round: snapshot, train, evaluate on the fixed part, promote or say why not."""
    with needs_extra("train"), open_project(folder) as opened:
        from anymask.engine.worker import queue_round, train_now

        if queue:
            say(f"job {queue_round(opened, quick=quick)} is queued")
            return
        done = train_now(opened, _make_recipe, quick=quick)
    outcome = "promoted" if done.promoted else "not promoted, the model before it stays"
    say(f"round {done.number}: trained on {done.masks} masks of {done.photos} photos; {outcome}: {done.why}")


def _make_recipe(quick: bool, progress: Progress) -> Recipe:
    from anymask.engine.recipe import default_recipe

    def told(done: int, total: int) -> None:
        progress(done, total)
        progress_line(done, total)

    return default_recipe(quick=quick, progress=told)


@project.command()
def work(
    folder: Folder,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="masks, embeddings, train; default: all."),
    ] = None,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when no job is left instead of waiting for more.")
    ] = False,
) -> None:
    """Do the jobs of a project, beside other processes and machines; needs PostgreSQL."""
    from anymask.errors import BadInput, BadOption

    with needs_extra("engine"):
        from anymask.engine.project import project_in, read_config
    if read_config(project_in(folder)).database is None:
        raise BadInput(
            f"{folder} is in SQLite, which one process at a time has: prefill, annotate and train do their "
            "work themselves; workers need a project in PostgreSQL (init --database postgresql://...)"
        )
    with needs_extra("train"), open_project(folder) as opened:
        from anymask.engine.worker import KINDS, doers
        from anymask.engine.working import do_jobs

        if unknown := sorted(set(kinds or ()) - set(KINDS)):
            raise BadOption(f"--kind: expected some of {', '.join(KINDS)}, got {unknown[0]!r}")
        chosen = {kind: do for kind, do in doers(_make_recipe).items() if kind in (kinds or KINDS)}
        for job, outcome in do_jobs(opened, chosen, for_ever=not until_done):
            say(f"job {job.id} ({job.kind}): {_outcome(outcome)}")


def _outcome(outcome: Any) -> str:
    if isinstance(outcome, Exception):
        return f"failed: {outcome}"
    plain = {name: value for name, value in outcome.items() if isinstance(value, str | int)}
    return ", ".join(f"{name} {value}" for name, value in plain.items()) or "done"
