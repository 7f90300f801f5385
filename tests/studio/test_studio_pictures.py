"""The pictures of docs/how-to/studio.md, made as a person would see the page.

ANYMASK_DOCS_PICTURES=docs/images pytest tests/studio/test_studio_pictures.py   writes them anew
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect
from studio_browser import Visit

from anymask.bench.server import StudioServer

ROOT = Path(__file__).resolve().parents[2]
WIDE: Any = {"width": 1200, "height": 750}
PHONE: Any = {"width": 390, "height": 780}
MAX_BYTES = 120_000
SPOON, CUP = (0.483, 0.653), (0.36, 0.3)  # shares of the wide screen


def take(page: Page, folder: Path, name: str) -> None:
    page.wait_for_timeout(600)  # nothing moves any more
    path = folder / f"studio-{name}.webp"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=78, method=6)
    assert path.stat().st_size < MAX_BYTES


def test_the_pictures_of_the_docs_can_be_made_and_are_there(
    running: StudioServer, browser: Browser, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("ANYMASK_DOCS_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(locale="en-US", viewport=WIDE, reduced_motion="reduce")
    visit = Visit(context.new_page(), running)
    visit.open_link()
    visit.page.get_by_role("link", name="coffee.jpg").locator("img").wait_for()
    take(visit.page, folder, "photos")
    visit.annotate("coffee.jpg")
    visit.click(*SPOON)
    expect(visit.candidates).to_have_count(3)
    visit.keep()
    visit.click(*CUP)
    expect(visit.candidates).to_have_count(3)
    take(visit.page, folder, "candidates")
    visit.page.keyboard.press("v")
    expect(visit.page.get_by_text("Drawing", exact=True)).to_be_visible()
    take(visit.page, folder, "corners")
    visit.page.keyboard.press("Escape")
    visit.page.keyboard.press("Control+k")
    visit.page.get_by_role("combobox").fill("mask")
    take(visit.page, folder, "commands")
    assert visit.complaints == []
    context.close()
    small = browser.new_context(
        locale="ko-KR", viewport=PHONE, color_scheme="dark", has_touch=True, reduced_motion="reduce"
    )
    phone = Visit(small.new_page(), running)
    phone.page.goto(running.link)
    phone.go(f"annotate/{phone.photo('raccoon.jpg')}")
    phone.page.wait_for_selector("[data-open=true]")
    phone.page.touchscreen.tap(200, 350)
    phone.page.get_by_role("radio").first.wait_for()
    phone.page.wait_for_timeout(1500)
    take(phone.page, folder, "phone")
    small.close()


def test_every_picture_that_the_docs_show_is_in_the_repository() -> None:
    text = (ROOT / "docs" / "how-to" / "studio.md").read_text("utf-8")
    shown = re.findall(r"images/(studio-\w+\.webp)", text)
    assert shown
    assert [name for name in shown if not (ROOT / "docs" / "images" / name).is_file()] == []
