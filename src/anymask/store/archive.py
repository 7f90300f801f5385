"""Archive: a zip with a manifest and a seal, that is never believed when a byte is wrong or a name leads out.

`manifest.json` has the SHA-256 and the size of each entry. The last 64 bytes of the file are the SHA-256 of
everything before: whatever is missing or changed shows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from anymask.errors import BadInput, mapped
from anymask.files import check_regular, writing_atomically
from anymask.store.blobs import DIGEST
from anymask.store.values import canonical

FORMAT = 1
MANIFEST = "manifest.json"
SEAL = 64  # bytes at the end: SHA-256 in hexadecimal digits
CHUNK = 1 << 20
MAX_RATIO = 200  # of an entry of more than MAX_UNCHECKED bytes
MAX_UNCHECKED = 10 << 20
MAX_BYTES = 1 << 40
TABLE = re.compile(r"tables/[a-z_]{1,40}\.jsonl")
PART = re.compile(r'[^/\\:*?"<>|\x00-\x1f. ]([^/\\:*?"<>|\x00-\x1f]*[^/\\:*?"<>|\x00-\x1f. ])?')  # of a path


@dataclass(slots=True)
class Writer:
    """Adds entries; `seal` is known when the archive is closed."""

    archive: zipfile.ZipFile
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    seal: str = ""

    def add(self, name: str, pieces: Iterable[bytes], *, compressed: bool = True) -> None:
        """Raises BadInput for a name that would be refused when it is read."""
        if not _is_known(name):
            raise BadInput(f"backup: cannot take in a file of this name: {name[:200]!r}")
        digest, size, count = hashlib.sha256(), 0, 0
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        with self.archive.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                count += 1
        self.entries[name] = {"sha256": digest.hexdigest(), "bytes": size, "pieces": count}

    def finish(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Writes the manifest and returns it."""
        manifest = {**facts, "format": FORMAT, "entries": self.entries}
        self.archive.writestr(MANIFEST, canonical(manifest))
        self.archive.comment = b"0" * SEAL
        return manifest


@contextlib.contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """The file is there whole when the block ends. Raises BadInput when it is there already, StorageError."""
    if target.exists():
        raise BadInput(f"{target} is there already: backups are not overwritten")
    with writing_atomically(target) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            writer = Writer(archive)
            yield writer
        writer.seal = seal_of(file, file.seek(0, 2) - SEAL)
        file.seek(-SEAL, 2)
        file.write(writer.seal.encode())
        file.flush()


def pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


class Archive:
    """One that is read, in a `with` statement; every check that needs no content is done. Raises BadInput."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path, self._max_bytes = path, max_bytes
        self.manifest: dict[str, Any] = {}
        self.seal = ""

    def __enter__(self) -> Archive:
        check_regular(self._path)
        with mapped(OSError, BadInput, f"cannot read {self._path}"):
            self._file = self._path.open("rb")
        try:
            self.seal = self._sealed()
            failed = (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError)
            with mapped(failed, BadInput, f"{self._path} is no backup"):
                self._zip = zipfile.ZipFile(self._file)
            _check_names(self._zip.infolist(), self._max_bytes)
            self.manifest = _manifest(self._zip)
            return self
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _sealed(self) -> str:
        size = self._file.seek(0, 2) - SEAL
        self._file.seek(max(size, 0))
        seal = self._file.read(SEAL).decode("ascii", "replace")
        if size <= 0 or seal_of(self._file, size) != seal:
            raise BadInput(f"{self._path} is incomplete or damaged: its checksum does not agree")
        return seal

    def names(self, folder: str) -> list[str]:
        return [name for name in self.manifest["entries"] if name.startswith(f"{folder}/")]

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of an entry. Raises BadInput when it is not what the manifest says."""
        entry, digest, size = self.manifest["entries"][name], hashlib.sha256(), 0
        failed = (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError)
        with (
            mapped((*failed, zlib.error), BadInput, f"backup: {name} is damaged"),
            self._zip.open(name) as file,
        ):
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > entry["bytes"]:
                    break
                yield chunk
        if size != entry["bytes"] or digest.hexdigest() != entry["sha256"]:
            raise BadInput(f"backup: {name} is damaged: its checksum does not agree")


def seal_of(file: IO[bytes], size: int) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _is_known(name: str) -> bool:
    """Of the names that an archive may have, none leads out of a folder or is a device somewhere."""
    kind, _, rest = name.partition("/")
    if kind == "files":
        return len(name.encode("utf-8", "replace")) < 1000 and all(map(PART.fullmatch, rest.split("/")))
    blob = kind == "blobs" and DIGEST.fullmatch(rest) is not None
    return blob or name == MANIFEST or TABLE.fullmatch(name) is not None


def _check_names(infos: list[zipfile.ZipInfo], max_bytes: int) -> None:
    names = [info.filename.casefold() for info in infos]
    if len(set(names)) < len(names):
        raise BadInput("backup: an entry is there twice")
    for info in infos:
        if not _is_known(info.filename) or info.orig_filename != info.filename or info.flag_bits & 1:
            raise BadInput(f"backup: expected tables, blobs and files alone, got {info.filename[:80]!r}")
        if info.file_size > max(MAX_UNCHECKED, MAX_RATIO * info.compress_size):
            raise BadInput(f"backup: {info.filename} would become {info.file_size} bytes: refused as a bomb")
    if sum(info.file_size for info in infos) > max_bytes:
        raise BadInput(f"backup: expected at most {max_bytes} bytes in all")


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    failed = (
        zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError, RecursionError, RuntimeError,
    )  # fmt: skip
    with mapped(failed, BadInput, "backup: no manifest that can be read"):
        manifest = json.loads(archive.read(MANIFEST))
        if manifest["format"] != FORMAT:
            raise BadInput(f"backup: expected format {FORMAT}, got {manifest['format']}: update anymask")
        listed = set(manifest["entries"])
        if listed != set(archive.namelist()) - {MANIFEST}:
            raise BadInput("backup: its manifest names other entries than it has")
        for name, entry in manifest["entries"].items():
            if name.startswith("blobs/") and entry["sha256"] != name.removeprefix("blobs/"):
                raise BadInput(f"backup: {name} is not of that SHA-256")
    return dict(manifest)
