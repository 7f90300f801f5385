"""A team in browsers of their own: somebody hands in, somebody else looks at it and sends it back."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("argon2")
from playwright.sync_api import Browser, expect
from studio_browser import Visit, join, violations

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on
from anymask.engine.project import PROJECT_FOLDER, Project
from anymask.store.annotations import branches_of

PHOTO = re.compile("^Photo ")


@pytest.fixture
def team(tmp_path: Path, examples: Path) -> Iterator[StudioServer]:
    """Two photos, and people with accounts."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat.jpg", "coffee.jpg"):
        shutil.copy(examples / name, folder)
    with running_on(folder, "--team") as studio:
        yield studio


@pytest.fixture
def people(team: StudioServer, browser: Browser, tmp_path: Path) -> Iterator[dict[str, Visit]]:
    """The first admin, who invites Ada to annotate and Rita to review; all take their invitations."""
    opened = {name: browser.new_context(locale="en-US") for name in ("admin", "ada", "rita")}
    visits = {name: Visit(context.new_page(), team) for name, context in opened.items()}
    join(visits["admin"].page, team.link)
    for name, role in (("ada", "Annotator"), ("rita", "Reviewer")):
        join(visits[name].page, invite(visits["admin"], name, role))
    yield visits
    pictures = Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path))
    for name, visit in visits.items():
        visit.page.screenshot(path=pictures / f"team-{name}.png")
        opened[name].close()
        assert visit.complaints == [], name


def invite(admin: Visit, name: str, role: str) -> str:
    admin.go("people")
    admin.page.get_by_label("Name", exact=True).fill(name)
    admin.page.get_by_label("Role", exact=True).select_option(label=role)
    admin.page.get_by_role("button", name="Invite").click()
    expect(admin.page.get_by_role("row", name=name)).to_be_visible()
    return admin.page.get_by_role("textbox", name="Copy link").input_value()


def review_all(admin: Visit) -> None:
    admin.go("settings")
    admin.page.get_by_label("Photos that a second person checks").fill("1")
    admin.page.get_by_role("button", name="Save").click()
    expect(admin.page.get_by_text("Settings saved", exact=True)).to_be_visible()


def on_screen(visit: Visit) -> str:
    shown = visit.page.get_by_role("application", name=PHOTO)
    expect(shown).to_have_attribute("data-open", "true")
    return (shown.get_attribute("aria-label") or "").split(",")[0].removeprefix("Photo ")


def draw(visit: Visit, x: int, y: int) -> None:
    page = visit.page
    page.keyboard.press("b")
    visit.stroke(x, y, x + 90, y + 20)
    page.keyboard.press("Enter")
    visit.saved()


def hand_in(visit: Visit, name: str) -> None:
    visit.page.keyboard.press("Control+Enter")
    expect(visit.page.get_by_role("application", name=f"Photo {name},")).to_have_count(0)


def test_work_is_handed_in_looked_at_sent_back_and_mended(people: dict[str, Visit], tmp_path: Path) -> None:
    admin, ada, rita = people["admin"], people["ada"], people["rita"]
    review_all(admin)
    expect(ada.page.get_by_role("navigation").get_by_role("link", name="Progress")).to_have_count(0)
    ada.page.get_by_role("link", name="Start annotating").click()
    handed_in = []
    for number in range(2):
        name = on_screen(ada)
        draw(ada, 400, 300 + 100 * number)
        hand_in(ada, name)
        handed_in.append(name)
    expect(ada.page.get_by_text("No photo waits for you")).to_be_visible()

    rita.go("annotate")
    first = on_screen(rita)
    approve = rita.page.get_by_role("button", name="Approve")
    expect(approve).to_be_visible()
    rita.page.reload()
    assert on_screen(rita) == first
    expect(approve).to_be_visible()  # a reload goes on with the review
    rita.page.get_by_role("button", name="Send back").click()
    asked = rita.page.get_by_role("dialog", name="Send back")
    expect(asked.get_by_role("button", name="Send back")).to_be_disabled()  # without a reason
    rita.page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    rita.page.keyboard.press("Control+Space")
    expect(asked.get_by_label("Why?")).to_be_focused()
    rita.page.wait_for_timeout(400)
    rita.page.screenshot(path=Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path)) / "send-back.png")
    assert violations(rita.page) == []
    rita.page.keyboard.type("the left ear is missing")
    rita.page.keyboard.press("Enter")
    expect(rita.page.get_by_role("application", name=f"Photo {first},")).to_have_count(0)
    second = on_screen(rita)
    assert second != first and {first, second} == set(handed_in)
    approve.click()
    expect(rita.page.get_by_text("No photo waits for you")).to_be_visible()

    ada.go("gallery")
    ada.page.get_by_role("link", name="Continue annotating").click()
    assert on_screen(ada) == first
    expect(ada.page.get_by_text("the left ear is missing")).to_be_visible()
    draw(ada, 700, 400)
    ada.in_list(2)
    hand_in(ada, first)

    rita.go("gallery")
    rita.page.get_by_role("link", name="annotating").click()
    assert on_screen(rita) == first
    rita.in_list(2)
    rita.page.keyboard.press("Control+Enter")  # without a mouse
    expect(rita.page.get_by_text("No photo waits for you")).to_be_visible()

    admin.go("dashboard")
    table = admin.page.get_by_role("table").last
    expect(table.get_by_role("row", name="rita Review")).to_be_visible()
    expect(table.get_by_role("row", name="ada Annotate")).to_be_visible()
    assert {one["author"] for one in admin.masks(first)} == {"ada"}


def test_a_photo_that_went_to_somebody_else_while_one_draws(
    people: dict[str, Visit], team: StudioServer
) -> None:
    """The work is kept as a branch, and they are told."""
    ada, rita = people["ada"], people["rita"]
    ada.annotate("cat.jpg")
    give_back(ada, "cat.jpg")
    rita.annotate("cat.jpg")
    draw(rita, 400, 300)
    ada.expects_failures = True  # the browser logs the answers that say so
    draw(ada, 600, 500)
    expect(ada.page.get_by_text("the server keeps it as a branch")).to_be_visible()
    ada.in_list(1)  # what is not saved is not shown as if it were
    masks = rita.masks("cat.jpg")
    assert [one["author"] for one in masks] == ["rita"]
    with Project.open(team.folder / PROJECT_FOLDER, read_only=True) as project:
        (branch,) = branches_of(project.database, ada.photo("cat.jpg"))
    assert branch["author"] == "ada" and len(branch["adds"]) == 1


def test_a_reviewer_takes_over_what_somebody_draws_on(
    people: dict[str, Visit], browser: Browser, team: StudioServer, tmp_path: Path
) -> None:
    """Their work is kept as a branch; their page says who has the photo, and offers nothing."""
    ada, rita = people["ada"], people["rita"]
    ada.annotate("cat.jpg")
    draw(ada, 400, 300)
    rita.expects_failures = True  # the browser logs the answers that say so
    rita.annotate("cat.jpg")
    notice = rita.page.locator(".held")
    expect(notice).to_contain_text("ada works on this photo")
    expect(notice).to_contain_text("What ada has not saved yet is kept as a branch.")
    expect(rita.page.get_by_role("button", name="Done")).to_be_disabled()
    rita.in_list(1)
    look_at_the_notice(rita, browser, tmp_path)
    notice.get_by_role("button", name="Take over").press("Enter")
    expect(notice).to_have_count(0)
    expect(rita.page.get_by_role("button", name="Done")).to_be_enabled()
    on_screen(rita)
    draw(rita, 500, 400)
    rita.in_list(2)

    ada.expects_failures = True
    draw(ada, 600, 500)
    expect(ada.page.get_by_text("the server keeps it as a branch")).to_be_visible()
    expect(ada.page.locator(".held")).to_have_text("rita works on this photo")
    ada.in_list(2)
    ada.page.reload()
    expect(ada.page.locator(".held")).to_have_text("rita works on this photo")
    expect(ada.page.get_by_role("button", name="Take over")).to_have_count(0)
    assert violations(ada.page) == []
    with Project.open(team.folder / PROJECT_FOLDER, read_only=True) as project:
        (branch,) = branches_of(project.database, ada.photo("cat.jpg"))
    assert branch["author"] == "ada"


def look_at_the_notice(rita: Visit, browser: Browser, folder: Path) -> None:
    pictures = Path(os.environ.get("ANYMASK_SCREENSHOTS", folder))
    for language, scheme, width in (
        ("en-US", "light", 360),
        ("ko-KR", "dark", 360),
        ("en-US", "light", 1440),
        ("ko-KR", "dark", 1440),
    ):
        context = browser.new_context(
            locale=language,
            color_scheme=scheme,
            viewport={"width": width, "height": 800},
            storage_state={"cookies": rita.page.context.storage_state()["cookies"]},
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(rita.page.url)
        expect(page.locator("[data-open=true]")).to_be_visible()
        expect(page.locator(".held").get_by_role("button")).to_be_visible()
        page.wait_for_timeout(400)
        page.screenshot(path=pictures / f"held-{language[:2]}-{width}.png")
        assert violations(page) == [], (language, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def test_a_photo_that_was_sent_back_is_taken_over(people: dict[str, Visit], tmp_path: Path) -> None:
    admin, ada, rita = people["admin"], people["ada"], people["rita"]
    review_all(admin)
    ada.annotate("cat.jpg")
    draw(ada, 400, 300)
    hand_in(ada, "cat.jpg")
    rita.go("annotate")
    assert on_screen(rita) == "cat.jpg"
    rita.page.get_by_role("button", name="Send back").click()
    rita.page.keyboard.type("the left ear is missing")
    rita.page.keyboard.press("Enter")
    expect(rita.page.get_by_role("application", name="Photo cat.jpg,")).to_have_count(0)
    rita.expects_failures = True
    rita.annotate("cat.jpg")
    expect(rita.page.locator(".held")).to_contain_text("This photo was sent back to ada")
    rita.page.get_by_role("button", name="Take over").click()
    expect(rita.page.locator(".held")).to_have_count(0)
    on_screen(rita)
    draw(rita, 700, 400)
    rita.in_list(2)
    hand_in(rita, "cat.jpg")


def test_progress_tells_reviewers_what_a_second_person_has_to_annotate(
    people: dict[str, Visit], tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path))
    admin, ada, rita = people["admin"], people["ada"], people["rita"]
    admin.go("settings")
    admin.page.get_by_label("Photos that two people annotate").fill("1")
    admin.page.get_by_role("button", name="Save").click()
    expect(admin.page.get_by_text("Settings saved", exact=True)).to_be_visible()
    ada.annotate("cat.jpg")
    hand_in(ada, "cat.jpg")
    for screen in ("gallery", "dashboard"):
        rita.go(screen)
        expect(rita.page.get_by_text("1 second annotation waits")).to_be_visible()
        for width in (1440, 360):
            rita.page.set_viewport_size({"width": width, "height": 800})
            rita.page.wait_for_timeout(400)
            rita.page.screenshot(path=pictures / f"second-{screen}-{width}.png")
        assert violations(rita.page) == []
    ada.go("gallery")
    expect(ada.page.get_by_text("1 of 2 done")).to_be_visible()
    expect(ada.page.get_by_text("second annotation")).to_have_count(0)


def give_back(visit: Visit, name: str) -> None:
    """As when a lease has run out."""
    request, headers = visit.page.request, {"Origin": visit.studio.address}
    url = f"{visit.studio.address}/api/v1"
    lease = request.post(f"{url}/images/{visit.photo(name)}/open", data={}, headers=headers).json()["lease"]
    held = {"token": lease["token"]}
    assert request.post(f"{url}/tasks/{lease['task']}/release", data=held, headers=headers).status == 204
