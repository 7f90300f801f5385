"""A studio on a small project for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
from fastapi.testclient import TestClient
from studio_client import HOST, PORT, Annotator, make_project, member, open_studio

from anymask.engine.project import Project
from anymask.web.app import create_app
from anymask.web.inference import Inference
from anymask.web.security import Places
from anymask.web.studio import Studio


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with make_project(tmp_path) as opened:
        yield opened


@pytest.fixture
def opened(project: Project) -> Iterator[tuple[Studio, TestClient]]:
    with open_studio(project) as found:
        yield found


@pytest.fixture
def studio(opened: tuple[Studio, TestClient]) -> Studio:
    return opened[0]


@pytest.fixture
def client(opened: tuple[Studio, TestClient]) -> TestClient:
    return opened[1]


@pytest.fixture
def ada(client: TestClient) -> Annotator:
    return Annotator(client)


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, TestClient]]:
    """With the model that a click is answered by; one for all tests of a file."""
    project = make_project(tmp_path_factory.mktemp("lite"), model="lite")
    with project, open_studio(project) as found:
        yield found


@pytest.fixture
def people(team: TestClient, project: Project) -> dict[str, Annotator]:
    """Of the team, each in a browser of their own."""
    roles = dict.fromkeys(("ada", "bob", "cleo"), "annotator") | {"rita": "reviewer", "root": "admin"}
    return {name: Annotator(member(team, project, name, role)) for name, role in roles.items()}


@pytest.fixture
def team(project: Project) -> Iterator[TestClient]:
    """With accounts, whose passwords are hashed quickly."""
    argon2 = pytest.importorskip("argon2")
    from anymask.web.accounts import Accounts

    quick = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    people = Accounts(project, secure=False, hasher=quick)
    studio = Studio("disks", project, people, Inference(project.model, workers=2))
    app = create_app(studio, Places.of_loopback(PORT))
    with TestClient(app, base_url=HOST, headers={"Origin": HOST}, raise_server_exceptions=False) as client:
        yield client
