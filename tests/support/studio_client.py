"""A studio for tests: a project of small photos of disks, an application, and people's requests to it."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from engine_scenes import SIZE_HW, write_data_set
from fastapi.testclient import TestClient

from anymask.core.mask import Mask
from anymask.engine.project import Project
from anymask.web.app import create_app
from anymask.web.inference import Inference
from anymask.web.people import OnePerson
from anymask.web.security import Places
from anymask.web.studio import Studio

PORT = 8000
HOST = f"http://127.0.0.1:{PORT}"
PASSWORD = "correct horse battery"
API = "/api/v1"


@contextmanager
def open_studio(project: Project) -> Iterator[tuple[Studio, TestClient]]:
    """With a client that has opened the link."""
    people = OnePerson(PORT)
    studio = Studio("disks", project, people, Inference(project.model, workers=2))
    app = create_app(studio, Places.of_loopback(PORT))
    with TestClient(app, base_url=HOST, headers={"Origin": HOST}, raise_server_exceptions=False) as client:
        client.get("/", params={"token": people.token}, follow_redirects=False)
        yield studio, client


def make_project(folder: Path, photos: int = 5, model: str = "disk") -> Project:
    project, _ = Project.init(
        folder / "project", [write_data_set(folder / "data", range(photos))], model=model
    )
    return project


def member(team: TestClient, project: Project, name: str, role: str) -> TestClient:
    """Somebody of the team, signed in, in a browser of their own."""
    from anymask.web.accounts import invitation  # argon2: late

    code = invitation(project, name, role, "admin")
    browser = TestClient(team.app, base_url=HOST, headers={"Origin": HOST}, raise_server_exceptions=False)
    answer = browser.post(f"{API}/invitations/accept", json={"code": code, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return browser


def square(number: int) -> Mask:
    inside = np.zeros(SIZE_HW, bool)
    y, x = divmod(number * 7, SIZE_HW[1] - 8)
    inside[y % 80 : y % 80 + 6, x : x + 6] = True
    return Mask.from_array(inside)


def new_uid() -> str:
    return uuid.uuid4().hex


def add(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"op": "add", "mask": {"uid": new_uid(), "rle": square(number).rle, **fields}}


class Annotator:
    """Somebody at a page: holds a photo and saves to it."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.work: dict[str, Any] = {}
        self.revision = 0
        self.seq = itertools.count(1)
        self.tab = new_uid()

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.post(API + path, json=body, headers=headers)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(API + path, headers=headers)

    def open(self, image_id: int) -> dict[str, Any]:
        return self._took(self.post(f"/images/{image_id}/open", {}).json())

    def next(self, **asked: Any) -> dict[str, Any] | None:
        work = self.post("/tasks/next", asked).json()["work"]
        return None if work is None else self._took(work)

    def _took(self, work: dict[str, Any]) -> dict[str, Any]:
        assert "lease" in work, work
        self.work, self.revision = work, work["revision"]
        return work

    @property
    def image_id(self) -> int:
        return int(self.work["image"]["id"])

    @property
    def held(self) -> dict[str, int]:
        return {"task": self.work["lease"]["task"], "token": self.work["lease"]["token"]}

    def save(self, *operations: dict[str, Any], key: str | None = None, base: int | None = None) -> Any:
        """The response; the next save is made on it."""
        answer = self.post(
            f"/images/{self.image_id}/actions",
            {"lease": self.held, "operations": list(operations)},
            **{
                "Idempotency-Key": key or new_uid(),
                "If-Match": f'"{self.revision if base is None else base}"',
            },
        )
        if answer.status_code == 200:
            self.revision = answer.json()["revision"]
        return answer

    def masks(self) -> list[dict[str, Any]]:
        layer = self.work["lease"]["layer"]
        path = f"/images/{self.image_id}/masks?layer={layer}"
        return self.get(path, Accept="application/json").json()["masks"]

    def submit(self, seconds: float = 1.0) -> Any:
        task, token = self.held["task"], self.held["token"]
        return self.post(f"/tasks/{task}/submit", {"token": token, "seconds": seconds})

    def prompt(self, **prompt: Any) -> list[dict[str, Any]]:
        """The lines of the answer."""
        asked = {"client": self.tab, "seq": next(self.seq), "prompt": prompt}
        answer = self.post(f"/images/{self.image_id}/prompt", asked)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]


def error_of(answer: Any) -> dict[str, Any]:
    """The one shape."""
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message", "detail"}, body
    return body["error"]
