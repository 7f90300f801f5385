"""Rounds: snapshot, train from the model of now, evaluate on the fixed part, promote only if not worse.

A round that was killed begins again from its snapshot, which is a file, and from its training's checkpoints.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from anymask.data.record import PARTIAL, Record
from anymask.data.sources import RecordSource
from anymask.engine.project import Project, record_of
from anymask.engine.round_pictures import folder_of, write_pictures
from anymask.errors import BadInput, mapped
from anymask.files import sha256_of, write_atomically
from anymask.store import images, registry
from anymask.store.annotations import each_image
from anymask.store.database import AnyRow
from anymask.store.registry import ModelVersion
from anymask.store.tasks import unfinished_images
from anymask.store.values import canonical, digest_of

if TYPE_CHECKING:  # what decides needs the metrics' extra; the studio, which imports this, does not
    from anymask.engine.promotion import Decision

DRAWN = ("manual", "semi", "imported")  # by people; prefilled masks count on photos that people looked at


@dataclass(frozen=True, slots=True)
class Trained:
    """`path`: what `anymask.load` takes. `forgotten`: IoU lost on everyday photos, where it was measured."""

    path: Path
    forgotten: float | None = None


class Trainer(Protocol):
    """Trains from `base` on records into the folder `out`."""

    def __call__(self, records: RecordSource, base: str, out: Path, *, seed: int) -> Trained: ...


class Evaluator(Protocol):
    """Measures a model on records: `metrics` for people, the rest for `decide`."""

    def __call__(self, model: str, records: RecordSource) -> dict[str, Any]: ...


class Decider(Protocol):
    """Whether a model replaces the one before it."""

    def __call__(
        self, before: dict[str, Any], after: dict[str, Any], forgotten: float | None
    ) -> Decision: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a project trains its rounds.

    `measure`: on more photos than each round can afford, before the first and after the last. `remember`: of
    photos of another kind, clicks and boxes only.
    """

    train: Trainer
    evaluate: Evaluator
    decide: Decider
    measure: Evaluator | None = None
    remember: Evaluator | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round came to."""

    number: int
    promoted: bool
    why: str
    photos: int
    masks: int
    before: dict[str, Any]
    after: dict[str, Any]
    forgotten: float | None = None


def run_round(project: Project, recipe: Recipe, *, stage: str = "manual") -> Outcome:
    """One round. Raises BadInput when nobody has annotated anything, or there is nothing to measure on."""
    fixed = fixed_records(project)
    if not len(fixed):
        raise BadInput("expected masks on some photos of the fixed part, to measure on; found none")
    number, path, begun = _begun(project, stage)
    records, base = read_snapshot(project, path), project.model_of(begun)
    out = folder_of(project, number)
    trained = recipe.train(records, base, out, seed=number)
    before, after = recipe.evaluate(base, fixed), recipe.evaluate(str(trained.path), fixed)
    write_pictures(out, before.get("pictures", ()), after.get("pictures", ()))
    decision = recipe.decide(before, after, trained.forgotten)
    files = [one for one in trained.path.parent.glob(f"{trained.path.stem}*") if one.is_file()]
    identity = digest_of(*sorted(map(sha256_of, files)))
    place = os.path.relpath(trained.path, project.folder)
    version = ModelVersion(identity, out.name, place, begun, number, metrics_of(after))
    registry.add_model(project.database, version)
    if decision.promoted:
        registry.promote(project.database, identity, "engine", decision.why)
    state = "promoted" if decision.promoted else "kept"
    metrics = {"before": metrics_of(before), "after": metrics_of(after), "photos": len(records)}
    if trained.forgotten is not None:
        metrics["forgotten"] = trained.forgotten
    registry.end_round(
        project.database, number, state=state, after=identity, why=decision.why, metrics=metrics
    )
    masks = sum(len(one.annotations) for one in records)
    told = metrics_of(before), metrics_of(after)
    return Outcome(number, decision.promoted, decision.why, len(records), masks, *told, trained.forgotten)


def metrics_of(measured: dict[str, Any]) -> dict[str, Any]:
    """Without what only `decide` needs."""
    return dict(measured.get("metrics", measured))


def _begun(project: Project, stage: str) -> tuple[int, Path, str | None]:
    """The round that was stopped, else a new one: its number, its snapshot and the model it trains from."""
    known = registry.list_rounds(project.database)
    for one in known:
        path = _snapshot_path(project, one.snapshot)
        if one.state == "running" and path.is_file():
            return one.number, path, one.before
        if one.state == "running":
            why = "its snapshot is missing"
            registry.end_round(project.database, one.number, state="failed", after=None, why=why, metrics={})
    path, version = take_snapshot(project), project.version
    number = max((int(one.number) for one in known), default=0) + 1
    registry.begin_round(project.database, number, stage, path.stem, version)
    return number, path, version


def next_number(known: Sequence[AnyRow]) -> int:
    """Of the round that is running, else of the next one."""
    running = [int(one.number) for one in known if one.state == "running"]
    return running[0] if running else max((int(one.number) for one in known), default=0) + 1


def cancel_round(project: Project) -> None:
    """The round that is running is over: the next one begins anew."""
    for one in registry.list_rounds(project.database):
        if one.state == "running":
            registry.end_round(
                project.database, one.number, state="failed", after=None, why="cancelled", metrics={}
            )


def _snapshot_path(project: Project, digest: str) -> Path:
    return project.folder / "snapshots" / f"{digest}.jsonl"


def take_snapshot(project: Project) -> Path:
    """What is to be trained on, as a file that is named after its content: a line for each photo.

    Photos that people annotated, with all their masks; the fixed part is never in it.
    """
    lines, unfinished = [], unfinished_images(project.database)
    for image, masks in each_image(project.database):
        if image.fixed or not any(one.stage in DRAWN for one in masks):
            continue
        record = record_of(image, masks, project.place(image))
        # In stage 1 people stop before everything is drawn: what has no mask there need not be background.
        stops = image.id in unfinished or any(one.stage == "manual" for one in masks)
        partial = {PARTIAL: True} if stops else {}
        fields = {**record.fields, **partial}
        lines.append(canonical({"key": record.key, "hash": image.hash, "fields": fields}))
    if not lines:
        raise BadInput("expected masks that people made, on photos outside of the fixed part; found none")
    path = _snapshot_path(project, digest_of(*lines))
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    return path


def read_snapshot(project: Project, path: Path) -> RecordSource:
    """With the photos of the project, wherever they are now. Raises BadInput."""
    known = {image.hash: image for image in images.each(project.database)}
    with mapped((OSError, ValueError, KeyError), BadInput, f"{path} is damaged"):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found = [(row["key"], known[row["hash"]], row["fields"]) for row in rows]
    return RecordSource(path.stem, [(key, project.photo(image), fields) for key, image, fields in found])


def fixed_records(project: Project) -> RecordSource:
    """The photos that are never trained on, with their masks."""
    return source_of("fixed", [one for one in project.records(fixed=True, stages=DRAWN) if one.annotations])


def source_of(name: str, records: Sequence[Record]) -> RecordSource:
    return RecordSource(name, [(one.key, one.blob, one.fields) for one in records])
