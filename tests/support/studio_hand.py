"""A hand at the page of the studio that knows the truth: it drags boxes around things and keeps the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, expect
from studio_browser import Visit

from anymask.core.mask import Mask, iou_matrix
from anymask.evaluation.recall import ranks_of_finds, recall_per_target

TITLE = re.compile(r"^Photo (.+?), \d+ masks?\.")
RIGHT = 0.5  # IoU of a suggestion that is right


def truth_of(folder: Path) -> dict[str, list[Mask]]:
    """By the name of the photo; SA-1B's JSON beside it."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        masks = [Mask.from_rle(one["segmentation"]) for one in record["annotations"]]
        found[record["image"]["file_name"]] = masks
    return found


@dataclass(frozen=True, slots=True)
class Places:
    """From pixels of the photo to those of the window: the same scale along both sides."""

    scale: float
    x: float
    y: float

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        return self.x + self.scale * x, self.y + self.scale * y


def places_of(page: Page) -> Places:
    """Found as a person would: by clicking twice and looking where that was."""
    size = page.viewport_size
    assert size is not None
    middle = (size["width"] * 0.42, size["height"] * 0.52)
    marks = []
    for dx, dy in ((-60, -60), (60, 60)):
        at = (middle[0] + dx, middle[1] + dy)
        with page.expect_request("**/prompt") as sent:
            page.mouse.click(*at)
        marks.append((at, sent.value.post_data_json["prompt"]["points"][0]))
        page.keyboard.press("Escape")
    ((ax, ay), (px, py)), ((bx, _), (qx, _)) = marks
    scale = (bx - ax) / (qx - px)
    return Places(scale, ax - scale * px, ay - scale * py)


def title(visit: Visit) -> str:
    """The photo on the screen, once it can be clicked."""
    shown = visit.page.get_by_role("application", name=re.compile("^Photo "))
    expect(shown).to_have_attribute("data-open", "true")
    found = TITLE.match(shown.get_attribute("aria-label") or "")
    assert found, shown.get_attribute("aria-label")
    return found.group(1)


def draw_boxes(visit: Visit, masks: Sequence[Mask]) -> None:
    """A box around each thing, and Enter."""
    page = visit.page
    farther = page.get_by_role("button", name="Farther")
    farther.click(click_count=2)  # away from under the bars
    place = places_of(page)
    page.keyboard.press("r")
    for mask in masks:
        x0, y0, x1, y1 = mask.box_xyxy
        page.mouse.move(*place(x0, y0))
        page.mouse.down()
        page.mouse.move(*place((x0 + x1) / 2, (y0 + y1) / 2))
        page.mouse.move(*place(x1, y1))
        page.mouse.up()
        expect(visit.candidates.first).to_be_visible()
        visit.keep()
    visit.saved()


@dataclass(frozen=True, slots=True)
class Scores:
    """Of suggestions against the truth. `ar`: at 100; `f1`: at IoU 0.5."""

    ar: float
    f1: float
    masks: int


def scores_of(found: Mapping[str, Sequence[dict[str, Any]]], truth: Mapping[str, Sequence[Mask]]) -> Scores:
    """Suggestions by photo, as the server tells them."""
    recalls, right, told, there = [], 0, 0, 0
    for name, masks in found.items():
        ranked = sorted(masks, key=lambda one: -(one["probability"] or 0))[:100]
        targets = list(truth[name])
        there += len(targets)
        told += len(ranked)
        if not ranked:
            recalls.append(np.zeros(len(targets)))
            continue
        ranks_TG = ranks_of_finds(iou_matrix([Mask.from_rle(one["rle"]) for one in ranked], targets))
        recalls.append(recall_per_target(ranks_TG, 100))
        right += int((ranks_TG[0] < 100).sum())
    ar = float(np.concatenate(recalls).mean())
    return Scores(round(ar, 3), round(2 * right / max(1, told + there), 3), told)
