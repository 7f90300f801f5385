"""The whole loop over HTTP: annotate, retrain, better masks for the rest, export."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")
from fastapi.testclient import TestClient
from studio_client import API, Annotator, new_uid, open_studio

from anymask.engine.project import Project
from anymask.engine.queueing import queue_photos

WAIT_S = 1_500


def finished(client: TestClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    job = client.post(API + path, json=body).json()
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        job = client.get(f"{API}/jobs/{job['id']}").json()
        if job["state"] not in ("queued", "running"):
            return job
        time.sleep(1)
    raise AssertionError(job)


@pytest.mark.slow
def test_a_project_is_annotated_trained_filled_and_exported(tmp_path: Path, examples: Path) -> None:
    """Training is a process of its own; the server answers meanwhile."""
    photos = examples / "nuclei" / "annotate"
    project, added = Project.init(tmp_path / "project", [photos])
    with project, open_studio(project) as (studio, client):
        assert queue_photos(project) == added.new
        ada = Annotator(client)
        for _ in range(added.new - 2):
            work = ada.next()
            assert work is not None
            record = json.loads((photos / work["image"]["name"]).with_suffix(".json").read_text("utf-8"))
            masks = [{"uid": new_uid(), "rle": one["segmentation"]} for one in record["annotations"]]
            assert ada.save(*[{"op": "add", "mask": one} for one in masks]).status_code == 200
            assert ada.submit(seconds=10.0).status_code == 204
        trained = finished(client, "/jobs/train", {"quick": True})
        assert trained["state"] == "done", trained
        (one,) = client.get(f"{API}/rounds").json()["rounds"]
        assert one["state"] in ("promoted", "kept") and one["why"]
        models = client.get(f"{API}/models").json()["models"]
        assert len(models) == 2
        assert client.post(f"{API}/models/{models[1]['id'][:12]}/promote", json={}).status_code == 204
        assert client.get(f"{API}/project").json()["model"]["id"] == models[1]["id"]
        filled = finished(client, "/jobs/prefill", {"min_probability": 0.3})
        assert filled["state"] == "done" and filled["result"]["masks"] > 0
        *_, answer = ada.prompt(points=[[100, 100]])
        assert answer["final"]
        assert client.post(f"{API}/models/start/promote", json={"why": "back"}).status_code == 204
        exported = finished(client, "/jobs/export", {"format": "coco", "photos": "none"})
        content = client.get(f"{API}/jobs/{exported['id']}/download").content
        assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        stats = client.get(f"{API}/stats").json()
        assert stats["people"][0]["tasks"] == added.new - 2
        assert client.get(f"{API}/report").text.startswith("<!doctype html")
