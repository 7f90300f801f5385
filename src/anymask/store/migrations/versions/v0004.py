"""Who handed a task in first, and at which revision: what a later correction changes is not what they saw."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("first_user", sa.String(length=64), nullable=True))
    op.add_column("tasks", sa.Column("first_revision", sa.Integer(), nullable=True))
    tasks = sa.table(
        "tasks",
        *(sa.column(name) for name in ("kind", "user", "revision", "first_user", "first_revision")),
    )
    handed_in = (tasks.c.kind == "annotate") & tasks.c.revision.is_not(None)
    known = {"first_user": tasks.c.user, "first_revision": tasks.c.revision}
    op.execute(tasks.update().where(handed_in).values(**known))
