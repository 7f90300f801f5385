"""Photos whose files are gone or damaged: told calmly in the gallery, and the queue goes on behind them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from studio_browser import Visit, violations

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on


@pytest.fixture
def broken(tmp_path: Path, examples: Path) -> Iterator[StudioServer]:
    """Three photos, of which one goes and one breaks while the studio runs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat.jpg", "coffee.jpg", "rocket.jpg"):
        shutil.copy(examples / name, folder)
    with running_on(folder) as studio:
        (folder / "cat.jpg").unlink()
        (folder / "coffee.jpg").write_bytes(b"no photo any more")
        yield studio


@pytest.mark.parametrize(
    "language, lost", [("en-US", "File missing or damaged"), ("ko-KR", "파일이 없거나 손상됨")]
)
def test_the_gallery_says_which_files_are_lost(
    broken: StudioServer, browser: Browser, language: str, lost: str, tmp_path: Path
) -> None:
    context = browser.new_context(locale=language)
    visit = Visit(context.new_page(), broken)
    visit.expects_failures = True
    visit.page.goto(broken.link)
    grid = visit.page.get_by_role("listitem")
    expect(grid.filter(has_text=lost)).to_have_count(2)
    expect(grid.filter(has_text="rocket.jpg").locator("img")).to_have_count(1)
    expect(visit.page.get_by_role("link", name="cat.jpg")).to_have_accessible_name(re.compile(f", {lost}$"))
    assert violations(visit.page) == []
    visit.page.screenshot(path=pictures(tmp_path) / f"lost-{language}.png")
    assert visit.complaints == []
    context.close()


def test_a_photo_that_cannot_be_opened_is_skipped_with_its_reason_and_the_next_comes(
    broken: StudioServer, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), broken)
    page = visit.page
    visit.expects_failures = True
    visit.open_link()
    visit.go(f"annotate/{visit.photo('cat.jpg')}")
    expect(page.get_by_text("cat.jpg is not there any more")).to_be_visible()
    page.screenshot(path=pictures(tmp_path) / "lost-photo.png")
    page.get_by_role("button", name="Next photo").click()
    expect(page.get_by_text("coffee.jpg has changed")).to_be_visible()

    page.keyboard.press("Control+Space")  # without a mouse
    reason = page.get_by_role("textbox", name="Something else")
    expect(reason).to_have_value("coffee.jpg has changed since it was added: put the photo back or add its "
                                 "new folder to the project")  # fmt: skip
    page.screenshot(path=pictures(tmp_path) / "lost-skip.png")
    expect(reason).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("cat.jpg is not there any more")).to_be_visible()  # held since it was opened
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("dialog").get_by_role("button", name="Skip").click()
    expect(page.get_by_role("application", name="Photo rocket.jpg")).to_have_attribute("data-open", "true")
    visit.go("gallery")
    for name in ("cat.jpg", "coffee.jpg"):
        expect(page.get_by_role("link", name=f"{name}, Skipped")).to_be_visible()
    assert visit.complaints == []
    context.close()


def test_the_audit_passes_over_a_photo_that_is_lost(tmp_path: Path, examples: Path, visit: Visit) -> None:
    folder = tmp_path / "audited"
    folder.mkdir()
    shutil.copy(examples / "coffee.jpg", folder)
    with running_on(folder) as studio:
        here = Visit(visit.page.context.new_page(), studio)
        here.expects_failures = True
        here.open_link()
        api, headers = f"{studio.address}/api/v1", {"Origin": studio.address}
        asked = {"stage": "automatic", "min_probability": 0.5}
        assert here.page.request.post(f"{api}/jobs/prefill", data=asked, headers=headers).ok
        here.go("jobs")
        expect(here.page.get_by_text("done", exact=True)).to_be_visible(timeout=60_000)
        (folder / "coffee.jpg").unlink()
        studio.kill()  # which still had its pixels
        studio.start()
        here.open_link()
        here.go("audit")
        expect(here.page.get_by_text("File missing or damaged: coffee.jpg")).to_be_visible()
        expect(here.page.get_by_text("Nothing to audit")).to_be_visible()
        assert here.complaints == []


def pictures(folder: Path) -> Path:
    return Path(os.environ.get("ANYMASK_SCREENSHOTS", folder))
