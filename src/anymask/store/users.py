"""The people of a project and what they may do. Who signs in, and how, is no matter of the store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from anymask.errors import BadInput
from anymask.store.database import AnyRow, Database
from anymask.store.registry import log_in
from anymask.store.schema import sessions, users

ROLES = ("admin", "reviewer", "annotator")
ROLE_NAMES = {"admin": "manager"}  # in messages and on the page, where that is another word
KINDS_OF = {  # tasks that each role may be given
    "admin": ("annotate", "review", "audit"),
    "reviewer": ("annotate", "review", "audit"),
    "annotator": ("annotate",),
}
NAME = re.compile(r"\w[\w .@+-]{0,62}\w|\w")  # no colon: `model:...` and the like are authors, too


@dataclass(frozen=True, slots=True)
class User:
    """`role`: admin, reviewer or annotator. `disabled`: may do nothing, but their work stays theirs."""

    id: int
    name: str
    role: str
    disabled: bool
    at: float

    @property
    def kinds(self) -> Sequence[str]:
        """Of tasks that they may be given."""
        return () if self.disabled else KINDS_OF[self.role]


def add_user(database: Database, name: str, role: str = "annotator", *, author: str = "project") -> User:
    """Raises BadInput for a name that is taken or no name, and for another role."""
    if not NAME.fullmatch(name):
        raise BadInput(f"name: expected 1 to 64 letters, digits, blanks or any of ._@+-, got {name[:80]!r}")
    _check_role(role)

    def work(connection: Connection) -> User:
        if _row(connection, name) is not None:
            raise BadInput(f"name: the project has a user {name!r} already")
        now = database.clock()
        connection.execute(insert(users).values(name=name, role=role, disabled=False, at=now))
        log_in(connection, now, author, "user added", {"user": name, "role": role})
        return _user(_known(connection, name))

    return database.write(work)


def find_user(database: Database, name: str) -> User:
    """Raises BadInput."""
    with database.read() as connection:
        return _user(_known(connection, name))


def list_users(database: Database) -> list[User]:
    """In the order they came."""
    with database.read() as connection:
        return [_user(row) for row in connection.execute(select(users).order_by(users.c.id))]


def set_role(database: Database, name: str, role: str, *, author: str = "project") -> User:
    """Raises BadInput for another role, and for taking the role from the last admin."""
    _check_role(role)
    return _change(database, name, author, role=role)


def disable(database: Database, name: str, disabled: bool = True, *, author: str = "project") -> User:
    """Shut somebody out, with all their sessions, or let them in again. Not the last admin (BadInput)."""
    return _change(database, name, author, disabled=disabled)


def _change(database: Database, name: str, author: str, **values: Any) -> User:
    def work(connection: Connection) -> User:
        others = _other_admins(connection, name)
        before = _known(connection, name)
        connection.execute(update(users).where(users.c.name == name).values(**values))
        after = _user(_known(connection, name))
        if _rules(_user(before)) and not _rules(after) and not others:
            raise BadInput(f"{name!r} is the last manager: expected another one first")
        if after.disabled:
            connection.execute(delete(sessions).where(sessions.c.user == name))
        log_in(connection, database.clock(), author, "user changed", {"user": name, **values})
        return after

    return database.write(work)


def _rules(user: User) -> bool:
    return user.role == "admin" and not user.disabled


def _other_admins(connection: Connection, name: str) -> int:
    """Locked, so that two admins cannot remove each other at once."""
    admins = select(users.c.name).where(users.c.role == "admin", users.c.disabled.is_(False))
    names = connection.execute(admins.order_by(users.c.id).with_for_update()).scalars()
    return len(set(names) - {name})


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadInput(f"role: expected one of {', '.join(ROLES)}, got {role!r}")


def _row(connection: Connection, name: str) -> AnyRow | None:
    return connection.execute(select(users).where(users.c.name == name)).first()


def _known(connection: Connection, name: str) -> AnyRow:
    row = _row(connection, name)
    if row is None:
        raise BadInput(f"expected a user of the project, got {name[:80]!r}")
    return row


def _user(row: AnyRow) -> User:
    return User(row.id, row.name, row.role, bool(row.disabled), row.at)
