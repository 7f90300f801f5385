"""Corners of outlines, fingers and pens, a person's own keys, everything by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, expect
from studio_browser import Visit

from anymask.bench.server import StudioServer


def drawn_square(visit: Visit, x: int, y: int, side: int) -> None:
    """A square by the lasso, kept."""
    mouse = visit.page.mouse
    visit.page.keyboard.press("p")
    mouse.move(x, y)
    mouse.down()
    for at in ((x + side, y), (x + side, y + side), (x, y + side), (x, y + 1)):
        mouse.move(*at, steps=6)
    mouse.up()
    visit.page.keyboard.press("Enter")


def test_a_corner_is_dragged_added_on_an_edge_taken_away_and_undone(visit: Visit) -> None:
    visit.annotate("city.jpg")
    page = visit.page
    before = len(visit.masks("city.jpg"))
    drawn_square(visit, 400, 300, 160)
    visit.in_list(before + 1)
    visit.saved()
    square = visit.masks("city.jpg")[-1]["area"]
    page.keyboard.press("v")
    page.mouse.click(480, 380)
    expect(page.get_by_text("Drawing", exact=True)).to_be_visible()
    visit.stroke(560, 460, 620, 520, steps=5)  # the corner at the bottom right goes out
    visit.stroke(480, 300, 480, 350, steps=5)  # a new one in the middle of the upper edge goes in
    with page.expect_response("**/actions"):
        page.keyboard.press("Enter")
    visit.in_list(before + 1)
    visit.saved()
    dragged = visit.masks("city.jpg")[-1]
    assert square * 1.05 < dragged["area"] < square * 1.6
    page.mouse.click(480, 420)
    expect(page.get_by_text("Drawing", exact=True)).to_be_visible()
    page.mouse.click(480, 350, button="right")  # the new one is taken away again
    with page.expect_response("**/actions"):
        page.keyboard.press("Enter")
    visit.saved()
    assert visit.masks("city.jpg")[-1]["area"] > dragged["area"] * 1.05
    for _ in range(2):
        page.keyboard.press("Control+z")
    visit.saved()
    assert visit.masks("city.jpg")[-1]["area"] == square


def test_a_mask_that_is_edited_keeps_its_colour_and_its_name(visit: Visit, tmp_path: Path) -> None:
    visit.annotate("coffee.jpg")
    page = visit.page
    before = len(visit.masks("coffee.jpg"))
    for x in (300, 460, 620):
        drawn_square(visit, x, 240, 100)
    visit.in_list(before + 3)
    rows = page.get_by_role("complementary", name="Masks").get_by_role("listitem")

    def seen() -> list[tuple[str, str | None]]:
        names, thumbs = rows.locator(".label").all_inner_texts(), rows.locator(".thumb").all()
        return [(name, thumb.get_attribute("style")) for name, thumb in zip(names, thumbs, strict=True)]

    drawn = seen()
    area = visit.masks("coffee.jpg")[before]["area"]
    rows.nth(2).get_by_role("button").first.click()  # the first that was drawn
    page.keyboard.press("b")
    visit.stroke(340, 330, 380, 360)
    page.keyboard.press("Enter")
    visit.saved()
    assert visit.masks("coffee.jpg")[before]["area"] > area
    page.screenshot(path=Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path)) / "edited.png")
    assert seen() == drawn
    page.reload()
    visit.in_list(before + 3)
    assert seen() == drawn


def test_corners_are_moved_without_a_mouse(visit: Visit) -> None:
    visit.annotate("rocket.jpg")
    page = visit.page
    before = len(visit.masks("rocket.jpg"))
    drawn_square(visit, 500, 300, 120)
    visit.saved()
    square = visit.masks("rocket.jpg")[-1]["area"]
    page.get_by_role("complementary", name="Masks").get_by_role("button", pressed=False).filter(
        has_text="px"
    ).first.press("Enter")
    page.get_by_role("application").focus()
    keys = page.keyboard
    keys.press("v")
    keys.press("Tab")
    expect(page.get_by_text("Corner 1 of")).to_be_attached()
    for _ in range(3):
        keys.press("Shift+ArrowLeft")
    keys.press("Shift+ArrowUp")
    keys.press("Enter")
    visit.saved()
    visit.in_list(before + 1)
    assert visit.masks("rocket.jpg")[-1]["area"] != square


class Fingers:
    """Touches of several fingers at once."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session

    def put(self, *places: tuple[float, float]) -> None:
        self._send("touchStart", places)

    def move(self, *places: tuple[float, float]) -> None:
        self._send("touchMove", places)

    def lift(self) -> None:
        self._send("touchEnd", ())

    def _send(self, kind: str, places: tuple[tuple[float, float], ...]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.fixture
def tablet(running: StudioServer, browser: Browser) -> Iterator[Visit]:
    size: Any = {"width": 820, "height": 1180}
    context = browser.new_context(has_touch=True, viewport=size, locale="en-US")
    made = Visit(context.new_page(), running)
    made.open_link()
    yield made
    context.close()
    assert made.complaints == []


def test_two_fingers_zoom_and_one_moves_the_photo(tablet: Visit) -> None:
    tablet.annotate("raccoon.jpg")
    page = tablet.page
    fingers = Fingers(page.context.new_cdp_session(page))
    scale = page.get_by_role("group", name="Zoom").get_by_role("button").nth(1)
    before = int((scale.inner_text()).split()[0])
    fingers.put((380, 500), (440, 500))
    for apart in range(40, 160, 20):
        fingers.move((410 - apart, 500), (410 + apart, 500))
    fingers.lift()
    expect(scale).not_to_have_text(f"{before} %")
    assert int((scale.inner_text()).split()[0]) > 2 * before
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    fingers.put((400, 500))
    fingers.move((300, 450))
    fingers.move((250, 430))
    fingers.lift()
    page.wait_for_timeout(300)
    assert not [url for url in asked if url.endswith("/prompt")], "moving the photo is no click"


def test_a_finger_that_stays_takes_away(tablet: Visit) -> None:
    tablet.annotate("raccoon.jpg")
    page = tablet.page
    page.touchscreen.tap(400, 500)
    expect(tablet.candidates.first).to_be_visible()
    fingers = Fingers(page.context.new_cdp_session(page))
    with page.expect_request("**/prompt") as sent:
        fingers.put((300, 620))
        page.wait_for_timeout(700)
        fingers.lift()
    assert sent.value.post_data_json["prompt"]["labels"] == [1, 0]
    page.get_by_role("button", name="Cancel").tap()


def pressed_stroke(visit: Visit, y: int, force: float) -> None:
    """A pen, which the browser can only be told of as events of the page."""
    visit.page.evaluate(
        """([y, pressure]) => {
            const photo = document.querySelector("[role=application]");
            photo.setPointerCapture = () => {};
            const send = (name, x, pressure) => photo.dispatchEvent(new PointerEvent(name, {
                pointerId: 9, pointerType: "pen", pressure, button: 0, buttons: 1, bubbles: true,
                clientX: x, clientY: y,
            }));
            send("pointerdown", 400, pressure);
            for (let x = 420; x <= 600; x += 20) send("pointermove", x, pressure);
            send("pointerup", 600, 0);
        }""",
        [y, force],
    )
    visit.page.keyboard.press("Enter")


def test_a_pen_that_is_pressed_harder_draws_wider_and_the_palm_draws_nothing(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    before = len(visit.masks("cat.jpg"))
    visit.page.keyboard.press("b")
    pressed_stroke(visit, 300, 0.2)
    visit.in_list(before + 1)
    pressed_stroke(visit, 500, 0.9)
    visit.in_list(before + 2)
    visit.saved()
    light, hard = (one["area"] for one in visit.masks("cat.jpg")[-2:])
    assert hard > 1.8 * light
    visit.page.evaluate(
        """() => {
            const photo = document.querySelector("[role=application]");
            const at = { clientX: 500, clientY: 600, bubbles: true };
            const send = (name, pointerType, pointerId) =>
                photo.dispatchEvent(new PointerEvent(name, { pointerId, pointerType, ...at }));
            send("pointermove", "pen", 9);  // near, not pressed
            send("pointerdown", "touch", 3);
        }"""
    )
    expect(visit.page.get_by_text("Drawing", exact=True)).to_have_count(0)


def test_a_key_is_chosen_a_clash_is_told_and_the_help_shows_it(visit: Visit) -> None:
    page = visit.page
    visit.go("settings")
    page.get_by_role("button", name="Brush: B. Change the key").click()
    page.keyboard.press("Control+w")
    expect(page.get_by_text("belongs to the browser")).to_be_visible()
    page.keyboard.press("e")
    expect(page.get_by_text("E is already: Eraser")).to_be_visible()
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("button", name="Brush: E. Change the key")).to_be_visible()
    expect(page.get_by_role("button", name="Eraser: none. Change the key")).to_be_visible()
    page.reload()
    visit.annotate("cat.jpg")
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Brush", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="Brush", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    row = page.get_by_role("dialog").locator("dl > div").filter(has_text="Brush").first
    expect(row.locator("kbd")).to_have_text("E")
    page.keyboard.press("Escape")
    visit.go("settings")
    page.get_by_role("button", name="As they were").click()
    expect(page.get_by_role("button", name="Brush: B. Change the key")).to_be_visible()


def test_everything_is_found_by_its_name_in_either_language(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    page = visit.page
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="What do you want to do?")
    expect(field).to_be_focused()
    field.fill("지우개")
    expect(page.get_by_role("option")).to_have_count(1)
    expect(page.get_by_role("option")).to_contain_text("Eraser")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Eraser", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+k")
    field.fill("coffee")
    page.keyboard.press("Enter")
    expect(page.get_by_role("application", name="Photo coffee.jpg")).to_be_visible()
    page.keyboard.press("Control+k")
    field.fill("nothing of the sort")
    expect(page.get_by_text("Nothing of that name")).to_be_visible()
    field.fill("progress")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Progress")).to_be_visible()
