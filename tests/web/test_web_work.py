"""Annotating: open a photo, save masks, undo, submit; what two tabs and lost leases do."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from studio_client import Annotator, add, error_of, new_uid, square

from anymask.core.mask import Mask
from anymask.store import tasks
from anymask.store.annotations import branches_of, masks_of, verify
from anymask.web.studio import Studio


def uids(ada: Annotator) -> set[str]:
    return {one["uid"] for one in ada.masks()}


def test_someone_opens_a_photo_draws_a_mask_and_submits(ada: Annotator, studio: Studio) -> None:
    ada.open(1)
    assert ada.save(add(1, seconds=3.5, category="disk")).json() == {
        "revision": 1, "masks": 1, "repeated": False,
    }  # fmt: skip
    assert ada.submit().status_code == 204
    (mask,) = masks_of(studio.project.database, 1)
    assert (mask.mask, mask.author, mask.stage, mask.seconds) == (square(1), "me", "manual", 3.5)
    assert ada.get("/images/1").json()["state"] == "annotated"
    assert verify(studio.project.database) == []


def test_a_reload_goes_on_with_the_same_task(ada: Annotator, studio: Studio) -> None:
    tasks.add_tasks(studio.project.database, [2, 3])
    first = ada.next()
    ada.save(add())
    again = ada.next()
    assert first is not None and again is not None
    assert again["lease"]["task"] == first["lease"]["task"]
    assert len(again["masks"]) == 1


def test_when_nothing_is_left_the_queue_says_so(ada: Annotator) -> None:
    answer = ada.post("/tasks/next", {}).json()
    assert answer == {"work": None, "left": {"annotate": 0, "review": 0, "audit": 0}}


def test_how_a_mask_was_made_is_kept(ada: Annotator, studio: Studio) -> None:
    ada.open(1)
    prompts = [{"points": [[20.5, 30.0]], "labels": [1]}]
    made = {"prompts": prompts, "offered": ["a", "b"], "taken": "a", "model": "ab12", "probability": 0.75}
    assert ada.save(add(1, **made)).status_code == 200
    (mask,) = masks_of(studio.project.database, 1)
    assert (mask.model, mask.probability) == ("ab12", 0.75)
    assert mask.more["offered"] == ["a", "b"] and mask.more["taken"] == "a"
    assert mask.more["prompts"][0]["points"] == [[20.5, 30.0]]


def test_the_same_save_twice_counts_once(ada: Annotator) -> None:
    ada.open(1)
    one = add()
    first = ada.save(one, key="k", base=0).json()
    assert ada.save(one, key="k", base=0).json() == {**first, "repeated": True}
    assert len(ada.masks()) == 1


def test_a_save_that_is_repeated_after_its_mask_was_replaced_is_answered_the_same(ada: Annotator) -> None:
    """The answer was lost on the way; meanwhile another tab went on."""
    ada.open(1)
    one = add()
    uid = one["mask"]["uid"]
    ada.save(one)
    label = {"op": "label", "uid": uid, "new_uid": "b", "category": "disk"}
    first = ada.save(label, key="k", base=1).json()
    ada.save({"op": "delete", "uid": "b"})
    assert ada.save(label, key="k", base=1).json() == {**first, "repeated": True}


def test_a_key_that_was_used_for_something_else_is_refused(ada: Annotator) -> None:
    ada.open(1)
    ada.save(add(1), key="k", base=0)
    answer = ada.save(add(2), key="k", base=0)
    assert answer.status_code == 400 and "key" in error_of(answer)["message"]


def test_two_tabs_on_one_photo_see_both_versions(ada: Annotator, studio: Studio) -> None:
    ada.open(1)
    ada.save(add(1))
    late = add(2)
    answer = ada.save(late, base=0)
    assert answer.status_code == 409
    error = error_of(answer)
    assert error["code"] == "stale" and error["detail"]["revision"] == 1
    assert len(error["detail"]["masks"]) == 1
    assert error["detail"]["yours"]["operations"][0]["mask"]["uid"] == late["mask"]["uid"]
    assert len(branches_of(studio.project.database, 1)) == 1
    assert ada.save(late).status_code == 200, "rebased with a new key"


def test_work_under_a_lost_lease_is_kept_and_told(ada: Annotator, studio: Studio) -> None:
    tasks.add_tasks(studio.project.database, [1])
    ada.next()
    held, revision = ada.held, ada.revision
    lease = tasks.next_task(studio.project.database, "me")
    tasks.give_back(studio.project.database, lease)
    assert tasks.next_task(studio.project.database, "bob").image_id == 1
    answer = ada.save(add(3), base=revision)
    assert answer.status_code == 409 and error_of(answer)["code"] == "lease_lost"
    assert len(branches_of(studio.project.database, 1)) == 1
    renewed = ada.post(f"/tasks/{held['task']}/renew", {"token": held["token"]})
    assert error_of(renewed)["code"] == "lease_lost"


def test_what_somebody_else_holds_cannot_be_opened(ada: Annotator, studio: Studio) -> None:
    tasks.add_tasks(studio.project.database, [1])
    tasks.next_task(studio.project.database, "bob")
    answer = ada.post("/images/1/open", {})
    assert answer.status_code == 409 and error_of(answer)["code"] == "held"
    assert error_of(answer)["detail"]["by"] == "bob"


def test_a_lease_of_somebody_else_cannot_be_used(ada: Annotator, studio: Studio) -> None:
    """Tokens count up, so they can be guessed."""
    tasks.add_tasks(studio.project.database, [1])
    lease = tasks.next_task(studio.project.database, "bob")
    ada.work = {"image": {"id": 1}, "lease": {"task": lease.task, "token": lease.token, "layer": 0}}
    assert error_of(ada.save(add()))["code"] == "forbidden"
    assert ada.submit().status_code == 403


def test_a_lease_of_another_photo_does_not_open_this_one(ada: Annotator) -> None:
    ada.open(1)
    ada.work["image"]["id"] = 2
    assert ada.save(add()).status_code == 400


def test_undo_brings_back_what_was_deleted(ada: Annotator, studio: Studio) -> None:
    ada.open(1)
    one = add(4, category="disk", seconds=2.0)
    uid = one["mask"]["uid"]
    ada.save(one)
    ada.save({"op": "delete", "uid": uid})
    assert ada.masks() == []
    ada.save({"op": "restore", "uid": uid, "new_uid": "again"})
    (mask,) = masks_of(studio.project.database, 1)
    assert (mask.uid, mask.mask, mask.category, mask.seconds) == ("again", square(4), "disk", 2.0)


def test_a_mask_is_replaced_by_its_child(ada: Annotator, studio: Studio) -> None:
    ada.open(1)
    one = add(1)
    ada.save(one)
    child = add(2)["mask"]
    ada.save({"op": "replace", "uid": one["mask"]["uid"], "mask": child})
    (mask,) = masks_of(studio.project.database, 1)
    assert (mask.uid, mask.parent, mask.mask) == (child["uid"], one["mask"]["uid"], square(2))


def test_masks_are_merged_and_split(ada: Annotator, studio: Studio) -> None:
    ada.open(1)
    one, two = add(1), add(5)
    ada.save(one, two)
    pair = [one["mask"]["uid"], two["mask"]["uid"]]
    ada.save({"op": "merge", "uids": pair, "new_uid": "both"})
    (both,) = masks_of(studio.project.database, 1)
    assert both.mask == square(1) | square(5)
    ada.save({"op": "split", "uid": "both", "new_uids": ["left", "right"]})
    assert {one.mask for one in masks_of(studio.project.database, 1)} == {square(1), square(5)}


def test_an_edited_mask_keeps_its_origin_and_its_place(ada: Annotator) -> None:
    """The parts of a split mask begin anew; a merged one goes on with the first."""
    ada.open(1)
    first, second, third = (add(number) for number in (1, 20, 30))
    ada.save(first, second, third)
    uids = [one["mask"]["uid"] for one in (first, second, third)]
    assert [one["origin"] for one in ada.masks()] == [None] * 3
    ada.save({"op": "label", "uid": uids[0], "new_uid": "labelled", "category": "disk"})
    ada.save({"op": "replace", "uid": "labelled", "mask": add(60)["mask"] | {"uid": "drawn"}})
    ada.save({"op": "delete", "uid": uids[1]})
    ada.save({"op": "restore", "uid": uids[1], "new_uid": "restored"})
    told = [(one["uid"], one["origin"]) for one in ada.open(1)["masks"]]
    assert told == [("drawn", uids[0]), ("restored", uids[1]), (uids[2], None)]
    ada.save({"op": "merge", "uids": ["restored", "drawn"], "new_uid": "merged", "category": None})
    told = [(one["uid"], one["origin"]) for one in ada.masks()]
    assert told == [("merged", uids[1]), (uids[2], None)]
    ada.save({"op": "split", "uid": "merged", "new_uids": ["left", "right"]})
    told = [(one["uid"], one["origin"]) for one in ada.masks()]
    assert told == [(uids[2], None), ("left", None), ("right", None)]
    as_bytes = ada.get("/images/1/masks", Accept="application/octet-stream").content
    assert as_bytes.index(b'"left"') > as_bytes.index(uids[2].encode())


def test_what_cannot_be_split_stays_whole(ada: Annotator) -> None:
    ada.open(1)
    one = add(1)
    ada.save(one)
    answer = ada.save({"op": "split", "uid": one["mask"]["uid"], "new_uids": ["a", "b"]})
    assert answer.status_code == 400 and uids(ada) == {one["mask"]["uid"]}


def test_a_prefilled_mask_is_accepted(ada: Annotator, studio: Studio) -> None:
    from anymask.store.annotations import save
    from anymask.store.values import Action, StoredMask

    mask = StoredMask("p", square(1), None, "", "prefilled", 0, "ab", 0.9)
    save(studio.project.database, Action(1, 0, "prefill", "model:disk", (mask,)))
    ada.open(1)
    assert ada.work["masks"][0]["stage"] == "prefilled" and ada.work["stage"] == "semi"
    ada.save({"op": "accept", "uid": "p", "new_uid": "mine"})
    (found,) = masks_of(studio.project.database, 1)
    assert (found.stage, found.author, found.probability, found.parent) == ("semi", "me", 0.9, "p")


def test_many_operations_are_one_save_or_none(ada: Annotator) -> None:
    ada.open(1)
    answer = ada.save(add(1), add(2), {"op": "delete", "uid": "nobody"})
    assert answer.status_code == 400 and ada.masks() == []
    assert ada.save(add(1), add(2)).json()["revision"] == 1


def test_saves_that_waited_are_replayed_in_order(ada: Annotator) -> None:
    ada.open(1)
    one = add(1)
    uid = one["mask"]["uid"]
    actions = [
        {"key": "a", "operations": [one]},
        {"key": "b", "operations": [{"op": "label", "uid": uid, "new_uid": "l", "category": "x"}]},
        {"key": "c", "operations": [{"op": "delete", "uid": "l"}, add(2)]},
    ]
    body = {"lease": ada.held, "actions": actions}
    first = ada.post("/images/1/actions/batch", body, **{"If-Match": "0"}).json()
    assert [one["revision"] for one in first["results"]] == [1, 2, 3] and first["error"] is None
    again = ada.post("/images/1/actions/batch", body, **{"If-Match": "0"}).json()
    assert [one["repeated"] for one in again["results"]] == [True] * 3
    assert len(ada.masks()) == 1


def test_a_replay_stops_where_it_fails(ada: Annotator) -> None:
    ada.open(1)
    bad = {"op": "delete", "uid": "nobody"}
    actions = [
        {"key": "a", "operations": [add(1)]},
        {"key": "b", "operations": [bad]},
        {"key": "c", "operations": [add(2)]},
    ]
    body = {"lease": ada.held, "actions": actions}
    answer = ada.post("/images/1/actions/batch", body, **{"If-Match": "0"}).json()
    assert [one["key"] for one in answer["results"]] == ["a"]
    assert answer["error"]["code"] == "bad_request" and len(ada.masks()) == 1


def test_a_photo_is_skipped_for_a_reason(ada: Annotator) -> None:
    ada.open(1)
    task, token = ada.held["task"], ada.held["token"]
    assert ada.post(f"/tasks/{task}/skip", {"token": token, "reason": ""}).status_code == 422
    assert ada.post(f"/tasks/{task}/skip", {"token": token, "reason": "blurred"}).status_code == 204
    assert ada.get("/images/1").json()["state"] == "skipped"


def test_a_finished_photo_opens_again(ada: Annotator) -> None:
    ada.open(1)
    ada.save(add())
    ada.submit()
    work = ada.open(1)
    assert len(work["masks"]) == 1 and ada.save(add(2)).status_code == 200


def test_masks_come_as_bytes(ada: Annotator) -> None:
    ada.open(1)
    ada.save(add(1, category="é"), add(2))
    answer = ada.get("/images/1/masks")
    magic, length = struct.unpack("<4sI", answer.content[:8])
    assert magic == b"AMK1" and (8 + length) % 4 == 0
    header: dict[str, Any] = __import__("json").loads(answer.content[8 : 8 + length])
    runs = np.frombuffer(answer.content[8 + length :], "<u4")
    assert header["revision"] == 1 and answer.headers["etag"] == '"1"'
    found = [
        Mask.from_rle({"size": header["size"], "counts": runs[start : start + count].tolist()})
        for start, count in (one["runs"] for one in header["masks"])
    ]
    assert found == [square(1), square(2)] and header["masks"][0]["category"] == "é"


def test_a_mask_of_another_size_is_refused(ada: Annotator) -> None:
    ada.open(1)
    wrong = {"op": "add", "mask": {"uid": new_uid(), "rle": {"size": [5, 5], "counts": "0I"}}}
    answer = ada.save(wrong)
    assert answer.status_code == 400


def test_a_share_of_the_photos_goes_to_a_reviewer(ada: Annotator, studio: Studio) -> None:
    assert ada.client.patch("/api/v1/project/settings", json={"review_share": 1.0}).status_code == 200
    ada.open(1)
    ada.save(add())
    assert ada.work["stage"] == "manual"
    ada.submit()
    assert tasks.counts(studio.project.database)["review"] == {"open": 1}
    assert ada.next(kinds=["review"]) is None, "nobody reviews their own work"


def test_photos_that_were_dropped_wait_in_the_queue(ada: Annotator) -> None:
    from test_web_jobs import png

    ada.client.post("/api/v1/images", files=[("files", ("a.png", png(1), "image/png"))])
    assert ada.post("/tasks/next", {}).json()["left"]["annotate"] == 5
