"""A team in the browser: joining, inviting, signing in again in the middle, secrets for programs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2")

from playwright.sync_api import Browser, BrowserContext, Page, expect
from studio_browser import PASSWORD, Visit, join, violations

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on

Opens = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[StudioServer]:
    folder = tmp_path_factory.mktemp("team") / "photos"
    folder.mkdir()
    for name in ("cat.jpg", "coffee.jpg", "rocket.jpg"):
        shutil.copy(examples / name, folder)
    with running_on(folder, "--team") as studio:
        yield studio


@pytest.fixture
def opens(browser: Browser) -> Iterator[Opens]:
    """Browsers of different people."""
    opened: list[BrowserContext] = []

    def one(**options: object) -> BrowserContext:
        opened.append(browser.new_context(locale="en-US", reduced_motion="reduce", **options))  # type: ignore[arg-type]
        return opened[-1]

    yield one
    for context in opened:
        context.close()


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="module")
def admin_session(team: StudioServer, browser: Browser) -> Any:
    """The first link, taken once: signing in again and again is slowed down on purpose."""
    context = browser.new_context(locale="en-US")
    join(context.new_page(), team.link)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def admin(team: StudioServer, opens: Opens, admin_session: Any) -> Visit:
    made = Visit(opens(storage_state=admin_session).new_page(), team)
    made.go("gallery")
    expect(made.page.get_by_role("navigation")).to_be_visible()
    return made


def invited(admin: Visit, name: str) -> str:
    """The link for somebody new."""
    admin.go("people")
    admin.page.get_by_label("Name").fill(name)
    admin.page.get_by_role("button", name="Invite").click()
    link = admin.page.get_by_label("Copy link")
    expect(link).to_have_value(re.compile("invitation"))
    return link.input_value()


def test_somebody_is_invited_joins_and_sees_what_concerns_them(admin: Visit, opens: Opens) -> None:
    page = opens().new_page()
    join(page, invited(admin, "ada"))
    nav = page.get_by_role("navigation")
    expect(nav.get_by_role("link", name="Annotate")).to_be_visible()
    expect(nav.get_by_role("link", name="People")).to_have_count(0)
    expect(admin.page.get_by_role("cell", name="ada")).to_be_visible()


def test_a_role_that_cannot_be_taken_is_shown_as_it_is(admin: Visit) -> None:
    admin.expects_failures = True
    admin.go("people")
    role = admin.page.get_by_label("Role: admin")
    role.select_option(label="Annotator")
    expect(admin.page.get_by_text("last manager")).to_be_visible()
    expect(role).to_have_value("admin")


def test_a_session_that_ends_in_the_middle_loses_nothing(admin: Visit, opens: Opens) -> None:
    page = opens().new_page()
    bob = Visit(page, admin.studio)
    bob.expects_failures = True
    join(page, invited(admin, "bob"))
    bob.annotate("rocket.jpg")
    ended = page.request.delete(
        f"{admin.studio.address}/api/v1/session", headers={"Origin": admin.studio.address}
    )
    assert ended.status == 204
    page.keyboard.press("b")
    bob.stroke(400, 350, 500, 360)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in again")).to_be_visible()
    assert violations(page) == []
    sign_in(page, "bob")
    expect(page.get_by_role("heading", name="Sign in again")).to_have_count(0)
    bob.saved()
    bob.in_list(1)
    assert len(bob.masks("rocket.jpg")) == 1
    assert bob.complaints == []


def test_a_secret_for_a_program_is_shown_once_works_and_is_ended(admin: Visit, opens: Opens) -> None:
    page = admin.page
    admin.go("settings")
    page.get_by_label("What is it for?").fill("nightly export")
    page.get_by_role("button", name="Make a secret").click()
    secret = page.get_by_label("Secret").input_value()
    program = opens().request
    headers = {"Authorization": f"Bearer {secret}"}
    assert program.get(f"{admin.studio.address}/api/v1/project", headers=headers).status == 200
    page.reload()
    expect(page.get_by_text("nightly export")).to_be_visible()
    expect(page.get_by_label("Secret")).to_have_count(0)
    page.get_by_role("button", name="End: nightly export").click()
    expect(page.get_by_text("nightly export")).to_have_count(0)
    assert program.get(f"{admin.studio.address}/api/v1/project", headers=headers).status == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_of_a_team_shuts_anybody_out(admin: Visit, opens: Opens, scheme: str) -> None:
    link = invited(admin, f"guest-{scheme}")
    page = opens(color_scheme=scheme).new_page()
    found = {}
    page.goto(admin.studio.address)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    found["sign in"] = violations(page)
    page.goto(link)
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    found["join"] = violations(page)
    admin.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for screen in ("people", "settings", "gallery"):
        admin.go(screen)
        admin.page.wait_for_timeout(600)
        found[screen] = violations(admin.page)
    assert {name: one for name, one in found.items() if one} == {}
