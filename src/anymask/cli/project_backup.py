"""`anymask project backup` and `restore`: one file with all of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anymask.cli.project import Folder, open_project, project
from anymask.cli.reporting import complain, needs_extra, say

if TYPE_CHECKING:
    from anymask.store.backup import Backup

NAMED = 20  # missing files; of more only the number is told


@project.command()
def backup(
    folder: Folder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; none is overwritten.")],
) -> None:
    """One file with the database, copied photos, models and snapshots; others may go on working."""
    with open_project(folder, read_only=True) as opened:
        from anymask.engine.project_backup import backup_project

        done = backup_project(opened, file)
    _name(done.missing, "file of the project")
    say(f"{folder} -> {file}: {_told(done.backup)}")


@project.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Made by backup.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="An empty postgresql://...; default: SQLite in DIR.")
    ] = None,
    photos: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Where photos may be now; can be repeated.")
    ] = None,
) -> None:
    """A project as it was when it was backed up; names the photos that it refers to and cannot find."""
    with needs_extra("engine"):
        from anymask.engine.project_backup import restore_project

    done = restore_project(file, folder, database=database, photos=photos or ())
    _name(done.missing, "photo")
    say(f"{file} -> {folder}: {_told(done.backup)}")


def _told(done: Backup) -> str:
    rows = done.rows
    return f"{rows['images']} photos, {rows['masks']} masks, {rows['events']} events; content {done.content}"


def _name(missing: tuple[str, ...], what: str) -> None:
    for name in missing[:NAMED]:
        complain(f"{name}: this {what} was not found")
    if len(missing) > NAMED:
        complain(f"and {len(missing) - NAMED} more")
