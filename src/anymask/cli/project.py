"""`anymask project`: the data engine of a folder of photos, from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.reporting import complain, needs_extra, progress_line, say

if TYPE_CHECKING:
    from anymask.data.formats import Notes
    from anymask.engine.project import Project
    from anymask.engine.status import Status

project = typer.Typer(help="A data engine: photos, masks, people, rounds of training.", no_args_is_help=True)

Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A project, or the studio's folder of photos."),
]
BASE = "base"  # the model that a project began with
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@contextmanager
def open_project(folder: Path, *, read_only: bool = False) -> Iterator[Project]:
    with needs_extra("engine"):
        from anymask.engine.project import Project

    with Project.open(folder, read_only=read_only) as opened:
        yield opened


@project.command()
def init(
    folder: Folder,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTOS", help="Photos, folders, tar shards.")],
    copy: Annotated[bool, typer.Option(help="Copy the photos into the project.")] = False,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql://...; default: SQLite in DIR.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME|PATH", help="The model to begin with.")] = "lite",
    fixed: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the photos, kept for evaluation, never trained on.")
    ] = 0.2,
) -> None:
    """Make a project of photos, or add new photos to one. They stay where they are."""
    with needs_extra("engine"):
        from anymask.engine.project import Project

    opened, added = Project.init(
        folder, photos, copy=copy, database=database, model=model, fixed_share=fixed, progress=progress_line
    )
    with opened:
        from anymask.store.images import counts as count_images

        counts = count_images(opened.database)
    report(added.failures)
    known = f", {added.known} known already" if added.known else ""
    say(f"{folder}: {added.new} photos added{known}; {counts['fixed']} of {counts['images']} for evaluation")
    if added.failures:
        raise typer.Exit(1)


@project.command(name="import")
def import_(
    folder: Folder,
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A data set in any format that convert reads.")
    ],
    from_: Annotated[str, typer.Option("--from", metavar="FORMAT", help="Its format; auto looks.")] = "auto",
    author: Annotated[str, typer.Option(help="Who made the masks.")] = "import",
) -> None:
    """Take in masks that exist already, for the photos of the project."""
    from anymask.data import formats

    notes = formats.Notes()
    with open_project(folder) as opened:
        from anymask.engine.exchange import import_annotations

        try:
            done = import_annotations(
                opened, source, notes, format_name=from_, author=author, progress=progress_line
            )
        finally:
            _report_notes(notes)
    known = f", {done.known} known already" if done.known else ""
    say(f"{done.masks} masks of {done.photos} photos imported{known}")
    if notes.failures:
        raise typer.Exit(1)


@project.command()
def export(
    folder: Folder,
    target: Annotated[
        Path | None, typer.Argument(metavar="DST", help="Default: export-FORMAT in it.")
    ] = None,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="Any format that convert writes.")] = "coco",
    images: Annotated[str | None, typer.Option(metavar="link|copy|none", help="As in convert.")] = None,
    state: Annotated[
        str,
        typer.Option(
            metavar="all|done|accepted", help="Which photos; accepted: approved in review, unchanged since."
        ),
    ] = "all",
) -> None:
    """Write photos with their masks as a data set."""
    from anymask.data import formats

    notes = formats.Notes()
    with open_project(folder) as opened:
        target = target or opened.folder / f"export-{to}"
        from anymask.engine.exchange import export_annotations

        done = export_annotations(
            opened, target, notes, format_name=to, photos=images, state=state, progress=progress_line
        )
    _report_notes(notes)
    left_out = f", {done.left_out} photos left out" if done.left_out else ""
    say(f"{done.masks} masks of {done.photos} photos{left_out} -> {to} in {target}")


@project.command()
def models(folder: Folder) -> None:
    """The models of the rounds; the promoted one is marked."""
    with open_project(folder, read_only=True) as opened:
        from anymask.store.registry import list_models

        current = opened.version
        say(f"{'*' if current is None else ' '} {BASE:<12} {opened.config.model}")
        for one in list_models(opened.database):
            say(f"{'*' if current == one.id else ' '} {one.id[:12]} {one.name}")


@project.command()
def promote(
    folder: Folder,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help=f"The beginning of its id, see models; {BASE}: the one it began with."
        ),
    ],
    why: Annotated[str, typer.Option(help="For the log.")] = "by hand",
) -> None:
    """Use another model of the project from now on; also to roll back."""
    with open_project(folder) as opened:
        name = opened.promote(None if model in (BASE, "-") else model, "user", why)
        say(f"promoted {name}")


@project.command()
def status(
    folder: Folder,
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with curves and pictures.")
    ] = None,
    metrics: Annotated[bool, typer.Option(help="Print numbers for Prometheus.")] = False,
) -> None:
    """Photos, masks, people, rounds."""
    with open_project(folder, read_only=True) as opened:
        found, missing = _status(opened), 0 if metrics else len(opened.absent())
        if html is not None:
            from anymask.engine.report import write_status_page

            write_status_page(opened, found, html)
    if metrics:
        from anymask.engine.metrics import metrics_text

        say(metrics_text(found).rstrip())
        return
    told = {**found.to_json(), "photos_missing": missing}
    say(json.dumps(told, indent=2) if as_json else _text(found, missing))


@project.command()
def verify(folder: Folder) -> None:
    """Replay every event and compare it with the masks of now; look for every photo."""
    with open_project(folder, read_only=True) as opened:
        from anymask.store.annotations import verify as replay
        from anymask.store.images import counts

        problems = replay(opened.database)
        gone = opened.missing()
        problems += [f"{image.name}: its photo is missing or has changed: {image.path}" for image in gone]
        photos = counts(opened.database)["images"]
    for line in problems:
        complain(line)
    if problems:
        raise typer.Exit(1)
    say(f"all events replayed, {photos} photos there: no differences")


@project.command(name="log")
def log_(folder: Folder) -> None:
    """What happened, a line each."""
    with open_project(folder, read_only=True) as opened:
        from anymask.store.registry import read_log

        for row in read_log(opened.database):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at))
            told = {"model": BASE} if row.what == "promoted" else {}
            told |= {name: value for name, value in json.loads(row.detail).items() if value not in (None, "")}
            detail = ", ".join(f"{name} {value}" for name, value in told.items())
            say(f"{when}  {row.author}: {row.what}{f' ({detail})' if detail else ''}")


def _status(opened: Project) -> Status:
    from anymask.engine.status import status_of

    return status_of(opened)


def _text(found: Status, missing: int) -> str:
    counts = found.images
    per_image = "" if found.masks_per_image is None else f", {found.masks_per_image:.1f} a photo with masks"
    states = ", ".join(
        f"{counts[name]} {name}" for name in ("annotated", "prefilled", "automatic", "skipped", "new")
    )
    lines = [
        f"photos     {counts['images']} ({states}); {counts['fixed']} for evaluation",
        f"masks      {counts['masks']}{per_image}",
        f"model      {found.model}",
    ]
    if missing:
        lines.insert(1, f"missing    {missing} photos are not there any more; verify names them")
    for kind, by_state in found.tasks.items():
        lines.append(f"{kind:<10} " + ", ".join(f"{number} {state}" for state, number in by_state.items()))
    if found.jobs:
        lines.append("jobs       " + ", ".join(f"{number} {state}" for state, number in found.jobs.items()))
    lines += [_person(one) for one in found.people]
    lines += [f"round {one.number:>2}   {one.stage}: {one.state}, {one.why}" for one in found.rounds]
    if found.agreement is not None:
        lines.append(f"agreement  {found.agreement:.2f} (mean IoU of two people's masks)")
    return "\n".join(lines)


def _person(one: Any) -> str:
    return f"{one.name:<10} {one.tasks} x {one.kind}, {one.seconds / one.tasks:.0f} s each"


def report(failures: tuple[tuple[str, str], ...]) -> None:
    for where, why in failures:
        complain(why if where in why else f"{where}: {why}")


def _report_notes(notes: Notes) -> None:
    report(tuple(notes.failures))
    for line in notes.lines():
        complain(line)
