"""Every screen: reached, free of accessibility violations, and drawn for people to look at."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect
from studio_browser import Visit, violations

from anymask.bench.server import StudioServer

SCREENS = ("gallery", "dashboard", "agreement", "data", "jobs", "settings", "audit")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 820, "height": 1180}
PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_no_screen_shuts_anybody_out(
    running: StudioServer, browser: Browser, scheme: str, size: dict[str, int]
) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", viewport=size)  # type: ignore[arg-type]
    try:
        visit = Visit(context.new_page(), running)
        visit.open_link()
        found: dict[str, list[str]] = {}
        for screen in SCREENS:
            visit.go(screen)
            visit.page.wait_for_timeout(700)
            found[screen] = violations(visit.page)
        visit.annotate("coffee.jpg")
        visit.click(0.42, 0.45)
        expect(visit.candidates.first).to_be_visible()
        visit.page.wait_for_timeout(700)
        found["annotate"] = violations(visit.page)
        visit.page.keyboard.press("Escape")
        visit.page.keyboard.press("?")
        expect(visit.page.get_by_role("dialog")).to_be_visible()
        found["help"] = violations(visit.page)
        visit.page.keyboard.press("Escape")
        visit.page.keyboard.press("Control+k")
        expect(visit.page.get_by_role("combobox")).to_be_visible()
        found["palette"] = violations(visit.page)
        visit.page.keyboard.press("Escape")
        visit.page.keyboard.press("Control+Space")
        expect(visit.page.get_by_role("dialog")).to_be_visible()
        found["skip"] = violations(visit.page)
        assert {name: one for name, one in found.items() if one} == {}
        assert visit.complaints == []
    finally:
        context.close()


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW, PHONE], ids=["wide", "narrow", "phone"])
def test_every_screen_is_drawn(
    running: StudioServer, browser: Browser, language: str, scheme: str, size: dict[str, int], tmp_path: Path
) -> None:
    """Pictures go to the folder ANYMASK_SCREENSHOTS, if there is one."""
    folder = Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    kind = f"{language[:2]}-{scheme}-{size['width']}"
    context = browser.new_context(
        locale=language,
        color_scheme=scheme,
        viewport=size,
        reduced_motion="reduce",  # type: ignore[arg-type]
    )
    try:
        visit = Visit(context.new_page(), running)
        visit.page.goto(running.link)
        for screen in SCREENS:
            visit.go(screen)
            visit.page.wait_for_timeout(900)
            visit.page.screenshot(path=folder / f"{kind}-{screen}.png")
            wide = visit.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= size["width"], f"{screen} is wider than the window"
        visit.go(f"annotate/{visit.photo('raccoon.jpg')}")
        visit.page.wait_for_timeout(1500)
        visit.click(0.42, 0.45)
        visit.page.get_by_role("radio").first.wait_for()
        visit.page.wait_for_timeout(1500)
        visit.page.screenshot(path=folder / f"{kind}-annotate.png")
        visit.page.keyboard.press("Escape")
        assert visit.complaints == []
    finally:
        context.close()


def test_photos_are_added_and_what_is_none_is_told(visit: Visit, tmp_path: Path, examples: Path) -> None:
    liar = tmp_path / "liar.jpg"
    liar.write_bytes(b"<svg onload=alert(1)>")
    visit.go("gallery")
    chooser = visit.page.locator("input[type=file]")
    chooser.set_input_files([liar, examples / "cat.jpg"])
    expect(visit.page.get_by_text("liar.jpg", exact=False)).to_be_visible()
    expect(visit.page.get_by_text("0 added, 1 known already")).to_be_visible()


def test_masks_are_exported_and_downloaded(visit: Visit, tmp_path: Path) -> None:
    visit.annotate("coffee.jpg")
    visit.click(0.42, 0.45)
    expect(visit.candidates.first).to_be_visible()
    visit.keep()
    visit.saved()
    saved = tmp_path / "export.zip"
    visit.export(saved)
    with zipfile.ZipFile(saved) as archive:
        assert any(name.endswith(".json") for name in archive.namelist())


def test_photos_that_are_not_done_are_left_out_of_an_export(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    with visit.page.expect_response("**/submit"):
        visit.page.keyboard.press("Control+Enter")
    photos = visit.page.request.get(f"{visit.studio.address}/api/v1/images?limit=100").json()["images"]
    done = sum(one["state"] == "annotated" for one in photos)
    visit.go("data")
    visit.page.get_by_role("combobox", name="Photos").select_option("Done")
    visit.page.get_by_role("button", name="Export").click()
    told = f"{done} {'photo' if done == 1 else 'photos'}, {len(photos) - done} left out"
    expect(visit.page.get_by_text(told).first).to_be_visible(timeout=60_000)


def test_a_file_that_is_no_annotations_is_refused_in_plain_words(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk, bread")
    visit.go("data")
    visit.expects_failures = True
    visit.page.locator("input[type=file]").nth(1).set_input_files(tmp_path / "notes.txt")
    told = visit.page.get_by_text("format of")
    expect(told.first).to_be_visible()
    for text in told.all_inner_texts():
        assert "--from" not in text and "/" not in text, text


def test_a_job_that_ends_before_the_page_listens_is_shown_as_ended(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("milk, bread")
    page, held = visit.page, list[Route]()
    page.route("**/events", lambda route: held.append(route))
    page.reload()
    visit.go("data")
    with page.expect_response("**/jobs/import") as answer:
        page.locator("input[type=file]").nth(1).set_input_files(tmp_path / "notes.txt")
    url = f"{visit.studio.address}/api/v1/jobs/{answer.value.json()['id']}"
    for _ in range(400):
        if page.request.get(url).json()["state"] == "failed":
            break
        page.wait_for_timeout(50)
    expect(page.get_by_text("Import waiting")).to_be_visible()
    for route in held:
        route.continue_()
    expect(page.get_by_text("Import waiting")).to_have_count(0)
    expect(page.get_by_text("format of").first).to_be_visible()


def test_a_photo_is_handed_in_and_the_next_one_comes(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    with visit.page.expect_request("**/submit"):
        visit.page.keyboard.press("Control+Enter")
    expect(visit.page.get_by_role("application", name="Photo cat.jpg")).to_have_count(0)
    shown = visit.page.get_by_role("application")
    expect(shown).to_have_attribute("data-open", "true")
    name = str(shown.get_attribute("aria-label")).split(",")[0].removeprefix("Photo ")
    assert visit.page.url.endswith(f"#/annotate/{visit.photo(name)}")
    visit.page.go_back()
    expect(visit.page.get_by_role("application", name="Photo cat.jpg")).to_be_visible()
    visit.go("gallery")
    expect(visit.page.get_by_role("link", name="cat.jpg, Done")).to_be_visible()


def test_a_photo_is_skipped_with_a_reason(visit: Visit) -> None:
    visit.annotate("rocket.jpg")
    visit.page.keyboard.press("Control+Space")
    visit.page.get_by_role("button", name="Too blurred").click()
    expect(visit.page.get_by_role("dialog")).to_have_count(0)
    visit.go("gallery")
    expect(visit.page.get_by_role("link", name="rocket.jpg, Skipped")).to_be_visible()


def test_classes_are_made_and_given_by_digit(visit: Visit) -> None:
    visit.go("settings")
    visit.page.get_by_role("button", name="Add a class").click()
    visit.page.get_by_label("Name of class 1").fill("machine")
    visit.page.get_by_role("button", name="Save").click()
    expect(visit.page.get_by_text("Settings saved", exact=True)).to_be_visible()
    visit.annotate("city.jpg")
    expect(visit.page.get_by_role("button", name="machine")).to_be_visible()
    visit.page.keyboard.press("1")
    visit.click(0.4, 0.5)
    expect(visit.candidates.first).to_be_visible()
    visit.keep()
    visit.saved()
    assert visit.masks("city.jpg")[-1]["category"] == "machine"


def test_a_class_without_a_name_and_a_name_given_twice_are_told(visit: Visit) -> None:
    visit.go("settings")
    page = visit.page
    add, save = (
        page.get_by_role("button", name="Add a class"),
        page.get_by_role("button", name="Save", exact=True),
    )
    add.click()
    many = page.locator(".class").count()
    expect(page.get_by_label(f"Name of class {many}")).to_be_focused()
    save.click()
    expect(page.get_by_role("alert")).to_contain_text(f"Class {many} has no name")
    page.keyboard.type("lamp")
    add.click()
    page.keyboard.type("lamp")
    save.click()
    expect(page.get_by_role("alert")).to_contain_text("Two classes are called lamp")
    page.get_by_label(f"Name of class {many + 1}").fill("lantern")
    save.click()
    expect(page.get_by_text("Settings saved", exact=True)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_language_and_appearance_are_chosen_and_kept(visit: Visit) -> None:
    visit.go("settings")
    visit.page.get_by_text("한국어").click()
    expect(visit.page.get_by_role("heading", name="설정")).to_be_visible()
    visit.page.get_by_text("어둡게").click()
    visit.page.reload()
    expect(visit.page.get_by_role("heading", name="설정")).to_be_visible()
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert visit.page.evaluate("document.documentElement.lang") == "ko"
