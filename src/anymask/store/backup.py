"""Backups of a project: one zip that SQLite and PostgreSQL both write and read.

`tables/NAME.jsonl` (a row a line, in the order of the primary key), `blobs/HASH`, `manifest.json` (SHA-256 of
each). The last 64 bytes are the SHA-256 of everything before: whatever is missing or changed shows.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Table, collate, func, insert, select, text
from sqlalchemy.types import String

from anymask.errors import BadInput, mapped
from anymask.files import check_regular, writing_atomically
from anymask.store.blobs import DIGEST, BlobStore
from anymask.store.database import Database
from anymask.store.schema import metadata
from anymask.store.values import canonical

FORMAT = 1
SEAL = 64  # bytes at the end: SHA-256 in hexadecimal digits
CHUNK = 1 << 20
ROWS = 1000  # read or written at once
MAX_LINE = 1 << 28
MAX_RATIO = 200  # of an entry of more than MAX_UNCHECKED bytes
MAX_UNCHECKED = 10 << 20
MAX_BYTES = 1 << 40
TABLES = {table.name: table for table in metadata.sorted_tables}  # those that others refer to first


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself. `content`: what `content_hash` gave; `seal`: over the whole file."""

    content: str
    seal: str
    rows: dict[str, int]
    blobs: int


def backup(database: Database, blobs: BlobStore | None, target: Path) -> Backup:
    """Write a backup of one state of the project while others go on working; memory stays small.

    Raises BadInput when `target` is there already, StorageError.
    """
    if target.exists():
        raise BadInput(f"{target} is there already: backups are not overwritten")
    with writing_atomically(target) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            manifest = _write_entries(archive, database, blobs)
            archive.comment = b"0" * SEAL
        seal = _seal_of(file, file.seek(0, 2) - SEAL)
        file.seek(-SEAL, 2)
        file.write(seal.encode())
        file.flush()
    return _summary(manifest, seal)


def _write_entries(archive: zipfile.ZipFile, database: Database, blobs: BlobStore | None) -> dict[str, Any]:
    entries: dict[str, dict[str, Any]] = {}
    content = hashlib.sha256()
    with database.read() as connection:
        for name, table in sorted(TABLES.items()):
            lines = _covered(content, name, _lines(connection, table))
            entries[f"tables/{name}.jsonl"] = _write_entry(archive, f"tables/{name}.jsonl", lines)
    for digest in (
        blobs.each() if blobs is not None else ()
    ):  # after the tables: none that these name is missing
        name = f"blobs/{digest}"
        entries[name] = _write_entry(archive, name, [blobs.get(digest)], zipfile.ZIP_STORED)  # type: ignore[union-attr]
    manifest = {"format": FORMAT, "content": content.hexdigest(), "entries": entries}
    archive.writestr("manifest.json", canonical(manifest))
    return manifest


def _write_entry(
    archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes], method: int = zipfile.ZIP_DEFLATED
) -> dict[str, Any]:
    digest, size, count = hashlib.sha256(), 0, 0
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    with archive.open(info, "w", force_zip64=True) as file:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            count += 1
    return {"sha256": digest.hexdigest(), "bytes": size, "pieces": count}


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """Rows as canonical JSON in the order of the primary key, texts by their bytes."""
    postgres = connection.dialect.name == "postgresql"
    order = [
        collate(column, "C") if postgres and isinstance(column.type, String) else column
        for column in table.primary_key
    ]
    query = select(table).order_by(*order).execution_options(yield_per=ROWS)
    for row in connection.execute(query).mappings():
        yield canonical(dict(row)).encode("utf-8", "surrogatepass") + b"\n"


def _covered(content: Any, name: str, lines: Iterator[bytes]) -> Iterator[bytes]:
    content.update(f"{name}\n".encode())
    for line in lines:
        content.update(line)
        yield line


def content_hash(database: Database) -> str:
    """SHA-256 over every row of every table in one order: equal for equal projects, whatever keeps them."""
    with database.read() as connection:
        return _content_hash(connection)


def _content_hash(connection: Connection) -> str:
    content = hashlib.sha256()
    for name, table in sorted(TABLES.items()):
        for _ in _covered(content, name, _lines(connection, table)):
            pass
    return content.hexdigest()


def verify_backup(file: Path, *, max_bytes: int = MAX_BYTES) -> Backup:
    """Read every byte and check it. Raises BadInput for a backup that is incomplete, damaged or hostile."""
    with _opened(file, max_bytes) as (archive, manifest, seal):
        for name, entry in manifest["entries"].items():
            for _ in _checked_pieces(archive, name, entry):
                pass
    return _summary(manifest, seal)


def restore(
    file: Path, database: Database, blobs: BlobStore | None = None, *, max_bytes: int = MAX_BYTES
) -> Backup:
    """Into an empty project, all or nothing; its content hash is compared before it is committed.

    Raises BadInput for a bad backup or a project that is not empty, StorageError.
    """
    found = verify_backup(file, max_bytes=max_bytes)
    with _opened(file, max_bytes) as (archive, manifest, _):
        names = [name for name in manifest["entries"] if name.startswith("blobs/")]
        if names and blobs is None:
            raise BadInput(f"the backup has {len(names)} blobs: expected a place for them")
        for name in names:
            blobs.put(b"".join(_checked_pieces(archive, name, manifest["entries"][name])))  # type: ignore[union-attr]
        database.write(lambda connection: _restore_tables(connection, archive, manifest))
    return found


def _restore_tables(connection: Connection, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
    for name, table in TABLES.items():
        if connection.execute(select(text("1")).select_from(table).limit(1)).first() is not None:
            raise BadInput(f"expected an empty project to restore into: it has {name} already")
    for name, table in TABLES.items():
        entry = f"tables/{name}.jsonl"
        if entry in manifest["entries"]:
            _restore_rows(connection, table, _checked_pieces(archive, entry, manifest["entries"][entry]))
    if _content_hash(connection) != manifest["content"]:
        raise BadInput("the restored project is not the one that was backed up")


def _restore_rows(connection: Connection, table: Table, pieces: Iterator[bytes]) -> None:
    page: list[dict[str, Any]] = []
    for line in _split(pieces):
        page.append(_row(table, line))
        if len(page) == ROWS:
            connection.execute(insert(table), page)
            page = []
    if page:
        connection.execute(insert(table), page)
    numbered = (
        "id" in table.c and table.c.id.autoincrement is not False and not isinstance(table.c.id.type, String)
    )
    if connection.dialect.name == "postgresql" and numbered:
        sequence = func.pg_get_serial_sequence(table.name, "id")
        highest = select(func.max(table.c.id)).scalar_subquery()
        connection.execute(select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None))))


def _row(table: Table, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise BadInput(f"backup: a line of {table.name} is not JSON") from None
    if not isinstance(row, dict) or row.keys() != set(table.c.keys()):
        raise BadInput(f"backup: a row of {table.name} has other columns: made by another version of anymask")
    return row


def _split(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE:
            raise BadInput(f"backup: expected lines of at most {MAX_LINE} bytes")
        yield from lines
    if rest:
        raise BadInput("backup: the last line of a table is incomplete")


class _opened:
    """The archive, its manifest and its seal; every check that needs no content is done."""

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = file, max_bytes

    def __enter__(self) -> tuple[zipfile.ZipFile, dict[str, Any], str]:
        check_regular(self._path)
        with mapped(OSError, BadInput, f"cannot read {self._path}"):
            self._file = self._path.open("rb")
        try:
            seal = self._sealed()
            with mapped(
                (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError),
                BadInput,
                f"{self._path} is no backup",
            ):
                self._archive = zipfile.ZipFile(self._file)
            _check_names(self._archive.infolist(), self._max_bytes)
            return self._archive, _manifest(self._archive), seal
        except BaseException:
            self._file.close()
            raise

    def _sealed(self) -> str:
        size = self._file.seek(0, 2) - SEAL
        self._file.seek(max(size, 0))
        seal = self._file.read(SEAL).decode("ascii", "replace")
        if size <= 0 or _seal_of(self._file, size) != seal:
            raise BadInput(f"{self._path} is incomplete or damaged: its checksum does not agree")
        return seal

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _seal_of(file: IO[bytes], size: int) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (chunk := file.read(min(CHUNK, size))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _check_names(infos: list[zipfile.ZipInfo], max_bytes: int) -> None:
    """Names are of a closed list, so none can lead out of a folder: nothing is extracted by name either."""
    names = [info.filename for info in infos]
    if len(set(names)) < len(names):
        raise BadInput("backup: an entry is there twice")
    for info in infos:
        kind, _, rest = info.filename.partition("/")
        known = (
            info.orig_filename == info.filename == "manifest.json"
            or (kind == "tables" and rest.removesuffix(".jsonl") in TABLES and rest.endswith(".jsonl"))
            or (kind == "blobs" and DIGEST.fullmatch(rest) is not None)
        )
        if not known or info.flag_bits & 1:
            raise BadInput(f"backup: expected tables and blobs alone, got {info.filename[:80]!r}")
        if info.file_size > max(MAX_UNCHECKED, MAX_RATIO * info.compress_size):
            raise BadInput(f"backup: {info.filename} would become {info.file_size} bytes: refused as a bomb")
    if sum(info.file_size for info in infos) > max_bytes:
        raise BadInput(f"backup: expected at most {max_bytes} bytes in all")


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    failed = (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, RecursionError, RuntimeError)
    with mapped(failed, BadInput, "backup: no manifest that can be read"):
        manifest = json.loads(archive.read("manifest.json"))
        if manifest["format"] != FORMAT:
            raise BadInput(f"backup: expected format {FORMAT}, got {manifest['format']}: update anymask")
        listed = set(manifest["entries"])
    if listed != set(archive.namelist()) - {"manifest.json"}:
        raise BadInput("backup: its manifest names other entries than it has")
    for name, entry in manifest["entries"].items():
        if name.startswith("blobs/") and entry["sha256"] != name.removeprefix("blobs/"):
            raise BadInput(f"backup: {name} is not of that SHA-256")
    missing = {f"tables/{name}.jsonl" for name in TABLES} - listed
    if missing:
        raise BadInput(f"backup: {min(missing)} is missing")
    return dict(manifest)


def _checked_pieces(archive: zipfile.ZipFile, name: str, entry: dict[str, Any]) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    failed = (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError)
    with mapped((*failed, zlib.error), BadInput, f"backup: {name} is damaged"), archive.open(name) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if size > entry["bytes"]:
                break
            yield chunk
    if size != entry["bytes"] or digest.hexdigest() != entry["sha256"]:
        raise BadInput(f"backup: {name} is damaged: its checksum does not agree")


def _summary(manifest: dict[str, Any], seal: str) -> Backup:
    entries = manifest["entries"]
    rows = {
        name.removeprefix("tables/").removesuffix(".jsonl"): entry["pieces"]
        for name, entry in entries.items()
        if name.startswith("tables/")
    }
    return Backup(manifest["content"], seal, rows, sum(name.startswith("blobs/") for name in entries))
