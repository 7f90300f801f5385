"""A slow line: previews under the pointer are decoded in the browser, and look as the server's do."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray
from studio_browser import Visit

LATENCY_MS = 600
PLACES = ((0.35, 0.45), (0.45, 0.6), (0.55, 0.5), (0.5, 0.35))  # of the screen
DRAWN = """() => {
    const canvas = document.querySelectorAll("[role=application] canvas")[1];
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const bits = new Uint8Array(data.length / 4);
    for (let i = 0; i < bits.length; i++) bits[i] = data[4 * i + 3] ? 49 : 48;
    return new TextDecoder().decode(bits);
}"""


def took(visit: Visit, moment: str) -> list[float | None]:
    """What the page has marked since `forget`."""
    marked: list[float | None] = visit.page.evaluate(
        "(name) => performance.getEntriesByName(name).map((one) => one.detail)", f"anymask:{moment}"
    )
    return marked


def point_at(visit: Visit, place: tuple[float, float]) -> None:
    """Comes from outside of the photo; returns when the preview is on the screen."""
    page, size = visit.page, visit.page.viewport_size
    assert size is not None
    page.mouse.move(5, 5)
    for moment in ("preview", "decoded"):
        page.evaluate("(name) => performance.clearMarks(name)", f"anymask:{moment}")
    page.mouse.move(place[0] * size["width"], place[1] * size["height"])
    page.wait_for_function("() => performance.getEntriesByName('anymask:preview').length > 0")


def drawn(visit: Visit) -> NDArray[np.bool_]:
    text: str = visit.page.evaluate(DRAWN)
    return np.frombuffer(text.encode(), np.uint8) == ord("1")


def test_where_the_line_is_slow_the_browser_draws_the_same_previews(visit: Visit) -> None:
    page = visit.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visit.annotate("cat.jpg")
    expected = []
    for place in PLACES:
        point_at(visit, place)
        expected.append(drawn(visit))
    assert not [url for url in asked if "/decoder/" in url or ".wasm" in url], "nothing is loaded yet"
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": LATENCY_MS, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    for _ in range(2):
        for place in PLACES:
            point_at(visit, place)
    try: page.wait_for_function("() => performance.getEntriesByName('anymask:decoder').length > 0", timeout=15000)
    except Exception as e: print(visit.complaints, [u for u in asked if 'tiles' not in u], page.evaluate("performance.getEntriesByType('mark').map(m=>[m.name,m.detail])")); raise
    print(took(visit, "decoder"))
    for place, before in zip(PLACES, expected, strict=True):
        point_at(visit, place)
        (ms,) = took(visit, "decoded")
        now = drawn(visit)
        print(ms, before.sum(), (before & now).sum() / (before | now).sum())
