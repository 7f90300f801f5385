"""A reviewer looks at where two people who annotated the same photo, blind, differ."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

pytest.importorskip("argon2")
from playwright.sync_api import Browser, Page, expect
from studio_browser import Visit, join, violations

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on
from anymask.core.mask import Mask

NUCLEI = "nuclei/annotate"
PHOTOS = {"cells.webp": "nuclei_953211bcc0192e22.webp", "clear.webp": "nuclei_2c840a94d216f5ef.webp"}
WIDE: Any = {"width": 1440, "height": 900}
PHONE: Any = {"width": 390, "height": 844}


@dataclass
class Drawn:
    mask: Mask
    category: str | None = None

    def moved(self, share: float) -> Drawn:
        """By a share of its width, to the left."""
        x0, _, x1, _ = self.mask.box_xyxy
        by = round(share * (x1 - x0))
        inside = np.zeros(self.mask.size_hw, bool)
        inside[:, :-by] = self.mask.to_array()[:, by:]
        return Drawn(Mask.from_array(inside), self.category)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[StudioServer]:
    folder = tmp_path_factory.mktemp("agreement") / "photos"
    folder.mkdir()
    for name, example in PHOTOS.items():
        shutil.copy(examples / NUCLEI / example, folder / name)
    with running_on(folder, "--team") as studio:
        yield studio


@pytest.fixture(scope="module")
def sessions(team: StudioServer, browser: Browser) -> dict[str, Any]:
    """Of a team: what their browsers keep."""
    states = {}
    contexts = {name: browser.new_context(locale="en-US") for name in ("admin", "ada", "bob", "rita")}
    admin = Visit(contexts["admin"].new_page(), team)
    join(admin.page, team.link)
    for name, role in (("ada", "annotator"), ("bob", "annotator"), ("rita", "reviewer")):
        sent = {"name": name, "role": role}
        answer = admin.page.request.post(
            f"{team.address}/api/v1/invitations", data=sent, headers={"Origin": team.address}
        )
        join(contexts[name].new_page(), f"{team.address}/invitation?code={answer.json()['code']}")
    for name, context in contexts.items():
        states[name] = context.storage_state()
        context.close()
    return states


@pytest.fixture
def visits(team: StudioServer, sessions: dict[str, Any], browser: Browser) -> Iterator[dict[str, Visit]]:
    contexts = {
        name: browser.new_context(locale="en-US", storage_state=state, viewport=WIDE, reduced_motion="reduce")
        for name, state in sessions.items()
    }
    found = {name: Visit(context.new_page(), team) for name, context in contexts.items()}
    yield found
    for name, context in contexts.items():
        context.close()
        assert found[name].complaints == [], name


def things_of(examples: Path, name: str) -> list[Drawn]:
    """The nuclei of a photo, the largest first."""
    record = json.loads((examples / NUCLEI / PHOTOS[name]).with_suffix(".json").read_text())
    masks = [Mask.from_rle(one["segmentation"]) for one in record["annotations"]]
    return [Drawn(mask, "nucleus") for mask in sorted(masks, key=lambda mask: -mask.area)]


def annotate(visit: Visit, drawn: Mapping[str, Sequence[Drawn]]) -> None:
    """Takes the photo that comes next and hands it in."""
    url, headers = f"{visit.studio.address}/api/v1", {"Origin": visit.studio.address}
    request = visit.page.request
    work = request.post(f"{url}/tasks/next", data={}, headers=headers).json()["work"]
    held = {"task": work["lease"]["task"], "token": work["lease"]["token"]}
    operations = [
        {"op": "add", "mask": {"uid": uuid4().hex, "rle": one.mask.rle, "category": one.category}}
        for one in drawn[work["image"]["name"]]
    ]
    keyed = {**headers, "Idempotency-Key": uuid4().hex, "If-Match": '"0"'}
    sent = {"lease": held, "operations": operations}
    saved = request.post(f"{url}/images/{work['image']['id']}/actions", data=sent, headers=keyed)
    assert saved.status == 200, saved.text()
    done = request.post(f"{url}/tasks/{held['task']}/submit", data={"token": held["token"]}, headers=headers)
    assert done.status == 204


def as_two_see_it(things: list[Drawn]) -> tuple[list[Drawn], list[Drawn]]:
    """One thing that each has alone, one with other borders, one of another class; the rest is the same."""
    alone_a, shifted, named, alone_b, *rest = things
    ours = [alone_a, shifted, named, *rest]
    theirs = [alone_b, shifted.moved(0.25), Drawn(named.mask, "debris"), *rest]
    return ours, theirs


def pictures(page: Page, folder: Path, name: str) -> None:
    page.wait_for_timeout(500)
    page.screenshot(path=folder / f"agreement-{name}.png")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= page.viewport_size["width"], f"{name} is wider than the window"


def test_a_reviewer_steps_through_what_two_people_see_differently(
    visits: dict[str, Visit],
    sessions: dict[str, Any],
    team: StudioServer,
    browser: Browser,
    examples: Path,
    tmp_path: Path,
) -> None:
    folder = Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    admin, ada, bob, rita = (visits[name] for name in ("admin", "ada", "bob", "rita"))
    page = rita.page

    rita.go("dashboard")
    page.get_by_role("link", name="Where people differ").click()
    expect(page.get_by_role("heading", name="Nothing to compare yet")).to_be_visible()
    assert violations(page) == []
    pictures(page, folder, "empty")

    admin.go("agreement")
    admin.page.get_by_role("link", name="Settings").last.click()
    admin.page.get_by_label("Photos that two people annotate").fill("1")
    admin.page.get_by_role("button", name="Save", exact=True).click()
    expect(admin.page.get_by_text("Settings saved", exact=True)).to_be_visible()

    ours, theirs = as_two_see_it(things_of(examples, "cells.webp"))
    same = things_of(examples, "clear.webp")
    for _ in range(2):
        annotate(ada, {"cells.webp": ours, "clear.webp": same})
        annotate(bob, {"cells.webp": theirs, "clear.webp": same})

    rita.go("dashboard")
    expect(page.get_by_text(agreed(rita, mean=True))).to_be_visible()
    pictures(page, folder, "dashboard")
    pictures(admin.page, folder, "settings")
    page.get_by_role("link", name="Where people differ").click()
    rows = page.get_by_role("main").get_by_role("link", name="agreement")
    expect(rows).to_have_count(2)
    expect(rows.first).to_have_accessible_name(
        f"cells.webp, ada and bob: {agreed(rita)} agreement, 4 differences"
    )
    expect(rows.last).to_have_accessible_name("clear.webp, ada and bob: 100 % agreement, 0 differences")
    expect(page.get_by_role("row", name="ada · bob 2")).to_be_visible()
    assert violations(page) == []

    rows.first.click()
    photo = page.get_by_role("img", name="Photo cells.webp, masks of ada and bob")
    expect(photo).to_have_attribute("data-open", "true")
    listed = page.get_by_role("complementary", name="Differences").get_by_role("button")
    expect(listed).to_have_count(4)
    assert violations(page) == []
    seen = []
    for number in range(4):
        page.keyboard.press("d")
        expect(listed.nth(number)).to_have_attribute("aria-current", "true")
        seen.append(listed.nth(number).inner_text().split("\n")[0])
    assert sorted(seen[:2]) == ["Only ada", "Only bob"] and seen[2:] == ["Borders differ", "Class differs"]
    expect(listed.nth(3)).to_contain_text("nucleus / debris")
    page.keyboard.press("a")
    expect(listed.nth(2)).to_have_attribute("aria-current", "true")
    of_ada, of_bob = painted(page)
    assert of_ada > 0 and of_bob > 0
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="ada")).to_be_checked()
    of_ada, of_bob = painted(page)
    assert of_ada > 0 and of_bob == 0
    page.keyboard.press("3")
    of_ada, of_bob = painted(page)
    assert of_ada == 0 and of_bob > 0
    page.keyboard.press("2")
    page.keyboard.press("Escape")
    expect(page.locator("[aria-current=true]")).to_have_count(0)

    look_at_every_kind_of_window(team, sessions, browser, folder)

    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("img", name="Photo clear.webp")).to_have_attribute("data-open", "true")
    expect(page.get_by_text("Both drew the same, everywhere.")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Correct ada’s masks").click()
    expect(page.get_by_role("application", name="Photo cells.webp")).to_have_attribute("data-open", "true")
    rita.in_list(len(ours))
    before = agreed(rita, mean=True)
    page.get_by_role("button", name="Delete: ").first.click()
    rita.in_list(len(ours) - 1)
    rita.saved()
    page.keyboard.press("Control+Enter")  # on to what comes next in the list
    expect(page.get_by_role("img", name="Photo clear.webp")).to_have_attribute("data-open", "true")
    page.get_by_role("link", name="Agreement").click()
    expect(rows.last).to_have_accessible_name(re.compile("^cells.webp, ada and bob: .*Corrected since$"))
    assert agreed(rita, mean=True) == before
    pictures(page, folder, "corrected")
    assert violations(page) == []
    rows.last.click()
    expect(listed).to_have_count(4)

    ada.go("agreement")
    expect(ada.page.get_by_role("heading", name="Photos")).to_be_visible()
    expect(ada.page.get_by_role("heading", name="Agreement")).to_have_count(0)


def agreed(rita: Visit, mean: bool = False) -> str:
    """Of the first photo or of all, as it is written."""
    told = rita.page.request.get(f"{rita.studio.address}/api/v1/agreement").json()
    return f"{round(100 * (told if mean else told['comparisons'][0])['agreement'])} %"


def painted(page: Page) -> list[int]:
    """Bright pixels of lines and areas in the colour of each of the two people."""
    page.wait_for_timeout(150)
    counts: list[int] = page.evaluate(
        """() => {
            const canvas = [...document.querySelectorAll("canvas")].at(3);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const counts = [0, 0];
            for (let i = 0; i < data.length; i += 4) {
                if (data[i + 3] < 60) continue;
                if (data[i + 2] > data[i] + 60) counts[0] += 1;
                if (data[i] > data[i + 2] + 60) counts[1] += 1;
            }
            return counts;
        }"""
    )
    return counts


def look_at_every_kind_of_window(
    team: StudioServer, sessions: dict[str, Any], browser: Browser, folder: Path
) -> None:
    for language in ("en-US", "ko-KR"):
        for scheme in ("light", "dark"):
            for size in (WIDE, PHONE):
                kind = f"{language[:2]}-{scheme}-{size['width']}"
                context = browser.new_context(
                    locale=language,
                    color_scheme=scheme,  # type: ignore[arg-type]
                    viewport=size,
                    storage_state={"cookies": sessions["rita"]["cookies"]},
                    reduced_motion="reduce",
                )
                page = context.new_page()
                page.goto(f"{team.address}/#/agreement")
                rows = page.get_by_role("main").locator("a.card")
                expect(rows).to_have_count(2)
                pictures(page, folder, f"{kind}-list")
                assert violations(page) == [], kind
                rows.first.click()
                expect(page.locator("[data-open=true]")).to_be_visible()
                pictures(page, folder, f"{kind}-photo")
                for _ in range(3):
                    page.keyboard.press("d")
                pictures(page, folder, f"{kind}-one")
                assert violations(page) == [], kind
                context.close()
