"""What a person does in a browser with a studio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from anymask.bench.server import StudioServer

PASSWORD = "correct horse battery"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page as it is now."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def join(page: Page, link: str) -> None:
    """Takes an invitation."""
    page.goto(link)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("navigation")).to_be_visible()


class Visit:
    """One browser page on a studio. `complaints`: its errors, violations of the security policy too."""

    def __init__(self, page: Page, studio: StudioServer) -> None:
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

    def stroke(self, x0: float, y0: float, x1: float, y1: float, steps: int = 4) -> None:
        """With the button held, in pixels of the screen."""
        mouse = self.page.mouse
        mouse.move(x0, y0)
        mouse.down()
        mouse.move(x1, y1, steps=steps)
        mouse.up()

    def export(self, path: Path) -> None:
        """The masks as COCO by the page's own controls, to a file."""
        self.go("data")
        self.page.get_by_label("Format").select_option("coco")
        self.page.get_by_role("button", name="Export").click()
        link = self.page.get_by_role("link", name="Download").first
        expect(link).to_be_visible(timeout=60_000)
        with self.page.expect_download() as download:
            link.click()
        download.value.save_as(path)

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
