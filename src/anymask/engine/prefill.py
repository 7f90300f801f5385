"""Automatic masks for the photos of a project: prefilled for people (stage 2), or as they are (stage 3).

One job per photo, model and threshold; its masks and its end are saved in one transaction, so a run that is
killed goes on where it was and does nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from anymask.api import Model, load
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.mask import Mask, iou_matrix
from anymask.core.progress import Progress
from anymask.engine.project import Project
from anymask.engine.working import do_jobs
from anymask.errors import AnymaskError, BadInput, BadOption
from anymask.store import jobs
from anymask.store.annotations import masks_of, revision_of, save_in
from anymask.store.images import image as image_row
from anymask.store.images import set_state
from anymask.store.jobs import Job
from anymask.store.schema import images
from anymask.store.values import Action, StaleWrite, StoredMask, digest_of

KIND = "masks"
STAGES = ("prefilled", "automatic")
FREE = ("new", *STAGES)  # states of photos that nobody has annotated
SAME = 0.5  # IoU from which a mask is one that a person has drawn already


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What a run did."""

    photos: int
    masks: int
    failures: tuple[tuple[str, str], ...]


def queue_masks(
    project: Project,
    model: Model,
    *,
    stage: str,
    min_probability: float,
    states: Sequence[str] | None = FREE,
    image_ids: Sequence[int] | None = None,
) -> int:
    """A job for each photo that is not for evaluation; returns how many there are. Raises BadOption."""
    if stage not in STAGES:
        raise BadOption(f"stage: expected one of {', '.join(STAGES)}, got {stage!r}")
    query = select(images.c.id, images.c.hash).where(images.c.fixed.is_(False)).order_by(images.c.id)
    if states is not None:
        query = query.where(images.c.state.in_(states))
    if image_ids is not None:
        query = query.where(images.c.id.in_(image_ids))
    with project.database.read() as connection:
        rows = connection.execute(query).all()
    version = project.version
    for row in rows:
        key = f"{KIND}:{row.hash}:{model.fingerprint}:{stage}:{min_probability:g}"
        body = {
            "image": row.id,
            "stage": stage,
            "min_probability": min_probability,
            "model": version,
            "fingerprint": model.fingerprint,
        }
        jobs.put(project.database, KIND, key, body)
    return len(rows)


def prefill(
    project: Project,
    *,
    stage: str = "prefilled",
    min_probability: float = 0.5,
    states: Sequence[str] | None = FREE,
    image_ids: Sequence[int] | None = None,
    model: Model | None = None,
    progress: Progress | None = None,
) -> Prefilled:
    """Automatic masks of the project's model for its photos; called again, it goes on where it stopped."""
    model = model or load(project.model)
    total = queue_masks(
        project, model, stage=stage, min_probability=min_probability, states=states, image_ids=image_ids
    )
    done, masks, failures = 0, 0, []
    for job, outcome in do_jobs(project, {KIND: Masks(model)}):
        done += 1
        if isinstance(outcome, AnymaskError):
            failures.append((job.key, str(outcome)))
        else:
            masks += int(outcome["masks"])
        if progress is not None:
            progress(min(done, total), total)
    return Prefilled(done - len(failures), masks, tuple(failures))


class Masks:
    """Does the jobs: keeps the model of the last one."""

    def __init__(self, model: Model | None = None) -> None:
        self._model = model

    def __call__(self, project: Project, job: Job, progress: Progress) -> dict[str, Any]:
        self._model = model_of(project, job, self._model)
        return {"masks": _masks_of_image(project, self._model, job)}


def model_of(project: Project, job: Job, known: Model | None) -> Model:
    """The model that a job was queued for, `known` if it is that. Raises BadInput when it is gone."""
    wanted = job.body["fingerprint"]
    if known is None or known.fingerprint != wanted:
        known = load(project.model_of(job.body["model"]))
    if known.fingerprint != wanted:
        raise BadInput("the model of this job is not there any more")
    return known


def _masks_of_image(project: Project, model: Model, job: Job) -> int:
    image_id, stage = job.body["image"], job.body["stage"]
    image = image_row(project.database, image_id)
    pixels = project.photo(image).read()
    found = model.everything(pixels, min_probability=job.body["min_probability"])
    revision = revision_of(project.database, image_id)  # first: what is read after it is no older
    current = masks_of(project.database, image_id)
    replaced = tuple(one.uid for one in current if one.stage in STAGES)
    kept = [one.mask for one in current if one.stage not in STAGES]
    adds = tuple(_stored(one, stage, model, job) for one in new_masks(found, kept))
    key = digest_of("masks", job.key, str(revision))
    action = Action(image_id, revision, key, f"model:{model.name}"[:64], adds, replaced)

    def save_all(connection: Connection) -> None:
        outcome = save_in(connection, action, project.database.clock())
        if isinstance(outcome, StaleWrite):  # somebody drew meanwhile: the job is done again
            raise outcome
        if image.state in FREE:
            set_state(connection, image_id, stage)
        jobs.finish_in(connection, job, {"masks": len(adds)}, project.database.clock())

    project.database.write(save_all)
    return len(adds)


def new_masks(found: Sequence[AutomaticMask], kept: Sequence[Mask]) -> list[AutomaticMask]:
    """Those that nobody has drawn yet."""
    if not found or not kept:
        return list(found)
    best = iou_matrix([one.mask for one in found], list(kept)).max(axis=1)
    return [one for one, iou in zip(found, best, strict=True) if iou < SAME]


def _stored(one: AutomaticMask, stage: str, model: Model, job: Job) -> StoredMask:
    uid = uuid.uuid5(uuid.NAMESPACE_OID, f"{job.key} {one.mask.rle['counts']}").hex
    probability = None if one.probability is None else round(float(one.probability), 6)
    return StoredMask(uid, one.mask, None, "", stage, 0, model.fingerprint, probability)
