"""A real studio in its own process, and a real browser on it. Skipped without Chromium or the built page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from studio_browser import Visit

import anymask.web
from anymask.bench.browser import NAMES as CHROMIUM_NAMES
from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on

CHROMIUM = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
PAGE = Path(anymask.web.__file__).with_name("static") / "index.html"
expect.set_options(timeout=20_000)  # two cores, and a model that thinks


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    why = None
    if CHROMIUM is None:
        why = "no Chromium: apt-get install chromium"
    elif not PAGE.is_file():
        why = "the page is not built: make studio"
    for item in items:
        if here not in item.path.parents:
            continue
        item.add_marker(pytest.mark.slow)
        item.add_marker(pytest.mark.xdist_group("studio"))  # one browser at a time
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """As a private window: nothing of an earlier test is in it."""
    opened = browser.new_context(locale="en-US", reduced_motion="reduce")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "photos"
    folder.mkdir()
    for photo in examples.glob("*.jpg"):
        shutil.copy(photo, folder)
    return folder


@pytest.fixture(scope="session")
def running(photos: Path) -> Iterator[StudioServer]:
    with running_on(photos) as studio:
        yield studio


@pytest.fixture
def visit(running: StudioServer, context: BrowserContext) -> Iterator[Visit]:
    """A fresh browser that has opened the link; fails afterwards when the page complained about itself."""
    page = context.new_page()
    made = Visit(page, running)
    made.open_link()
    yield made
    assert made.complaints == []
