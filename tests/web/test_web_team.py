"""A team: invitations, signing in, who may do what, who sees what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2")
from fastapi.testclient import TestClient
from studio_client import API, HOST, PASSWORD, Annotator, add, error_of, make_project, member, new_uid

from anymask.engine.project import Project
from anymask.store import sessions, tasks, users
from anymask.store.annotations import branches_of
from anymask.web.accounts import first_invitation, invitation
from anymask.web.security import RANK, ROLE_OF, UPLOADS


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> Any:
    return client.post(f"{API}/session", json={"name": name, "password": password})


def test_the_first_admin_invites_the_others(team: TestClient, project: Project) -> None:
    code = first_invitation(project)
    accepted = team.post(f"{API}/invitations/accept", json={"code": code, "password": PASSWORD})
    assert accepted.json() == {"mode": "team", "user": {"name": "admin", "role": "admin"}}
    assert first_invitation(project) is None
    invited = team.post(f"{API}/invitations", json={"name": "bob", "role": "annotator"}).json()
    bob = TestClient(team.app, base_url=HOST, headers={"Origin": HOST})
    sent = {"code": invited["code"], "password": PASSWORD}
    assert bob.post(f"{API}/invitations/accept", json=sent).json()["user"]["role"] == "annotator"
    assert bob.post(f"{API}/invitations/accept", json=sent).status_code == 401, "it works once"
    assert [one["name"] for one in team.get(f"{API}/users").json()["users"]] == ["admin", "bob"]


def test_someone_signs_in_and_out(team: TestClient, project: Project) -> None:
    member(team, project, "ada", "annotator")
    assert team.get(f"{API}/session").json() == {"mode": "team", "user": None}
    answer = sign_in(team, "ada")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
    assert team.get(f"{API}/project").status_code == 200
    stolen = dict(team.cookies)
    assert team.delete(f"{API}/session").status_code == 204
    team.cookies.update(stolen)
    assert team.get(f"{API}/project").status_code == 401, "the session itself has ended"


@pytest.mark.parametrize("name", ["ada", "nobody", "' OR 1=1 --"])
def test_a_wrong_password_and_an_unknown_name_look_the_same(
    team: TestClient, project: Project, name: str
) -> None:
    member(team, project, "ada", "annotator")
    error = error_of(sign_in(team, name, "wrong password"))
    assert error["code"] == "wrong_password" and error["message"].startswith("this name and password")


def test_guessing_passwords_is_slowed_down(team: TestClient, project: Project) -> None:
    member(team, project, "ada", "annotator")
    codes = [sign_in(team, "ada", f"guess {number}").status_code for number in range(12)]
    assert codes.count(401) <= 5 and codes[-1] == 429
    assert sign_in(team, "ada").status_code == 429, "also for the right one"


def test_twenty_people_behind_one_address_sign_in_at_once(team: TestClient, project: Project) -> None:
    names = [f"person {number}" for number in range(20)]
    for name in names:
        member(team, project, name, "annotator")
    team.cookies.clear()
    assert {sign_in(team, name).status_code for name in names} == {200}
    codes = [sign_in(team, f"guess {number}", "a password").status_code for number in range(60)]
    assert codes[-1] == 429, "many names are not guessed from one address either"


def test_a_short_password_is_refused(team: TestClient, project: Project) -> None:
    code = first_invitation(project)
    answer = team.post(f"{API}/invitations/accept", json={"code": code, "password": "short"})
    assert answer.status_code == 422
    assert "short" not in answer.text, "what was typed is not echoed"


def every_route(client: TestClient) -> list[tuple[str, str]]:
    paths = client.app.openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


ROLES = ("anonymous", "annotator", "reviewer", "admin", "expired", "shut out", "of another project")


def who(team: TestClient, project: Project, role: str, folder: Path) -> TestClient:
    """A browser of somebody in that place. Those who are none any more were admins once."""
    if role in RANK:
        return member(team, project, role, role)
    browser = member(team, project, "once", "admin")
    if role == "expired":
        project.database.clock._last[0] = project.database.clock() + sessions.IDLE_S["session"] + 1
    elif role == "shut out":
        member(team, project, "root", "admin").patch(f"{API}/users/once", json={"active": False})
    elif role == "of another project":
        browser.cookies.clear()
        with make_project(folder, photos=2) as other:
            users.add_user(other.database, "once", "admin", author="admin")
            browser.cookies.set("anymask_session", sessions.begin(other.database, "once", "session"))
    else:
        browser.cookies.clear()
    return browser


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_use_what_the_table_says(
    team: TestClient, project: Project, role: str, tmp_path: Path
) -> None:
    """Every route, as every role: allowed or not, whatever else is wrong with the request."""
    client = who(team, project, role, tmp_path / "other")
    rank = RANK.get(role, RANK["anybody"])
    for method, path in every_route(team):
        needed = ROLE_OF[method, path.removeprefix(API)]
        url = path
        for name in ("image_id", "task_id", "job_id", "level", "column", "row"):
            url = url.replace(f"{{{name}}}", "999")
        url = url.replace("{model_id}", "none").replace("{name}", "none").replace("{token_id}", "0" * 16)
        if (method, path) in (("GET", f"{API}/events"), ("DELETE", f"{API}/session")):
            continue  # endless; ends this very session
        sent: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH") else {}
        if (method, path) in UPLOADS:
            sent = {"files": {"nothing": b""}}
        answer = client.request(method, url, **sent)
        refused = answer.status_code in (401, 403) and error_of(answer)["code"] in ("signed_out", "forbidden")
        assert refused == (rank < RANK[needed]), (role, method, path, answer.status_code, answer.text[:200])
        assert answer.status_code < 500, (role, method, path, answer.text[:300])


def test_a_person_who_was_shut_out_is_out_at_once(team: TestClient, project: Project) -> None:
    admin = member(team, project, "root", "admin")
    ada = member(team, project, "ada", "annotator")
    assert ada.get(f"{API}/project").status_code == 200
    assert admin.patch(f"{API}/users/ada", json={"active": False}).json()["active"] is False
    assert ada.get(f"{API}/project").status_code == 401
    assert error_of(sign_in(ada, "ada"))["code"] == "wrong_password"


def test_a_role_that_was_taken_away_is_gone_at_once(team: TestClient, project: Project) -> None:
    root = member(team, project, "root", "admin")
    eve = member(team, project, "eve", "admin")
    root.patch(f"{API}/users/eve", json={"role": "annotator"})
    assert eve.get(f"{API}/users").status_code == 403
    assert error_of(root.patch(f"{API}/users/root", json={"role": "annotator"}))["message"]


def test_messages_call_roles_as_the_page_does(team: TestClient, project: Project) -> None:
    root = member(team, project, "root", "admin")
    ada = member(team, project, "ada", "annotator")
    told = [
        error_of(ada.get(f"{API}/users"))["message"],
        error_of(ada.get(f"{API}/stats"))["message"],
        error_of(root.patch(f"{API}/users/root", json={"role": "annotator"}))["message"],
    ]
    roles = ("manager", "reviewer", "last manager")
    assert all(role in message for role, message in zip(roles, told, strict=True)), told
    page = (Path(__file__).parents[2] / "studio" / "src" / "i18n" / "en.ts").read_text("utf-8")
    for role in users.ROLES:
        assert f'"role.{role}": "{users.ROLE_NAMES.get(role, role).capitalize()}"' in page


def test_nobody_raises_their_own_role(team: TestClient, project: Project) -> None:
    """CVE-2026-23526 of another tool."""
    ada = member(team, project, "ada", "reviewer")
    assert ada.patch(f"{API}/users/ada", json={"role": "admin"}).status_code == 403
    assert ada.post(f"{API}/invitations", json={"name": "x", "role": "admin"}).status_code == 403
    assert users.find_user(project.database, "ada").role == "reviewer"


def test_a_session_ends_after_a_while(team: TestClient, project: Project) -> None:
    ada = member(team, project, "ada", "annotator")
    now = project.database.clock()
    project.database.clock._last[0] = now + sessions.IDLE_S["session"] + 1
    assert ada.get(f"{API}/project").status_code == 401


def test_a_program_has_a_token_of_its_own(team: TestClient, project: Project) -> None:
    ada = member(team, project, "ada", "annotator")
    secret = ada.post(f"{API}/tokens", json={"label": "script"}).json()["secret"]
    program = TestClient(team.app, base_url=HOST, headers={"Authorization": f"Bearer {secret}"})
    assert program.get(f"{API}/session").json()["user"]["name"] == "ada"
    (told,) = ada.get(f"{API}/tokens").json()["tokens"]
    assert told["label"] == "script" and secret not in str(told)
    bob = member(team, project, "bob", "annotator")
    assert bob.delete(f"{API}/tokens/{told['id']}").status_code == 400, "it is not his"
    assert ada.delete(f"{API}/tokens/{told['id']}").status_code == 204
    assert program.get(f"{API}/project").status_code == 401


def test_an_invitation_is_no_session(team: TestClient, project: Project) -> None:
    code = invitation(project, "ada", "annotator", "admin")
    assert team.get(f"{API}/project", headers={"Authorization": f"Bearer {code}"}).status_code == 401


def test_two_people_share_the_queue(team: TestClient, project: Project) -> None:
    tasks.add_tasks(project.database, [1, 2])
    ada = Annotator(member(team, project, "ada", "annotator"))
    bob = Annotator(member(team, project, "bob", "annotator"))
    first, second = ada.next(), bob.next()
    assert first is not None and second is not None
    assert first["image"]["id"] != second["image"]["id"]
    assert error_of(bob.post(f"/images/{ada.image_id}/open", {}))["detail"]["by"] == "ada"
    bob.work["lease"] = dict(ada.work["lease"])
    bob.work["image"] = ada.work["image"]
    assert error_of(bob.save(add()))["code"] == "forbidden"
    assert ada.save(add()).status_code == 200


def test_a_reviewer_returns_work_to_its_author(team: TestClient, project: Project) -> None:
    tasks.add_tasks(project.database, [1])
    ada = Annotator(member(team, project, "ada", "annotator"))
    ada.next()
    ada.save(add())
    ada.submit()
    tasks.add_tasks(project.database, [1], kind="review")
    assert ada.next() is None, "nobody reviews their own work"
    rita = Annotator(member(team, project, "rita", "reviewer"))
    assert rita.next(kinds=["review"])["lease"]["kind"] == "review"
    held = rita.held
    answer = rita.post(f"/tasks/{held['task']}/review", {"token": held["token"], "verdict": "returned"})
    assert answer.status_code == 400, "with a reason only"
    body = {"token": held["token"], "verdict": "returned", "reason": "the left edge"}
    assert rita.post(f"/tasks/{held['task']}/review", body).status_code == 204
    assert rita.next(kinds=["review"]) is None
    assert ada.next()["lease"]["note"] == "the left edge"
    ada.submit()
    again = rita.next(kinds=["review"])
    assert again is not None and again["image"]["id"] == 1 and again["lease"]["note"] is None
    assert rita.open(1)["lease"]["kind"] == "review", "a reload goes on with it"


def test_blind_annotators_do_not_see_each_other(team: TestClient, project: Project) -> None:
    tasks.add_tasks(project.database, [1], slots=2)
    ada = Annotator(member(team, project, "ada", "annotator"))
    bob = Annotator(member(team, project, "bob", "annotator"))
    ada.next(), bob.next()
    assert (ada.image_id, bob.image_id) == (1, 1)
    ada.save(add(1))
    assert bob.masks() == [] and len(ada.masks()) == 1
    mine, theirs = ada.work["lease"]["layer"], bob.work["lease"]["layer"]
    assert error_of(bob.get(f"/images/1/masks?layer={mine}"))["code"] == "forbidden"
    assert error_of(ada.get(f"/images/1/masks?layer={theirs}"))["code"] == "forbidden"
    assert bob.open(1)["lease"]["layer"] == theirs and bob.masks() == [], "a reload goes on with their own"


def test_an_annotator_does_not_take_over_what_another_finished(team: TestClient, project: Project) -> None:
    ada = Annotator(member(team, project, "ada", "annotator"))
    ada.open(1)
    ada.save(add())
    ada.submit()
    bob = Annotator(member(team, project, "bob", "annotator"))
    assert error_of(bob.post("/images/1/open", {}))["code"] == "forbidden"
    rita = Annotator(member(team, project, "rita", "reviewer"))
    assert rita.post("/images/1/open", {}).status_code == 200


def test_a_reviewer_takes_over_what_somebody_holds(team: TestClient, project: Project) -> None:
    """What they save from then on is kept as a branch, and they are told who has the photo."""
    ada = Annotator(member(team, project, "ada", "annotator"))
    bob = Annotator(member(team, project, "bob", "annotator"))
    rita = Annotator(member(team, project, "rita", "reviewer"))
    ada.open(1)
    ada.save(add(1))
    assert error_of(rita.post("/images/1/open", {}))["code"] == "held"
    assert error_of(rita.post("/images/1/open", {"take_over": False}))["code"] == "held"
    assert error_of(bob.post("/images/1/open", {"take_over": True}))["code"] == "forbidden"
    assert rita.post("/images/1/open", {"take_over": 2}).status_code == 422
    assert ada.save(add(2)).status_code == 200, "nobody has taken it"
    work = rita._took(rita.post("/images/1/open", {"take_over": True}).json())
    assert len(work["masks"]) == 2 and work["lease"]["token"] == ada.work["lease"]["token"] + 1
    for answer in (
        ada.save(add(3)),
        ada.submit(),
        ada.post(f"/tasks/{ada.held['task']}/renew", {"token": ada.held["token"]}),
    ):
        assert (error_of(answer)["code"], error_of(answer)["detail"]) == ("lease_lost", {"by": "rita"})
    assert len(branches_of(project.database, 1)) == 1
    assert error_of(ada.post("/images/1/open", {}))["detail"]["by"] == "rita"
    again = rita._took(rita.post("/images/1/open", {"take_over": True}).json())
    assert again["lease"]["token"] == work["lease"]["token"], "their own is not lost to a second click"
    assert rita.save(add(4)).status_code == 200 and len(rita.masks()) == 3
    assert rita.submit().status_code == 204


def test_a_photo_that_is_kept_for_somebody_can_be_taken_over(team: TestClient, project: Project) -> None:
    ada = Annotator(member(team, project, "ada", "annotator"))
    rita = Annotator(member(team, project, "rita", "reviewer"))
    ada.open(1)
    ada.submit()
    tasks.add_tasks(project.database, [1], kind="review")
    held = rita.next(kinds=["review"])["lease"]
    verdict = {"token": held["token"], "verdict": "returned", "reason": "the left edge"}
    rita.post(f"/tasks/{held['task']}/review", verdict)
    assert error_of(rita.post("/images/1/open", {}))["detail"] == {"by": "ada", "until": 0.0}
    rita._took(rita.post("/images/1/open", {"take_over": True}).json())
    assert rita.open(1)["lease"]["kind"] == "annotate", "a reload goes on with it"
    assert rita.post(f"/tasks/{rita.held['task']}/release", {"token": rita.held["token"]}).status_code == 204
    assert ada.next()["lease"]["note"] == "the left edge", "given back, it is kept for them again"


def test_who_wrote_what_is_who_was_signed_in(team: TestClient, project: Project) -> None:
    ada = Annotator(member(team, project, "ada", "annotator"))
    ada.open(1)
    mask = add()["mask"]
    answer = ada.post(
        "/images/1/actions",
        {"lease": ada.held, "operations": [{"op": "add", "mask": {**mask, "author": "bob"}}]},
        **{"Idempotency-Key": new_uid(), "If-Match": "0"},
    )
    assert answer.status_code == 422
    ada.save({"op": "add", "mask": mask})
    assert ada.masks()[0]["author"] == "ada"


def test_secrets_are_not_in_the_store(team: TestClient, project: Project) -> None:
    ada = member(team, project, "ada", "annotator")
    secret = next(iter(ada.cookies.values()))
    content = b"".join(path.read_bytes() for path in project.folder.glob("store.db*"))
    assert secret.encode() not in content and PASSWORD.encode() not in content
    hashed = sessions.password_hash_of(project.database, "ada")
    assert hashed is not None and hashed.startswith("$argon2id$")
