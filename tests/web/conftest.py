"""A studio on a small project for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
from fastapi.testclient import TestClient
from studio_client import Annotator, make_project, open_studio

from anymask.engine.project import Project
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
