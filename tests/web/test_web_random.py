"""Random work of one person in two tabs, with answers that get lost: the server agrees with a model."""

from __future__ import annotations

import random
from typing import Any

import pytest
from studio_client import Annotator, add, new_uid

from anymask.core.mask import Mask
from anymask.store.annotations import masks_of, verify
from anymask.web.studio import Studio


class Model:
    """What is there, and what was there once."""

    def __init__(self) -> None:
        self.now: dict[str, Mask] = {}
        self.ever: dict[str, Mask] = {}

    def do(self, operation: dict[str, Any]) -> None:
        kind, uid = operation["op"], operation.get("uid", "")
        if kind in ("add", "replace"):
            new = operation["mask"]
            self.put(new["uid"], Mask.from_rle(new["rle"]))
        elif kind in ("label", "accept", "restore"):
            self.put(operation["new_uid"], self.ever[uid])
        elif kind == "merge":
            first, second = (self.now.pop(one) for one in operation["uids"])
            self.put(operation["new_uid"], first | second)
        if kind in ("replace", "label", "accept", "delete"):
            del self.now[uid]

    def put(self, uid: str, mask: Mask) -> None:
        self.now[uid] = self.ever[uid] = mask


def some_operation(rng: random.Random, model: Model) -> dict[str, Any]:
    here, gone = sorted(model.now), sorted(set(model.ever) - set(model.now))
    kinds = ["add", "add"] + ["replace", "delete", "label", "accept"] * bool(here)
    kinds += ["merge"] * (len(here) > 1) + ["restore"] * bool(gone)
    kind = rng.choice(kinds)
    new = add(rng.randrange(400))["mask"]
    if kind == "add":
        return {"op": "add", "mask": new}
    if kind == "merge":
        return {"op": "merge", "uids": rng.sample(here, 2), "new_uid": new["uid"]}
    uid = rng.choice(gone if kind == "restore" else here)
    if kind == "replace":
        return {"op": kind, "uid": uid, "mask": new}
    if kind == "delete":
        return {"op": kind, "uid": uid}
    extra = {"category": rng.choice(["a", "b", None])} if kind == "label" else {}
    return {"op": kind, "uid": uid, "new_uid": new["uid"], **extra}


@pytest.mark.parametrize("seed", range(3))
def test_random_work_ends_where_it_should(ada: Annotator, studio: Studio, seed: int) -> None:
    rng, model = random.Random(seed), Model()
    studio.rates.take = lambda *_: 0.0
    ada.open(1)
    sent: list[tuple[str, int, dict[str, Any], int]] = []
    for _ in range(60):
        chance = rng.random()
        if chance < 0.15 and sent:  # an answer was lost: the same once more
            key, base, operation, revision = rng.choice(sent)
            now = ada.revision
            answer = ada.save(operation, key=key, base=base)
            assert answer.json() == {**answer.json(), "revision": revision, "repeated": True}
            ada.revision = now
        elif chance < 0.25 and ada.revision:  # another tab, which has not heard of the last save
            assert ada.save(add(rng.randrange(400)), base=ada.revision - 1).status_code == 409
        elif chance < 0.3:
            assert ada.save({"op": "delete", "uid": new_uid()}).status_code == 400
        else:
            operation, key, base = some_operation(rng, model), new_uid(), ada.revision
            answer = ada.save(operation, key=key)
            assert answer.status_code == 200, (operation, answer.text)
            model.do(operation)
            sent.append((key, base, operation, ada.revision))
        kept = {one.uid: one.mask for one in masks_of(studio.project.database, 1)}
        assert kept == model.now
    assert verify(studio.project.database) == []
