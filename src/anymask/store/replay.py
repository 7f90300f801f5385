"""Verification: every event is replayed and compared with the state of now; what was changed is named."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, and_, select

from anymask.errors import BadInput
from anymask.store.database import AnyRow, Database
from anymask.store.schema import events, images, layers, mask_rows
from anymask.store.values import Action, StoredMask, canonical, digest_of, stored_mask


def verify(database: Database) -> list[str]:
    """What does not agree, one line each; nothing when the state of now is what the events say."""
    with database.read() as connection:
        problems = _without_head(connection)
        heads = connection.execute(select(layers).order_by(layers.c.image_id, layers.c.layer)).all()
        for head in heads:
            problems += _verify_layer(connection, head)
    return problems


def _without_head(connection: Connection) -> list[str]:
    """Masks and events of a layer that has no row."""
    problems = []
    for table in (events, mask_rows):
        own = and_(layers.c.image_id == table.c.image_id, layers.c.layer == table.c.layer)
        query = (
            select(table.c.image_id, table.c.layer)
            .where(~select(layers.c.layer).where(own).exists())
            .distinct()
            .order_by(table.c.image_id, table.c.layer)
        )
        for row in connection.execute(query):
            problems.append(
                f"image {row.image_id}, layer {row.layer}: {table.name} of a layer that is missing"
            )
    return problems


def _verify_layer(connection: Connection, head: AnyRow) -> list[str]:
    where = f"image {head.image_id}, layer {head.layer}"
    own = (mask_rows.c.image_id == head.image_id, mask_rows.c.layer == head.layer)
    rows = {row.uid: row for row in connection.execute(select(mask_rows).where(*own))}
    size = connection.execute(
        select(images.c.height, images.c.width).where(images.c.id == head.image_id)
    ).first()
    if size is None:
        return [f"{where}: the image is missing"]
    replay = _Replay(rows, (size.height, size.width))
    chain = connection.execute(
        select(events)
        .where(events.c.image_id == head.image_id, events.c.layer == head.layer)
        .order_by(events.c.sequence)
    )
    for event in chain:
        try:
            replay.apply(event)
        except (BadInput, ValueError, KeyError, TypeError) as error:
            return [f"{where}: event {event.sequence}: {error}"]
    return _compare(where, head, replay)


class _Replay:
    """The state of a layer as its events say. Raises BadInput where one does not agree."""

    def __init__(self, rows: dict[str, AnyRow], size_hw: tuple[int, int]) -> None:
        self.rows, self.size_hw = rows, size_hw
        self.alive: set[str] = set()
        self.removed: dict[str, int] = {}
        self.digest, self.revision = "", 0

    def apply(self, event: AnyRow) -> None:
        body = json.loads(event.body)
        if event.sequence < 0:
            if not digest_of(canonical(body["request"])) == event.request == event.digest:
                raise BadInput("this branch is not what was sent")
            return
        self.revision += 1
        if event.sequence != self.revision:
            raise BadInput(f"event {self.revision} is missing")
        if not self.rows.keys() >= {*body["uids"], *body["removes"]}:
            raise BadInput("masks of it are missing")
        request = canonical(_action_of(event, body, self.rows, self.size_hw).request())
        self.digest = digest_of(self.digest, request)
        if digest_of(request) != event.request or self.digest != event.digest:
            raise BadInput("it, or a mask of it, is not what was saved")
        self.alive = (self.alive - set(body["removes"])) | set(body["uids"])
        self.removed |= dict.fromkeys(body["removes"], self.revision)
        if body["masks"] != len(self.alive):
            raise BadInput(f"it counts {body['masks']} masks, there were {len(self.alive)}")


def _action_of(
    event: AnyRow, body: dict[str, Any], rows: dict[str, AnyRow], size_hw: tuple[int, int]
) -> Action:
    adds = tuple(_stored(rows[uid], event, size_hw) for uid in body["uids"])
    return Action(
        event.image_id, event.sequence - 1, event.key, event.author, adds, tuple(body["removes"]), event.layer
    )


def _stored(row: AnyRow, event: AnyRow, size_hw: tuple[int, int]) -> StoredMask:
    one = stored_mask(row, size_hw)
    x, y, w, h = one.mask.bbox_xywh
    derived = (x, y, w, h, one.mask.area, event.sequence, event.author)
    if (row.x, row.y, row.w, row.h, row.area, row.added, row.author) != derived:
        raise BadInput(f"mask {row.uid}: its box, area, author or event is not that of its pixels")
    return one


def _compare(where: str, head: AnyRow, replay: _Replay) -> list[str]:
    strangers = sorted(replay.rows.keys() - replay.alive - replay.removed.keys())
    wrong = sorted(uid for uid, row in replay.rows.items() if row.removed != replay.removed.get(uid))
    if strangers or wrong:
        return [f"{where}: mask {(strangers + wrong)[0]} is not in the state that the events say"]
    if (head.revision, head.masks, head.digest) != (replay.revision, len(replay.alive), replay.digest):
        return [f"{where}: the state of now is not what its {replay.revision} events say"]
    return []
