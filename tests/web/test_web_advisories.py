"""What was found in other tools of this kind, by the number of the advisory: none of it works here."""

from __future__ import annotations

import ast
import io
import json
import pickle
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient
from PIL import Image
from studio_client import API, Annotator, add, error_of, make_project, open_studio, square
from test_web_jobs import png, upload, wait

import anymask
from anymask.store import images
from anymask.web.people import OnePerson
from anymask.web.security import ANYBODY, ROLE_OF
from anymask.web.studio import Studio

SECRET = "root:x:0:0:secret of the machine"
PACKAGE = Path(anymask.__file__).parent


@pytest.fixture
def secret(tmp_path: Path, studio: Studio) -> Path:
    """A file of the machine that is nobody's business. It has the bytes of a photo of the project: if it were
    read, it would be known, and masks would come in.
    """
    (row,) = images.list_images(studio.project.database, limit=1)
    path = tmp_path / "secret.png"
    path.write_bytes(studio.project.photo(row).read())
    return path


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A server that nobody may call, and who did."""
    called: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                called.append(connection.recv(1_000).decode("latin-1"))
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/photo.png", called
        over.set()
        thread.join()


def imported(client: TestClient, name: str, content: bytes, kind: str = "auto") -> dict[str, Any]:
    sent = {"file": (name, content, "application/octet-stream")}
    answer = client.post(f"{API}/jobs/import", files=sent, data={"format": kind})
    assert answer.status_code == 202, answer.text
    return wait(client, answer.json())


def coco(file_name: str, **more: Any) -> bytes:
    image = {"id": 1, "file_name": file_name, "height": 96, "width": 128, **more}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400, "iscrowd": 0}
    corners = [[10, 10, 30, 10, 30, 30, 10, 30]]
    content = {
        "images": [image],
        "annotations": [{**box, "segmentation": corners}],
        "categories": [{"id": 1, "name": "x"}],
    }
    return json.dumps(content).encode()


def test_cve_2022_31188_and_36551_an_import_calls_no_address(
    client: TestClient, canary: tuple[str, list[str]]
) -> None:
    address, called = canary
    for name in (address, address.replace("http:", "https:"), f"//{address[7:]}"):
        imported(client, "x.json", coco(name, coco_url=address, flickr_url=address), "coco")
    task = [{"data": {"image": address}, "annotations": []}]
    imported(client, "x.json", json.dumps(task).encode(), "label-studio")
    assert called == []


def test_cve_2022_36551_an_import_reads_no_file_of_the_machine(
    client: TestClient, studio: Studio, secret: Path
) -> None:
    """Neither by its path nor by climbing there; nothing of it comes into the project."""
    folder = studio.project.folder / "uploads" / "name" / "sent"
    climbing = ("../" * len(folder.parts)) + str(secret).lstrip("/")
    near = "../" * 4 + secret.name
    for name in (str(secret), f"file://{secret}", climbing, near, near.replace("/", "\\")):
        for sent in (coco(name), packed(coco(name), "x.json")):
            done = imported(client, "x.json", sent, "coco")
            assert done["state"] == "failed", (name, done)
    assert all(one["masks"] == 0 for one in client.get(f"{API}/images").json()["images"])


def test_cve_2022_36551_no_mask_is_read_from_a_picture_of_the_machine(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    """Panoptic files name a PNG for the masks of each photo; a YOLO data set names folders."""
    (row,) = images.list_images(studio.project.database, limit=1)
    picture = tmp_path / "diagram.png"
    Image.new("RGB", (128, 96), (7, 0, 0)).save(picture)
    content = {
        "images": [{"id": 1, "file_name": row.name, "height": 96, "width": 128}],
        "annotations": [
            {"image_id": 1, "file_name": str(picture), "segments_info": [{"id": 7, "category_id": 1}]}
        ],
        "categories": [{"id": 1, "name": "x", "isthing": 1}],
    }
    sent = packed(json.dumps(content).encode(), "panoptic_val.json")
    done = imported(client, "x.zip", sent, "panoptic")
    assert done["state"] == "failed" or done["result"]["masks"] == 0, done
    labels = tmp_path / "other" / "labels"
    labels.mkdir(parents=True)
    (labels.parent / "images").mkdir()
    (labels.parent / "images" / row.name).write_bytes(studio.project.photo(row).read())
    (labels / f"{Path(row.name).stem}.txt").write_text("0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n")
    yaml = f"path: {labels.parent}\ntrain: images\nnames: [x]\n".encode()
    done = imported(client, "x.zip", packed(yaml, "data.yaml"), "yolo")
    assert done["state"] == "failed" or done["result"]["masks"] == 0, done
    assert all(one["masks"] == 0 for one in client.get(f"{API}/images").json()["images"])


def test_cve_2022_36551_nobody_registers_themselves() -> None:
    """Without a session: see who one is, sign in and out, take an invitation. Nothing else."""
    open_to_all = {row for row, role in ROLE_OF.items() if role == ANYBODY}
    assert open_to_all == {
        ("GET", "/session"), ("POST", "/session"), ("DELETE", "/session"), ("POST", "/invitations/accept"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["sym", "hard"])
def test_a_link_in_a_tar_leads_nowhere(client: TestClient, secret: Path, kind: str) -> None:
    """CVE-2025-4517 and its like: shards are read member by member and never unpacked."""
    with io.BytesIO() as file, tarfile.open(fileobj=file, mode="w") as made:
        link = tarfile.TarInfo("other.png")
        link.type = tarfile.SYMTYPE if kind == "sym" else tarfile.LNKTYPE
        link.linkname = str(secret)
        made.addfile(link)
        image = {"height": 96, "width": 128, "image_id": 1, "file_name": "other.png"}
        one = {"id": 1, "segmentation": square(1).rle, "bbox": [1, 1, 2, 2], "area": 4}
        record = json.dumps({"image": image, "annotations": [one]}).encode()
        told = tarfile.TarInfo("other.json")
        told.size = len(record)
        made.addfile(told, io.BytesIO(record))
        made.close()
        content = file.getvalue()
    done = imported(client, "x.tar", content)
    assert done["state"] == "failed" and str(secret) not in str(done["message"])
    assert all(one["masks"] == 0 for one in client.get(f"{API}/images").json()["images"])


def test_cve_2023_47115_a_photo_is_never_sent_as_it_came(client: TestClient) -> None:
    """A PNG that is a web page as well, under a name of a web page."""
    script = b"<html><script>alert(1)</script>"
    with io.BytesIO() as file:
        from PIL.PngImagePlugin import PngInfo

        told = PngInfo()
        told.add_text("Comment", script.decode())
        Image.new("RGB", (20, 10), "red").save(file, "PNG", pnginfo=told)
        content = file.getvalue() + script
    assert upload(client, ("avatar.html", content, "text/html")).json()["new"] == 1
    (told_,) = [one for one in client.get(f"{API}/images").json()["images"] if one["name"] == "avatar.html"]
    for path in ("photo", "photo?size=full", "thumbnail"):
        answer = client.get(f"{API}/images/{told_['id']}/{path}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"script" not in answer.content


@pytest.mark.parametrize("name", ["x.svg", "guide.html", "skeleton.svg"])
def test_cve_2026_23516_and_65986_no_drawing_and_no_attachment_with_code(
    client: TestClient, name: str
) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    assert upload(client, (name, svg, "image/svg+xml")).json()["new"] == 0
    assert client.get(f"/{name}").status_code == 404


def test_cve_2024_26152_what_people_wrote_is_sent_as_data_only(ada: Annotator) -> None:
    """Never as a page: a browser that is led there shows or runs nothing of it."""
    evil = "<img src=x onerror=alert(1)>"
    ada.open(1)
    ada.save(add(1, category=evil))
    ada.client.patch(f"{API}/project/settings", json={"notes": evil})
    for path in ("/project", "/images/1/masks", "/images", "/log", "/stats", "/jobs", "/rounds"):
        answer = ada.get(path)
        assert answer.headers["content-type"] in ("application/json", "application/octet-stream"), path
    report = ada.get("/report")
    assert report.headers["content-disposition"].startswith("attachment") and evil not in report.text


def test_cve_2025_25296_and_47783_no_query_becomes_a_page(client: TestClient) -> None:
    evil = "<script>alert(1)</script>"
    for path in (
        "/",
        "/annotate",
        "/healthz",
        f"{API}/project",
        f"{API}/images",
        "/nothing.html",
        "/invitation",
    ):
        answer = client.get(path, params={"label_config": evil, "code": evil, "state": evil, "data": evil})
        assert evil not in answer.text


def test_cve_2026_22033_there_are_no_preferences_of_others(client: TestClient) -> None:
    """Keys and looks of the page are kept in the browser: no route takes them, for oneself or for others."""
    names = json.dumps(client.get("/api/openapi.json").json()).lower()
    assert "hotkey" not in names and "preference" not in names and "avatar" not in names
    changed = client.patch(f"{API}/project/settings", json={"hotkeys": {"a": "<script>"}})
    assert changed.status_code == 422


def test_cve_2026_47682_no_name_of_any_entry_is_a_path(
    client: TestClient, studio: Studio, tmp_path: Path
) -> None:
    """Photos, imports, exports: whatever they are called, nothing is written outside of the project."""
    before = {path for path in tmp_path.rglob("*") if studio.project.folder not in path.parents}
    for number, name in enumerate(
        ("../../evil.png", "/tmp/evil.png", "..\\..\\evil.png", "a/../../evil.png")
    ):
        assert upload(client, (name, png(number), "image/png")).json()["new"] == 1
        imported(client, name.replace(".png", ".json"), coco(name), "coco")
    job = client.post(f"{API}/jobs/export", json={"format": "coco", "photos": "copy"}).json()
    assert wait(client, job)["state"] == "done"
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{API}/jobs/{job['id']}/download").content))
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in archive.namelist())
    after = {path for path in tmp_path.rglob("*") if studio.project.folder not in path.parents}
    assert after - before <= {studio.project.folder}
    assert client.post(f"{API}/jobs/export", json={"format": "../x"}).status_code == 400


class Bomb:
    """What runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def packed(content: bytes, name: str) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as made:
            made.writestr(name, content)
        return file.getvalue()


@pytest.mark.parametrize(
    "name", ["x.pkl", "model.pt", "archive/data.pkl", "x.npy", "x.npz", "x.json", "x.mat"]
)
def test_cve_2025_5173_and_23045_what_is_sent_is_never_run(
    client: TestClient, tmp_path: Path, name: str
) -> None:
    """Pickles under every name, alone and in a zip file."""
    mark = tmp_path / "it ran"
    bomb = pickle.dumps(Bomb(mark))
    assert pickle.loads(bomb) is None and mark.exists(), "it does, where somebody unpickles it"
    mark.unlink()
    for content in (bomb, packed(bomb, name)):
        assert imported(client, name.rpartition("/")[2], content)["state"] == "failed"
        assert upload(client, (name, content, "image/png")).json()["new"] == 0
    assert not mark.exists()


DANGEROUS = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "yaml"}


@pytest.mark.parametrize("package", ["web", "engine", "store", "data", "images", "core"])
def test_nothing_on_the_way_of_data_can_run_it(package: str) -> None:
    """No unpickling, no eval, no shell, no template of what people send."""
    for path in (PACKAGE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None)
                names = [module] if module else [one.name for one in node.names]
                assert not {str(one).partition(".")[0] for one in names} & DANGEROUS, path
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                told = {one.arg: one.value for one in node.keywords}
                assert not (name in ("eval", "exec", "compile") and isinstance(node.func, ast.Name)), path
                assert "shell" not in told and "allow_pickle" not in {
                    key for key, value in told.items() if getattr(value, "value", None) is True
                }, path


def test_cve_2023_43791_secrets_are_made_at_the_first_start(tmp_path: Path) -> None:
    """No default anywhere: two projects have nothing in common, and what is guessed opens neither."""
    first, second = (OnePerson.kept(8000, tmp_path / name) for name in "ab")
    assert {first.token, first.session}.isdisjoint({second.token, second.session})
    assert min(map(len, (first.token, first.session))) >= 32, "192 bits"


def test_cve_2023_43791_a_session_of_one_project_is_none_of_another(
    client: TestClient, tmp_path: Path
) -> None:
    stolen = dict(client.cookies)
    with make_project(tmp_path / "other", photos=2) as other, open_studio(other) as (_, theirs):
        theirs.cookies.clear()
        theirs.cookies.update(stolen)
        assert theirs.get(f"{API}/project").status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        {"state": "users.password"}, {"state": "new' OR 1=1 --"}, {"order": "password"},
        {"filter": '{"user__password__startswith": "a"}'}, {"fields": "*"}, {"limit": "1; DROP TABLE masks"},
    ],
)  # fmt: skip
def test_ghsa_6hjj_a_filter_tells_nothing_else(client: TestClient, query: dict[str, str]) -> None:
    plain = client.get(f"{API}/images").json()
    answer = client.get(f"{API}/images", params=query)
    assert answer.status_code == 422 or answer.json() == plain
    for one in plain["images"]:
        assert set(one) == {
            "id", "name", "width", "height", "state", "hash", "masks", "revision", "fixed", "tiles",
        }  # fmt: skip


def test_a_route_without_a_row_answers_nobody(client: TestClient, studio: Studio) -> None:
    """And the matrix names it, so that it cannot be forgotten."""
    from fastapi import APIRouter, Depends

    from anymask.web.security import authorise

    forgotten = APIRouter(prefix=API, dependencies=[Depends(authorise)])

    @forgotten.get("/forgotten")
    def forgotten_route() -> str:
        return SECRET

    routes = client.app.router.routes
    client.app.include_router(forgotten)
    routes.insert(0, routes.pop())  # before the one of the page, which takes every path
    answer = client.get(f"{API}/forgotten")
    assert answer.status_code == 403 and error_of(answer)["code"] == "forbidden"
    client.app.openapi_schema = None
    paths = client.app.openapi()["paths"]
    found = {(method.upper(), path.removeprefix(API)) for path in paths for method in paths[path]}
    assert found - set(ROLE_OF) == {("GET", "/forgotten")}
