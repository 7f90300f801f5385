"""When a lease, of a task or of a job, has run out."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, or_

MAX_LEASE_S = 86_400.0  # a lease that ends later than that is of a clock that ran ahead


def ran_out(table: Table, now: float) -> ColumnElement[bool]:
    """Of rows with a `lease_until`."""
    return or_(table.c.lease_until < now, table.c.lease_until > now + MAX_LEASE_S)
