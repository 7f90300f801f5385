"""RunFolder: the output of a run on disk, and who may write to it.

    OUT/run.json            what was asked: model, preset, thresholds; a run with other wishes is refused
    OUT/<key>.json          the record of a photo, written last and whole: where it is, the photo is done
    OUT/<key>.overlay.png   the photo with its masks, where overlays are asked for
    OUT/.lock               held while a run is at work

Nothing in these files depends on when, in which order or in how many pieces the run was done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from anymask.data.photos import Photo
from anymask.errors import BadInput, Failure, StorageError
from anymask.files import make_folder, reason, remove_leftovers, write_atomically

MANIFEST = "run.json"
LOCK = ".lock"


class Busy(Failure):
    """Another run is writing to the folder."""


class RunFolder:
    """An output folder that this process may write to; a context manager that gives it back."""

    def __init__(self, path: Path, wishes: dict[str, Any]) -> None:
        """Raises BadInput when the folder holds a run with other wishes, Busy when one is at work there,
        StorageError when it cannot be written.
        """
        self.path = make_folder(path)
        self._lock = _locked(path / LOCK)
        try:
            self._check_or_write(wishes)
            remove_leftovers(path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def record_path(self, photo: Photo) -> Path:
        return record_path(self.path, photo.key)

    def is_done(self, photo: Photo) -> bool:
        return self.record_path(photo).is_file()

    def _check_or_write(self, wishes: dict[str, Any]) -> None:
        manifest = self.path / MANIFEST
        if not manifest.exists():
            write_atomically(manifest, (json.dumps(wishes, indent=1) + "\n").encode())
            return
        try:
            before = json.loads(manifest.read_bytes())
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{manifest} is no description of a run ({error}): choose another folder"
            ) from error
        differing = [
            f"{key} {_short(before.get(key))} there, {_short(wishes.get(key))} now"
            for key in sorted({*before, *wishes})
            if before.get(key) != wishes.get(key)
        ]
        if differing:
            raise BadInput(
                f"{self.path} holds another run ({'; '.join(differing)}): "
                "continue it with the same options, or choose another folder"
            )


def record_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _locked(path: Path) -> int | None:
    """None on systems without such locks: there, runs are not kept apart. Raises Busy, StorageError."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageError(f"cannot write to {path.parent}: {reason(error)}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Busy(
            f"another run is at work in {path.parent}: wait for it, or choose another folder"
        ) from error
    return lock
