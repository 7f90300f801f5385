"""What a person does to mark things on a photo."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, BrowserContext, expect
from studio_browser import Visit


def test_someone_points_at_a_cup_sees_candidates_and_keeps_one(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    visit.click(0.42, 0.45)
    expect(visit.candidates).to_have_count(3)
    visit.keep()
    visit.in_list(1)
    visit.saved()
    (mask,) = visit.masks("coffee.jpg")
    assert mask["stage"] == "manual"
    assert mask["seconds"] is not None and mask["probability"] is not None
    visit.page.reload()
    visit.in_list(1)


def test_enter_right_after_the_click_keeps_the_final_mask_and_not_the_quick_look(visit: Visit) -> None:
    visit.annotate("raccoon.jpg")
    before = len(visit.masks("raccoon.jpg"))
    with visit.page.expect_request("**/actions") as sent:
        visit.click(0.5, 0.4)
        visit.page.keyboard.press("Enter")
    visit.saved()
    taken = sent.value.post_data_json["operations"][0]["mask"]["taken"]
    assert taken
    assert len(visit.masks("raccoon.jpg")) == before + 1


def test_the_mask_follows_the_pointer_before_any_click(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    assert visit.painted(1) == 0
    visit.page.mouse.move(600, 400)
    visit.page.wait_for_function(
        """() => {
            const canvas = document.querySelectorAll("[role=application] canvas")[1];
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.some((one) => one > 0);
        }"""
    )


def test_candidates_are_cycled_and_picked_by_key(visit: Visit) -> None:
    visit.annotate("raccoon.jpg")
    visit.click(0.45, 0.35)
    expect(visit.candidates).to_have_count(3)
    expect(visit.page.locator("[role=status]").get_by_text("Candidate 1 of 3")).to_be_attached()
    visit.page.keyboard.press("Tab")
    expect(visit.candidates.nth(1)).to_be_checked()
    visit.page.keyboard.press("3")
    expect(visit.candidates.nth(2)).to_be_checked()
    expect(visit.page.locator("[role=status]").get_by_text("Candidate 3 of 3")).to_be_attached()
    visit.page.keyboard.press("Escape")
    expect(visit.candidates).to_have_count(0)


def test_a_right_click_takes_away_and_backspace_takes_the_click_back(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    visit.click(0.42, 0.45)
    expect(visit.candidates).to_have_count(3)
    with visit.page.expect_request("**/prompt") as sent:
        visit.click(0.5, 0.6, button="right")
    assert sent.value.post_data_json["prompt"]["labels"] == [1, 0]
    assert sent.value.post_data_json["prompt"]["previous"]
    with visit.page.expect_request("**/prompt") as again:
        visit.page.keyboard.press("Backspace")
    assert again.value.post_data_json["prompt"]["labels"] == [1]
    visit.page.keyboard.press("Escape")


def test_a_box_is_dragged_around_a_thing(visit: Visit) -> None:
    visit.annotate("rocket.jpg")
    before = len(visit.masks("rocket.jpg"))
    with visit.page.expect_request("**/prompt") as sent:
        visit.page.mouse.move(480, 200)
        visit.page.mouse.down()
        visit.page.mouse.move(560, 400, steps=4)
        visit.page.mouse.move(640, 620, steps=4)
        visit.page.mouse.up()
    x0, y0, x1, y1 = sent.value.post_data_json["prompt"]["box"]
    assert x1 > x0 and y1 > y0
    expect(visit.candidates.first).to_be_visible()
    visit.keep()
    visit.saved()
    assert len(visit.masks("rocket.jpg")) == before + 1


def test_without_a_mouse_a_thing_is_found_corrected_and_kept(visit: Visit) -> None:
    visit.annotate("city.jpg")
    before = len(visit.masks("city.jpg"))
    keys = visit.page.keyboard
    keys.press("g")
    expect(visit.page.get_by_text("Crosshair at")).to_be_attached()
    for _ in range(3):
        keys.press("Shift+ArrowLeft")
    keys.press("ArrowDown")
    keys.press("+")
    expect(visit.candidates.first).to_be_visible()
    for _ in range(6):
        keys.press("Shift+ArrowUp")
    with visit.page.expect_request("**/prompt") as sent:
        keys.press("-")
    assert sent.value.post_data_json["prompt"]["labels"] == [1, 0]
    expect(visit.candidates.first).to_be_visible()
    visit.keep()
    visit.saved()
    assert len(visit.masks("city.jpg")) == before + 1


def test_a_mask_is_drawn_by_hand_undone_and_done_again(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    before = len(visit.masks("cat.jpg"))
    page = visit.page
    page.keyboard.press("b")
    visit.stroke(400, 400, 600, 420, steps=6)
    expect(page.get_by_text("Drawing", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    visit.in_list(before + 1)
    page.keyboard.press("Control+z")
    visit.in_list(before)
    page.keyboard.press("Control+Shift+z")
    visit.in_list(before + 1)
    visit.saved()
    drawn = visit.masks("cat.jpg")[-1]
    assert drawn["probability"] is None and drawn["area"] > 100


def test_a_drawing_is_a_prompt_for_the_model(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    page = visit.page
    page.keyboard.press("p")
    page.mouse.move(400, 300)
    page.mouse.down()
    for x, y in ((700, 300), (700, 600), (400, 600), (400, 320)):
        page.mouse.move(x, y, steps=5)
    page.mouse.up()
    expect(page.get_by_text("Drawing", exact=True)).to_be_visible()
    page.keyboard.press("s")
    with page.expect_request("**/prompt") as first:
        page.mouse.click(500, 450)
    assert first.value.post_data_json["prompt"]["mask"]["counts"]
    expect(visit.candidates.first).to_be_visible()
    page.keyboard.press("Escape")


def test_everything_is_found_sifted_by_probability_and_kept_at_once(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    before = len(visit.masks("coffee.jpg"))
    visit.page.keyboard.press("t")
    slider = visit.page.get_by_role("slider", name="At least")
    expect(slider).to_be_visible(timeout=60_000)
    slider.fill("0.1")
    keep = visit.page.get_by_role("button", name="Keep")
    many = int((keep.inner_text()).split()[-1])
    slider.fill("0.9")
    assert int((keep.inner_text()).split()[-1]) <= many
    slider.fill("0.1")
    keep.click()
    visit.saved()
    assert many > 0
    assert len(visit.masks("coffee.jpg")) == before + many
    visit.page.keyboard.press("Control+z")
    visit.saved()
    assert len(visit.masks("coffee.jpg")) == before


def test_a_thing_is_named_and_kept_and_what_is_absent_is_told(visit: Visit) -> None:
    visit.annotate("cat.jpg")
    before = len(visit.masks("cat.jpg"))
    field = visit.page.get_by_role("textbox", name="Say what to find")
    field.fill("bicycle")
    field.press("Enter")
    expect(visit.page.get_by_text("No bicycle here")).to_be_visible(timeout=60_000)
    field.fill("고양이")
    field.press("Enter")
    keep = visit.page.get_by_role("button", name="Keep")
    expect(keep).to_be_visible(timeout=60_000)
    many = int(keep.inner_text().split()[-1])
    visit.page.evaluate("document.activeElement.blur()")
    visit.page.keyboard.press("Enter")
    visit.saved()
    kept = visit.masks("cat.jpg")
    assert many > 0 and len(kept) == before + many
    assert {one["category"] for one in kept[before:]} == {"cat"}
    expect(keep).to_have_count(0)
    expect(field).to_be_visible()
    visit.page.keyboard.press("Control+z")
    visit.saved()


def test_masks_are_selected_merged_split_hidden_and_deleted(visit: Visit) -> None:
    visit.annotate("city.jpg")
    page = visit.page
    page.keyboard.press("b")
    before = len(visit.masks("city.jpg"))
    for x in (300, 700):
        visit.stroke(x, 300, x + 60, 300, steps=3)
        page.keyboard.press("Enter")
    visit.in_list(before + 2)
    page.keyboard.press("q")
    page.mouse.click(330, 300)
    page.keyboard.down("Shift")
    page.mouse.click(730, 300)
    page.keyboard.up("Shift")
    page.keyboard.press("m")
    visit.in_list(before + 1)
    page.keyboard.press("u")
    visit.in_list(before + 2)
    page.keyboard.press("Delete")
    visit.in_list(before)
    visit.saved()
    assert len(visit.masks("city.jpg")) == before
    for _ in range(3):
        page.keyboard.press("Control+z")
    visit.in_list(before + 2)
    visit.saved()
    assert len(visit.masks("city.jpg")) == before + 2


def test_zoom_keeps_the_place_under_the_pointer_and_a_click_lands_there(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    page = visit.page
    page.mouse.move(500, 400)
    with page.expect_request("**/preview") as first:
        page.mouse.move(501, 401)
    for _ in range(5):
        page.mouse.wheel(0, -200)
    with page.expect_request("**/prompt") as second:
        page.mouse.click(501, 401)
    (x0, y0), (x1, y1) = (one.value.post_data_json["prompt"]["points"][0] for one in (first, second))
    assert abs(x0 - x1) < 1.5 and abs(y0 - y1) < 1.5
    page.keyboard.press("Escape")


def test_a_finger_taps_and_a_long_press_takes_away(visit: Visit, browser: Browser) -> None:
    context = browser.new_context(has_touch=True, viewport={"width": 820, "height": 1180})
    try:
        touched = Visit(context.new_page(), visit.studio)
        touched.open_link()
        touched.annotate("raccoon.jpg")
        with touched.page.expect_request("**/prompt") as sent:
            touched.page.touchscreen.tap(400, 500)
        assert sent.value.post_data_json["prompt"]["labels"] == [1]
        expect(touched.candidates.first).to_be_visible()
        touched.page.get_by_role("button", name="Cancel").tap()
        assert touched.complaints == []
    finally:
        context.close()


def test_a_click_that_gets_no_answer_can_be_tried_again(visit: Visit, context: BrowserContext) -> None:
    visit.annotate("coffee.jpg")
    visit.expects_failures = True
    context.set_offline(True)
    visit.click(0.42, 0.45)
    again = visit.page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    notice = visit.page.get_by_role("log").get_by_text("The server cannot be reached.")
    expect(notice.first).to_be_visible()
    context.set_offline(False)
    again.click()
    expect(visit.candidates.first).to_be_visible()
    expect(notice).to_have_count(0)
    expect(again).to_have_count(0)
    visit.page.keyboard.press("Escape")


def test_what_changed_is_said_in_the_language_of_the_moment(visit: Visit) -> None:
    visit.annotate("raccoon.jpg")
    before = len(visit.masks("raccoon.jpg"))
    visit.click(0.5, 0.5)
    expect(visit.candidates.first).to_be_visible()
    visit.keep()
    said = visit.page.locator("[role=status][aria-live]")
    expect(said).to_have_text(f"Mask kept, {before + 1} in all")
    visit.page.get_by_role("complementary", name="Masks").get_by_role("button", name="Delete: ").first.click()
    expect(said).to_have_text(f"Deleted, {before} {'mask' if before == 1 else 'masks'} left")
    visit.page.keyboard.press("Control+z")
    expect(said).to_contain_text("now")
    visit.go("settings")
    visit.page.get_by_text("한국어").click()
    expect(said).to_have_text(f"지금 마스크 {before + 1}개")


def test_nearly_the_same_mask_kept_twice_is_told(visit: Visit) -> None:
    visit.annotate("rocket.jpg")
    page = visit.page
    before = len(visit.masks("rocket.jpg"))
    twin = page.get_by_text(re.compile(r"Nearly the same as Mask \d+\. Undo with Ctrl\+Z\."))
    for y, times in ((500, 0), (560, 0), (500, 1)):
        page.keyboard.press("b")
        visit.stroke(640, y, 720, y)
        page.keyboard.press("Enter")
        expect(twin).to_have_count(times)
    visit.in_list(before + 3)
    page.keyboard.press("Control+z")
    visit.in_list(before + 2)
    visit.saved()


def test_the_list_of_masks_does_not_cover_the_tools_when_the_window_became_narrow_elsewhere(
    visit: Visit,
) -> None:
    visit.annotate("coffee.jpg")
    expect(visit.page.get_by_role("complementary", name="Masks")).to_be_visible()
    visit.go("gallery")
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.annotate("coffee.jpg")
    expect(visit.page.get_by_role("complementary", name="Masks")).to_have_count(0)


def test_the_list_of_masks_makes_room_when_the_window_becomes_narrow(visit: Visit) -> None:
    visit.annotate("coffee.jpg")
    page = visit.page
    wide = page.viewport_size
    assert wide is not None
    panel = page.get_by_role("complementary", name="Masks")
    expect(panel).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(panel).to_have_count(0)
    page.get_by_role("button", name="Brush").click(timeout=5_000)
    page.set_viewport_size(wide)
    expect(panel).to_be_visible()
