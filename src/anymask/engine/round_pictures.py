"""What a round brought, to look at: one click on a few fixed photos, answered by the model before and after.

Written beside the model of the round when it is measured, so that nobody waits for two models later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anymask.engine.project import Project
from anymask.errors import BadInput, mapped
from anymask.files import write_atomically

PICTURES = "pictures.json"
Answer = dict[str, Any]


def folder_of(project: Project, number: int) -> Path:
    """Where the model of a round lies."""
    return project.folder / "models" / f"round-{number:02d}"


def write_pictures(folder: Path, before: Sequence[Answer], after: Sequence[Answer]) -> None:
    """Those that both answered. Raises StorageError."""
    old = {(one["image"], *one["point"]): one for one in before}
    shared = [(old[key], one) for one in after if (key := (one["image"], *one["point"])) in old]
    told = [
        {
            **{name: new[name] for name in ("image", "point", "truth")},
            "before": {name: past[name] for name in ("mask", "iou")},
            "after": {name: new[name] for name in ("mask", "iou")},
        }
        for past, new in shared
    ]
    if told:
        write_atomically(folder / PICTURES, json.dumps(told).encode())


def read_pictures(folder: Path) -> list[Answer]:
    """None of a round that kept none. Raises BadInput for a damaged file."""
    path = folder / PICTURES
    if not path.is_file():
        return []
    with mapped((OSError, ValueError), BadInput, f"{path} is damaged"):
        found: list[Answer] = json.loads(path.read_text("utf-8"))
        return found
