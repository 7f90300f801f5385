"""A slow line: previews under the pointer are decoded in the browser, and look as the server's do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page
from studio_browser import Visit

LATENCY_MS = 600
PHOTOS = ("coffee.jpg", "rocket.jpg")
PLACES = ((0.4, 0.45), (0.5, 0.55), (0.55, 0.3))  # of the screen
DRAWN = """() => {
    const canvas = document.querySelectorAll("[role=application] canvas")[1];
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const bits = new Uint8Array(data.length / 4);
    for (let i = 0; i < bits.length; i++) bits[i] = data[4 * i + 3] ? 49 : 48;
    return new TextDecoder().decode(bits);
}"""


def marked(page: Page, moment: str) -> list[float | str | None]:
    """What the page told with a moment since it was forgotten."""
    found: list[float | str | None] = page.evaluate(
        "(name) => performance.getEntriesByName(name).map((one) => one.detail)", f"anymask:{moment}"
    )
    return found


def wait_for(page: Page, moment: str) -> None:
    page.wait_for_function("(name) => performance.getEntriesByName(name).length > 0", arg=f"anymask:{moment}")


def forget(page: Page, *moments: str) -> None:
    for one in moments:
        page.evaluate("(name) => performance.clearMarks(name)", f"anymask:{one}")


def preview_at(visit: Visit, place: tuple[float, float]) -> NDArray[np.bool_]:
    """The pixels of the screen that a preview covers; the pointer comes from outside of the photo."""
    page, size = visit.page, visit.page.viewport_size
    assert size is not None
    page.mouse.move(5, 5)
    forget(page, "preview", "decoded")
    page.mouse.move(place[0] * size["width"], place[1] * size["height"])
    wait_for(page, "preview")
    return np.frombuffer(page.evaluate(DRAWN).encode(), np.uint8) == ord("1")


def slow_down(page: Page) -> None:
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": LATENCY_MS, "downloadThroughput": -1, "uploadThroughput": -1}
    line.send("Network.emulateNetworkConditions", slow)


def test_where_the_line_is_slow_the_browser_draws_the_same_previews(visit: Visit) -> None:
    page = visit.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    loaded = lambda: [url for url in asked if "/decoder/" in url or ".wasm" in url]  # noqa: E731
    from_server = {}
    for name in PHOTOS:
        visit.annotate(name)
        from_server[name] = [preview_at(visit, place) for place in PLACES]
    assert not loaded(), "nothing of it comes while the line is quick"
    slow_down(page)
    for number, name in enumerate(PHOTOS):
        forget(page, "decoder")
        visit.annotate(name)
        for place in 2 * PLACES:  # the first ones tell how slow it is
            preview_at(visit, place)
        wait_for(page, "decoder")
        (start_ms,) = marked(page, "decoder")
        assert (start_ms is None) == (number > 0), "the graph stays, the photo changes"
        asked.clear()
        for place, expected in zip(PLACES, from_server[name], strict=True):
            found = preview_at(visit, place)
            (took_ms,) = marked(page, "decoded")
            assert isinstance(took_ms, int | float) and took_ms > 0
            assert expected.any() and (expected & found).sum() / (expected | found).sum() > 0.99
        assert not [url for url in asked if url.endswith("/preview")]


@pytest.mark.parametrize("broken", ["**/decoder/*", "**/embedding"])
def test_where_the_browser_cannot_decode_the_server_goes_on(visit: Visit, broken: str) -> None:
    """Without a word in the console: see `visit`."""
    page = visit.page
    page.route(broken, lambda route: route.fulfill(body=b"nothing of the kind", headers={"X-Decoder": "{}"}))
    visit.annotate(PHOTOS[0])
    expected = preview_at(visit, PLACES[0])
    slow_down(page)
    for place in 2 * PLACES:
        preview_at(visit, place)
    wait_for(page, "decoder-failed")
    assert np.array_equal(preview_at(visit, PLACES[0]), expected)
    assert marked(page, "decoded") == []
