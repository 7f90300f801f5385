"""The output folder of a run: its configuration, its lock, and where the record of a photo is.

    OUT/run.json            the configuration: model, preset, thresholds; a run with another one is refused
    OUT/<key>.json          the record of a photo, written last and whole: where it is, the photo is done
    OUT/<key>.overlay.png   the photo with its masks, where overlays are asked for
    OUT/.photos.jsonl       of which file each record was made: path, size and time
    OUT/.lock               held while a run is at work

Nothing in the files that are not hidden depends on when, in which order or in how many pieces it was done.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anymask.data.photos import Photo
from anymask.errors import BadInput, Failure, StorageError, mapped
from anymask.files import make_folder, remove_leftovers, write_atomically

MANIFEST = "run.json"
JOURNAL = ".photos.jsonl"
LOCK = ".lock"


class RunLocked(Failure):
    """Another run is writing to the folder."""


@contextlib.contextmanager
def run_folder(path: Path, config: dict[str, Any]) -> Iterator[None]:
    """Make the folder and hold its lock, so that nobody else writes to it.

    Raises BadInput when it holds a run with another configuration, RunLocked when one is at work there,
    StorageError when it cannot be written.
    """
    make_folder(path)
    with mapped(OSError, StorageError, f"cannot write to {path}"):
        (path / LOCK).touch()  # FileLock reports a folder that cannot be written as locked
        try:
            lock = FileLock(path / LOCK).acquire(blocking=False)
        except Timeout as error:
            text = f"another run is at work in {path}: wait for it, or choose another folder"
            raise RunLocked(text) from error
    with lock:
        _check_or_write(path, config)
        remove_leftovers(path)
        yield


def record_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


class Journal:
    """Of which photo, as it then was, each record was made. A line that is lost costs a look at the photo."""

    def __init__(self, folder: Path) -> None:
        self._path, self._seen = folder / JOURNAL, dict[str, list[Any]]()
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in self._path.read_text("ascii").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    key, *file = json.loads(line)
                    self._seen[key] = file

    def knows(self, photo: Photo) -> bool:
        """The photo is as it was when its record was made."""
        return self._seen.get(photo.key) == _file_of(photo)

    def note(self, photo: Photo, file: list[Any]) -> None:
        """Raises StorageError."""
        if file and self._seen.get(photo.key) != file:
            self._seen[photo.key] = file
            with mapped(OSError, StorageError, f"cannot write {self._path}"), self._path.open("ab") as log:
                log.write(b"\n" + json.dumps([photo.key, *file]).encode() + b"\n")  # \n: after half a line


def file_of(photo: Photo) -> list[Any]:
    """Path, place in it, size and time; empty where there is no such file."""
    return _file_of(photo) or []


def _file_of(photo: Photo) -> list[Any] | None:
    blob = photo.blob
    try:
        found = os.stat(blob.path)
    except (OSError, ValueError):
        return None
    return [os.path.realpath(blob.path), blob.offset, blob.length, found.st_size, found.st_mtime_ns]


def read_record(path: Path) -> dict[str, Any] | None:
    """A record that a run wrote; None for what is missing or something else."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    ours = isinstance(record, dict) and isinstance(record.get("image"), dict) and "preset" in record
    return record if ours and isinstance(record.get("annotations"), list) else None


def recorded(folder: Path, name: str) -> Any:
    """An entry of the configuration of the run in a folder; None where there is none."""
    try:
        return json.loads((folder / MANIFEST).read_bytes()).get(name)
    except (OSError, ValueError, AttributeError):
        return None


def _check_or_write(folder: Path, config: dict[str, Any]) -> None:
    manifest = folder / MANIFEST
    if not manifest.exists():
        write_atomically(manifest, (json.dumps(config, indent=1) + "\n").encode())
        return
    try:
        before = json.loads(manifest.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{manifest} is no description of a run ({error}): choose another folder") from error
    if differing := _differing(before, config):
        hint = "continue it with the same options, or choose another folder"
        raise BadInput(f"{folder} holds another run ({differing}): {hint}")


def _differing(before: dict[str, Any], config: dict[str, Any]) -> str:
    """What differs; the settings one by one, unless they follow from the rest."""
    keys = [key for key in sorted({*before, *config}) if before.get(key) != config.get(key)]
    if keys == ["settings"]:
        return _differing(before.get("settings", {}), config["settings"])
    values = ((k, json.dumps(before.get(k)), json.dumps(config.get(k))) for k in keys if k != "settings")
    return "; ".join(f"{key} {there} there, {now} now" for key, there, now in values)
