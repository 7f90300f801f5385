"""Changes of the tables, by alembic; a project is brought up to date when it is opened for writing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData

from anymask.errors import BadInput

VERSION = "alembic_version"  # the table that names the schema


def upgrade(engine: Engine, *, check_only: bool = False) -> None:
    """Bring the tables up to date; `check_only`: only look whether they are.

    Raises BadInput for tables of a newer version of anymask and, with `check_only`, of an older one.
    """
    with engine.connect() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
    if now == newest():
        return
    if now is not None and not is_known(now):
        raise BadInput(
            f"this project was made by a newer anymask (schema {now}, here {newest()}): update anymask"
        )
    if check_only:
        raise BadInput("this project is empty or of an older anymask: open it for writing once")
    with engine.begin() as connection:
        go_on(connection)


def newest() -> str:
    """The schema of this version of anymask."""
    return str(_scripts().get_current_head())


def is_known(schema: object) -> bool:
    return schema in {one.revision for one in _scripts().walk_revisions()}


def begin_at(connection: Connection, schema: str) -> None:
    """Empty tables of an older version in place of those that are there."""
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)
    go_on(connection, schema)


def go_on(connection: Connection, schema: str = "head") -> None:
    """Bring the tables up to date, or to an older version, within a transaction."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, schema)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
