"""Tables: migrations make what the schema says, and the first version can be brought up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from store_facts import photos, save

from anymask.store import migrations, tasks
from anymask.store.annotations import verify
from anymask.store.backup import content_hash
from anymask.store.database import Database, _engine
from anymask.store.schema import metadata


def first_version(url: str) -> None:
    engine = _engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        rows = [
            {
                "hash": one.hash, "name": one.name, "path": one.path,
                "height": 64, "width": 64, "fixed": False, "state": "new",
            }
            for one in photos(2)
        ]  # fmt: skip
        connection.execute(metadata.tables["images"].insert(), rows)
    engine.dispose()


def test_the_first_version_is_brought_up_to_date(empty_url: str) -> None:
    first_version(empty_url)
    with Database.open(empty_url) as database:
        save(database, "a")
        assert tasks.add_tasks(database, [1, 2]) == 2
        before = content_hash(database)
        assert verify(database) == []
    with Database.open(empty_url) as database:
        assert content_hash(database) == before


def test_the_migrations_make_what_the_schema_says(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, metadata)
        if database.is_sqlite:  # alembic does not see the order of an index there: looked at below
            found = [one for one in found if getattr(one[1], "name", "") != "ix_tasks_queue"]
            made = "SELECT sql FROM sqlite_master WHERE name = 'ix_tasks_queue'"
            assert "(state, kind, priority DESC, id)" in connection.execute(text(made)).scalar()
        assert found == []
        names = {one["name"] for one in inspect(connection).get_indexes("tasks")}
    assert {"ix_tasks_queue", "ix_tasks_lease", "ix_tasks_user"} <= names
