"""The program itself: it starts with one command, survives kill -9, ends with Ctrl-C."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from engine_scenes import write_data_set
from studio_client import add
from studio_process import StudioProcess

from anymask.engine.project import Project
from anymask.store.annotations import masks_of, verify
from anymask.web.launch import PROJECT_FOLDER, SECRETS, open_project


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "photos", range(4))


@pytest.mark.slow
def test_one_command_opens_a_folder_of_photos(photos: Path) -> None:
    with StudioProcess(photos) as studio:
        assert studio.client.get("/project").json()["counts"]["images"] == 4
        assert studio.client.get("/project").json()["name"] == "photos"
        assert studio.stop() in (0, -2, 130)
    assert (photos / PROJECT_FOLDER / SECRETS).stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_only_this_machine_is_listened_to(photos: Path) -> None:
    with StudioProcess(photos) as studio:
        text = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
        listening = [line.split()[1] for line in text.splitlines()[1:] if line.split()[3] == "0A"]
        mine = [one for one in listening if int(one.split(":")[1], 16) == studio.port]
        assert all(one.startswith("0100007F") for one in mine)


@pytest.mark.slow
def test_a_page_that_stays_open_goes_on_after_a_restart(photos: Path) -> None:
    with StudioProcess(photos) as first:
        browser = httpx.Client(base_url=first.url)
        browser.get("/", params={"token": first.link.partition("token=")[2]})
        cookies, port = dict(browser.cookies), first.port
        first.kill()
    with StudioProcess(photos, port=port) as again:
        assert httpx.get(f"{again.url}/api/v1/project", cookies=cookies).status_code == 200


@pytest.mark.slow
def test_kill_minus_nine_loses_nothing_that_was_acknowledged(photos: Path) -> None:
    """Killed at a random moment while four pages save; every answered save is there, and each once."""
    rng = random.Random(7)
    acknowledged: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for _ in range(4):
        with StudioProcess(photos) as studio:
            works = {image_id: studio.open(image_id) for image_id in acknowledged}
            pages = [
                threading.Thread(target=keep_saving, args=(studio, works[image_id], acknowledged[image_id]))
                for image_id in acknowledged
            ]
            for page in pages:
                page.start()
            time.sleep(rng.uniform(0.5, 1.5))
            studio.kill()
            for page in pages:
                page.join()
    with Project.open(photos / PROJECT_FOLDER) as project:
        assert verify(project.database) == []
        for image_id, uids in acknowledged.items():
            kept = [one.uid for one in masks_of(project.database, image_id)]
            assert len(kept) == len(set(kept))
            assert set(uids) <= set(kept)
    assert sum(map(len, acknowledged.values())) > 20


def keep_saving(studio: StudioProcess, work: dict, acknowledged: list[str]) -> None:
    base, number = work["revision"], len(acknowledged)
    client = httpx.Client(base_url=studio.client.base_url, headers=studio.client.headers, timeout=10)
    held = {"task": work["lease"]["task"], "token": work["lease"]["token"]}
    path = f"/images/{work['image']['id']}/actions"
    while True:
        number += 1
        operation = add(number)
        uid = operation["mask"]["uid"]
        headers = {"Idempotency-Key": uid, "If-Match": f'"{base}"'}
        try:
            answer = client.post(path, json={"lease": held, "operations": [operation]}, headers=headers)
        except httpx.TransportError:
            return
        assert answer.status_code == 200, answer.text
        acknowledged.append(uid)
        base = answer.json()["revision"]


@pytest.mark.slow
def test_a_second_studio_on_the_same_folder_says_why_not(photos: Path) -> None:
    with StudioProcess(photos), pytest.raises(AssertionError, match="in use by another process"):
        StudioProcess(photos)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    from anymask.errors import BadInput

    with pytest.raises(BadInput, match="expected a folder"):
        open_project(tmp_path / "nowhere", print)


def test_photos_that_came_later_are_taken_in(photos: Path) -> None:
    said: list[str] = []
    open_project(photos, said.append).close()
    write_data_set(photos / "more", range(20, 22))
    with open_project(photos, said.append) as project:
        assert "2 photos added, 4 known" in said[-1]
        assert project.folder == photos / PROJECT_FOLDER


def test_an_empty_folder_waits_for_uploads(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with open_project(tmp_path / "empty", print) as project:
        assert (project.folder / "store.db").exists()
