"""Backups of a project: one archive that SQLite and PostgreSQL both write and read.

`tables/NAME.jsonl` (a row a line, in the order of the primary key), `blobs/HASH`, `files/...` of the folder
of the project. One of an older version is restored as it was and then brought up to date.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, collate, func, insert, select, text
from sqlalchemy.types import String

from anymask.errors import BadInput
from anymask.files import writing_atomically
from anymask.store import archive, migrations
from anymask.store.archive import MAX_BYTES, Archive
from anymask.store.blobs import BlobStore
from anymask.store.database import Database
from anymask.store.schema import metadata, sessions
from anymask.store.values import canonical

ROWS = 1000  # read or written at once
MAX_LINE = 1 << 28
LEFT_OUT = (migrations.VERSION, sessions.name)  # who is signed in now is no part of a project

Tables = dict[str, Table]
FilesOf = Callable[[Connection], Iterable[tuple[str, Path | bytes]]]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself. `content`: what `content_hash` gave; `seal`: over the whole file."""

    content: str
    seal: str
    schema: str
    rows: dict[str, int]
    blobs: int
    files: int


def backup(
    database: Database, blobs: BlobStore | None, target: Path, *, files_of: FilesOf | None = None
) -> Backup:
    """Write a backup of one state of the project while others go on working; memory stays small.

    `files_of`: names the files that this state of the database speaks of, with their places or contents.
    Raises BadInput when `target` is there already, StorageError.
    """
    with archive.writing(target) as writer:
        content = hashlib.sha256()
        with database.read() as connection:
            for name, table in sorted(_tables().items()):
                writer.add(f"tables/{name}.jsonl", _covered(content, name, _lines(connection, table)))
            files = list(files_of(connection)) if files_of is not None else []
        # After the tables: nothing that these name is missing.
        for name, one in files:
            pieces = [one] if isinstance(one, bytes) else archive.pieces_of(one)
            writer.add(f"files/{name}", pieces, compressed=False)
        for digest in blobs.each() if blobs is not None else ():
            writer.add(f"blobs/{digest}", [blobs.get(digest)], compressed=False)  # type: ignore[union-attr]
        manifest = writer.finish({"content": content.hexdigest(), "schema": migrations.newest()})
    return _summary(manifest, writer.seal)


def _tables(found: MetaData = metadata) -> Tables:
    """By name, those that others refer to first."""
    return {table.name: table for table in found.sorted_tables if table.name not in LEFT_OUT}


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
        return _content_hash(connection, _tables())


def _content_hash(connection: Connection, tables: Tables) -> str:
    content = hashlib.sha256()
    for name, table in sorted(tables.items()):
        for _ in _covered(content, name, _lines(connection, table)):
            pass
    return content.hexdigest()


def verify_backup(file: Path, *, max_bytes: int = MAX_BYTES) -> Backup:
    """Read every byte and check it. Raises BadInput for a backup that is incomplete, damaged or hostile."""
    with Archive(file, max_bytes) as opened:
        _check_schema(opened)
        for name in opened.manifest["entries"]:
            for _ in opened.pieces(name):
                pass
        return _summary(opened.manifest, opened.seal)


def restore(
    file: Path,
    database: Database,
    blobs: BlobStore | None = None,
    *,
    folder: Path | None = None,
    max_bytes: int = MAX_BYTES,
) -> Backup:
    """Into an empty project, all or nothing; its content hash is compared before it is committed.

    `folder`: for the files, an empty one. Raises BadInput for a bad backup or a project that is not empty,
    StorageError.
    """
    found = verify_backup(file, max_bytes=max_bytes)
    if (found.blobs and blobs is None) or (found.files and folder is None):
        raise BadInput(f"the backup has {found.blobs + found.files} files: expected a place for them")
    with Archive(file, max_bytes) as opened:
        for name in opened.names("blobs"):
            blobs.put(b"".join(opened.pieces(name)))  # type: ignore[union-attr]
        for name in opened.names("files"):
            with writing_atomically(folder / name.removeprefix("files/")) as target:  # type: ignore[operator]
                target.writelines(opened.pieces(name))
        database.write(lambda connection: _restore_tables(connection, opened))
    return found


def _check_schema(opened: Archive) -> None:
    schema = opened.manifest.get("schema")
    if not migrations.is_known(schema):
        here = migrations.newest()
        raise BadInput(f"backup: made by a newer anymask (schema {schema}, here {here}): update anymask")
    there = {name.removeprefix("tables/").removesuffix(".jsonl") for name in opened.names("tables")}
    if schema == migrations.newest() and there != set(_tables()):
        raise BadInput(f"backup: expected the tables {', '.join(_tables())}, got {', '.join(sorted(there))}")


def _restore_tables(connection: Connection, opened: Archive) -> None:
    for name, table in _tables().items():
        if connection.execute(select(text("1")).select_from(table).limit(1)).first() is not None:
            raise BadInput(f"expected an empty project to restore into: it has {name} already")
    tables = _tables()
    older = opened.manifest["schema"] != migrations.newest()
    if older:
        migrations.begin_at(connection, opened.manifest["schema"])
        reflected = MetaData()
        reflected.reflect(connection)
        tables = _tables(reflected)
    for name, table in tables.items():
        if f"tables/{name}.jsonl" not in opened.manifest["entries"]:
            raise BadInput(f"backup: {name} is missing")
        _restore_rows(connection, table, opened.pieces(f"tables/{name}.jsonl"))
    if _content_hash(connection, tables) != opened.manifest["content"]:
        raise BadInput("the restored project is not the one that was backed up")
    if older:
        migrations.go_on(connection)


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
        raise BadInput(f"backup: a row of {table.name} has other columns than its schema")
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


def _summary(manifest: dict[str, Any], seal: str) -> Backup:
    entries = manifest["entries"]
    rows = {
        name.removeprefix("tables/").removesuffix(".jsonl"): entry["pieces"]
        for name, entry in entries.items()
        if name.startswith("tables/")
    }
    blobs, files = (sum(name.startswith(kind) for name in entries) for kind in ("blobs/", "files/"))
    return Backup(manifest["content"], seal, manifest["schema"], rows, blobs, files)
