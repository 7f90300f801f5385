"""The queue of tasks in the order it is taken: the most urgent first, then the oldest."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.drop_index("ix_tasks_queue", table_name="tasks")
    op.create_index("ix_tasks_queue", "tasks", ["state", "kind", sa.text("priority DESC"), "id"])
