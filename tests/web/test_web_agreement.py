"""Where two people who annotated the same photo blind agree: for reviewers, not for themselves."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("argon2")
from studio_client import API, Annotator, add, error_of

from anymask.engine.project import Project
from anymask.store import tasks

PHOTOS = range(1, 6)


def annotate(person: Annotator, image_id: int, *operations: dict[str, Any]) -> None:
    work = person.next()
    assert work is not None and person.image_id == image_id
    if operations:
        assert person.save(*operations).status_code == 200
    assert person.submit().status_code == 204


def ask(person: Annotator, path: str) -> Any:
    answer = person.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_least_agreement_comes_first_and_says_who(people: dict[str, Annotator], project: Project) -> None:
    ada, bob, rita = people["ada"], people["bob"], people["rita"]
    tasks.add_tasks(project.database, [1, 2], slots=2)
    annotate(ada, 1, add(1), add(2))
    annotate(ada, 2, add(1))
    annotate(bob, 1, add(1))
    annotate(bob, 2, add(1))
    told = ask(rita, "/agreement")
    assert [(one["image"]["id"], one["people"], one["disagreements"]) for one in told["comparisons"]] == [
        (1, ["ada", "bob"], 1), (2, ["ada", "bob"], 0),
    ]  # fmt: skip
    assert [round(one["agreement"], 3) for one in told["comparisons"]] == [0.667, 1.0]
    assert told["comparisons"][0]["counts"] == {"only_a": 1, "only_b": 0, "borders": 0, "class": 0}
    assert told["photos"] == 2 and told["next"] is None
    assert told["people"] == [
        {"people": ["ada", "bob"], "photos": 2, "agreement": pytest.approx(told["agreement"])}
    ]
    assert ask(rita, "/stats")["agreement"] == pytest.approx(told["agreement"]), "one number on both pages"


def test_a_long_list_comes_in_pages(people: dict[str, Annotator], project: Project) -> None:
    tasks.add_tasks(project.database, [1, 2, 3], slots=2)
    for number, name in enumerate(("ada", "bob")):
        for image_id in (1, 2, 3):
            annotate(people[name], image_id, *[add(n) for n in range(1, 1 + (image_id if number else 1))])
    first = ask(people["rita"], "/agreement?limit=2")
    second = ask(people["rita"], f"/agreement?limit=2&offset={first['next']}")
    assert [one["image"]["id"] for one in first["comparisons"] + second["comparisons"]] == [3, 2, 1]
    assert second["next"] is None and first["agreement"] == second["agreement"]
    for bad in ("limit=0", "limit=501", "offset=-1", "offset=x"):
        assert people["rita"].get(f"/agreement?{bad}").status_code == 422


def test_one_photo_tells_pairs_and_what_one_has_alone(people: dict[str, Annotator], project: Project) -> None:
    ada, bob, rita = people["ada"], people["bob"], people["rita"]
    tasks.add_tasks(project.database, [1], slots=2)
    ours, theirs = [add(1, category="disk"), add(5)], [add(1, category="ring"), add(9)]
    annotate(ada, 1, *ours)
    annotate(bob, 1, *theirs)
    told = ask(rita, "/images/1/agreement")
    uids = [[one["mask"]["uid"] for one in group] for group in (ours, theirs)]
    assert told["pairs"] == [{"a": uids[0][0], "b": uids[1][0], "iou": 1.0, "differs": ["class"]}]
    assert (told["only_a"], told["only_b"]) == ([uids[0][1]], [uids[1][1]])
    assert told["disagreements"] == 3 and told["agreement"] == pytest.approx(0.5)
    assert told["people"] == [
        {"layer": n, "name": name, "revision": 1} for n, name in enumerate(("ada", "bob"))
    ]
    for layer, group in enumerate(uids):
        masks = rita.get(f"/images/1/masks?layer={layer}", Accept="application/json").json()["masks"]
        assert [one["uid"] for one in masks] == group
    swapped = ask(rita, "/images/1/agreement?a=1&b=0")
    assert (swapped["only_a"], swapped["only_b"]) == (told["only_b"], told["only_a"])


def test_photos_that_only_one_person_has_annotated_are_not_found(
    people: dict[str, Annotator], project: Project
) -> None:
    ada, bob, rita = people["ada"], people["bob"], people["rita"]
    tasks.add_tasks(project.database, [1, 2], slots=2)
    tasks.add_tasks(project.database, [3])
    annotate(ada, 1, add(1))
    annotate(ada, 2, add(1))
    annotate(bob, 1, add(1))
    for path in ("2/agreement", "3/agreement", "99/agreement", "1/agreement?a=0&b=7", "1/agreement?a=1&b=1"):
        assert error_of(rita.get(f"/images/{path}"))["code"] == "not_found", path
    assert rita.get("/images/1/agreement?a=-1&b=0").status_code == 422
    assert len(ask(rita, "/agreement")["comparisons"]) == 1


def test_annotators_are_told_nothing(people: dict[str, Annotator], project: Project) -> None:
    tasks.add_tasks(project.database, [1], slots=2)
    annotate(people["ada"], 1, add(1))
    annotate(people["bob"], 1, add(1))
    for path in ("/agreement", "/images/1/agreement"):
        assert error_of(people["ada"].get(path))["code"] == "forbidden"
        assert people["root"].get(path).status_code == 200


def test_it_is_of_what_was_handed_in_whatever_a_reviewer_corrects(
    people: dict[str, Annotator], project: Project
) -> None:
    ada, bob, rita = people["ada"], people["bob"], people["rita"]
    tasks.add_tasks(project.database, [1, 2], slots=2)
    theirs = add(1)
    annotate(ada, 1)
    annotate(ada, 2, add(3))
    annotate(bob, 1, theirs)
    annotate(bob, 2, add(3), add(1))
    before = ask(rita, "/agreement")
    assert before["comparisons"][0]["agreement"] == 0.0 and not before["comparisons"][0]["corrected"]
    rita.open(1)
    assert ask(rita, "/agreement") == before, "nothing is decided yet"
    rita.save(add(1))
    rita.submit()
    after = ask(rita, "/agreement")
    assert after["agreement"] == before["agreement"] and after["people"] == before["people"]
    assert [(one["image"]["id"], one["corrected"]) for one in after["comparisons"]] == [(2, False), (1, True)]
    told = ask(rita, "/images/1/agreement")
    assert told["only_b"] == [theirs["mask"]["uid"]] and told["only_a"] == []
    assert told["people"][0] == {"layer": 0, "name": "ada", "revision": 0}
    shown = {}
    for revision in ("", "&revision=0", "&revision=99"):
        answer = rita.get(f"/images/1/masks?layer=0{revision}", Accept="application/json").json()
        shown[revision] = (answer["revision"], len(answer["masks"]))
    assert shown == {"": (1, 1), "&revision=0": (0, 0), "&revision=99": (1, 1)}


def test_a_setting_gives_photos_to_two_people(people: dict[str, Annotator], project: Project) -> None:
    ada, bob, root = people["ada"], people["bob"], people["root"]
    tasks.add_tasks(project.database, PHOTOS)
    annotate(ada, 1, add(1))
    assert bob.next()["image"]["id"] == 2, "nobody is asked to annotate twice"
    assert root.client.patch(f"{API}/project/settings", json={"overlap_share": 1.0}).status_code == 200
    assert ask(ada, "/project")["settings"]["overlap_share"] == 1.0
    annotate(bob, 2, add(1))
    annotate(ada, 2, add(1)), annotate(ada, 3, add(1))
    annotate(bob, 3, add(1))
    compared = ask(root, "/agreement")["comparisons"]
    assert sorted(one["image"]["id"] for one in compared) == [2, 3], "not what was done before"
    root.client.patch(f"{API}/project/settings", json={"overlap_share": 0.0})
    annotate(ada, 4, add(1))
    annotate(bob, 5, add(1))


def test_who_has_reviewed_a_photo_does_not_annotate_it_blind(
    people: dict[str, Annotator], project: Project
) -> None:
    ada, bob, rita, root = (people[name] for name in ("ada", "bob", "rita", "root"))
    tasks.add_tasks(project.database, [1])
    root.client.patch(f"{API}/project/settings", json={"review_share": 1.0, "overlap_share": 1.0})
    annotate(ada, 1, add(1))
    work = rita.next(kinds=["review"])
    accepted = {"token": work["lease"]["token"], "verdict": "accepted"}
    assert rita.post(f"/tasks/{work['lease']['task']}/review", accepted).status_code == 204
    assert rita.next(kinds=["annotate"]) is None
    assert bob.next()["lease"]["layer"] == 1


def test_two_people_open_one_photo_again_each_their_own_layer(
    people: dict[str, Annotator], project: Project
) -> None:
    """As when the page is loaded again."""
    ada, bob = people["ada"], people["bob"]
    tasks.add_tasks(project.database, [1], slots=2)
    ada.next(), bob.next()
    ada.save(add(1))
    assert bob.open(1)["masks"] == [] and ada.open(1)["lease"]["layer"] == 0
    assert bob.work["lease"]["layer"] == 1
    bob.save(add(2), add(3))
    assert len(bob.masks()) == 2 and len(ada.masks()) == 1


def test_what_the_second_person_hands_in_is_not_reviewed_for_the_first(
    people: dict[str, Annotator], project: Project
) -> None:
    ada, bob, rita, root = (people[name] for name in ("ada", "bob", "rita", "root"))
    tasks.add_tasks(project.database, [1], slots=2)
    root.client.patch(f"{API}/project/settings", json={"review_share": 1.0})
    ada.next(), bob.next()
    bob.submit()
    assert rita.next(kinds=["review"]) is None
    ada.submit()
    work = rita.next(kinds=["review"])
    assert work is not None and work["lease"]["layer"] == 0
