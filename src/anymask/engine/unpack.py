"""Unpacking a zip file that somebody sent: nothing outside the folder, no links, no bombs."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

from anymask.errors import BadInput, StorageError, mapped
from anymask.files import make_folder

MAX_FILES = 200_000
MAX_BYTES = 8 << 30
MAX_RATIO = 200  # of what is unpacked to what was sent, above MIN_BYTES
MIN_BYTES = 100 << 20
PIECE = 1 << 20
BAD = "expected a zip file"


def unpack(archive: Path, folder: Path) -> None:
    """Regular files of a zip into a new folder. Raises BadInput for anything else in it, StorageError."""
    make_folder(folder)
    with (
        mapped((zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError), BadInput, BAD),
        mapped(OSError, StorageError, f"cannot unpack into {folder}"),
        zipfile.ZipFile(archive) as opened,
    ):
        left = _allowed(opened, archive.stat().st_size)
        seen: set[str] = set()
        for info in opened.infolist():
            if not info.is_dir():
                left = _unpack_one(opened, info, folder, seen, left)


def _allowed(opened: zipfile.ZipFile, sent: int) -> int:
    """How many bytes may come out of it."""
    infos = opened.infolist()
    if len(infos) > MAX_FILES:
        raise BadInput(f"zip: expected at most {MAX_FILES:,} files, got {len(infos):,}")
    allowed = min(MAX_BYTES, max(MIN_BYTES, MAX_RATIO * sent))
    if sum(info.file_size for info in infos) > allowed:
        raise BadInput(f"zip: expected at most {allowed >> 20:,} MB in a file of this size")
    return allowed


def _unpack_one(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, seen: set[str], left: int
) -> int:
    path = folder.joinpath(*_parts(info))
    name = str(path).casefold()
    if name in seen:
        raise BadInput(f"zip: {info.filename[:100]!r} is in it twice")
    seen.add(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(info) as source, path.open("xb") as target:
        while piece := source.read(PIECE):
            left -= len(piece)  # what the directory of the file says may be a lie
            if left < 0:
                raise BadInput("zip: there is more in it than it says")
            target.write(piece)
    return left


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Of a relative path that stays inside. Raises BadInput."""
    name = info.filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    parts = PurePosixPath(name).parts
    inside = bool(parts) and not name.startswith("/") and ".." not in parts
    plain = not any(c in name for c in "\\:\0") and name.isprintable()
    if not inside or not plain or kind not in (0, stat.S_IFREG):
        raise BadInput(f"zip: expected regular files in it, got {name[:100]!r}")
    return parts


def pack(folder: Path, archive: Path) -> int:
    """A zip file of all files in a folder; returns its size. Raises StorageError."""
    with mapped((OSError, ValueError), StorageError, f"cannot write {archive}"):
        part = archive.with_suffix(".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    opened.write(path, path.relative_to(folder).as_posix())
        part.replace(archive)
        return archive.stat().st_size
