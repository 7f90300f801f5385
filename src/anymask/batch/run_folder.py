"""The output folder of a run: its configuration, its lock, and where the record of a photo is.

    OUT/run.json            the configuration: model, preset, thresholds; a run with another one is refused
    OUT/<key>.json          the record of a photo, written last and whole: where it is, the photo is done
    OUT/<key>.overlay.png   the photo with its masks, where overlays are asked for
    OUT/.lock               held while a run is at work

Nothing in these files depends on when, in which order or in how many pieces the run was done.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anymask.errors import BadInput, Failure, StorageError, mapped
from anymask.files import make_folder, remove_leftovers, write_atomically

MANIFEST = "run.json"
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
