"""Three people work on three photos in whatever order: the server never breaks, and loses nothing."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

argon2 = pytest.importorskip("argon2")
from fastapi.testclient import TestClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from studio_client import HOST, PORT, Annotator, add, error_of, make_project, new_uid

from anymask.store import sessions, tasks, users
from anymask.store.annotations import branches_of, masks_of, verify
from anymask.web.accounts import Accounts
from anymask.web.app import create_app
from anymask.web.inference import Inference
from anymask.web.security import Places
from anymask.web.studio import Studio

QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
PEOPLE = {"ada": "annotator", "bob": "annotator", "rita": "reviewer"}
PHOTOS = 3
NAMES = st.sampled_from(sorted(PEOPLE))
IMAGES = st.integers(1, PHOTOS)


class Team(RuleBasedStateMachine):
    """`kept`: masks whose save was acknowledged, by photo; `sent`: saves that may be sent again."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.project = make_project(self.folder, photos=PHOTOS)
        people = Accounts(self.project, secure=False, hasher=QUICK)
        self.studio = Studio("disks", self.project, people, Inference("disk", workers=1))
        self.studio.rates.take = lambda *_: 0.0  # type: ignore[method-assign]
        app = create_app(self.studio, Places.of_loopback(PORT))
        self.server = TestClient(app, base_url=HOST, raise_server_exceptions=False)
        self.server.__enter__()
        self.people = {name: self.joined(name, role) for name, role in PEOPLE.items()}
        self.kept: dict[int, set[str]] = {number: set() for number in range(1, PHOTOS + 1)}
        self.sent: list[tuple[str, dict[str, Any], dict[str, str], dict[str, Any]]] = []
        self.refused = 0
        tasks.add_tasks(self.project.database, range(1, PHOTOS + 1))

    def joined(self, name: str, role: str) -> Annotator:
        users.add_user(self.project.database, name, role, author="admin")
        secret = sessions.begin(self.project.database, name, "session")
        headers = {"Origin": HOST, "Authorization": f"Bearer {secret}"}
        return Annotator(
            TestClient(self.server.app, base_url=HOST, headers=headers, raise_server_exceptions=False)
        )

    def teardown(self) -> None:
        if hasattr(self, "server"):
            assert verify(self.project.database) == []
            self.server.__exit__(None, None, None)
            self.project.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def asked(self, answer: Any) -> Any:
        """Whatever is asked for, no answer is a mistake of the server, and every refusal has the one shape."""
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            error_of(answer)
        return answer

    @rule(name=NAMES)
    def takes_the_next(self, name: str) -> None:
        person = self.people[name]
        work = self.asked(person.post("/tasks/next", {})).json()["work"]
        if work is not None:
            person.work, person.revision = work, work["revision"]

    @rule(name=NAMES, image=IMAGES)
    def opens_one(self, name: str, image: int) -> None:
        person = self.people[name]
        answer = self.asked(person.post(f"/images/{image}/open", {}))
        if answer.status_code == 200:
            person.work, person.revision = answer.json(), answer.json()["revision"]

    @precondition(lambda self: any(one.work for one in self.people.values()))
    @rule(name=NAMES, number=st.integers(0, 300), late=st.booleans())
    def saves(self, name: str, number: int, late: bool) -> None:
        person = self.people[name]
        if not person.work:
            return
        base = max(0, person.revision - 1) if late else person.revision
        operation, key = add(number), new_uid()
        body = {"lease": person.held, "operations": [operation]}
        headers = {"Idempotency-Key": key, "If-Match": str(base)}
        path = f"/images/{person.image_id}/actions"
        answer = self.asked(person.post(path, body, **headers))
        if answer.status_code == 200:
            person.revision = answer.json()["revision"]
            self.kept[person.image_id].add(operation["mask"]["uid"])
            self.sent.append((path, body, {**headers, "name": name}, answer.json()))
        elif answer.status_code == 409:
            self.refused += 1

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def a_save_is_sent_again(self, data: st.DataObject) -> None:
        """Its answer was lost; whatever became of the task, it counts once and is answered the same."""
        path, body, headers, told = data.draw(st.sampled_from(self.sent))
        named = {key: value for key, value in headers.items() if key != "name"}
        answer = self.asked(self.people[headers["name"]].post(path, body, **named))
        assert answer.status_code in (200, 403), answer.text
        assert answer.status_code == 403 or answer.json() == {**told, "repeated": True}

    @precondition(lambda self: any(self.kept.values()))
    @rule(name=NAMES)
    def deletes_a_mask(self, name: str) -> None:
        person = self.people[name]
        if not person.work or not self.kept[person.image_id]:
            return
        uid = min(self.kept[person.image_id])
        if person.save({"op": "delete", "uid": uid}).status_code == 200:
            self.kept[person.image_id].discard(uid)

    @rule(
        name=NAMES, how=st.sampled_from(["submit", "skip", "release", "renew", "review"]), good=st.booleans()
    )
    def ends_a_task(self, name: str, how: str, good: bool) -> None:
        person = self.people[name]
        if not person.work:
            return
        task, token = person.held["task"], person.held["token"]
        more = {
            "skip": {"reason": "blurred"},
            "review": {"verdict": "accepted"} if good else {"verdict": "returned", "reason": "an edge"},
        }.get(how, {})
        self.asked(person.post(f"/tasks/{task}/{how}", {"token": token, **more}))

    @rule(name=st.sampled_from(["ada", "bob"]), number=st.integers(0, 300))
    def does_a_photo(self, name: str, number: int) -> None:
        self.takes_the_next(name)
        self.saves(name, number, late=False)
        self.ends_a_task(name, "submit", good=True)

    @rule(good=st.booleans())
    def reviews_a_photo(self, good: bool) -> None:
        self.what_is_done_goes_to_a_reviewer()
        rita = self.people["rita"]
        work = self.asked(rita.post("/tasks/next", {"kinds": ["review"]})).json()["work"]
        if work is not None:
            rita.work, rita.revision = work, work["revision"]
            self.ends_a_task("rita", "review", good)

    @rule(seconds=st.sampled_from([60, 700]))
    def time_passes(self, seconds: int) -> None:
        clock = self.project.database.clock
        clock._last[0] = clock() + seconds

    @rule()
    def what_is_done_goes_to_a_reviewer(self) -> None:
        tasks.add_tasks(self.project.database, range(1, PHOTOS + 1), kind="review")

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "kept"):
            return
        for image, expected in self.kept.items():
            found = [one.uid for one in masks_of(self.project.database, image)]
            assert len(found) == len(set(found)) and set(found) == expected
        branches = sum(len(branches_of(self.project.database, image)) for image in self.kept)
        assert branches >= self.refused, "what came too late is kept aside"


TestTeam = Team.TestCase
TestTeam.settings = settings(max_examples=12, stateful_step_count=50, deadline=None, derandomize=True)
TestTeam.pytestmark = [pytest.mark.slow]
