"""Backups of a whole project: its database, copies of photos, models and what rounds were trained on.

Photos that the project only refers to stay where they are; a restore says which of them it cannot find.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, select

from anymask.engine.project import CONFIG, Config, Project, read_config, sqlite_url
from anymask.errors import BadInput, StorageError, mapped
from anymask.files import make_folder, write_atomically
from anymask.store import backup as store
from anymask.store.backup import Backup
from anymask.store.database import Database
from anymask.store.schema import images, models, rounds


@dataclass(frozen=True, slots=True)
class Saved:
    """`missing`: files that the project speaks of and that were not there to be saved."""

    backup: Backup
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """`missing`: names of photos that are in none of the folders of photos."""

    backup: Backup
    missing: tuple[str, ...]


def backup_project(project: Project, target: Path) -> Saved:
    """One file with all of a project, of one moment, while others go on working.

    Raises BadInput when `target` is there already, StorageError.
    """
    missing: list[str] = []

    def files(connection: Connection) -> list[tuple[str, Path | bytes]]:
        named = [(name, project.folder / name) for name in _names(project.folder, connection)]
        missing.extend(name for name, path in named if not path.is_file())
        own = replace(project.config, database=None)  # its URL may hold a password
        return [(CONFIG, own.to_json()), *((name, path) for name, path in named if path.is_file())]

    return Saved(store.backup(project.database, None, target, files_of=files), tuple(missing))


def _names(folder: Path, connection: Connection) -> list[str]:
    """Of files in the folder of the project that rows of the database name."""
    copied = connection.execute(select(images.c.path).where(images.c.path.startswith("photos/"))).scalars()
    taken = connection.execute(select(rounds.c.snapshot).where(rounds.c.snapshot.is_not(None))).scalars()
    names = {*copied, *(f"snapshots/{snapshot}.jsonl" for snapshot in taken)}
    for path in map(Path, connection.execute(select(models.c.path)).scalars()):
        beside = (folder / path.parent).glob(f"{path.stem}*")  # the card, its weights and graphs
        names |= {path.as_posix(), *(one.relative_to(folder).as_posix() for one in beside if one.is_file())}
    return sorted(names)


def restore_project(
    file: Path, folder: Path, *, database: str | None = None, photos: Sequence[Path] = ()
) -> Restored:
    """A project like the one that was saved, in a new folder and, by default, SQLite in it.

    `database`: the URL of an empty PostgreSQL. `photos`: more folders to look for photos in.
    Raises BadInput for a bad backup or a place that is not empty, StorageError.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty: choose a new folder to restore into")
    staged = make_folder(folder.parent) / f".{folder.name}.{os.getpid()}.part"
    try:
        with mapped(OSError, StorageError, f"cannot make {staged}"):
            staged.mkdir()
        made = _restore_into(staged, file, database, photos)
        with mapped(OSError, StorageError, f"cannot make {folder}"):
            _move(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    with Project.open(folder, read_only=True) as project:
        return Restored(made, tuple(image.name for image in project.missing()))


def _move(staged: Path, folder: Path) -> None:
    """Into an empty folder, which somebody may stand in, what makes it a project comes last."""
    if not folder.exists():
        staged.rename(folder)
        return
    for path in sorted(staged.iterdir(), key=lambda one: one.name == CONFIG):
        path.rename(folder / path.name)


def _restore_into(staged: Path, file: Path, database: str | None, photos: Sequence[Path]) -> Backup:
    with Database.open(database or sqlite_url(staged)) as opened:
        made = store.restore(file, opened, folder=staged)
    config = _with_places(read_config(staged), database, photos)
    write_atomically(staged / CONFIG, config.to_json())
    return made


def _with_places(config: Config, database: str | None, photos: Sequence[Path]) -> Config:
    more = (str(one.resolve()) for one in photos)
    return replace(config, database=database, photos=tuple(dict.fromkeys((*config.photos, *more))))
