"""Which photos several people annotated without seeing each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from store_facts import mask

from anymask.store import blind, tasks
from anymask.store.annotations import masks_of
from anymask.store.database import Database
from anymask.store.opening import Forbidden, Held, open_image
from anymask.store.tasks import HandedIn, Overlap
from anymask.store.values import Action


def annotate(database: Database, user: str) -> None:
    lease = tasks.next_task(database, user)
    adds = (mask(f"{user}-{lease.task}", lease.task),)
    action = Action(lease.image_id, lease.revision, f"{user}-{lease.task}", user, adds, (), lease.layer)
    tasks.save_task(database, lease, action)
    tasks.submit(database, lease, seconds=1.0)


def annotated_twice(database: Database) -> Database:
    """Its one photo, blind, by ann and by bob."""
    tasks.add_tasks(database, [1], slots=2)
    annotate(database, "ann")
    annotate(database, "bob")
    return database


def test_photos_with_two_finished_slots_overlap_the_last_first(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url, 4)
    tasks.add_tasks(database, [1, 2, 3], slots=2)
    tasks.add_tasks(database, [4])
    for user in ("ann", "bob"):
        for _ in range(3 if user == "ann" else 2):
            annotate(database, user)
    two = (HandedIn(0, "ann", 1), HandedIn(1, "bob", 1))
    assert tasks.overlapping(database, limit=10) == [Overlap(2, two), Overlap(1, two)]
    assert tasks.overlapping(database, limit=1) == [Overlap(2, two)]
    assert tasks.overlapping(database, limit=10, image_id=1) == [Overlap(1, two)]
    assert tasks.overlapping(database, limit=10, image_id=3) == []


def test_what_was_handed_in_first_overlaps_whoever_corrects_it_and_returns_it(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = annotated_twice(with_photos(empty_url, 1))
    first = [Overlap(1, (HandedIn(0, "ann", 1), HandedIn(1, "bob", 1)))]
    lease = open_image(database, 1, "rita")
    assert tasks.overlapping(database, limit=10) == first
    tasks.save_task(database, lease, Action(1, 1, "more", "rita", (mask("more", 3),), ("ann-1",)))
    tasks.submit(database, lease)
    assert tasks.overlapping(database, limit=10) == first
    assert [one.uid for one in masks_of(database, 1)] == ["more"]
    assert [one.uid for one in masks_of(database, 1, revision=1)] == ["ann-1"]
    assert masks_of(database, 1, revision=0) == []


def test_who_thinks_better_of_it_before_anybody_looks_is_compared_by_that(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = annotated_twice(with_photos(empty_url, 1))
    for returned, revision in ((False, 2), (True, 2)):
        if returned:
            tasks.add_tasks(database, [1], kind="review")
            review = tasks.next_task(database, "rita", kinds=["review"])
            assert review is not None
            tasks.review(database, review, "returned", "look again")
        lease = open_image(database, 1, "ann")
        action = Action(1, lease.revision, f"again-{returned}", "ann", (mask(f"again-{returned}", 3),))
        tasks.save_task(database, lease, action)
        tasks.submit(database, lease)
        (found,) = tasks.overlapping(database, limit=10)
        assert found.people == (HandedIn(0, "ann", revision), HandedIn(1, "bob", 1))


def test_the_newest_round_says_who_overlaps(empty_url: str, with_photos: Callable[..., Database]) -> None:
    database = with_photos(empty_url, 1)
    for number, people in ((1, ("ann", "bob")), (2, ("cleo", "dan"))):
        tasks.add_tasks(database, [1], round_number=number, slots=2)
        for user in people:
            annotate(database, user)
    assert tasks.overlapping(database, limit=10) == [
        Overlap(1, (HandedIn(0, "cleo", 2), HandedIn(1, "dan", 2)))
    ]


def test_the_same_photo_in_two_rounds_is_no_overlap(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url, 1)
    for number in (1, 2):
        tasks.add_tasks(database, [1], round_number=number)
        annotate(database, "ann")
    assert tasks.overlapping(database, limit=10) == []


def test_each_sees_their_own_layer(empty_url: str, with_photos: Callable[..., Database]) -> None:
    database = with_photos(empty_url, 2)
    tasks.add_tasks(database, [1], slots=2)
    annotate(database, "ann")

    def seen(user: str, share: float = 0.0) -> list[tuple[str, int, int]]:
        return [(row.state, row.masks, row.revision) for row in blind.list_seen(database, user, share)]

    assert (seen("ann"), seen("bob")) == ([("annotated", 1, 1), ("new", 0, 0)], [("new", 0, 0)] * 2)
    with pytest.raises(Forbidden):
        blind.check_may_see(database, 1, 0, "bob", 0.0)
    blind.check_may_see(database, 1, 0, "ann", 0.0)
    assert blind.annotators_of(database, 1, 0, 0.0) == {"ann"}
    assert blind.annotators_of(database, 2, 0, 1.0) is None
    open_image(database, 2, "bob", finished_too=False)
    assert blind.annotators_of(database, 2, 0, 1.0) == {"bob"}
    assert [row.id for row in blind.list_seen(database, "bob", 1.0, state="new", fixed=False)] == [1, 2]
    assert blind.second_waiting(database) == 1


def test_the_second_slot_is_opened_and_the_first_one_is_taken_over(
    empty_url: str, with_photos: Callable[..., Database]
) -> None:
    database = with_photos(empty_url, 1)
    tasks.add_tasks(database, [1], slots=2)
    held = open_image(database, 1, "ann", finished_too=False)
    assert open_image(database, 1, "bob", finished_too=False).layer == 1
    for finished_too in (False, True):
        with pytest.raises(Held):
            open_image(database, 1, "eve", finished_too=finished_too)
    taken = open_image(database, 1, "eve", take_over=True)
    assert (taken.layer, taken.token) == (0, held.token + 1)
