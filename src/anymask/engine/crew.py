"""A simulated crew: annotators made from ground truth, with the errors and the time of people.

They work through the API that people use: lease a task, ask the model, save, submit. Each object is clicked
near its middle, the best candidate is chosen by eye, corrected by clicks, at last by brush.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from anymask.api import EncodedImage, Model
from anymask.core.mask import Mask, iou_matrix
from anymask.engine.project import Project
from anymask.engine.time_model import (
    CLICK_S,
    FIRST_CLICK_S,
    LOOK_S,
    NUDGE_S,
    REMOVE_S,
    Stopwatch,
    brush_seconds,
)
from anymask.evaluation.clicker import Click, next_click
from anymask.store import tasks
from anymask.store.annotations import masks_of, revision_of
from anymask.store.images import image as image_row
from anymask.store.values import Action, StoredMask

SAME = 0.5  # IoU from which a mask that is there already counts as this object
WRONG = 0.3  # IoU under which a prefilled mask is of nothing


@dataclass(frozen=True, slots=True)
class Habits:
    """`accept_iou`: good enough to go on, as a person sees it. `eye_noise`: error of that look.
    `misses`: chance to overlook an object. `masks_per_image`: after drawing so many they leave an image, and
    say that it is unfinished.
    """

    accept_iou: float = 0.85
    eye_noise: float = 0.03
    max_clicks: int = 6
    misses: float = 0.03
    masks_per_image: int = 25


@dataclass(frozen=True, slots=True)
class DrawnMask:
    """What one mask cost."""

    seconds: float
    clicks: int
    iou: float
    brushed: bool


@dataclass(slots=True)
class Work:
    """What the crew did in a round."""

    masks: list[DrawnMask] = field(default_factory=list)
    images: int = 0
    present: int = 0  # masks on those images afterwards, prefilled ones included
    removed: int = 0

    @property
    def seconds_per_mask(self) -> float | None:
        return float(np.mean([one.seconds for one in self.masks])) if self.masks else None

    @property
    def clicks_per_mask(self) -> float | None:
        return float(np.mean([one.clicks for one in self.masks])) if self.masks else None

    @property
    def masks_per_image(self) -> float | None:
        return self.present / self.images if self.images else None


@dataclass(slots=True)
class Annotator:
    """One simulated person."""

    name: str
    rng: np.random.Generator
    habits: Habits = Habits()
    watch: Stopwatch = field(default_factory=Stopwatch)


def run_crew(
    project: Project,
    model: Model,
    truth: Mapping[int, Sequence[Mask]],
    people: Sequence[Annotator],
    *,
    stage: str,
    round_number: int,
    kinds: Sequence[str] = ("annotate",),
    progress: Callable[[int], None] | None = None,
) -> Work:
    """Everyone works in turn until there is no task left. `truth`: ground truth by number of the image."""
    done, turn = Work(), 0
    idle = 0
    while idle < len(people):
        person = people[turn % len(people)]
        turn += 1
        lease = tasks.next_task(project.database, person.name, kinds=kinds)
        if lease is None:
            idle += 1
            continue
        idle = 0
        _annotate(project, model, truth[lease.image_id], person, lease, stage, round_number, done)
        if progress is not None:
            progress(done.images)
    return done


def _annotate(
    project: Project,
    model: Model,
    truth: Sequence[Mask],
    person: Annotator,
    lease: tasks.Lease,
    stage: str,
    round_number: int,
    done: Work,
) -> None:
    before = masks_of(project.database, lease.image_id, lease.layer)
    missing, wrong = _compare(before, truth, person)
    left, missing = missing[person.habits.masks_per_image :], missing[: person.habits.masks_per_image]
    spent = sum(person.watch.spend(REMOVE_S) for _ in wrong)
    encoded = model.encode(project.photo(image_row(project.database, lease.image_id)).read())
    taken: list[StoredMask] = []
    for wanted in missing:
        mask, told, drawn = draw(encoded, wanted, person)
        spent += drawn.seconds
        if mask.is_empty:
            continue
        done.masks.append(drawn)
        uid = uuid.UUID(bytes=person.rng.bytes(16)).hex
        taken.append(
            StoredMask(
                uid,
                mask,
                None,
                person.name,
                stage,
                round_number,
                model.fingerprint,
                None,
                drawn.seconds,
                more=told,
            )
        )
    if taken or wrong:
        revision = revision_of(project.database, lease.image_id, lease.layer)
        key = uuid.UUID(bytes=person.rng.bytes(16)).hex
        action = Action(lease.image_id, revision, key, person.name, tuple(taken), tuple(wrong), lease.layer)
        tasks.save_task(project.database, lease, action)
    tasks.submit(
        project.database, lease, seconds=spent, unfinished=f"{len(left)} more things" if left else None
    )
    done.images += 1
    done.removed += len(wrong)
    done.present += len(before) - len(wrong) + len(taken)


def _compare(
    before: Sequence[StoredMask], truth: Sequence[Mask], person: Annotator
) -> tuple[list[Mask], list[str]]:
    """Objects that have no mask yet, the most prominent first, and masks that are of nothing."""
    open_ = list(truth)
    wrong: list[str] = []
    if before and truth:
        ious = iou_matrix([one.mask for one in before], list(truth))
        found = ious.max(axis=0) >= SAME
        open_ = [one for one, is_found in zip(truth, found, strict=True) if not is_found]
        best = ious.max(axis=1)
        wrong = [
            one.uid for one, iou in zip(before, best, strict=True) if iou < WRONG and one.stage == "prefilled"
        ]
    seen = [one for one in open_ if person.rng.random() >= person.habits.misses]
    prominence = [one.area * person.rng.uniform(0.7, 1.3) for one in seen]
    order = sorted(range(len(seen)), key=lambda i: -prominence[i])
    return [seen[i] for i in order], wrong


def draw(encoded: EncodedImage, wanted: Mask, person: Annotator) -> tuple[Mask, dict[str, object], DrawnMask]:
    """One object: clicks until the answer looks good, then the brush. The mask, its story, what it cost."""
    wanted_HW = wanted.to_array()
    scored = np.ones_like(wanted_HW)
    clicks: list[Click] = []
    current, offered, choice = np.zeros_like(wanted_HW), 0, 0
    seconds, iou = 0.0, 0.0
    logits = None
    while len(clicks) < person.habits.max_clicks and seconds < NUDGE_S:
        click = next_click(wanted_HW, current, scored, clicks)
        if click is None:
            break
        clicks.append(_shaken(click, wanted_HW, person.rng))
        seconds += person.watch.spend(FIRST_CLICK_S if len(clicks) == 1 else CLICK_S)
        answers = encoded.segment(
            points=[one.point_xy for one in clicks], labels=[one.label for one in clicks], mask=logits
        )
        seconds += person.watch.spend(LOOK_S)
        masks = [one.mask for one in answers]
        ious = [wanted.iou(one) for one in masks]
        chosen = int(np.argmax([one + person.rng.normal(0, person.habits.eye_noise) for one in ious]))
        if len(clicks) == 1:
            offered, choice = len(masks), chosen
        iou, current, logits = ious[chosen], masks[chosen].to_array(), answers[chosen]
        if iou + person.rng.normal(0, person.habits.eye_noise) >= person.habits.accept_iou:
            break
    brushed = iou < person.habits.accept_iou - person.habits.eye_noise
    if brushed:
        seconds += person.watch.spend(brush_seconds(iou))
        current = _by_hand(wanted_HW, person.rng)
    mask = Mask.from_array(current)
    told: dict[str, object] = {
        "points": [[*one.point_xy, one.label] for one in clicks],
        "offered": offered,
        "taken": choice,
        "brushed": brushed,
    }
    return (
        mask,
        told,
        DrawnMask(seconds, len(clicks), wanted.iou(mask) if not mask.is_empty else 0.0, brushed),
    )


def _shaken(click: Click, wanted_HW: np.ndarray, rng: np.random.Generator) -> Click:
    """A hand is off by a pixel or two, but not off the object."""
    dx, dy = np.rint(rng.normal(0, 1, 2)).astype(int)
    x, y = click.x + int(dx), click.y + int(dy)
    inside = 0 <= y < wanted_HW.shape[0] and 0 <= x < wanted_HW.shape[1]
    return Click(x, y, click.positive) if inside and bool(wanted_HW[y, x]) == click.positive else click


def _by_hand(wanted_HW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A drawing is off by up to a pixel in one direction."""
    dx, dy = rng.integers(-1, 2, 2)
    moved = np.roll(wanted_HW, (int(dy), int(dx)), axis=(0, 1))
    if dy > 0:
        moved[:dy] = False
    elif dy < 0:
        moved[dy:] = False
    if dx > 0:
        moved[:, :dx] = False
    elif dx < 0:
        moved[:, dx:] = False
    both = moved & wanted_HW
    return moved if both.sum() * 2 > wanted_HW.sum() else wanted_HW
