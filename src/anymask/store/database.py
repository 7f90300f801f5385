"""Database: one project in SQLite, or in PostgreSQL by URL.

SQLite has one process and in it one writer thread, which commits many writes together (group commit): with
several connections some wait for seconds. Readers have connections of their own. PostgreSQL has a pool.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Row, Select, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from anymask.errors import AnymaskError, BadInput, StorageError, reason
from anymask.store.migrations import upgrade

Result = TypeVar("Result")
AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]
Write = Callable[[Connection], Result]
GROUP = 64  # writes in one commit
# Two connections of a SQLite before these may lose a commit (WAL-reset bug).
FIXED = ((3, 51, 3),)
BACKPORTED = {(3, 50): 7, (3, 44): 6}
SQLITE = "sqlite:///"
LOCK_WAIT_S = 5.0  # for a process that is just ending, as when the studio is restarted
CONFLICTS = ("40001", "40P01", "23505")  # of PostgreSQL: serialisation, deadlock, the same key at once


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since 1970 that never run backwards within a process."""

    source: Callable[[], float] = time.time
    _last: list[float] = field(default_factory=lambda: [0.0])

    def __call__(self) -> float:
        self._last[0] = max(self._last[0], self.source())
        return self._last[0]


class Database:
    """Reads and writes of one project. Close it, or use it in a `with` statement."""

    def __init__(
        self, engine: Engine, clock: Clock, lock: FileLock | None = None, read_only: bool = False
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._lock = lock
        self._writer = _Writer(engine) if self.is_sqlite and not read_only else None
        self._read_only = read_only

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, clock: Clock | None = None) -> Database:
        """`url`: `sqlite:///FILE` or `postgresql://...`; tables are made or brought up to date.

        Raises BadInput for a URL of another database or a newer schema, StorageError when it cannot be opened
        or another process has the SQLite file and keeps it for LOCK_WAIT_S.
        """
        if read_only and url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).is_file():
            raise BadInput(f"expected a project, found no {url.removeprefix(SQLITE)}")
        lock = None if read_only else _locked(url)
        engine = None
        try:
            engine = _engine(url)
            with _storage(f"cannot open {engine.url.render_as_string()}"):
                upgrade(engine, check_only=read_only)
            return cls(engine, clock or Clock(), lock, read_only)
        except BaseException:
            if engine is not None:
                engine.dispose()
            if lock is not None:
                lock.release()
            raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state. Raises StorageError."""
        level = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with _storage("cannot read the project"), self.engine.connect() as connection:
            yield connection.execution_options(**level)

    def write(self, work: Write[Result]) -> Result:
        """Do `work` in a transaction and return what it returns once that is on disk.

        Errors of `work` undo it alone. Raises StorageError when it cannot be committed.
        """
        if self._read_only:
            raise StorageError("the project is opened for reading only")
        with _storage("cannot save"):
            if self._writer is not None:
                return self._writer.submit(work).result()
            return self._write_at_once(work)

    def _write_at_once(self, work: Write[Result]) -> Result:
        """On a connection of the pool; again when another process was in the way."""
        for again in (True, True, True, False):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if not again or getattr(error.orig, "sqlstate", None) not in CONFLICTS:
                    raise
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
        self.engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Writer:
    """The thread that writes; a write is done when the commit of its group is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[tuple[Write[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="anymask-writer", daemon=True)
        self._stopped = False
        self._gate = threading.Lock()
        self._thread.start()

    def submit(self, work: Write[Result]) -> Future[Result]:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a write within a write would wait for itself: use its connection")
        future: Future[Result] = Future()
        with self._gate:
            if self._stopped:
                raise StorageError("the project is closed")
            self._queue.put((work, future))
        return future

    def stop(self) -> None:
        with self._gate:
            if not self._stopped:
                self._stopped = True
                self._queue.put(None)  # what was submitted before is still written
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            group = [self._queue.get()]
            while len(group) < GROUP and group[-1] is not None and not self._queue.empty():
                group.append(self._queue.get())
            running = group[-1] is not None
            self._commit([one for one in group if one is not None])

    def _commit(self, group: list[tuple[Write[Any], Future[Any]]]) -> None:
        results: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            with self._engine.begin() as connection:
                for work, future in group:
                    try:
                        with connection.begin_nested():
                            results.append((future, work(connection), None))
                    except Exception as error:
                        results.append((future, None, error))
                    _check_open(connection)
        except Exception as error:  # nothing of the group is on disk
            results = [(future, None, error) for _, future in group]
        for future, value, failure in results:
            future.set_exception(failure) if failure is not None else future.set_result(value)


def _check_open(connection: Connection) -> None:
    """After a full disk SQLite itself undoes the whole transaction, and a commit would seem to succeed."""
    if not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        raise StorageError("cannot save: the disk is full or failed, and nothing of this group was kept")


def _locked(url: str) -> FileLock | None:
    if not url.startswith(SQLITE):
        return None
    path = Path(url.removeprefix(SQLITE))
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=LOCK_WAIT_S)
    try:
        lock.acquire()
    except Timeout:
        raise StorageError(f"{path} is in use by another process; several need PostgreSQL") from None
    except OSError as error:
        raise StorageError(f"cannot lock {path}: {reason(error)}") from error
    return lock


def _engine(url: str) -> Engine:
    if url.startswith(SQLITE):
        module = sqlite_module()
        engine = create_engine(
            url, module=module, poolclass=QueuePool, connect_args={"check_same_thread": False}
        )
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine
    if url.startswith(("postgresql://", "postgresql+psycopg://")):
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=8)
    raise BadInput(f"expected a URL of sqlite:/// or postgresql://, got {url!r}")


def sqlite_module() -> ModuleType:
    """A SQLite without the WAL-reset bug. Raises StorageError where there is none."""
    try:
        import pysqlite3
    except ImportError:
        pysqlite3 = sqlite3
    for module in (sqlite3, pysqlite3):
        version = module.sqlite_version_info
        if version >= FIXED[0] or version[2] >= BACKPORTED.get(version[:2], 1 << 30):
            return module
    raise StorageError(
        f"SQLite {sqlite3.sqlite_version} may lose commits (WAL-reset bug): pip install 'pysqlite3>=0.6.1'"
    )


def _on_connect(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


@contextlib.contextmanager
def _storage(message: str) -> Iterator[None]:
    try:
        yield
    except AnymaskError:
        raise
    except DBAPIError as error:
        raise StorageError(f"{message}: {reason(error.orig or error)}") from error
    except SQLAlchemyError as error:
        raise StorageError(f"{message}: {reason(error)}") from error
