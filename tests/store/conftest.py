"""The store's tests need its libraries; everything listens on 127.0.0.1 alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if importlib.util.find_spec("sqlalchemy") and importlib.util.find_spec("alembic"):
    from store_facts import photos
    from store_places import empty_url, new_postgres, postgres_url, s3_url  # noqa: F401

    from anymask.store import images
    from anymask.store.database import Database
else:
    collect_ignore_glob = ["test_*.py"]  # the bare install has no store


@pytest.fixture
def with_photos() -> Iterator[Callable[..., Database]]:
    """Opens a project and puts photos into it; they have numbers from 1."""
    opened: list[Database] = []

    def make(url: str, number: int = 3) -> Database:
        database = Database.open(url)
        opened.append(database)
        images.add_images(database, photos(number))
        return database

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'project.db'}"
