"""Lines that break, servers that stop, sessions that end, two pages on one photo: no stroke is lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import APIResponse, BrowserContext, Route, expect
from studio_browser import Visit


def draw(visit: Visit, x: int, y: int) -> None:
    page = visit.page
    page.keyboard.press("b")
    visit.stroke(x, y, x + 70, y + 10)
    page.keyboard.press("Enter")


def next_page(visit: Visit, context: BrowserContext, x: int, y: int) -> Visit:
    """Of a browser whose page before was closed with a stroke that it could not send."""
    visit.expects_failures = True
    context.set_offline(True)
    draw(visit, x, y)
    expect(visit.page.get_by_text("Offline, 1 waiting")).to_be_visible()
    visit.page.close(run_before_unload=False)
    context.set_offline(False)
    return Visit(context.new_page(), visit.studio)


def test_what_is_drawn_offline_is_sent_when_the_line_is_back(visit: Visit, context: BrowserContext) -> None:
    visit.annotate("rocket.jpg")
    before = len(visit.masks("rocket.jpg"))
    visit.expects_failures = True
    context.set_offline(True)
    draw(visit, 400, 300)
    draw(visit, 500, 400)
    expect(visit.page.get_by_text("Offline, 2 waiting")).to_be_visible()
    context.set_offline(False)
    visit.saved()
    assert len(visit.masks("rocket.jpg")) == before + 2


def test_a_server_that_stops_and_starts_again_gets_everything(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    before = len(visit.masks("cat.jpg"))
    visit.expects_failures = True
    visit.studio.stop()
    draw(visit, 420, 500)
    expect(visit.page.get_by_text("Offline, 1 waiting")).to_be_visible()
    visit.studio.start()
    visit.saved()
    assert len(visit.masks("cat.jpg")) == before + 1


def test_work_of_a_page_closed_offline_is_sent_by_the_next(visit: Visit, context: BrowserContext) -> None:
    visit.annotate("city.jpg")
    before = len(visit.masks("city.jpg"))
    again = next_page(visit, context, 450, 450)
    again.go(f"annotate/{again.photo('city.jpg')}")
    again.saved()
    again.in_list(before + 1)  # and shows it, lest it is drawn again
    assert len(again.masks("city.jpg")) == before + 1


def test_work_that_arrives_while_the_next_page_opens_the_photo_is_shown(
    visit: Visit, context: BrowserContext
) -> None:
    visit.annotate("city.jpg")
    before = len(visit.masks("city.jpg"))
    again = next_page(visit, context, 250, 450)
    held: list[tuple[Route, APIResponse]] = []
    again.page.route("**/open", lambda route: held.append((route, route.fetch())), times=1)
    again.go(f"annotate/{again.photo('city.jpg')}")
    for _ in range(100):
        if len(again.masks("city.jpg")) == before + 1:
            break
        again.page.wait_for_timeout(100)
    ((route, answer),) = held
    route.fulfill(response=answer)
    again.in_list(before + 1)
    draw(again, 650, 300)
    again.in_list(before + 2)
    again.saved()
    assert len(again.masks("city.jpg")) == before + 2


def test_two_pages_on_one_photo_keep_the_masks_of_both(visit: Visit, context: BrowserContext) -> None:
    other = Visit(context.new_page(), visit.studio)
    other.open_link()
    for one in (visit, other):
        one.expects_failures = True  # the browser logs the 409 that is answered by sending again
        one.annotate("coffee.jpg")
    before = len(visit.masks("coffee.jpg"))
    draw(visit, 300, 300)
    visit.saved()
    draw(other, 600, 600)
    other.saved()
    assert len(visit.masks("coffee.jpg")) == before + 2
    other.in_list(before + 2)
    assert other.complaints == []


def test_a_drawing_that_was_left_by_the_back_button_is_still_there(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    visit.annotate("cat.jpg")
    before = len(visit.masks("cat.jpg"))
    page = visit.page
    page.keyboard.press("b")
    visit.stroke(400, 350, 500, 360)
    page.go_back()
    expect(page.get_by_role("application", name="Photo coffee.jpg")).to_have_attribute("data-open", "true")
    page.go_forward()
    expect(page.get_by_text("Your drawing is still here.")).to_be_visible()
    page.keyboard.press("Enter")
    visit.in_list(before + 1)
    visit.saved()
    assert len(visit.masks("cat.jpg")) == before + 1


def test_a_drawing_survives_a_reload_of_the_page(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    before = len(visit.masks("cat.jpg"))
    page = visit.page
    page.keyboard.press("b")
    visit.stroke(400, 450, 500, 460)
    page.reload()
    expect(page.get_by_text("Your drawing is still here.")).to_be_visible()
    page.keyboard.press("Enter")
    visit.in_list(before + 1)
    visit.saved()
    assert len(visit.masks("cat.jpg")) == before + 1
    page.reload()
    visit.in_list(before + 1)
    expect(page.get_by_text("Your drawing is still here.")).to_have_count(0)


@pytest.mark.parametrize("hears", [True, False])
def test_a_drawing_on_a_mask_that_another_page_deletes_becomes_a_mask_of_its_own(
    visit: Visit, context: BrowserContext, hears: bool
) -> None:
    if not hears:  # of what others do before it saves
        visit.expects_failures = True
        visit.page.route("**/api/v1/events", lambda route: route.abort())
        visit.page.reload()
    visit.annotate("coffee.jpg")
    draw(visit, 300, 500)
    visit.saved()
    before = len(visit.masks("coffee.jpg"))
    other = Visit(context.new_page(), visit.studio)
    other.expects_failures = visit.expects_failures = True  # the 409 of whoever saves second
    other.open_link()
    other.annotate("coffee.jpg")
    page = visit.page
    page.get_by_role("complementary", name="Masks").get_by_role("listitem").first.get_by_role(
        "button"
    ).first.click()
    page.keyboard.press("b")
    visit.stroke(300, 540, 380, 540)
    other.page.get_by_role("button", name="Delete: ").first.click()
    other.saved()
    visit.in_list(before - 1 if hears else before)
    page.keyboard.press("Enter")
    expect(page.get_by_text("is kept as a new one")).to_be_visible()
    visit.in_list(before)
    visit.saved()
    assert len(visit.masks("coffee.jpg")) == before
    assert other.complaints == []


def test_a_session_that_ends_asks_for_the_link_and_goes_on(visit: Visit, context: BrowserContext) -> None:
    visit.annotate("raccoon.jpg")
    before = len(visit.masks("raccoon.jpg"))
    visit.expects_failures = True
    context.clear_cookies()
    draw(visit, 500, 500)
    expect(visit.page.get_by_role("heading", name="Open the link from the terminal")).to_be_visible()
    visit.open_link()
    visit.saved()
    assert len(visit.masks("raccoon.jpg")) == before + 1
