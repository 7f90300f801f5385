"""What goes wrong around a store: disks, locks, versions, clocks, numbers of nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from store_facts import mask, save
from store_server import square

from anymask.errors import AnymaskError, BadInput, StorageError
from anymask.store import annotations, jobs, tasks
from anymask.store.annotations import verify
from anymask.store.database import Clock, Database
from anymask.store.values import LostLease, StaleWrite


def test_a_full_disk_acknowledges_nothing_and_recovers(
    sqlite_url: str, with_photos: Callable[..., Database]
) -> None:
    """Of many saves at once: some are in the group that the disk had no room for."""
    database = with_photos(sqlite_url, 8)

    def limit(pages: int) -> None:
        def work(connection: object) -> int:
            return connection.execute(text(f"PRAGMA max_page_count = {pages}")).scalar()

        database.write(work)

    with database.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
    limit(pages + 10)
    acknowledged: dict[int, list[str]] = {i: [] for i in range(1, 9)}
    failures: list[AnymaskError] = []

    def work(image: int) -> None:
        for number in range(30):
            revision = len(acknowledged[image])
            adds = (mask(f"{image}-{number}", number, more={"text": "x" * 3000}),)
            try:
                save(database, f"{image}-{number}", image=image, base=revision, adds=adds)
                acknowledged[image].append(f"{image}-{number}")
            except StorageError as error:
                failures.append(error)

    people = [threading.Thread(target=work, args=(i,)) for i in acknowledged]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert failures and any("full" in str(error) for error in failures)
    for image, keys in acknowledged.items():
        assert [one.uid for one in annotations.masks_of(database, image)] == keys
    limit(1 << 30)
    save(database, "room again", base=len(acknowledged[1]))
    assert verify(database) == []


@pytest.mark.skipif(os.name == "nt", reason="limits of a process are of Unix")
def test_a_file_that_may_not_grow_is_an_error_and_nothing_is_lost(
    sqlite_url: str, with_photos: Callable[..., Database]
) -> None:
    with_photos(sqlite_url, 1).close()
    program = f"""
import resource, signal
from anymask.store.database import Database
from anymask.errors import StorageError
from store_facts import save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database.open({sqlite_url!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
done = 0
try:
    while True:
        save(database, f"k{{done}}", base=done)
        done += 1
except StorageError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    save(database, "again", base=done)
    print(done + 1)
database.close()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    with Database.open(sqlite_url) as database:
        assert annotations.revision_of(database, 1) == int(ran.stdout)
        assert verify(database) == []


def test_a_second_process_is_refused(
    sqlite_url: str, with_photos: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_photos(sqlite_url).close()
    monkeypatch.setattr("anymask.store.database.LOCK_WAIT_S", 0.1)
    with Database.open(sqlite_url), pytest.raises(StorageError, match="in use by another process"):
        Database.open(sqlite_url)
    Database.open(sqlite_url).close()


def test_reading_only_makes_nothing_and_saves_nothing(
    tmp_path: Path, with_photos: Callable[..., Database]
) -> None:
    url = f"sqlite:///{tmp_path / 'project.db'}"
    with pytest.raises(BadInput, match="found no"):
        Database.open(url, read_only=True)
    assert list(tmp_path.iterdir()) == []
    with_photos(url)
    with Database.open(url, read_only=True) as database:
        assert annotations.masks_of(database, 1) == []
        with pytest.raises(StorageError, match="reading only"):
            save(database, "a")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="project.db"):
        Database.open(f"sqlite:///{tmp_path / 'file' / 'project.db'}")


@pytest.mark.parametrize("url", ["mysql://x", "project.db", "sqlite://"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="expected a URL"):
        Database.open(url)


@pytest.mark.parametrize("content", [b"not a database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "project.db").write_bytes(content)
    with pytest.raises(StorageError, match="cannot open"):
        Database.open(f"sqlite:///{tmp_path / 'project.db'}")
    assert (tmp_path / "project.db").read_bytes() == content


def test_a_newer_schema_is_refused(empty_url: str) -> None:
    with Database.open(empty_url) as database:
        database.write(
            lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9'"))
        )
    with pytest.raises(BadInput, match="newer anymask"):
        Database.open(empty_url)


def test_a_clock_that_goes_backwards_keeps_leases(
    sqlite_url: str, with_photos: Callable[..., Database]
) -> None:
    with_photos(sqlite_url).close()
    now = [1e9]
    with Database.open(sqlite_url, clock=Clock(lambda: now[0])) as database:
        tasks.add_tasks(database, [1])
        lease = tasks.next_task(database, "ann", lease_s=10)
        now[0] = 1e9 - 86_400
        assert tasks.next_task(database, "bob") is None
        assert tasks.renew(database, lease, 10).until == 1e9 + 10
        now[0] = 1e9 + 11
        taken = tasks.next_task(database, "bob", lease_s=10)
        with pytest.raises(LostLease):
            tasks.submit(database, lease)
    now[0] = 1e9 - 3 * 86_400  # a restart: the lease ends in a far future
    with Database.open(sqlite_url, clock=Clock(lambda: now[0])) as database:
        assert tasks.next_task(database, "eve").token == taken.token + 1


def test_numbers_of_nothing_are_bad_input(empty_url: str, with_photos: Callable[..., Database]) -> None:
    database = with_photos(empty_url)
    with pytest.raises(BadInput, match="number 99"):
        save(database, "a", image=99)
    with pytest.raises(BadInput, match="number 99"):
        tasks.add_tasks(database, [1, 99])
    with pytest.raises(BadInput, match="to remove"):
        save(database, "a", adds=(), removes=("none",))
    with pytest.raises(BadInput, match="number 7"):
        jobs.cancel(database, 7)
    assert tasks.counts(database) == {} and verify(database) == []


def test_wrong_masks_are_refused(sqlite_url: str, with_photos: Callable[..., Database]) -> None:
    database = with_photos(sqlite_url)
    for wrong in (
        replace(mask("a"), mask=square(0, (63, 64))),
        replace(mask("a"), stage="other"),
        replace(mask("a"), uid=""),
        replace(mask("a"), uid="x" * 41),
        replace(mask("a"), more={"x": float("nan")}),
        replace(mask("a"), mask=mask("a").mask - mask("a").mask),
    ):
        with pytest.raises(BadInput):
            save(database, "k", adds=(wrong,))
    with pytest.raises(BadInput, match="another uid"):
        save(database, "k", adds=(mask("a"), mask("a", 1)))
    assert annotations.revision_of(database, 1) == 0


def test_a_key_is_for_one_action(empty_url: str, with_photos: Callable[..., Database]) -> None:
    database = with_photos(empty_url)
    first = save(database, "k")
    assert save(database, "k") == replace(first, repeated=True)
    for other in ({"image": 2}, {"base": 1}, {"adds": (mask("k", 5),)}):
        with pytest.raises(BadInput, match="idempotency key"):
            save(database, "k", **other)


def test_a_repeat_that_comes_after_the_lease_is_answered(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    """Its first answer got lost, and meanwhile the task went on."""
    database = with_photos(empty_url)
    tasks.add_tasks(database, [1])
    lease = tasks.next_task(database, "ann")
    action = annotations.Action(1, 0, "k", "ann", (mask("k"),))
    first = tasks.save_task(database, lease, action)
    tasks.submit(database, lease)
    tasks.submit(database, lease)
    assert tasks.save_task(database, lease, action) == replace(first, repeated=True)
    late = annotations.Action(1, 1, "k2", "ann", (mask("k2"),))
    for _ in range(2):
        with pytest.raises(LostLease, match="kept"):
            tasks.save_task(database, lease, late)
    assert [one["base"] for one in annotations.branches_of(database, 1)] == [1]
    with pytest.raises(BadInput, match="layer 0 of the task"):
        tasks.save_task(database, lease, replace(late, image_id=2))
    assert verify(database) == []


def test_a_write_within_a_write_does_not_wait_for_itself(
    sqlite_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(sqlite_url)
    with pytest.raises(RuntimeError, match="a write within a write"):
        database.write(lambda _: save(database, "k"))


def test_a_lost_connection_is_an_error_and_the_next_call_works(
    new_postgres: Callable[[], str], with_photos: Callable[..., Database]
) -> None:
    import psycopg

    url = new_postgres()
    database = with_photos(url)
    save(database, "a")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with pytest.raises(StorageError):
        save(database, "b", base=1)
    assert save(database, "b", base=1).revision == 2
    with pytest.raises(StaleWrite):
        save(database, "c", base=1)


def test_a_closed_project_takes_nothing(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    database.close()
    with pytest.raises(StorageError, match="closed"):
        save(database, "a")


def test_a_read_only_file_is_an_error(sqlite_url: str, with_photos: Callable[..., Database]) -> None:
    """As root nothing is read-only by its mode, so SQLite itself is told."""
    with_photos(sqlite_url)
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    connection.close()
    with Database.open(sqlite_url, read_only=True) as database, pytest.raises(StorageError):
        database.write(lambda _: None)
