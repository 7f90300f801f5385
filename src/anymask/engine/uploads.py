"""Uploads: photos that somebody sent to a project. Neither their names nor their types are believed."""

from __future__ import annotations

import hashlib
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from sqlalchemy import select

from anymask.engine.project import FIXED_SHARE, Project
from anymask.errors import AnymaskError, BadImage
from anymask.files import short_name, write_atomically
from anymask.images.reader import image_format, image_size, read_reduced
from anymask.store import images, registry
from anymask.store.images import NewImage
from anymask.store.schema import images as table

MAX_PHOTO = 200 << 20
SUFFIXES = {
    "Jpeg": ".jpg", "Png": ".png", "WebP": ".webp", "Gif": ".gif", "Bmp": ".bmp", "Tiff": ".tif",
}  # fmt: skip

_decoding = threading.Lock()  # one photo at a time, however many people send some: a large one takes memory


@dataclass(frozen=True, slots=True)
class Upload:
    """`name`: as it was sent."""

    name: str
    file: IO[bytes]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """`failures`: name and reason."""

    new: int
    known: int
    failures: tuple[tuple[str, str], ...]


def add_uploads(project: Project, uploads: Sequence[Upload], author: str) -> Uploaded:
    """Photos by their content, into the project's own folder; others are named and passed over."""
    found: dict[str, NewImage] = {}
    failures = []
    with project.database.read() as connection:
        names = {row.name: row.hash for row in connection.execute(select(table.c.name, table.c.hash))}
        known = set(names.values())
    read = 0
    for upload in uploads:
        try:
            one = _taken(project, upload, names)
        except AnymaskError as error:
            name = clean_name(upload.name)
            failures.append((name, str(error).removeprefix(f"{name}: ").removeprefix("image bytes: ")))
            continue
        read += 1
        if one.hash not in known:
            found.setdefault(one.hash, one)
    new = len(images.add_images(project.database, list(found.values())))
    registry.note(project.database, author, "photos added", new=new, failed=len(failures))
    return Uploaded(new, read - new, tuple(failures))


def _taken(project: Project, upload: Upload, names: dict[str, str]) -> NewImage:
    content = upload.file.read(MAX_PHOTO + 1)
    name = clean_name(upload.name)
    if len(content) > MAX_PHOTO:
        raise BadImage(f"{name}: expected at most {MAX_PHOTO >> 20} MB")
    suffix = SUFFIXES[image_format(content[:16], name)]
    size_hw = image_size(content)
    with _decoding:  # all of its pixels: what breaks later would break in front of an annotator
        read_reduced(content, 1)
    digest = hashlib.sha256(content).hexdigest()
    path = f"photos/{digest}{suffix}"  # in the folder, which may move
    if not (project.folder / path).exists():
        write_atomically(project.folder / path, content)
    if names.get(name, digest) != digest:  # another photo is called so
        stem = PurePosixPath(name).stem
        name = f"{stem}-{digest[:8]}{PurePosixPath(name).suffix}"
    names[name] = digest
    fixed = int(digest[:8], 16) / 2**32 < FIXED_SHARE
    return NewImage(digest, name, path, size_hw, fixed)


def clean_name(name: str) -> str:
    """The last part of a path, printable, not too long; what a person sees, never a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    text = unicodedata.normalize("NFC", last.encode("utf-8", "replace").decode())
    printable = "".join(c if c.isprintable() else "_" for c in text).strip(". ")
    return short_name(printable) or "photo"
