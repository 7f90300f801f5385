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

from anymask.engine.project import PROJECT_FOLDER, Project
from anymask.store.annotations import masks_of, verify
from anymask.web.launch import SECRETS, open_project


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
        with httpx.Client(base_url=first.url) as browser:
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
    held = {"task": work["lease"]["task"], "token": work["lease"]["token"]}
    path = f"/images/{work['image']['id']}/actions"
    while True:
        number += 1
        operation = add(number)
        uid = operation["mask"]["uid"]
        headers = {"Idempotency-Key": uid, "If-Match": f'"{base}"'}
        body = {"lease": held, "operations": [operation]}
        try:
            while (answer := studio.client.post(path, json=body, headers=headers)).status_code == 429:
                time.sleep(0.05)
        except httpx.TransportError:
            return
        assert answer.status_code == 200, answer.text
        acknowledged.append(uid)
        base = answer.json()["revision"]


@pytest.mark.slow
def test_a_second_studio_on_the_same_folder_says_why_not(photos: Path) -> None:
    with StudioProcess(photos), pytest.raises(AssertionError, match="in use by another process"):
        StudioProcess(photos)


@pytest.mark.slow
def test_events_come_while_others_work(photos: Path) -> None:
    with StudioProcess(photos) as studio:
        seen: list[str] = []
        hello = threading.Event()

        def listen() -> None:
            with studio.client.stream("GET", "/events", timeout=20) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                for line in answer.iter_lines():
                    seen.append(line)
                    hello.set()
                    if line.startswith("data:"):
                        return

        page = threading.Thread(target=listen)
        page.start()
        assert hello.wait(10)
        work = studio.open(1)
        assert studio.save(work, 0, "k", add()).status_code == 200
        page.join(20)
        assert "event: image" in seen and '"revision": 1' in seen[-1]


@pytest.mark.slow
def test_it_stops_at_once_with_an_open_page_and_starts_again(photos: Path) -> None:
    with StudioProcess(photos) as studio, studio.client.stream("GET", "/events", timeout=20) as answer:
        assert next(answer.iter_lines()) == ": hello"
        began = time.monotonic()
        studio.stop()
        took = time.monotonic() - began
    assert took < 2, f"{took:.1f} s; requests that are left are waited for 3 s"
    with StudioProcess(photos) as again:
        assert again.client.get("/project").status_code == 200


@pytest.mark.slow
def test_the_queue_is_full_at_the_first_start(photos: Path) -> None:
    """One photo for evaluation comes first: without one nothing can be measured."""
    with StudioProcess(photos) as studio:
        answer = studio.client.post("/tasks/next", json={}).json()
        assert answer["work"]["image"]["fixed"] and answer["left"]["annotate"] == 3


def test_answers_do_not_wait_for_nagle() -> None:
    import socket

    from anymask.web.launch import Launch, _listening

    with _listening(Launch(Path())) as listener:
        assert listener.proto == socket.IPPROTO_TCP


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


def test_photos_that_are_gone_are_counted_at_the_start(photos: Path) -> None:
    said: list[str] = []
    open_project(photos, said.append).close()
    assert not any("any more" in line for line in said)
    (photos / "disks-2.png").unlink()
    (photos / "disks-3.png").rename(photos / "moved.png")
    open_project(photos, said.append).close()
    assert said[-1].startswith("1 photos are not there any more, disks-2.png among them")


def test_an_empty_folder_waits_for_uploads(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with open_project(tmp_path / "empty", print) as project:
        assert (project.folder / "store.db").exists()
