"""Editing: operations of a person become one action of the store, the same each time they are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from anymask.core.mask import Mask
from anymask.engine.operations import (
    Accept,
    Add,
    Delete,
    Label,
    Merge,
    NewMask,
    Operation,
    Replace,
    Restore,
    RunLengths,
    Split,
)
from anymask.errors import BadInput
from anymask.store.annotations import history_of
from anymask.store.database import Database
from anymask.store.tasks import Lease
from anymask.store.values import Action, StoredMask

PREFILLED, AUTOMATIC = "prefilled", "automatic"  # stages of masks that nobody looked at yet


def action_of(
    database: Database, lease: Lease, base: int, key: str, author: str, operations: Sequence[Operation]
) -> Action:
    """What to save, on the layer of the lease. Looks masks up in the history of the layer, so that an action
    that is sent again after it was saved is the same action. Raises BadInput.
    """
    if not operations:
        raise BadInput("operations: expected at least one, got none")
    wanted = [uid for one in operations for uid in _named(one)]
    known = history_of(database, lease.image_id, wanted, lease.layer) if wanted else {}
    edit = _Edit(author, lease.round, known)
    for one in operations:
        _HOW[type(one)](edit, one)
    return Action(
        lease.image_id, base, key, author, tuple(edit.adds.values()), tuple(edit.removes), lease.layer
    )


def mask_of(rle: RunLengths) -> Mask:
    """Raises BadInput."""
    return Mask.from_rle({"size": list(rle.size), "counts": rle.counts})


@dataclass(slots=True)
class _Edit:
    """The masks to add and to remove; what is added and removed again in one action is neither."""

    author: str
    round: int
    known: dict[str, StoredMask]
    adds: dict[str, StoredMask] = field(default_factory=dict)
    removes: list[str] = field(default_factory=list)

    def find(self, uid: str) -> StoredMask:
        found = self.adds.get(uid) or self.known.get(uid)
        if found is None:
            raise BadInput(f"expected a mask of this image, got {uid!r}")
        return found

    def take(self, uid: str) -> StoredMask:
        found = self.find(uid)
        if self.adds.pop(uid, None) is None:
            if uid in self.removes:
                raise BadInput(f"mask {uid} is removed twice in one action")
            self.removes.append(uid)
        return found

    def put(self, mask: StoredMask) -> None:
        if mask.uid in self.adds:
            raise BadInput(f"expected another uid for each mask, got {mask.uid!r} twice")
        self.adds[mask.uid] = mask


def _named(one: Operation) -> list[str]:
    if isinstance(one, Merge):
        return one.uids
    return [] if isinstance(one, Add) else [one.uid]


def _add(edit: _Edit, one: Add) -> None:
    edit.put(_new(edit, one.mask))


def _replace(edit: _Edit, one: Replace) -> None:
    old = edit.take(one.uid)
    edit.put(replace(_new(edit, one.mask), parent=old.uid))


def _new(edit: _Edit, one: NewMask) -> StoredMask:
    return StoredMask(
        uid=one.uid,
        mask=mask_of(one.rle),
        category=one.category,
        author=edit.author,
        stage=one.stage,
        round=edit.round,
        model=one.model or None,
        probability=one.probability,
        seconds=one.seconds,
        more=one.more(),
    )


def _delete(edit: _Edit, one: Delete) -> None:
    edit.take(one.uid)


def _restore(edit: _Edit, one: Restore) -> None:
    edit.put(replace(edit.find(one.uid), uid=one.new_uid, parent=one.uid))


def _label(edit: _Edit, one: Label) -> None:
    old = edit.take(one.uid)
    edit.put(replace(old, uid=one.new_uid, parent=one.uid, category=one.category))


def _accept(edit: _Edit, one: Accept) -> None:
    """A prefilled mask becomes one of the person; an automatic one stays that, judged right."""
    old = edit.take(one.uid)
    stage = "semi" if old.stage == PREFILLED else old.stage
    more = {**old.more, "verdict": "right"}
    edit.put(replace(old, uid=one.new_uid, parent=one.uid, author=edit.author, stage=stage, more=more))


def _merge(edit: _Edit, one: Merge) -> None:
    parts = [edit.take(uid) for uid in one.uids]
    union = parts[0].mask
    for part in parts[1:]:
        union = union | part.mask
    edit.put(_made_of(edit, parts[0], one.new_uid, union, one.category, {"merged": one.uids}))


def _split(edit: _Edit, one: Split) -> None:
    old = edit.take(one.uid)
    if one.parts is None:
        pieces = _joined(old.mask.components(), len(one.new_uids))
    else:
        pieces = [mask_of(part) & old.mask for part in one.parts]
    if len(pieces) != len(one.new_uids):
        raise BadInput(f"split: expected {len(one.new_uids)} pieces for its uids, got {len(pieces)}")
    for uid, piece in zip(one.new_uids, pieces, strict=True):
        edit.put(_made_of(edit, old, uid, piece, old.category, {"split": one.uid}))


def _joined(pieces: list[Mask], count: int) -> list[Mask]:
    """At most so many: the smallest join the last."""
    kept = pieces[:count]
    for piece in pieces[count:]:
        kept[-1] = kept[-1] | piece
    return kept


def _made_of(
    edit: _Edit, old: StoredMask, uid: str, mask: Mask, category: str | None, more: dict[str, Any]
) -> StoredMask:
    stage = "manual" if old.stage == "manual" else "semi"
    return StoredMask(uid, mask, category, edit.author, stage, edit.round, parent=old.uid, more=more)


_HOW: dict[type, Callable[[_Edit, Any], None]] = {
    Add: _add,
    Replace: _replace,
    Delete: _delete,
    Restore: _restore,
    Label: _label,
    Accept: _accept,
    Merge: _merge,
    Split: _split,
}
