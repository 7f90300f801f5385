"""Changes of the tables, by alembic; a project is brought up to date when it is opened for writing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from anymask.errors import BadInput


def upgrade(engine: Engine, *, check_only: bool = False) -> None:
    """Bring the tables up to date; `check_only`: only look whether they are.

    Raises BadInput for tables of a newer version of anymask and, with `check_only`, of an older one.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
    newest = scripts.get_current_head()
    if now == newest:
        return
    if now is not None and now not in {one.revision for one in scripts.walk_revisions()}:
        raise BadInput(
            f"this project was made by a newer anymask (schema {now}, here {newest}): update anymask"
        )
    if check_only:
        raise BadInput("this project is empty or of an older anymask: open it for writing once")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
