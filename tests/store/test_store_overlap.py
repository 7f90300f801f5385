"""Which photos several people annotated without seeing each other."""

from __future__ import annotations

from collections.abc import Callable

from store_facts import mask

from anymask.store import tasks
from anymask.store.database import Database
from anymask.store.values import Action


def annotate(database: Database, user: str) -> None:
    lease = tasks.next_task(database, user)
    adds = (mask(f"{user}-{lease.task}", lease.task),)
    action = Action(lease.image_id, lease.revision, f"{user}-{lease.task}", user, adds, (), lease.layer)
    tasks.save_task(database, lease, action)
    tasks.submit(database, lease, seconds=1.0)


def test_photos_with_two_finished_slots_overlap_the_last_first(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url, 4)
    tasks.add_tasks(database, [1, 2, 3], slots=2)
    tasks.add_tasks(database, [4])
    for user in ("ann", "bob"):
        for _ in range(3 if user == "ann" else 2):
            annotate(database, user)
    assert tasks.overlapping(database, limit=10) == [(2, 2), (1, 2)]
    assert tasks.overlapping(database, limit=1) == [(2, 2)]


def test_the_same_photo_in_two_rounds_is_no_overlap(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url, 1)
    for number in (1, 2):
        tasks.add_tasks(database, [1], round_number=number)
        annotate(database, "ann")
    assert tasks.overlapping(database, limit=10) == []
