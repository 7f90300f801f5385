"""What rounds brought, to look at: pictures of every round, each opened large and leafed through by keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_scenes import FakeRecipe, write_data_set
from playwright.sync_api import Browser, expect
from studio_browser import Visit, violations

from anymask.bench.server import StudioServer
from anymask.bench.server import running as running_on
from anymask.data import formats
from anymask.engine.exchange import import_annotations
from anymask.engine.project import Project
from anymask.engine.round_pictures import folder_of, write_pictures
from anymask.engine.rounds import run_round
from anymask.store import images
from anymask.store.annotations import masks_of


@pytest.fixture
def taught(tmp_path: Path) -> Iterator[StudioServer]:
    """Three rounds: pictures are kept of the first and the last."""
    data = write_data_set(tmp_path / "data", range(4))
    project, _ = Project.init(tmp_path / "project", [data])
    with project:
        import_annotations(project, data, formats.Notes())
        fake = FakeRecipe(0.6, 0.7, 0.8)
        for number in (1, 2, 3):
            assert run_round(project, fake.recipe).promoted
            if number != 2:
                kept = [answers(project, row.id, number / 10) for row in images.each(project.database)]
                write_pictures(folder_of(project, number), kept, [one | {"iou": 0.9} for one in kept])
        project.promote(None, "test", "files that nobody can open")
    with running_on(tmp_path / "project") as studio:
        yield studio


def answers(project: Project, image_id: int, iou: float) -> dict[str, Any]:
    mask = masks_of(project.database, image_id)[0].mask
    x0, y0, x1, y1 = mask.box_xyxy
    told = {"truth": mask.rle, "mask": mask.rle, "iou": iou}
    return {"image": image_id, "point": [(x0 + x1) / 2, (y0 + y1) / 2], **told}


@pytest.mark.parametrize("language", ["en-US", "ko-KR"])
def test_pictures_of_an_older_round_are_opened_large_and_leafed_through(
    taught: StudioServer, browser: Browser, language: str, tmp_path: Path
) -> None:
    context = browser.new_context(locale=language, viewport={"width": 1440, "height": 900})
    visit = Visit(context.new_page(), taught)
    page, folder = visit.page, Path(os.environ.get("ANYMASK_SCREENSHOTS", tmp_path))
    korean = language == "ko-KR"
    visit.open_link()
    visit.go("dashboard")
    pairs = page.locator("li").filter(has=page.locator("canvas")).get_by_role("button")
    expect(pairs).to_have_count(4)
    expect(pairs.first).to_contain_text("30")  # of the third round
    show = "{}회차 사진 보기" if korean else "Show the pictures of round {}"
    page.get_by_role("button", name=show.format(2)).click()
    none = "이 회차에는 남긴 사진이 없습니다." if korean else "No pictures were kept of this round."
    expect(page.get_by_text(none)).to_be_visible()
    page.get_by_role("button", name=show.format(1)).click()
    expect(
        page.get_by_role("heading", name="1회차 학습의 결과" if korean else "What round 1 brought")
    ).to_be_visible()
    expect(pairs.first).to_contain_text("10")
    page.screenshot(path=folder / f"round-{language}.png", full_page=True)

    pairs.first.click()
    dialog = page.get_by_role("dialog")
    place = dialog.get_by_role("status")
    expect(place).to_have_text("1 / 4")
    drawn = dialog.locator("canvas").first.bounding_box()
    assert drawn is not None and drawn["width"] > 500
    page.wait_for_timeout(500)
    page.screenshot(path=folder / f"round-large-{language}.png")
    assert violations(page) == []
    names = [dialog.get_by_role("heading").inner_text()]
    for number in (2, 3, 4, 4):  # the last one stays
        page.keyboard.press("ArrowRight")
        expect(place).to_have_text(f"{number} / 4")
        names.append(dialog.get_by_role("heading").inner_text())
    assert len(set(names)) == 4
    page.keyboard.press("ArrowLeft")
    expect(place).to_have_text("3 / 4")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert visit.complaints == []
    context.close()
