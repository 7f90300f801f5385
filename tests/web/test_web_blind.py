"""Photos that two people annotate without seeing each other: nothing tells one of them what the other did."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("argon2")
from fastapi.testclient import TestClient
from studio_client import API, Annotator, add, error_of

from anymask.engine.project import Project
from anymask.engine.queueing import _share_of
from anymask.store import images, tasks
from anymask.store.blind import chosen, list_seen
from anymask.store.schema import images as table
from anymask.web.events import Events


def all_twice(people: dict[str, Annotator]) -> None:
    settings = {"overlap_share": 1.0}
    assert people["root"].client.patch(f"{API}/project/settings", json=settings).status_code == 200


def told(person: Annotator, image_id: int = 1) -> tuple[str, int]:
    """State and masks of a photo; the list and the photo alone say the same."""
    (listed,) = (one for one in person.get("/images").json()["images"] if one["id"] == image_id)
    assert person.get(f"/images/{image_id}").json() == listed
    return listed["state"], listed["masks"]


def test_each_is_told_their_own_layer_and_reviewers_the_first(
    people: dict[str, Annotator], project: Project
) -> None:
    ada, bob, cleo, rita = (people[name] for name in ("ada", "bob", "cleo", "rita"))
    tasks.add_tasks(project.database, [1], slots=2)
    ada.next()
    ada.save(add(1), add(2))
    assert [told(one) for one in (ada, bob, rita)] == [("new", 2), ("new", 0), ("new", 2)]
    ada.submit()
    assert [told(one) for one in (ada, bob, rita)] == [("annotated", 2), ("new", 0), ("annotated", 2)]
    work = bob.next()
    assert (work["image"]["state"], work["image"]["masks"], work["image"]["revision"]) == ("new", 0, 0)
    bob.save(add(1))
    assert [told(one) for one in (ada, bob, cleo)] == [("annotated", 2), ("new", 1), ("new", 0)]
    bob.submit()
    assert [told(one) for one in (ada, bob, cleo)] == [("annotated", 2), ("annotated", 1), ("annotated", 0)]
    assert told(rita) == ("annotated", 2)


def test_pages_of_a_state_do_not_tell_either(people: dict[str, Annotator], project: Project) -> None:
    ada, bob = people["ada"], people["bob"]
    tasks.add_tasks(project.database, [1, 3], slots=2)
    for _ in range(2):
        ada.next()
        ada.submit()

    def pages(person: Annotator, state: str) -> list[int]:
        found: list[int] = []
        after: int | None = 0
        while after is not None:
            page = person.get(f"/images?state={state}&limit=2&after={after}").json()
            found, after = found + [one["id"] for one in page["images"]], page["next"]
        return found

    assert (pages(ada, "annotated"), pages(ada, "new")) == ([1, 3], [2, 4, 5])
    assert (pages(bob, "annotated"), pages(bob, "new")) == ([], [1, 2, 3, 4, 5])


def test_what_a_second_person_will_get_is_hidden_while_the_first_works(people: dict[str, Annotator]) -> None:
    """There is no second slot before the first is handed in."""
    ada, bob, rita = people["ada"], people["bob"], people["rita"]
    ada.open(1)
    ada.save(add(1))
    assert told(bob) == ("new", 1), "nobody will annotate it twice"
    all_twice(people)
    assert [told(one) for one in (ada, bob, rita)] == [("new", 1), ("new", 0), ("new", 1)]
    assert error_of(bob.get("/images/1/masks"))["code"] == "forbidden"
    assert ada.get("/images/1/masks").status_code == rita.get("/images/1/masks").status_code == 200
    ada.submit()
    assert [told(one) for one in (ada, bob)] == [("annotated", 1), ("new", 0)]


def test_what_was_finished_before_the_setting_stays_open_to_all(people: dict[str, Annotator]) -> None:
    ada, bob = people["ada"], people["bob"]
    ada.open(1)
    ada.save(add(1))
    ada.submit()
    all_twice(people)
    assert told(bob) == ("annotated", 1)
    assert bob.get("/images/1/masks").status_code == 200


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_photos_are_hidden_by_the_share_that_hands_them_on(project: Project, share: float) -> None:
    rows = images.list_images(project.database)
    by_hash = {row.id for row in rows if _share_of(row.hash[8:16]) < share}
    with project.database.read() as connection:
        hidden = set(connection.execute(table.select().where(chosen(share))).scalars())
    assert hidden == by_hash


def test_the_list_of_an_annotator_is_that_of_all_where_nothing_is_blind(project: Project) -> None:
    for asked in ({}, {"fixed": True}, {"fixed": False, "limit": 2, "after": 1}, {"state": "new"}):
        everybody = images.list_images(project.database, **asked)
        theirs = list_seen(project.database, "ada", 0.0, **asked)
        assert [row._asdict() for row in theirs] == [
            {name: getattr(row, name) for name in theirs[0]._fields} for row in everybody
        ]


def test_a_chosen_photo_gives_the_second_slot_to_who_may_do_it(
    people: dict[str, Annotator], project: Project
) -> None:
    ada, bob, cleo, rita, root = people.values()
    root.client.patch(f"{API}/project/settings", json={"overlap_share": 1.0, "review_share": 1.0})
    ada.open(1)
    ada.save(add(1))
    assert error_of(bob.post("/images/1/open", {}))["code"] == "held", "there is no second slot yet"
    ada.submit()
    work = bob.open(1)
    assert (work["lease"]["layer"], work["masks"], work["image"]["masks"]) == (1, [], 0)
    assert error_of(cleo.post("/images/1/open", {}))["message"] == "ada has finished this photo"
    assert ada.open(1)["lease"]["layer"] == 0, "their own again"
    assert error_of(cleo.post("/images/1/open", {}))["code"] == "held"
    bob.post(f"/tasks/{bob.held['task']}/release", {"token": bob.held["token"]})
    assert cleo.open(1)["lease"]["layer"] == 1, "while the first is mended, too"
    assert rita.open(2)["lease"]["layer"] == 0


def test_who_has_reviewed_a_photo_is_not_given_its_second_slot(people: dict[str, Annotator]) -> None:
    ada, rita, root = people["ada"], people["rita"], people["root"]
    root.client.patch(f"{API}/project/settings", json={"overlap_share": 1.0, "review_share": 1.0})
    ada.open(1)
    ada.submit()
    work = rita.next(kinds=["review"])
    verdict = {"token": work["lease"]["token"], "verdict": "accepted"}
    assert rita.post(f"/tasks/{work['lease']['task']}/review", verdict).status_code == 204
    assert root.client.patch(f"{API}/users/rita", json={"role": "annotator"}).status_code == 200
    assert error_of(rita.post("/images/1/open", {}))["code"] == "forbidden"


def test_who_began_a_photo_that_was_taken_over_does_not_annotate_it_again(
    people: dict[str, Annotator],
) -> None:
    ada, bob, rita = people["ada"], people["bob"], people["rita"]
    all_twice(people)
    ada.open(1)
    ada.save(add(1))
    rita._took(rita.post("/images/1/open", {"take_over": True}).json())
    rita.save(add(2))
    assert told(ada) == ("new", 2), "what they began, they see"
    rita.submit()
    assert told(ada) == ("annotated", 2) and told(bob) == ("new", 0)
    assert error_of(ada.post("/images/1/open", {}))["code"] == "forbidden"
    assert ada.next() is None
    assert bob.next()["image"]["id"] == 1


def test_events_do_not_tell_an_annotator_of_the_other_layer(
    people: dict[str, Annotator], team: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = people["ada"], people["bob"]
    all_twice(people)
    studio = team.app.state.studio
    monkeypatch.setattr(Events, "reaches_annotators", True)
    heard: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ada", "bob", "rita")}

    def tell(name: str, data: dict[str, Any], annotators: Any = None) -> None:
        for person, events in heard.items():
            if name == "image" and (person == "rita" or annotators is None or person in annotators):
                events.append(data)

    studio.events.tell = tell
    ada.open(1)
    ada.save(add(1))
    ada.submit()
    bob.open(1)
    bob.save(add(1))
    assert [(one["by"], one["layer"]) for one in heard["ada"]] == [("ada", 0), ("ada", 0)]
    assert [(one["by"], one["layer"]) for one in heard["bob"]] == [("bob", 1)]
    assert [(one["by"], one["layer"]) for one in heard["rita"]] == [("ada", 0), ("ada", 0), ("bob", 1)]


def test_an_event_for_some_annotators_reaches_them_and_reviewers(
    people: dict[str, Annotator], project: Project
) -> None:
    from anymask.store.users import find_user

    async def listen() -> dict[str, str]:
        events = Events()
        events.begin()
        streams = {name: events.stream(find_user(project.database, name)) for name in ("ada", "bob", "rita")}
        for name in ("rita", "ada", "bob"):
            assert events.reaches_annotators == (name == "bob")
            await anext(streams[name])
        events.tell("image", {"id": 1}, {"ada"})
        events.tell("project", {})
        return {name: await anext(stream) for name, stream in streams.items()}

    heard = asyncio.run(listen())
    said = {name: text.splitlines()[0] for name, text in heard.items()}
    assert said == {"ada": "event: image", "bob": "event: project", "rita": "event: image"}
    assert json.loads(heard["ada"].splitlines()[1].removeprefix("data: ")) == {"id": 1}


def test_managers_are_told_how_many_second_annotations_wait(people: dict[str, Annotator]) -> None:
    ada, bob, root = people["ada"], people["bob"], people["root"]
    all_twice(people)

    def waiting() -> int:
        number = root.get("/project").json()["second_waiting"]
        assert number == root.get("/stats").json()["second_waiting"]
        return int(number)

    assert waiting() == 0
    for image_id in (1, 2):
        ada.open(image_id)
        ada.submit()
    assert waiting() == 2
    bob.open(1)
    assert waiting() == 2, "it is not handed in"
    bob.submit()
    assert waiting() == 1
