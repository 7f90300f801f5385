"""The Chromium of this machine on a studio, with the probe in its page. Needs playwright."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, Request, sync_playwright

from anymask.bench.measure import Measure, cpu_ms, descendants
from anymask.bench.server import StudioServer
from anymask.errors import Failure

PROBE = Path(__file__).with_name("probe.js")
NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZE = {"width": 1600, "height": 900}
PLACE_X, PLACE_Y = (0.36, 0.52), (0.42, 0.62)  # on the screen: inside of any photo that is shown whole
MIDDLE_XY = (680.0, 470.0)  # between the panels
VIEWED = 12  # places that tell how a photo is shown
LONGEST_MS = 60_000
QUIET_S = 0.5  # without a new tile: all have come


def find_chromium() -> str:
    """Raises Failure."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise Failure("this needs a Chromium: apt-get install chromium")
    return found


@dataclass(frozen=True, slots=True)
class View:
    """How the page shows a photo: `scale` pixels of the screen for one of the photo, and its top left."""

    scale: float
    x: float
    y: float

    def on_screen(self, at_xy: tuple[float, float]) -> tuple[float, float]:
        return self.x + at_xy[0] * self.scale, self.y + at_xy[1] * self.scale


@dataclass
class Visitor:
    """A page on a studio; every number is milliseconds from an event to the frame with its effect."""

    page: Page
    server: StudioServer
    version: str
    chance: random.Random

    def photos(self) -> list[dict[str, Any]]:
        answer = self.page.request.get(f"{self.server.address}/api/v1/images?limit=500")
        found: list[dict[str, Any]] = answer.json()["images"]
        return found

    def masks(self, photo: dict[str, Any]) -> list[dict[str, Any]]:
        """What the server has of a photo."""
        url = f"{self.server.address}/api/v1/images/{photo['id']}/masks"
        found: list[dict[str, Any]] = self.page.request.get(
            url, headers={"Accept": "application/json"}
        ).json()["masks"]
        return found

    def open(self, photo: dict[str, Any]) -> dict[str, float]:
        """`photo`: painted; `promptable`: a prompt was answered, too."""
        at = [photo["width"] / 2, photo["height"] / 2]
        times: dict[str, float] = self.page.evaluate(
            "([id, at]) => anymaskProbe.open(id, at)", [photo["id"], at]
        )
        return times

    def timed(self, event: str, act: Callable[[], object], *moments: str) -> dict[str, float]:
        """What `act` does begins with an event of that type; when the moments are on the screen."""
        self.page.evaluate("([event, moments]) => anymaskProbe.arm(event, moments)", [event, list(moments)])
        act()
        times: dict[str, float] = self.page.evaluate("() => anymaskProbe.reached()")
        return times

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def view(self) -> View:
        """Where the photo is, from what the page asks the server about places of the screen."""
        places, seen = [], []
        for number in range(VIEWED):
            share = number / (VIEWED - 1)
            place = (SIZE["width"] * (0.38 + 0.13 * share), SIZE["height"] * (0.4 + 0.2 * share))
            with self.page.expect_request("**/preview") as asked:
                self.page.mouse.move(*place)
            body: Any = asked.value.post_data_json
            places.append(place)
            seen.append(body["prompt"]["points"][0])
            self.settle(120)
        # The page rounds to hundredths of a pixel: a line through many is sharper than two points.
        (at_x, at_y), (photo_x, photo_y) = np.transpose(places), np.transpose(seen)
        scale = float(np.polyfit(photo_y, at_y, 1)[0])
        return View(scale, float(np.mean(at_x - photo_x * scale)), float(np.mean(at_y - photo_y * scale)))

    def zoom_in(self, times: int) -> float:
        """With the wheel, under the pointer; milliseconds until all tiles of the photo have come."""
        waiting: set[Request] = set()
        last = [time.perf_counter()]

        def asked(request: Request) -> None:
            if "/tiles/" in request.url:
                waiting.add(request)

        def came(request: Request) -> None:
            if request in waiting:
                waiting.discard(request)
                last[0] = time.perf_counter()

        self.page.on("request", asked)
        self.page.on("requestfinished", came)
        begun = time.perf_counter()
        for _ in range(times):
            self.page.mouse.wheel(0, -300)
        while waiting or time.perf_counter() - max(begun, last[0]) < QUIET_S:
            self.settle(20)
        return 1_000 * (last[0] - begun)

    def place(self) -> tuple[float, float]:
        """Anywhere on the photo, by chance."""
        x, y = self.chance.uniform(*PLACE_X), self.chance.uniform(*PLACE_Y)
        return x * SIZE["width"], y * SIZE["height"]

    def settle(self, milliseconds: float = 150) -> None:
        self.page.wait_for_timeout(milliseconds)

    @contextlib.contextmanager
    def accounted(self, measure: Measure) -> Iterator[None]:
        """Counts processor time of the server and of the browser into a measure."""
        before = self._spent()
        yield
        for name, spent in self._spent().items():
            measure.cpu_ms[name] = measure.cpu_ms.get(name, 0.0) + spent - before[name]

    def _spent(self) -> dict[str, float]:
        others = descendants(os.getpid(), without=self.server.pid)
        return {"server": cpu_ms([self.server.pid]), "browser": cpu_ms(others)}


@contextlib.contextmanager
def visit(server: StudioServer) -> Iterator[Visitor]:
    """Opens the link; the page has loaded its list of photos. Raises Failure."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, locale="en-US")  # type: ignore[arg-type]
        page.set_default_timeout(LONGEST_MS)
        page.add_init_script(path=PROBE)
        page.goto(server.link)
        page.get_by_role("navigation").wait_for()
        yield Visitor(page, server, browser.version, random.Random(2))
        browser.close()
