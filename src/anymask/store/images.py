"""The images of a project, known by the hash of their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update

from anymask.errors import BadInput
from anymask.store.database import AnyRow, AnySelect, Database
from anymask.store.schema import images, layers

PAGE = 1000  # images that are read at once
STATES = ("new", "prefilled", "annotated", "skipped", "automatic")


@dataclass(frozen=True, slots=True)
class NewImage:
    """`name`: relative path within the project. `fixed`: for evaluation only."""

    hash: str
    name: str
    path: str
    size_hw: tuple[int, int]
    fixed: bool = False


def add_images(database: Database, found: Sequence[NewImage]) -> list[NewImage]:
    """Add those that the project does not have; returns them. A file that moved gets its new place.

    Raises BadInput when another file has the name of one of the project's.
    """

    def work(connection: Any) -> list[NewImage]:
        known = {row.hash: row for row in connection.execute(select(images.c.hash, images.c.path))}
        names = {row.name: row.hash for row in connection.execute(select(images.c.name, images.c.hash))}
        new: dict[str, NewImage] = {}
        for one in found:
            if one.hash in known:
                if known[one.hash].path != one.path:
                    connection.execute(update(images).where(images.c.hash == one.hash).values(path=one.path))
            elif names.setdefault(one.name, one.hash) != one.hash:
                raise BadInput(f"{one.name}: the project has another photo of this name; rename one of them")
            else:
                new.setdefault(one.hash, one)
        if new:
            connection.execute(insert(images), [_row(one) for one in new.values()])
        return list(new.values())

    return database.write(work)


def _row(one: NewImage) -> dict[str, Any]:
    height, width = one.size_hw
    return {
        "hash": one.hash,
        "name": one.name,
        "path": one.path,
        "height": height,
        "width": width,
        "fixed": one.fixed,
        "state": "new",
    }


def find_image(database: Database, name_or_hash: str) -> AnyRow:
    """By name, hash or the beginning of a hash. Raises BadInput."""
    exact = select(images).where((images.c.name == name_or_hash) | (images.c.hash == name_or_hash))
    with database.read() as connection:
        row = connection.execute(exact).first()
    if row is None:
        raise BadInput(f"expected an image of the project, got {name_or_hash!r}")
    return row


def image(database: Database, image_id: int) -> AnyRow:
    """Raises BadInput."""
    with database.read() as connection:
        row = connection.execute(select(images).where(images.c.id == image_id)).first()
    if row is None:
        raise BadInput(f"expected an image of the project, got number {image_id}")
    return row


def each(database: Database) -> Iterator[AnyRow]:
    """Every image, by number; a page in memory at a time."""
    last = -1
    while True:
        query = select(images).where(images.c.id > last).order_by(images.c.id).limit(PAGE)
        with database.read() as connection:
            page = connection.execute(query).all()
        if not page:
            return
        yield from page
        last = page[-1].id


def list_images(
    database: Database,
    *,
    state: str | None = None,
    fixed: bool | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[AnyRow]:
    """A page of images with the number of their masks and their revision, by number."""
    with database.read() as connection:
        return list(connection.execute(_listing(state, fixed).where(images.c.id > after).limit(limit)))


def _listing(state: str | None, fixed: bool | None) -> AnySelect:
    joined = images.outerjoin(layers, (layers.c.image_id == images.c.id) & (layers.c.layer == 0))
    counts = (
        func.coalesce(layers.c.masks, 0).label("masks"),
        func.coalesce(layers.c.revision, 0).label("revision"),
    )
    query = select(images, *counts).select_from(joined).order_by(images.c.id)
    if state is not None:
        query = query.where(images.c.state == state)
    return query if fixed is None else query.where(images.c.fixed.is_(fixed))


def set_state(connection: Any, image_id: int, state: str) -> None:
    connection.execute(update(images).where(images.c.id == image_id).values(state=state))


def counts(database: Database) -> dict[str, int]:
    """How many images, by state; `images`, `fixed` and `masks` in all."""
    with database.read() as connection:
        by_state = connection.execute(select(images.c.state, func.count()).group_by(images.c.state)).all()
        fixed = connection.execute(select(func.count()).where(images.c.fixed.is_(True))).scalar() or 0
        masks = connection.execute(select(func.sum(layers.c.masks)).where(layers.c.layer == 0)).scalar() or 0
    found = {state: 0 for state in STATES} | {state: number for state, number in by_state}
    return {"images": sum(found.values()), "fixed": int(fixed), "masks": int(masks), **found}
