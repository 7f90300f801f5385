"""Backups: written while others save, equal when restored, and never believed when a byte is wrong."""

from __future__ import annotations

import json
import random
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from store_facts import mask, save

from anymask.errors import BadInput
from anymask.store import jobs, registry, tasks
from anymask.store.annotations import verify
from anymask.store.backup import SEAL, _seal_of, backup, content_hash, restore, verify_backup
from anymask.store.blobs import open_blobs
from anymask.store.database import Database


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
        seal = _seal_of(file, file.seek(0, 2) - SEAL)
        file.seek(-SEAL, 2)
        file.write(seal.encode())
    return path


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
