"""Models and rounds of a project, its settings, and the log that people read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from anymask.errors import BadInput
from anymask.store.database import AnyRow, Database
from anymask.store.schema import log, models, rounds, settings
from anymask.store.values import canonical

CURRENT = "model"  # the setting that names the promoted model


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """`id`: SHA-256 of its weights. `path`: what `anymask.load` takes."""

    id: str
    name: str
    path: str
    parent: str | None = None
    round: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)


def set_setting(database: Database, name: str, value: Any) -> None:
    database.write(lambda connection: set_in(connection, name, value))


def set_in(connection: Connection, name: str, value: Any) -> None:
    connection.execute(delete(settings).where(settings.c.name == name))
    connection.execute(insert(settings).values(name=name, value=canonical(value)))


def setting(database: Database, name: str, default: Any = None) -> Any:
    with database.read() as connection:
        value = connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar()
    return default if value is None else json.loads(value)


def add_model(database: Database, model: ModelVersion) -> None:
    """Register it; one that is known already gets the new metrics."""

    def work(connection: Connection) -> None:
        connection.execute(delete(models).where(models.c.id == model.id))
        row = {**asdict(model), "metrics": canonical(model.metrics), "created": database.clock()}
        connection.execute(insert(models).values(**row))

    database.write(work)


def model_version(database: Database, wanted: str) -> ModelVersion:
    """By id or the beginning of one. Raises BadInput."""
    with database.read() as connection:
        rows = connection.execute(select(models).where(models.c.id.startswith(wanted, autoescape=True))).all()
    if not wanted or len(rows) != 1:
        raise BadInput(f"expected one model of the project, got {len(rows)} called {wanted!r}")
    return _version(rows[0])


def list_models(database: Database) -> list[ModelVersion]:
    """In the order they were made."""
    with database.read() as connection:
        rows = connection.execute(select(models).order_by(models.c.created, models.c.id)).all()
    return [_version(row) for row in rows]


def _version(row: AnyRow) -> ModelVersion:
    return ModelVersion(row.id, row.name, row.path, row.parent, row.round, json.loads(row.metrics))


def current_model(database: Database) -> ModelVersion | None:
    """The promoted one; None for the model that the project began with."""
    found = setting(database, CURRENT)
    return None if found is None else model_version(database, found)


def promote(database: Database, model_id: str | None, author: str, why: str) -> None:
    """From now on the project uses this model; rolling back is promoting an older one. None: the one that the
    project began with. Raises BadInput.
    """
    if model_id is not None:
        model_id = model_version(database, model_id).id

    def work(connection: Connection) -> None:
        set_in(connection, CURRENT, model_id)
        log_in(connection, database.clock(), author, "promoted", {"model": model_id, "why": why})

    database.write(work)


def begin_round(database: Database, number: int, stage: str, snapshot: str, before: str | None) -> None:
    def work(connection: Connection) -> None:
        values = {"stage": stage, "state": "running", "snapshot": snapshot, "before": before, "metrics": "{}"}
        connection.execute(insert(rounds).values(number=number, started=database.clock(), **values))

    database.write(work)


def end_round(
    database: Database, number: int, *, state: str, after: str | None, why: str, metrics: dict[str, Any]
) -> None:
    values = {"state": state, "after": after, "why": why, "metrics": canonical(metrics)}

    def work(connection: Connection) -> None:
        own = update(rounds).where(rounds.c.number == number)
        connection.execute(own.values(**values, finished=database.clock()))
        log_in(connection, database.clock(), "engine", f"round {state}", {"round": number, "why": why})

    database.write(work)


def list_rounds(database: Database) -> list[AnyRow]:
    with database.read() as connection:
        return list(connection.execute(select(rounds).order_by(rounds.c.number)))


def note(database: Database, author: str, what: str, **detail: Any) -> None:
    """A line in the log of the project."""
    database.write(lambda connection: log_in(connection, database.clock(), author, what, detail))


def log_in(connection: Connection, now: float, author: str, what: str, detail: dict[str, Any]) -> None:
    connection.execute(insert(log).values(at=now, author=author, what=what, detail=canonical(detail)))


def read_log(database: Database, *, after: int = 0, limit: int = 1000) -> list[AnyRow]:
    query = select(log).where(log.c.id > after).order_by(log.c.id).limit(limit)
    with database.read() as connection:
        return list(connection.execute(query))
