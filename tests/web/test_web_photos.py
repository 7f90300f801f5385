"""Looking at photos: pages of them, renditions, caching, tiles."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from studio_client import API, Annotator, error_of

from anymask.images.reader import read_image, read_reduced
from anymask.images.renditions import TILE, levels_of, rendition, tile
from anymask.web.studio import Studio


def test_photos_come_in_pages(client: TestClient) -> None:
    first = client.get(f"{API}/images?limit=2").json()
    rest = client.get(f"{API}/images?limit=9&after={first['next']}").json()
    names = [one["name"] for one in first["images"] + rest["images"]]
    assert len(set(names)) == 5 and rest["next"] is None


def test_photos_are_filtered_by_state(ada: Annotator) -> None:
    ada.open(2)
    ada.save({"op": "add", "mask": {"uid": "a", "rle": __import__("studio_client").square(1).rle}})
    ada.submit()
    assert [one["id"] for one in ada.get("/images?state=annotated").json()["images"]] == [2]


@pytest.mark.parametrize("path", ["photo", "photo?size=full", "thumbnail"])
def test_a_photo_is_shown_upright_as_jpeg(client: TestClient, path: str) -> None:
    answer = client.get(f"{API}/images/1/{path}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (128, 96)


def test_a_photo_that_is_turned_by_exif_is_upright(tmp_path: Path) -> None:
    from studio_client import open_studio

    from anymask.engine.project import Project

    exif = Image.Exif()
    exif[0x0112] = 6
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (40, 20), "red").save(folder / "turned.jpg", exif=exif)
    project, _ = Project.init(tmp_path / "p", [folder], model="disk")
    with project, open_studio(project) as (_, client):
        told = client.get(f"{API}/images/1").json()
        shown = Image.open(io.BytesIO(client.get(f"{API}/images/1/photo").content))
    assert (told["width"], told["height"]) == shown.size == (20, 40)
    assert shown.getexif().get(0x0112, 1) == 1


def test_a_photo_is_sent_once(client: TestClient) -> None:
    told = client.get(f"{API}/images/1").json()
    answer = client.get(f"{API}/images/1/photo?v={told['hash']}")
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(f"{API}/images/1/photo", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


def test_there_is_no_such_photo(client: TestClient) -> None:
    for path in ("", "/photo", "/thumbnail", "/tiles/0/0/0"):
        assert client.get(f"{API}/images/99{path}").status_code in (400, 404)
    assert error_of(client.get(f"{API}/images/99"))["code"] == "not_found"


def test_what_was_meta_data_of_a_file_is_not_passed_on(client: TestClient, studio: Studio) -> None:
    path = sorted(Path(studio.project.config.photos[0]).glob("*.png"))[0]
    assert client.get(f"{API}/images/1/photo").content[:3] == b"\xff\xd8\xff"
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_large_photos_have_tiles_of_every_level() -> None:
    levels = levels_of((9_000, 6_000))
    assert [one.scale for one in levels] == [1, 2, 4, 8, 16, 32]
    assert (levels[-1].height, levels[-1].width) == (282, 188)
    assert levels_of((4_000, 3_000)) == []


def test_tiles_make_up_the_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.images.renditions.TILED_PIXELS", 1_000)
    y, x = np.mgrid[:700, :900]
    photo = np.stack([x % 256, y % 256, (x + y) % 256], axis=2).astype(np.uint8) // 4 + 60
    whole = np.zeros_like(photo)
    for row in range(2):
        for column in range(2):
            part = np.asarray(Image.open(io.BytesIO(tile(photo, 0, column, row))))
            whole[row * TILE :, column * TILE :][: part.shape[0], : part.shape[1]] = part
    assert np.abs(whole.astype(int) - photo).mean() < 3
    small = Image.open(io.BytesIO(tile(photo, 1, 0, 0)))
    assert small.size == (450, 350)


def test_a_rendition_is_at_most_so_large() -> None:
    shown = Image.open(io.BytesIO(rendition(np.zeros((300, 1_200, 3), np.uint8), 320)))
    assert shown.size == (320, 80)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_reduced_while_it_is_decoded(orientation: int) -> None:
    y, x = np.mgrid[:1_200, :1_600]
    photo = np.stack([x // 7, y // 5, (x + y) // 12], axis=2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with io.BytesIO() as file:
        Image.fromarray(photo).save(file, "JPEG", quality=95, exif=exif)
        content = file.getvalue()
    small = read_reduced(content, 320)
    whole = Image.fromarray(read_image(content))
    assert max(small.shape) == 400 and (small.shape[0] > small.shape[1]) == (orientation == 6)
    expected = np.asarray(whole.reduce(4))
    assert np.abs(small.astype(int) - expected).mean() < 3


def test_a_reduced_photo_obeys_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from anymask.errors import BadImage

    monkeypatch.setattr("anymask.images.reader._default_limit", lambda: 1_000)
    with io.BytesIO() as file:
        Image.new("RGB", (100, 100)).save(file, "JPEG")
        with pytest.raises(BadImage, match="at most"):
            read_reduced(file.getvalue(), 10)
