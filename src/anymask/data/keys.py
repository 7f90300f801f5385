"""Keys of photos: relative paths without suffix that are safe as file names and unique within a data set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

MAX_NAME_BYTES = 200  # of one part of a path; file systems take 255, with suffixes


def stem(name: str) -> str:
    """A path without the suffix of its file."""
    return os.path.splitext(name)[0]


def safe_key(name: str) -> str:
    """A relative path that stays below the folder it is joined to and that a file system takes."""
    clean = "".join(c if c.isprintable() else "_" for c in name.replace("\\", "/"))
    parts = [_short(part) for part in clean.split("/") if part not in ("", ".", "..")]
    return "/".join(part.lstrip(".") or "photo" for part in parts) or "photo"


class UniqueKeys:
    """Numbers repeated keys: `a`, `a-2`, `a-3`. Keys that differ in case alone are the same to some file
    systems, so they count as repeated. `reserved`: keys that are never given.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = set(reserved)

    def of(self, wanted: str) -> str:
        key, number = wanted, 1
        while key.casefold() in self._taken:
            number += 1
            key = f"{wanted}-{number}"
        self._taken.add(key.casefold())
        return key


def _short(part: str) -> str:
    content = part.encode("utf-8", "replace")
    if len(content) <= MAX_NAME_BYTES:
        return part
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: MAX_NAME_BYTES - 10].decode('utf-8', 'ignore')}-{digest}"
