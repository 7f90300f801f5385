"""Jobs, data in and out: progress, cancel, uploads that lie, archives that attack."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from studio_client import API, Annotator, add, error_of

from anymask.engine import statistics
from anymask.engine.background import Background
from anymask.engine.unpack import unpack
from anymask.engine.uploads import clean_name
from anymask.errors import BadInput
from anymask.store import images
from anymask.web.studio import Studio


def wait(client: TestClient, job: dict[str, Any], *states: str) -> dict[str, Any]:
    for _ in range(600):
        found = client.get(f"{API}/jobs/{job['id']}").json()
        if found["state"] in (states or ("done", "failed", "cancelled")):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def png(value: int = 0, size: tuple[int, int] = (20, 10)) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", size, (value, 40, 80)).save(file, "PNG")
        return file.getvalue()


def noise(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()


def upload(client: TestClient, *files: tuple[str, bytes, str]) -> Any:
    return client.post(f"{API}/images", files=[("files", one) for one in files])


def test_masks_go_out_and_come_back_in(ada: Annotator, client: TestClient, studio: Studio) -> None:
    ada.open(1)
    ada.save(add(1, category="disk"), add(2, category="disk"))
    job = wait(client, client.post(f"{API}/jobs/export", json={"format": "coco"}).json())
    assert job["state"] == "done" and job["result"]["masks"] == 2
    answer = client.get(f"{API}/jobs/{job['id']}/download")
    assert answer.headers["content-type"] == "application/zip"
    assert "attachment" in answer.headers["content-disposition"]
    ada.save(*[{"op": "delete", "uid": one["uid"]} for one in ada.masks()])
    sent = {"file": ("x.zip", answer.content, "application/zip")}
    done = wait(client, client.post(f"{API}/jobs/import", files=sent, data={"format": "coco"}).json())
    assert done["state"] == "done", done
    assert done["result"]["masks"] == 2 and ada.open(1)["masks"][0]["stage"] == "imported"
    again = wait(client, client.post(f"{API}/jobs/import", files=sent, data={"format": "coco"}).json())
    assert (again["result"]["masks"], again["result"]["known"]) == (0, 2) and len(ada.open(1)["masks"]) == 2
    assert not any((studio.project.folder / "uploads").iterdir())


def test_only_photos_that_are_done_go_out(ada: Annotator, client: TestClient) -> None:
    ada.open(1)
    ada.save(add(1))
    ada.submit()
    ada.open(2)
    ada.save(add(2))
    job = wait(client, client.post(f"{API}/jobs/export", json={"format": "coco", "state": "done"}).json())
    told = {name: job["result"][name] for name in ("photos", "masks", "left_out")}
    assert told == {"photos": 1, "masks": 1, "left_out": 4}
    none = wait(client, client.post(f"{API}/jobs/export", json={"state": "accepted"}).json())
    assert none["state"] == "failed" and "approved in review" in none["message"]
    assert client.post(f"{API}/jobs/export", json={"state": "half"}).status_code in (400, 422)


def test_an_import_of_nonsense_fails_with_its_reason(client: TestClient, studio: Studio) -> None:
    sent = {"file": ("../../x.json", b"{nonsense", "application/json")}
    done = wait(client, client.post(f"{API}/jobs/import", files=sent).json())
    assert done["state"] == "failed" and done["message"]
    assert not any((studio.project.folder / "uploads").iterdir())


@pytest.mark.parametrize("packed", [False, True])
def test_the_reason_names_what_was_sent_and_what_to_do_in_the_page(
    client: TestClient, studio: Studio, packed: bool
) -> None:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as made:
            made.writestr("broken.json", b"{nonsense")
        sent = ("broken.zip", file.getvalue(), "") if packed else ("broken.json", b"{nonsense", "")
    why = wait(client, client.post(f"{API}/jobs/import", files={"file": sent}).json())["message"]
    assert sent[0] in why and "choose the format" in why, why
    assert str(studio.project.folder) not in why and "--" not in why, why


def test_what_a_file_holds_that_cannot_be_used_is_told_without_a_path_of_the_server(
    client: TestClient, studio: Studio
) -> None:
    coco = {"images": [{"id": 1, "file_name": "x.png", "width": "?"}], "annotations": [], "categories": [{}]}
    sent = {"file": ("labels.json", json.dumps(coco).encode(), "application/json")}
    done = wait(client, client.post(f"{API}/jobs/import", files=sent).json())
    told = json.dumps(done)
    assert "labels.json" in told and str(studio.project.folder) not in told, told


def test_a_photo_that_is_none_is_named_once_and_without_python(client: TestClient) -> None:
    failures = upload(client, ("broken.jpg", b"not an image", "image/jpeg")).json()["failures"]
    assert failures[0]["name"] == "broken.jpg" and "broken.jpg" not in failures[0]["why"]
    assert failures[0]["why"].endswith("got a file that begins with 'not an i'")


def test_an_unknown_format_is_refused_at_once(client: TestClient) -> None:
    answer = client.post(f"{API}/jobs/export", json={"format": "crayon"})
    assert answer.status_code == 400 and "expected one of" in error_of(answer)["message"]


def test_masks_of_the_model_are_filled_in_the_background(client: TestClient, ada: Annotator) -> None:
    job = client.post(f"{API}/jobs/prefill", json={"min_probability": 0.0}).json()
    done = wait(client, job)
    assert done["state"] == "done" and done["result"]["photos"] == 4, "one of five is for evaluation"
    states = [one["state"] for one in ada.get("/images").json()["images"]]
    assert states.count("prefilled") == 4


@pytest.mark.parametrize("missing", ["torch", "onnx_ir", "scipy", None])
def test_the_page_is_told_whether_the_server_can_learn(
    client: TestClient, missing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "find_spec", lambda library: None if library == missing else library)
    assert client.get(f"{API}/project").json()["can"] == {"train": missing is None}


def test_a_job_is_cancelled(client: TestClient, studio: Studio) -> None:
    studio.background.close()
    begun = threading.Event()

    def work(_: Any, body: dict[str, Any], report: Any) -> dict[str, Any]:
        begun.set()
        while True:
            report(1, 10)
            time.sleep(0.02)

    studio.background = Background(studio.project, studio._job_changed, {"prefill": work})
    first = client.post(f"{API}/jobs/prefill", json={}).json()
    second = client.post(f"{API}/jobs/prefill", json={}).json()
    begun.wait(5)
    assert client.post(f"{API}/jobs/{second['id']}/cancel").json()["state"] == "cancelled"
    client.post(f"{API}/jobs/{first['id']}/cancel")
    assert wait(client, first)["state"] == "cancelled"


def test_a_job_that_is_stopped_with_the_server_goes_on(studio: Studio) -> None:
    studio.background.close()
    begun = threading.Event()

    def endless(_: Any, body: dict[str, Any], report: Any) -> dict[str, Any]:
        begun.set()
        while True:
            report(1, 10)
            time.sleep(0.02)

    first = Background(studio.project, studio._job_changed, {"prefill": endless})
    row = first.put("prefill", {})
    begun.wait(5)
    first.close()
    second = Background(studio.project, studio._job_changed, {"prefill": lambda *_: {"resumed": True}})
    from anymask.store import jobs

    for _ in range(200):
        found = jobs.find(studio.project.database, row.id)
        if found.state == "done":
            break
        time.sleep(0.05)
    second.close()
    assert json.loads(found.result) == {"resumed": True}


def test_a_job_that_breaks_says_so_and_the_next_is_done(client: TestClient, studio: Studio) -> None:
    studio.background.close()

    def broken(*_: Any) -> dict[str, Any]:
        raise ZeroDivisionError("oh")

    handlers = {"prefill": broken, "train": lambda *_: {"fine": True}}
    studio.background = Background(studio.project, studio._job_changed, handlers)
    failed = wait(client, client.post(f"{API}/jobs/prefill", json={}).json())
    assert failed["state"] == "failed" and "ZeroDivisionError: oh" in failed["message"]
    assert wait(client, client.post(f"{API}/jobs/train", json={}).json())["result"] == {"fine": True}


def test_training_without_masks_says_what_is_missing(client: TestClient) -> None:
    pytest.importorskip("torch")
    done = wait(client, client.post(f"{API}/jobs/train", json={"quick": True}).json())
    assert done["state"] == "failed" and "fixed part" in done["message"]


def test_photos_are_added_by_dropping_them(client: TestClient, studio: Studio) -> None:
    answer = upload(client, ("a.png", png(1), "image/png"), ("b.png", png(2), "text/html")).json()
    assert answer == {"new": 2, "known": 0, "failures": []}
    assert upload(client, ("c.png", png(1), "image/png")).json()["known"] == 1
    assert images.counts(studio.project.database)["images"] == 7


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<html><script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0 no photo",
        b"%PDF-1.7",
        b"SIMPLE  =                    T",
        png()[:40],
        noise("JPEG")[:-2_000],
        noise("WEBP")[:-2_000],
        noise("TIFF")[:-2_000],
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"\x00\x00\x00\x18ftypheic",
        b"GIF89a\xff\xff\xff\xff",
    ],
    ids=[
        "empty",
        "svg",
        "html",
        "png-head",
        "jpeg-head",
        "pdf",
        "fits",
        "cut-off",
        "jpeg-cut-off",
        "webp-cut-off",
        "tiff-cut-off",
        "webp-head",
        "heic",
        "gif-that-claims-a-lot",
    ],
)
def test_what_is_no_photo_is_named_and_passed_over(client: TestClient, content: bytes) -> None:
    answer = upload(client, ("evil.png", content, "image/png"), ("good.png", png(9), "image/png"))
    body = answer.json()
    assert answer.status_code == 200
    assert body["new"] == 1 and body["failures"][0]["name"] == "evil.png"


def test_two_photos_of_one_name_are_both_kept(client: TestClient, studio: Studio) -> None:
    upload(client, ("same.png", png(1), "image/png"), ("same.png", png(2), "image/png"))
    names = [row.name for row in images.list_images(studio.project.database)]
    assert sum(name.startswith("same") for name in names) == 2


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a.png", "a.png"),
        ("a\x00b\n.png", "a_b_.png"),
        ("..", "photo"),
        ("", "photo"),
        ("사진.png", "사진.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
    ],
)
def test_a_name_that_was_sent_is_never_a_path(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


def test_a_long_name_is_cut() -> None:
    assert len(clean_name("사" * 500).encode()) <= 200


@pytest.mark.parametrize(
    "name", ["../out.txt", "/abs.txt", "a/../../out.txt", "C:\\x", "a\\b", "nul\x01name"]
)
def test_an_archive_writes_nothing_outside(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "in" / "x.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(BadInput):
        unpack(archive, tmp_path / "in" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["x.zip"]


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(link, b"/etc/passwd")
    with pytest.raises(BadInput, match="regular files"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.engine.unpack.MIN_BYTES", 1_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", bytes(10_000_000))
    with pytest.raises(BadInput, match="at most"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_a_photo_that_is_too_large_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.engine.uploads.MAX_PHOTO", 50)
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(noise).save(file, "PNG")
        answer = upload(client, ("big.png", file.getvalue(), "image/png")).json()
    assert answer["new"] == 0 and "at most" in answer["failures"][0]["why"]
