"""What the tests of the store share: photos and a save."""

from __future__ import annotations

import hashlib

from store_server import square

from anymask.store import annotations, images
from anymask.store.database import Database
from anymask.store.values import Action, Saved, StoredMask

SIZE_HW = (64, 64)


def photos(number: int) -> list[images.NewImage]:
    return [
        images.NewImage(hashlib.sha256(str(i).encode()).hexdigest(), f"{i}.png", f"/photos/{i}.png", SIZE_HW)
        for i in range(1, number + 1)
    ]


def mask(uid: str, number: int = 0, **facts: object) -> StoredMask:
    return StoredMask(uid, square(number, SIZE_HW), **facts)


def save(database: Database, key: str, *, image: int = 1, base: int = 0, **rest: object) -> Saved:
    adds = rest.pop("adds", (mask(key),))
    return annotations.save(database, Action(image, base, key, "ann", tuple(adds), **rest))
