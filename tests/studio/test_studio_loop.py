"""The whole loop through the browser alone: annotate, let the model learn, better suggestions, export."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("cv2")
from playwright.sync_api import BrowserContext, Route, expect
from studio_browser import Visit
from studio_hand import draw_boxes, scores_of, title, truth_of

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on
from anymask.core.mask import Mask

ANNOTATED = 6
WAIT_S = 1_800  # on a machine with much else to do


@pytest.fixture
def nuclei(tmp_path: Path, examples: Path) -> Iterator[StudioServer]:
    """A studio of its own on the twelve shipped photos, without their masks."""
    folder = tmp_path / "nuclei"
    folder.mkdir()
    for photo in (examples / "nuclei").rglob("*.webp"):
        shutil.copy(photo, folder)
    with running_on(folder) as studio:
        yield studio


def picture(visit: Visit, name: str, tmp_path: Path) -> None:
    """To the folder ANYMASK_SCREENSHOTS, if there is one."""
    folder = Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    visit.page.wait_for_timeout(700)
    visit.page.screenshot(path=folder / f"loop-{name}.png")


def suggest(visit: Visit) -> None:
    """Suggestions for all photos that nobody has done, by the button; waits for them."""
    visit.go("dashboard")
    with visit.page.expect_response("**/jobs/prefill") as answer:
        visit.page.get_by_role("button", name="Suggest masks on new photos").click()
    wait_for_job(visit, answer.value.json()["id"])


def wait_for_job(visit: Visit, number: int) -> None:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        job = visit.page.request.get(f"{visit.studio.address}/api/v1/jobs/{number}").json()
        if job["state"] not in ("queued", "running"):
            assert job["state"] == "done", job
            return
        visit.page.wait_for_timeout(500)
    raise AssertionError(job)


def quick(route: Route) -> None:
    """A round of a minute instead of several, for the sake of the test."""
    route.continue_(post_data=json.dumps({"quick": True}))


def test_a_few_photos_are_annotated_and_the_rest_get_better_suggestions(
    nuclei: StudioServer, context: BrowserContext, examples: Path, tmp_path: Path
) -> None:
    truth = truth_of(examples / "nuclei")
    visit = Visit(context.new_page(), nuclei)
    visit.open_link()
    visit.page.get_by_role("link", name="Start annotating").click()
    done: list[str] = []
    for _ in range(ANNOTATED):
        name = title(visit)
        assert name not in done
        draw_boxes(visit, truth[name])
        expect(visit.page.get_by_role("heading", name=f"Masks {len(truth[name])}")).to_be_visible()
        if not done:
            picture(visit, "1-annotated", tmp_path)
        done.append(name)
        visit.page.keyboard.press("Control+Enter")
        expect(visit.page.get_by_role("application", name=f"Photo {name},")).to_have_count(0)
    drawn = [
        one.iou(Mask.from_rle(mask["rle"]))
        for name in done
        for one, mask in zip(truth[name], visit.masks(name), strict=True)
    ]

    suggest(visit)
    photos = visit.page.request.get(f"{nuclei.address}/api/v1/images?limit=100").json()["images"]
    rest = [one["name"] for one in photos if one["state"] == "prefilled"]
    before = scores_of({name: visit.masks(name) for name in rest}, truth)

    visit.page.route("**/jobs/train", quick)
    with visit.page.expect_response("**/jobs/train") as answer:
        visit.page.get_by_role("button", name="Learn now").click()
    expect(visit.page.get_by_role("progressbar", name="Learning")).to_be_visible()
    picture(visit, "2-learning", tmp_path)
    begun = time.monotonic()
    wait_for_job(visit, answer.value.json()["id"])
    seconds = time.monotonic() - begun
    expect(visit.page.get_by_text("taken into use")).to_be_visible()
    picture(visit, "3-learned", tmp_path)

    suggest(visit)
    after = scores_of({name: visit.masks(name) for name in rest}, truth)
    print(
        f"\nboxes {sum(drawn) / len(drawn):.3f}; {before} -> {after} on {len(rest)} photos; {seconds:.0f} s"
    )
    assert len(rest) >= 4
    assert after.ar > before.ar + 0.05, "more of what is there is found"
    assert after.f1 > before.f1 - 0.1, "and what is found is about as right"

    visit.go("gallery")
    visit.page.get_by_role("link", name="Continue annotating").click()
    name = title(visit)
    visit.page.get_by_role("button", name="All right").click()
    visit.saved()
    picture(visit, "4-suggested", tmp_path)
    assert {one["stage"] for one in visit.masks(name)} == {"semi"}

    saved = tmp_path / "export.zip"
    visit.export(saved)
    picture(visit, "5-exported", tmp_path)
    check_export(saved, done, visit)
    assert visit.complaints == []


def check_export(saved: Path, done: list[str], visit: Visit) -> None:
    """What was drawn is in the file, bit by bit."""
    with zipfile.ZipFile(saved) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".json")]
        content = json.loads(archive.read(path))
    names = {one["id"]: Path(one["file_name"]).name for one in content["images"]}
    for name in done:
        told = [one for one in content["annotations"] if names[one["image_id"]] == name]
        assert [one["segmentation"] for one in told] == [one["rle"] for one in visit.masks(name)]
