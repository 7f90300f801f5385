"""Lineage: the mask that a mask began as. Every edit changes its uid; pages keep its colour and place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select

from anymask.store.database import Database
from anymask.store.schema import mask_rows
from anymask.store.values import StoredMask


def by_origin(
    database: Database, image_id: int, masks: Sequence[StoredMask], layer: int = 0
) -> list[tuple[StoredMask, str | None]]:
    """Masks of a layer with the uid of their oldest ancestor, None for those that are their own, in the order
    in which those were made. Of merged masks the first counts; the parts of a split one begin anew.
    """
    if all(one.parent is None for one in masks):
        return [(one, None) for one in masks]
    columns = (mask_rows.c.uid, mask_rows.c.parent, mask_rows.c.added)
    query = select(*columns).where(mask_rows.c.image_id == image_id, mask_rows.c.layer == layer)
    with database.read() as connection:
        rows = connection.execute(query.order_by(mask_rows.c.id)).all()
    parts = Counter((row.parent, row.added) for row in rows)  # of one parent at once
    origins: dict[str, str] = {}
    for row in rows:
        edited = row.parent is not None and parts[row.parent, row.added] == 1
        origins[row.uid] = origins.get(row.parent, row.parent) if edited else row.uid
    place = {uid: number for number, uid in enumerate(origins)}
    found = sorted(masks, key=lambda one: place.get(origins[one.uid], len(place)))
    return [(one, None if origins[one.uid] == one.uid else origins[one.uid]) for one in found]
