"""Backups: written while others save, equal when restored, and never believed when a byte is wrong."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from store_facts import mask, save

from anymask.errors import BadInput
from anymask.store import archive, images, jobs, migrations, registry, tasks, users
from anymask.store.annotations import verify
from anymask.store.archive import SEAL, seal_of
from anymask.store.backup import _covered, _lines, _tables, backup, content_hash, restore, verify_backup
from anymask.store.blobs import open_blobs
from anymask.store.database import Database, _engine
from anymask.store.schema import sessions


def fill(database: Database) -> None:
    save(database, "a", adds=(mask("a", 1, category="고양이", probability=0.1, more={"x": [1.5, None]}),))
    save(database, "b", base=1, adds=(), removes=("a",))
    tasks.add_tasks(database, [1, 2], priority=0.3)
    tasks.next_task(database, "ann")
    jobs.put(database, "train", "k", {"a": 1})
    registry.set_setting(database, "classes", ["고양이", "a"])
    registry.set_setting(database, "Zulu", "\U0001f600")
    registry.note(database, "ann", "did", lines="a\nb")


@pytest.fixture
def saved(tmp_path: Path, with_photos: Callable[..., Database], sqlite_url: str) -> Path:
    database = with_photos(sqlite_url)
    fill(database)
    blobs = open_blobs(tmp_path / "blobs")
    blobs.put(b"photo")
    backup(database, blobs, tmp_path / "backup.zip")
    return tmp_path / "backup.zip"


@pytest.mark.parametrize("into", ["sqlite", "postgres"])
def test_a_restored_project_is_the_same(
    empty_url: str,
    into: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    with_photos: Callable[..., Database],
) -> None:
    database = with_photos(empty_url)
    fill(database)
    blobs = open_blobs(tmp_path / "blobs")
    digest = blobs.put(b"photo")
    made = backup(database, blobs, tmp_path / "backup.zip")
    assert made == verify_backup(tmp_path / "backup.zip")
    assert made.content == content_hash(database) and made.blobs == 1 and made.rows["events"] == 2
    url = f"sqlite:///{tmp_path / 'other.db'}"
    if into == "postgres":
        url = request.getfixturevalue("new_postgres")()
    with Database.open(url) as other:
        copies = open_blobs(tmp_path / "copies")
        restore(tmp_path / "backup.zip", other, copies)
        assert content_hash(other) == made.content and copies.get(digest) == b"photo"
        assert verify(other) == []
        save(other, "after", base=2)  # numbers go on where they were
        registry.note(other, "ann", "went on")
        with pytest.raises(BadInput, match="empty project"):
            restore(tmp_path / "backup.zip", other, copies)


def test_a_backup_under_load_is_one_state(
    empty_url: str, tmp_path: Path, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url, 4)
    stop = threading.Event()

    def work(image: int) -> None:
        revision = 0
        while not stop.is_set():
            save(database, f"{image}-{revision}", image=image, base=revision)
            revision += 1

    people = [threading.Thread(target=work, args=(i,)) for i in (1, 2, 3, 4)]
    for one in people:
        one.start()
    try:
        for number in range(3):
            made = backup(database, None, tmp_path / f"{number}.zip")
            with Database.open(f"sqlite:///{tmp_path / f'{number}.db'}") as other:
                restore(tmp_path / f"{number}.zip", other)
                assert content_hash(other) == made.content and verify(other) == []
    finally:
        stop.set()
        for one in people:
            one.join()


def test_a_flipped_byte_is_recognised(saved: Path, tmp_path: Path) -> None:
    content, chance = saved.read_bytes(), random.Random(1)
    damaged = tmp_path / "damaged.zip"
    for _ in range(300):
        place = chance.randrange(len(content))
        flipped = content[place] ^ (1 << chance.randrange(8))
        damaged.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        with pytest.raises(BadInput):
            verify_backup(damaged)


def test_an_incomplete_file_is_recognised(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    part = tmp_path / "part.zip"
    for size in [*range(0, len(content), 97), len(content) - 1]:
        part.write_bytes(content[:size])
        with pytest.raises(BadInput):
            verify_backup(part)


def test_nothing_is_overwritten(saved: Path, tmp_path: Path) -> None:
    with (
        Database.open(f"sqlite:///{tmp_path / 'x.db'}") as database,
        pytest.raises(BadInput, match="already"),
    ):
        backup(database, None, saved)


def sealed(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    """A zip whose checksum is right, whatever is in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
        archive.comment = b"0" * SEAL
    with path.open("r+b") as file:
        seal = seal_of(file, file.seek(0, 2) - SEAL)
        file.seek(-SEAL, 2)
        file.write(seal.encode())
    return path


def older(path: Path, url: str, schema: str) -> Path:
    """A backup as the version of that schema made it."""
    engine = _engine(url)
    with engine.begin() as connection:
        migrations.go_on(connection, schema)
        found = MetaData()
        found.reflect(connection)
        rows = [{"hash": "a" * 64, "name": "a.png", "path": "/a.png", "height": 64, "width": 64}]
        connection.execute(found.tables["images"].insert(), [{**rows[0], "fixed": True, "state": "new"}])
        content = hashlib.sha256()
        with archive.writing(path) as writer:
            for name, table in sorted(_tables(found).items()):
                writer.add(f"tables/{name}.jsonl", _covered(content, name, _lines(connection, table)))
            writer.finish({"content": content.hexdigest(), "schema": schema})
    engine.dispose()
    return path


@pytest.mark.parametrize("schema", ["0001", "0002", "0003"])
def test_a_backup_of_an_older_version_is_brought_up_to_date(
    empty_url: str, schema: str, tmp_path: Path
) -> None:
    made = older(tmp_path / "older.zip", f"sqlite:///{tmp_path / 'older.db'}", schema)
    with Database.open(empty_url) as database:
        assert restore(made, database).schema == schema
        assert images.find_image(database, "a.png").fixed is True
        assert users.add_user(database, "ann").id == 1
        save(database, "after")
    with Database.open(empty_url) as database:
        assert verify(database) == []


def test_a_backup_of_a_newer_version_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    path = tmp_path / "newer.zip"
    with archive.writing(path) as writer:
        writer.finish({"content": "", "schema": "9999"})
    with Database.open(sqlite_url) as database, pytest.raises(BadInput, match="newer anymask.*9999"):
        restore(path, database)


def test_who_is_signed_in_is_no_part_of_a_backup(tmp_path: Path, sqlite_url: str) -> None:
    with Database.open(sqlite_url) as database:
        users.add_user(database, "ann", "admin")
        before = content_hash(database)
        row = {"token_sha256": "a" * 64, "user": "ann", "created_at": 1, "expires_at": 2, "kind": "token"}
        database.write(lambda connection: connection.execute(sessions.insert().values(**row)))
        assert content_hash(database) == before
        made = backup(database, None, tmp_path / "backup.zip")
    assert made.rows["users"] == 1 and "sessions" not in made.rows


def test_files_come_back_where_they_were(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "a").write_bytes(b"weights" * 1000)
    with Database.open(sqlite_url) as database:
        made = backup(
            database,
            None,
            tmp_path / "b.zip",
            files_of=lambda _: [("models/round-01/한 a.onnx", tmp_path / "a")],
        )
        with pytest.raises(BadInput, match="a place for them"):
            restore(tmp_path / "b.zip", database)
        restore(tmp_path / "b.zip", database, folder=tmp_path / "out")
    assert made.files == 1
    assert (tmp_path / "out" / "models" / "round-01" / "한 a.onnx").read_bytes() == b"weights" * 1000


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/x", "a//b", ".x", "a/.x", "c:x", "a\\b", "x.", "", "a\1"]
)
def test_no_file_leads_out_of_the_folder(name: str, tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "a").write_bytes(b"")
    with Database.open(sqlite_url) as database:
        with pytest.raises(BadInput, match="of this name"):
            backup(database, None, tmp_path / "b.zip", files_of=lambda _: [(name, tmp_path / "a")])
        assert not (tmp_path / "b.zip").exists()
        with pytest.raises(BadInput, match="alone"):
            hostile = sealed(tmp_path / "hostile.zip", [(f"files/{name}", b"x")])
            restore(hostile, database, folder=tmp_path / "out" / "in")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "entries",
    [
        [("../../etc/cron.d/x", b"")],
        [("/etc/passwd", b"")],
        [("C:\\x", b"")],
        [("tables\\users.jsonl", b"")],
        [("blobs/../x", b"")],
        [("tables/sqlite_master.jsonl", b"")],
        [("manifest.json", b"{}"), ("manifest.json", b"{}")],
        [("manifest.json", b"[" * 100_000)],
        [("manifest.json", json.dumps({"format": 99, "entries": {}}).encode())],
        [("manifest.json", b'{"format": 1, "content": "", "entries": {}}')],
        [("tables/users.jsonl", bytes(64 << 20))],
        [("files/models/x", b""), ("files/Models/x", b"")],
        [],
    ],
    ids=[
        "up",
        "absolute",
        "drive",
        "backslash",
        "blob up",
        "table",
        "twice",
        "deep",
        "newer",
        "empty",
        "bomb",
        "same but for case",
        "nil",
    ],
)
def test_a_hostile_archive_is_refused(
    entries: list[tuple[str, bytes]], tmp_path: Path, with_photos: Callable[..., Database]
) -> None:
    path = sealed(tmp_path / "hostile.zip", entries)
    with pytest.raises(BadInput):
        verify_backup(path)
    with Database.open(f"sqlite:///{tmp_path / 'x.db'}") as database:
        with pytest.raises(BadInput):
            restore(path, database, open_blobs(tmp_path / "blobs"))
        assert not (tmp_path / "blobs").exists()


def test_more_than_was_allowed_is_refused(saved: Path) -> None:
    with pytest.raises(BadInput, match="at most"):
        verify_backup(saved, max_bytes=100)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="regular file"):
        verify_backup(tmp_path / "pipe")
