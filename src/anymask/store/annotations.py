"""Annotations: append-only events per image, the masks of now derived from them in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, tuple_, update

from anymask.errors import BadInput
from anymask.store.database import AnyRow, AnySelect, Database
from anymask.store.replay import verify
from anymask.store.schema import events, images, layers, mask_rows
from anymask.store.values import (
    MAX_UID,
    STAGES,
    Action,
    Saved,
    StaleWrite,
    StoredMask,
    canonical,
    digest_of,
    stored_mask,
)

__all__ = [
    "branches_of", "digests_of", "each_image", "history_of", "masks_of", "revision_of", "revisions_of",
    "save", "save_in", "stored_mask", "verify",
]  # fmt: skip

PAGE = 500  # images whose masks are read at once

# What every save asks, built once: building them for each took more than half the time of a save.
_OF_LAYER = (layers.c.image_id == bindparam("image"), layers.c.layer == bindparam("in_layer"))
_SIZE = select(images.c.height, images.c.width).where(images.c.id == bindparam("image"))
_LOCKED_SIZE = _SIZE.with_for_update()
_KEPT = select(events.c.request, events.c.sequence, events.c.body).where(
    events.c.key == bindparam("with_key")
)
_HEAD = select(layers).where(*_OF_LAYER).with_for_update()
_ADVANCE = (
    update(layers)
    .where(*_OF_LAYER)
    .values(revision=bindparam("to"), masks=bindparam("now"), digest=bindparam("covering"))
)
_KNOWN = select(mask_rows.c.uid).where(
    mask_rows.c.image_id == bindparam("image"),
    mask_rows.c.layer == bindparam("in_layer"),
    mask_rows.c.uid.in_(bindparam("uids", expanding=True)),
)
_ADD_EVENT, _ADD_MASKS = insert(events), insert(mask_rows)


def save(database: Database, action: Action) -> Saved:
    """Apply an action; it is on disk when this returns. The same key again gives the same answer.

    Raises BadInput for an unknown image or mask, StaleWrite when the layer has changed since `action.base`:
    the action is kept as a branch then.
    """
    outcome = database.write(lambda connection: save_in(connection, action, database.clock()))
    return _answer(outcome)


def save_in(connection: Connection, action: Action, now: float, *, late: bool = False) -> Saved | StaleWrite:
    """The same within a transaction. StaleWrite is returned, not raised: its branch is to be committed.

    `late`: a new action becomes a branch whatever it was made on; one that was saved before is answered.
    """
    request = canonical(action.request())
    size_hw = _image_size(connection, action.image_id, lock=True)  # one action on an image at a time
    before = connection.execute(_KEPT, {"with_key": action.key}).first()
    if before is not None:
        return _repeated(before, digest_of(request))
    _check(action, size_hw)
    head = _head(connection, action.image_id, action.layer)
    if late or head.revision != action.base:
        return _branch(connection, action, request, head.revision, now)
    masks = _apply(connection, action, head.revision + 1, head.masks)
    body = canonical({"uids": [one.uid for one in action.adds], "removes": action.removes, "masks": masks})
    digest = digest_of(head.digest, request)
    connection.execute(_ADD_EVENT, [_event(action, head.revision + 1, request, body, digest, now)])
    place = {"image": action.image_id, "in_layer": action.layer}
    connection.execute(_ADVANCE, {**place, "to": head.revision + 1, "now": masks, "covering": digest})
    return Saved(head.revision + 1, masks)


def _answer(outcome: Saved | StaleWrite) -> Saved:
    if isinstance(outcome, StaleWrite):
        raise outcome
    return outcome


def _repeated(before: AnyRow, request: str) -> Saved | StaleWrite:
    if before.request != request:
        raise BadInput("this idempotency key was used for another action: expected a new key")
    body = json.loads(before.body)
    if before.sequence < 0:
        return _stale(body["base"], body["now"])
    return Saved(before.sequence, body["masks"], repeated=True)


def _stale(base: int, now: int) -> StaleWrite:
    return StaleWrite(f"the image has changed: expected revision {now}, got {base}; yours is kept", now)


def _image_size(connection: Connection, image_id: int, *, lock: bool = False) -> tuple[int, int]:
    row = connection.execute(_LOCKED_SIZE if lock else _SIZE, {"image": image_id}).first()
    if row is None:
        raise BadInput(f"expected an image of the project, got number {image_id}")
    return row.height, row.width


def _check(action: Action, size_hw: tuple[int, int]) -> None:
    if not 0 < len(action.key) <= 64:
        raise BadInput(f"expected an idempotency key of 1 to 64 characters, got {len(action.key)}")
    uids = [one.uid for one in action.adds]
    if len(set(uids)) < len(uids):
        raise BadInput("expected another uid for each mask of an action")
    for one in action.adds:
        if not 0 < len(one.uid) <= MAX_UID:
            raise BadInput(f"expected a uid of 1 to {MAX_UID} characters, got {one.uid[:80]!r}")
        if one.stage not in STAGES:
            raise BadInput(f"stage: expected one of {', '.join(STAGES)}, got {one.stage!r}")
        if one.mask.size_hw != size_hw:
            raise BadInput(f"expected a mask of {size_hw} (h, w) as the image, got {one.mask.size_hw}")
        if one.mask.is_empty:
            raise BadInput(f"mask {one.uid}: expected at least one pixel, got none")


def _head(connection: Connection, image_id: int, layer: int) -> AnyRow:
    place = {"image": image_id, "in_layer": layer}
    head = connection.execute(_HEAD, place).first()
    if head is None:
        connection.execute(
            insert(layers).values(image_id=image_id, layer=layer, revision=0, masks=0, digest="")
        )
        head = connection.execute(_HEAD, place).one()
    return head


def _apply(connection: Connection, action: Action, sequence: int, masks: int) -> int:
    """Returns how many masks there are then."""
    if action.removes:
        found = connection.execute(
            update(mask_rows)
            .where(
                mask_rows.c.image_id == action.image_id,
                mask_rows.c.layer == action.layer,
                mask_rows.c.uid.in_(action.removes),
                mask_rows.c.removed.is_(None),
            )
            .values(removed=sequence)
        ).rowcount
        if found != len(set(action.removes)):
            raise BadInput(f"expected masks of this image to remove, found {found} of {len(action.removes)}")
        masks -= found
    if action.adds:
        _check_new(connection, action)
        rows = [_row(action, one, sequence) for one in action.adds]
        connection.execute(_ADD_MASKS, rows)
    return masks + len(action.adds)


def _check_new(connection: Connection, action: Action) -> None:
    place = {"image": action.image_id, "in_layer": action.layer}
    known = connection.execute(_KNOWN, {**place, "uids": [one.uid for one in action.adds]}).first()
    if known is not None:
        raise BadInput(f"expected a new uid, got {known.uid!r} again")


def _row(action: Action, one: StoredMask, sequence: int) -> dict[str, Any]:
    x, y, w, h = one.mask.bbox_xywh
    own = {k: v for k, v in one.facts().items() if k != "more"}
    return {
        **own,
        "image_id": action.image_id,
        "layer": action.layer,
        "x": x, "y": y, "w": w, "h": h,
        "area": one.mask.area,
        "author": action.author,
        "more": canonical(dict(one.more)) if one.more else None,
        "added": sequence,
    }  # fmt: skip


def _branch(connection: Connection, action: Action, request: str, revision: int, now: float) -> StaleWrite:
    lowest = connection.execute(
        select(events.c.sequence)
        .where(events.c.image_id == action.image_id, events.c.layer == action.layer)
        .order_by(events.c.sequence)
        .limit(1)
    ).scalar()
    body = canonical({"base": action.base, "now": revision, "request": json.loads(request)})
    sequence = min(lowest or 0, 0) - 1
    connection.execute(insert(events), [_event(action, sequence, request, body, digest_of(request), now)])
    return _stale(action.base, revision)


def _event(action: Action, sequence: int, request: str, body: str, digest: str, now: float) -> dict[str, Any]:
    return {
        "image_id": action.image_id,
        "layer": action.layer,
        "sequence": sequence,
        "key": action.key,
        "request": digest_of(request),
        "author": action.author,
        "at": now,
        "body": body,
        "digest": digest,
    }


def revision_of(database: Database, image_id: int, layer: int = 0) -> int:
    query = select(layers.c.revision).where(layers.c.image_id == image_id, layers.c.layer == layer)
    with database.read() as connection:
        return connection.execute(query).scalar() or 0


def revisions_of(database: Database, image_ids: Sequence[int]) -> dict[tuple[int, int], int]:
    """Of each layer of these images, by image and layer."""
    query = select(layers.c.image_id, layers.c.layer, layers.c.revision)
    with database.read() as connection:
        rows = connection.execute(query.where(layers.c.image_id.in_(image_ids)))
        return {(row.image_id, row.layer): row.revision for row in rows}


def digests_of(database: Database, places: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int, int], str]:
    """Of layers at a revision, by image, layer and revision: what covers every action up to it."""
    names = (events.c.image_id, events.c.layer, events.c.sequence)
    with database.read() as connection:
        rows = connection.execute(select(*names, events.c.digest).where(tuple_(*names).in_(places)))
        return {(row.image_id, row.layer, row.sequence): row.digest for row in rows}


def masks_of(
    database: Database, image_id: int, layer: int = 0, revision: int | None = None
) -> list[StoredMask]:
    """The masks of now, or of an earlier `revision`, in the order they were added. Raises BadInput for an
    unknown image.
    """
    query = _current([image_id], layer) if revision is None else _earlier(image_id, layer, revision)
    with database.read() as connection:
        size_hw = _image_size(connection, image_id)
        rows = connection.execute(query).all()
    return [stored_mask(row, size_hw) for row in rows]


def history_of(
    database: Database, image_id: int, uids: Sequence[str], layer: int = 0
) -> dict[str, StoredMask]:
    """Masks by their uids, also those that were removed. Raises BadInput for an unknown image."""
    query = select(mask_rows).where(mask_rows.c.image_id == image_id, mask_rows.c.layer == layer)
    with database.read() as connection:
        size_hw = _image_size(connection, image_id)
        rows = connection.execute(query.where(mask_rows.c.uid.in_(uids))).all()
    return {row.uid: stored_mask(row, size_hw) for row in rows}


def _current(image_ids: Sequence[int], layer: int) -> AnySelect:
    return (
        select(mask_rows)
        .where(
            mask_rows.c.image_id.in_(image_ids),
            mask_rows.c.layer == layer,
            mask_rows.c.removed.is_(None),
        )
        .order_by(mask_rows.c.image_id, mask_rows.c.id)
    )


def _earlier(image_id: int, layer: int, revision: int) -> AnySelect:
    there = and_(mask_rows.c.image_id == image_id, mask_rows.c.layer == layer, mask_rows.c.added <= revision)
    still = or_(mask_rows.c.removed.is_(None), mask_rows.c.removed > revision)
    return select(mask_rows).where(there, still).order_by(mask_rows.c.id)


def each_image(database: Database, layer: int = 0) -> Iterator[tuple[AnyRow, list[StoredMask]]]:
    """Every image with its masks, by number; a page in memory at a time."""
    last = -1
    while True:
        with database.read() as connection:
            page = connection.execute(
                select(images).where(images.c.id > last).order_by(images.c.id).limit(PAGE)
            ).all()
            rows = connection.execute(_current([one.id for one in page], layer)).all() if page else []
        if not page:
            return
        last = page[-1].id
        by_image: dict[int, list[AnyRow]] = {}
        for row in rows:
            by_image.setdefault(row.image_id, []).append(row)
        for image in page:
            size_hw = (image.height, image.width)
            yield image, [stored_mask(row, size_hw) for row in by_image.get(image.id, [])]


def branches_of(database: Database, image_id: int) -> list[dict[str, Any]]:
    """The actions that were refused as stale, as they were sent."""
    query = select(events.c.body).where(and_(events.c.image_id == image_id, events.c.sequence < 0))
    with database.read() as connection:
        rows = connection.execute(query.order_by(events.c.id)).all()
    return [json.loads(row.body)["request"] for row in rows]
