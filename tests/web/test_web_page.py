"""The built page: its files, routes of its own, what is cached."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from studio_client import HOST, PORT, error_of

from anymask.engine.project import Project
from anymask.web.app import PACKED, STATIC, create_app
from anymask.web.inference import Inference
from anymask.web.people import OnePerson
from anymask.web.security import Places
from anymask.web.studio import Studio


@pytest.fixture
def page(project: Project, tmp_path: Path) -> Iterator[TestClient]:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>studio</title>")
    (static / "assets" / "app-1a2b.js").write_text("export {}")
    (tmp_path / "secret.txt").write_text("secret")
    (static / "link.txt").symlink_to(tmp_path / "secret.txt")
    studio = Studio("disks", project, OnePerson(PORT), Inference("disk", workers=1))
    app = create_app(studio, Places.of_loopback(PORT), static=static)
    with TestClient(app, base_url=HOST) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/photos", "/photos/3", "/invitation?code=x"])
def test_every_place_in_the_page_gives_the_page(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert "<title>studio" in answer.text and answer.headers["cache-control"] == "no-cache"


def test_files_with_a_hash_in_their_name_are_kept_for_ever(page: TestClient) -> None:
    answer = page.get("/assets/app-1a2b.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["/assets/old.js", "/favicon.ico", "/secret.txt", "/assets/../../secret.txt"]
)
def test_a_file_that_is_not_of_the_page_is_not_there(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 404 and error_of(answer)["code"] == "not_found"
    assert "secret" not in answer.text


def test_a_link_out_of_the_page_leads_nowhere(page: TestClient) -> None:
    assert "secret" not in page.get("/link.txt").text


def test_an_unknown_route_is_an_error_not_the_page(page: TestClient) -> None:
    page.get("/", params={"token": page.app.state.studio.people.token})
    answer = page.get("/api/v1/nothing")
    assert answer.status_code == 404 and error_of(answer)["code"] == "not_found"


def test_the_server_says_that_it_lives_and_is_ready(page: TestClient) -> None:
    assert page.get("/healthz").json() == {"status": "ok"}
    assert page.get("/readyz").json() == {"status": "ok", "model": "disk"}
    page.get("/", params={"token": page.app.state.studio.people.token})
    assert 'anymask_images{state="new"} 5.0' in page.get("/metrics").text


def test_scripts_are_packed_for_browsers_that_take_it(page: TestClient) -> None:
    whole = page.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
    packed = page.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in whole.headers and packed.headers["content-encoding"] == "gzip"
    assert whole.content == packed.content == b"export {}"
    for one in (whole, packed):
        assert one.headers["vary"] == "Accept-Encoding" and "immutable" in one.headers["cache-control"]
        assert one.headers["content-type"].startswith("text/javascript")


@pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: make studio")
def test_the_page_is_small() -> None:
    """All of its scripts and styles, those that are only loaded on a slow line too; without WebAssembly."""
    packed = [len(gzip.compress(one.read_bytes(), 6)) for one in STATIC.rglob("*") if one.suffix in PACKED]
    runtime = [len(gzip.compress(one.read_bytes(), 6)) for one in STATIC.rglob("*.wasm")]
    assert sum(packed) - sum(runtime) <= 150_000
    assert sum(runtime) <= 4_000_000
