"""Sessions: secrets that let people and programs in. Only their SHA-256 is kept: none can be stolen here."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from anymask.errors import BadInput
from anymask.store.database import AnyRow, Database
from anymask.store.registry import log_in
from anymask.store.schema import sessions, users
from anymask.store.users import User, find_user

HOUR_S, DAY_S = 3_600.0, 86_400.0
IDLE_S = {"session": 12 * HOUR_S, "token": 365 * DAY_S, "invite": 7 * DAY_S}
LONGEST_S = {"session": 7 * DAY_S, "token": 365 * DAY_S, "invite": 7 * DAY_S}
REFRESH_S = 300.0  # how often the use of a session is written down
SECRET_BYTES = 32
ID_LENGTH = 16  # of what a token is called by its owner


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its owner sees it: not the secret itself."""

    id: str
    label: str
    created_at: float
    expires_at: float


def begin(database: Database, name: str, kind: str, label: str = "") -> str:
    """A new secret for a user. `kind`: session, token or invite. Raises BadInput."""
    user = find_user(database, name)
    if user.disabled:
        raise BadInput(f"{name} is shut out")
    secret = secrets.token_urlsafe(SECRET_BYTES)

    def work(connection: Connection) -> None:
        now = database.clock()
        connection.execute(delete(sessions).where(sessions.c.expires_at < now))
        row = {
            "token_sha256": _digest(secret),
            "user": name,
            "created_at": now,
            "expires_at": now + IDLE_S[kind],
            "kind": kind,
            "label": label,
        }
        connection.execute(insert(sessions).values(**row))
        log_in(connection, now, name, f"{kind} begun", {})

    database.write(work)
    return secret


def user_of(database: Database, secret: str, kinds: tuple[str, ...] = ("session", "token")) -> User | None:
    """Whose secret it is, if it is one, has not run out, and they are not shut out."""
    now = database.clock()
    query = (
        select(users, sessions.c.created_at, sessions.c.expires_at, sessions.c.kind)
        .join(sessions, sessions.c.user == users.c.name)
        .where(sessions.c.token_sha256 == _digest(secret), sessions.c.kind.in_(kinds))
        .where(sessions.c.expires_at >= now, users.c.disabled.is_(False))
    )
    with database.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    _refresh(database, secret, row, now)
    return User(row.id, row.name, row.role, bool(row.disabled), row.at)


def _refresh(database: Database, secret: str, row: AnyRow, now: float) -> None:
    """What is used does not run out, up to a longest time."""
    until = min(now + IDLE_S[row.kind], row.created_at + LONGEST_S[row.kind])
    if until - row.expires_at > REFRESH_S:
        own = update(sessions).where(sessions.c.token_sha256 == _digest(secret))
        database.write(lambda connection: connection.execute(own.values(expires_at=until)).rowcount)


def end(database: Database, secret: str) -> None:
    """It lets nobody in any more."""
    own = delete(sessions).where(sessions.c.token_sha256 == _digest(secret))
    database.write(lambda connection: connection.execute(own).rowcount)


def list_tokens(database: Database, name: str) -> list[Token]:
    """Of programs, the oldest first."""
    query = select(sessions).where(sessions.c.user == name, sessions.c.kind == "token")
    with database.read() as connection:
        rows = connection.execute(query.order_by(sessions.c.created_at)).all()
    return [
        Token(row.token_sha256[:ID_LENGTH], row.label or "", row.created_at, row.expires_at) for row in rows
    ]


def end_token(database: Database, name: str, token_id: str) -> None:
    """One of the user's own. Raises BadInput."""
    own = delete(sessions).where(
        sessions.c.user == name, sessions.c.kind == "token", sessions.c.token_sha256.startswith(token_id)
    )
    if len(token_id) != ID_LENGTH or not token_id.isalnum():
        raise BadInput(f"expected the id of a token, got {token_id[:80]!r}")
    if not database.write(lambda connection: connection.execute(own).rowcount):
        raise BadInput(f"expected a token of {name}, got {token_id!r}")


def set_password(database: Database, name: str, password_hash: str) -> None:
    """Every session and invitation of before ends; tokens stay. Raises BadInput."""
    find_user(database, name)

    def work(connection: Connection) -> None:
        connection.execute(update(users).where(users.c.name == name).values(password_hash=password_hash))
        old = delete(sessions).where(sessions.c.user == name, sessions.c.kind.in_(("session", "invite")))
        connection.execute(old)
        log_in(connection, database.clock(), name, "password set", {})

    database.write(work)


def password_hash_of(database: Database, name: str) -> str | None:
    """None for who is not known, shut out or has none."""
    query = select(users.c.password_hash).where(users.c.name == name, users.c.disabled.is_(False))
    with database.read() as connection:
        return connection.execute(query).scalar()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
