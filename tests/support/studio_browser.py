"""A studio as a process and what a person does with it in a browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

START_S = 60


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class RunningStudio:
    """`anymask studio FOLDER`; may be stopped and started again on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.link = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder.parent / "studio.log"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "anymask", "studio", str(self.folder), "--no-browser"]
        with self._log.open("wb") as log:
            command += ["--port", str(self.port), *self.options]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            found = re.search(
                r"http://\S+(?:token|code)=\S+" if not self.link else r"http://\S+",
                self._log.read_text(errors="replace"),
            )
            if found:
                self.link = self.link if self.link and "--team" in self.options else found.group(0)
                return
            assert self._process.poll() is None, self._log.read_text(errors="replace")
            time.sleep(0.1)
        raise AssertionError(f"no studio within {START_S} s: {self._log.read_text(errors='replace')}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page as it is now."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


class Visit:
    """One browser page on a studio. `complaints`: its errors, violations of the security policy too."""

    def __init__(self, page: Page, studio: RunningStudio) -> None:
        self.page = page
        self.studio = studio
        self.complaints: list[str] = []
        self.expects_failures = False
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if "willReadFrequently" in message.text:
            return  # of the tests themselves, which look at the canvas
        network = "Failed to load resource" in message.text or "net::ERR" in message.text
        if message.type in ("error", "warning") and not (network and self.expects_failures):
            self.complaints.append(message.text)

    def open_link(self) -> None:
        self.page.goto(self.studio.link)
        expect(self.page.get_by_role("navigation")).to_be_visible()

    def photo(self, name: str) -> int:
        found = self.page.request.get(f"{self.studio.address}/api/v1/images?limit=100").json()["images"]
        return next(int(one["id"]) for one in found if one["name"] == name)

    def masks(self, name: str) -> list[dict[str, Any]]:
        """What the server has on disk."""
        url = f"{self.studio.address}/api/v1/images/{self.photo(name)}/masks"
        answer = self.page.request.get(url, headers={"Accept": "application/json"})
        found: list[dict[str, Any]] = answer.json()["masks"]
        return found

    def go(self, screen: str) -> None:
        self.page.goto(f"{self.studio.address}/#/{screen}")

    def annotate(self, name: str) -> Locator:
        """Opens a photo; gives the place where it is shown, once it can be clicked."""
        self.go(f"annotate/{self.photo(name)}")
        shown = self.page.get_by_role("application", name=f"Photo {name}")
        expect(shown).to_be_visible()
        expect(shown).to_have_attribute("data-open", "true")
        return shown

    def click(self, x: float, y: float, **options: Any) -> None:
        """At a share of the screen, 0 to 1."""
        size = self.page.viewport_size
        assert size is not None
        self.page.mouse.click(x * size["width"], y * size["height"], **options)

    @property
    def candidates(self) -> Locator:
        return self.page.get_by_role("radiogroup", name="Candidates").get_by_role("radio")

    def keep(self) -> None:
        self.page.keyboard.press("Enter")
        expect(self.candidates).to_have_count(0)

    def saved(self) -> None:
        expect(self.page.locator("[data-state=idle]").first).to_be_visible()

    def in_list(self, count: int) -> None:
        panel = self.page.get_by_role("complementary", name="Masks")
        expect(panel.get_by_role("listitem")).to_have_count(count)

    def painted(self, canvas: int) -> int:
        """Pixels that are not clear on the photo (0), the mask in the making (1) or the marks (2)."""
        count: int = self.page.evaluate(
            """(which) => {
                const canvas = document.querySelectorAll("[role=application] canvas")[which];
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let count = 0;
                for (let i = 3; i < data.length; i += 4) if (data[i]) count += 1;
                return count;
            }""",
            canvas,
        )
        return count
