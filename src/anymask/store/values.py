"""What goes into the store and comes out: values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anymask.core.mask import Mask
from anymask.errors import BadInput, Failure

STAGES = ("manual", "prefilled", "semi", "automatic", "imported")
MAX_UID = 40


class StaleWrite(Failure):
    """The image has changed since: the write is kept as a branch and not applied."""

    http_status = 412

    def __init__(self, message: str, revision: int) -> None:
        super().__init__(message)
        self.revision = revision


class LostLease(Failure):
    """The task went to someone else: its lease ran out, or they took it over. `by`: who holds it now."""

    http_status = 409

    def __init__(self, message: str, by: str | None = None) -> None:
        super().__init__(message)
        self.by = by


@dataclass(frozen=True, slots=True)
class StoredMask:
    """A mask with where it came from (provenance).

    `uid`: chosen by who makes it, unique within a layer of an image. `parent`: the mask it is an edit of.
    `seconds`: active time of a person. `more`: prompts, candidates offered, which one was taken.
    """

    uid: str
    mask: Mask
    category: str | None = None
    author: str = ""
    stage: str = "manual"
    round: int = 0
    model: str | None = None
    probability: float | None = None
    seconds: float | None = None
    parent: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """As JSON; what an action's checksum covers."""
        names = ("uid", "category", "stage", "round", "model", "probability", "seconds", "parent")
        found = {name: getattr(self, name) for name in names}
        return {**found, "counts": self.mask.rle["counts"], "more": dict(self.more)}


@dataclass(frozen=True, slots=True)
class Action:
    """One save: masks added to and removed from one layer of an image.

    `base`: the revision it was made on. `key`: idempotency key; sent again, it gives the same answer.
    """

    image_id: int
    base: int
    key: str
    author: str
    adds: tuple[StoredMask, ...] = ()
    removes: tuple[str, ...] = ()
    layer: int = 0

    def request(self) -> dict[str, Any]:
        return {
            "image_id": self.image_id,
            "layer": self.layer,
            "base": self.base,
            "author": self.author,
            "adds": [one.facts() for one in self.adds],
            "removes": list(self.removes),
        }


@dataclass(frozen=True, slots=True)
class Saved:
    """`revision`: of the layer now. `repeated`: the same action had been saved before."""

    revision: int
    masks: int
    repeated: bool = False


def stored_mask(row: Any, size_hw: tuple[int, int]) -> StoredMask:
    """From a row of the table of masks. Raises BadInput when its pixels are damaged."""
    return StoredMask(
        uid=row.uid,
        mask=Mask.from_rle({"size": list(size_hw), "counts": row.counts}),
        category=row.category,
        author=row.author,
        stage=row.stage,
        round=row.round,
        model=row.model,
        probability=row.probability,
        seconds=row.seconds,
        parent=row.parent,
        more=json.loads(row.more) if row.more else {},
    )


def canonical(value: Any) -> str:
    """JSON in one spelling. Raises BadInput for what JSON cannot hold."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(f"expected values that JSON can hold: {error}") from None


def digest_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
