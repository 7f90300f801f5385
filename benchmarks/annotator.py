"""A scripted annotator: marks every object of photos in a real browser, and the same by the Python API.

    python benchmarks/annotator.py DATA [--photos 20] [--json FILE]

It draws a box around the object, then clicks where most is wrong (the usual click simulator: left includes,
right excludes), each time taking the candidate that fits best, until the mask is good enough; a click that
made it worse is taken back. Both ways have to end with the same masks. Needs Chromium.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import typer

from anymask.api import EncodedImage, load
from anymask.bench.browser import MIDDLE_XY, View, Visitor, visit
from anymask.bench.measure import load_average, rank
from anymask.bench.server import running
from anymask.cli.reporting import complain, say
from anymask.core.candidates import Candidate
from anymask.core.mask import Mask
from anymask.data.sources import open_records
from anymask.evaluation.clicker import Click, next_click
from anymask.evaluation.samples import Sample, samples_of

GOOD_IOU = 0.85  # nobody corrects further
MAX_ACTIONS = 8  # boxes and clicks
PATIENCE = 3  # clicks that bring nothing, then it stays as it is
GAIN = 0.005  # less is nothing

KEEP_ANSWERS = """() => {
    const plain = window.fetch;
    window.anymaskAnswers = [];
    window.fetch = async (...asked) => {
        const response = await plain(...asked);
        if (String(asked[0]).endsWith("/prompt")) anymaskAnswers.push(response.clone().text());
        return response;
    };
}"""
NEXT_ANSWER = """async (before) => {
    const until = performance.now() + 60000;
    while (anymaskAnswers.length <= before) {
        if (performance.now() > until) throw new Error("no prompt was sent");
        await new Promise((next) => setTimeout(next, 5));
    }
    return await anymaskAnswers[before];
}"""


class Hand(Protocol):
    """What does the annotator's bidding on one object. Masks: the candidates that are offered."""

    def box(self, sample: Sample) -> list[Mask]: ...
    def click(self, click: Click) -> list[Mask]: ...
    def choose(self, index: int) -> None: ...
    def back(self) -> list[Mask]: ...
    def keep(self) -> None: ...


@dataclass
class Marked:
    """`actions`: boxes and clicks; `keys`: candidates chosen, clicks taken back, the mask kept."""

    iou: float
    actions: int
    keys: int
    seconds: float


def annotate(sample: Sample, hand: Hand) -> Marked:
    """Until the mask is good enough, or nothing helps."""
    begun = time.perf_counter()
    clicks: list[Click] = []
    ious, keys, mask = [], 0, Mask.from_array(np.zeros_like(sample.ground_truth_HW))
    for number in range(MAX_ACTIONS):
        click = (
            next_click(sample.ground_truth_HW, mask.to_array(), sample.scored_HW, clicks) if number else None
        )
        if number and click is None:
            break
        offered = hand.click(click) if click else hand.box(sample)
        clicks += [click] if click else []
        mask, chosen = _best(sample, offered, hand)
        keys += chosen
        ious.append(sample.iou(mask.to_array()))
        if ious[-1] >= GOOD_IOU or _useless(ious):
            break
    for _ in range(len(ious) - 1 - int(np.argmax(ious))):
        _, chosen = _best(sample, hand.back(), hand)
        keys += 1 + chosen
    hand.keep()
    return Marked(max(ious), len(ious), keys + 1, time.perf_counter() - begun)


def _best(sample: Sample, offered: Sequence[Mask], hand: Hand) -> tuple[Mask, int]:
    """The candidate that fits best, and how many keys it took."""
    index = int(np.argmax([sample.iou(one.to_array()) for one in offered]))
    hand.choose(index)
    return offered[index], int(index > 0)


def _useless(ious: Sequence[float]) -> bool:
    return len(ious) > PATIENCE and max(ious[-PATIENCE:]) <= max(ious[:-PATIENCE]) + GAIN


@dataclass
class Turn:
    """Everything that was asked so far, and the answer that it corrects."""

    prompt: dict[str, Any]
    previous: Candidate | None


@dataclass
class ApiHand:
    """By `EncodedImage.segment`."""

    image: EncodedImage
    masks: list[Mask] = field(default_factory=list)
    _turns: list[Turn] = field(default_factory=list)
    _offered: list[Candidate] = field(default_factory=list)
    _chosen: Candidate | None = None

    def box(self, sample: Sample) -> list[Mask]:
        self._turns = []
        return self._ask(Turn({"box": sample.box_xyxy}, None))

    def click(self, click: Click) -> list[Mask]:
        before = self._turns[-1].prompt
        points = [*before.get("points", []), click.point_xy]
        labels = [*before.get("labels", []), click.label]
        return self._ask(Turn({**before, "points": points, "labels": labels}, self._chosen))

    def back(self) -> list[Mask]:
        self._turns.pop()
        return self._ask(self._turns.pop())

    def _ask(self, turn: Turn) -> list[Mask]:
        self._turns.append(turn)
        self._offered = list(self.image.segment(**turn.prompt, mask=turn.previous))
        return [one.mask for one in self._offered]

    def choose(self, index: int) -> None:
        self._chosen = self._offered[index]

    def keep(self) -> None:
        assert self._chosen is not None
        self.masks.append(self._chosen.mask)


@dataclass
class BrowserHand:
    """By the mouse and the keys of a real page."""

    visitor: Visitor
    view: View

    def box(self, sample: Sample) -> list[Mask]:
        x0, y0, x1, y1 = sample.box_xyxy
        mouse = self.visitor.page.mouse
        mouse.move(*self.view.on_screen((x0, y0)))
        mouse.down()
        mouse.move(*self.view.on_screen(((x0 + x1) / 2, (y0 + y1) / 2)))
        mouse.move(*self.view.on_screen((x1, y1)))
        return self._answered(mouse.up)

    def click(self, click: Click) -> list[Mask]:
        mouse, button = self.visitor.page.mouse, "left" if click.positive else "right"
        mouse.move(*self.view.on_screen(click.point_xy))
        mouse.down(button=button)  # type: ignore[arg-type]
        return self._answered(lambda: mouse.up(button=button))  # type: ignore[arg-type]

    def back(self) -> list[Mask]:
        return self._answered(lambda: self.visitor.press("Backspace"))

    def _answered(self, act: Any) -> list[Mask]:
        before = self.visitor.page.evaluate("() => anymaskAnswers.length")
        act()
        text: str = self.visitor.page.evaluate(NEXT_ANSWER, before)
        self.visitor.settle(40)  # the page has read it, too
        found: list[dict[str, Any]] = json.loads(text.splitlines()[-1])["candidates"]
        return [Mask.from_rle(one["rle"]) for one in found]

    def choose(self, index: int) -> None:
        if index:
            self.visitor.press(str(index + 1))

    def keep(self) -> None:
        self.visitor.timed("keydown", lambda: self.visitor.press("Enter"), "saved")


def run(data: Path, photos: int, folder: Path) -> dict[str, Any]:
    """Both ways on the first photos of a data set. Raises BadInput, Failure."""
    records = open_records(data)
    samples = {}
    (folder / "photos").mkdir(parents=True)
    for number in range(min(photos, len(records))):
        record = records[number]
        (folder / "photos" / f"{number:03d}.jpg").write_bytes(record.blob.read())
        samples[f"{number:03d}.jpg"] = list(samples_of(record, number))
    by_api, api_masks = _by_api(samples, folder / "photos")
    by_browser, browser_masks = _in_browser(samples, folder / "photos")
    same = [a == b for name in samples for a, b in zip(api_masks[name], browser_masks[name], strict=True)]
    ious = [a.iou(b) for name in samples for a, b in zip(api_masks[name], browser_masks[name], strict=True)]
    return {
        "photos": len(samples),
        "masks": len(same),
        "browser": _told(by_browser),
        "api": _told(by_api),
        "same_masks": sum(same),
        "least_iou_between": round(min(ious), 5),
        "load_average": load_average(),
    }


Samples = dict[str, list[Sample]]
Masks = dict[str, list[Mask]]


def _by_api(samples: Samples, folder: Path) -> tuple[list[Marked], Masks]:
    model, marked, masks = load(threads=1), [], {}
    for name, objects in samples.items():
        hand = ApiHand(model.encode(folder / name))
        marked += [annotate(sample, hand) for sample in objects]
        masks[name] = hand.masks
    return marked, masks


def _in_browser(samples: Samples, folder: Path) -> tuple[list[Marked], Masks]:
    marked: list[Marked] = []
    masks: Masks = {}
    with running(folder) as server, visit(server) as visitor:
        visitor.page.evaluate(KEEP_ANSWERS)
        for photo in visitor.photos():
            complain(photo["name"])
            visitor.open(photo)
            visitor.page.mouse.move(*MIDDLE_XY)
            visitor.page.mouse.wheel(0, 180)  # smaller, so that no panel lies on it
            visitor.settle(300)
            hand = BrowserHand(visitor, visitor.view())
            marked += [annotate(sample, hand) for sample in samples[photo["name"]]]
            with visitor.page.expect_response(
                "**/tasks/next"
            ):  # the page goes on by itself; here it is told where
                visitor.press("Control+Enter")
            visitor.settle(500)
            visitor.page.evaluate("() => { location.hash = '#/gallery' }")
            visitor.settle(200)
            masks[photo["name"]] = [Mask.from_rle(one["rle"]) for one in visitor.masks(photo)]
    return marked, masks


def _told(marked: list[Marked]) -> dict[str, Any]:
    seconds = sorted(one.seconds for one in marked)
    return {
        "mean_iou": round(statistics.fmean(one.iou for one in marked), 4),
        "actions_per_mask": round(statistics.fmean(one.actions for one in marked), 2),
        "keys_per_mask": round(statistics.fmean(one.keys for one in marked), 2),
        "seconds_per_mask": {"mean": round(statistics.fmean(seconds), 2), "p50": rank(seconds, 0.5)},
    }


def main(
    data: Annotated[Path, typer.Argument(help="Photos with ground truth.")],
    photos: int = 20,
    json_: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Annotate the first photos of a data set in the browser and by the Python API."""
    with tempfile.TemporaryDirectory(prefix="anymask-annotator-") as work:
        text = json.dumps(run(data, photos, Path(work)), indent=2)
    if json_:
        json_.write_text(text + "\n", encoding="utf-8")
    else:
        say(text)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
