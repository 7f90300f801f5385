"""Work of people: tasks with leases, the masks of an image, saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from anymask.engine.editing import action_of
from anymask.engine.operations import Operation
from anymask.engine.queueing import finish, stage_of
from anymask.errors import AnymaskError
from anymask.store import images, tasks
from anymask.store.annotations import masks_of, revision_of
from anymask.store.blind import check_may_see
from anymask.store.lineage import by_origin
from anymask.store.opening import lease_of, left, note_of, open_image
from anymask.store.tasks import Lease
from anymask.store.users import User
from anymask.store.values import Saved, StaleWrite
from anymask.web.bytes_of_masks import bytes_of_masks
from anymask.web.errors import Refused, error_told
from anymask.web.schemas import (
    Edits,
    EditsBatch,
    Held,
    Holding,
    Id,
    Key,
    Layer,
    MaybeRevision,
    NextTask,
    Opening,
    Reviewing,
    Skipping,
    Submitting,
    whole_mask_told,
)
from anymask.web.studio import Studio, image_told, studio_of, user_of

MAX_IN_JSON = 1_000  # masks; more are fetched as bytes
MAX_STALE = 1_000  # masks of now in the answer to a save that came too late
router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Me = Annotated[User, Depends(user_of)]
IdempotencyKey = Annotated[Key, Header()]
IfMatch = Annotated[str, Header(pattern=r'^"?[0-9]{1,9}"?$')]


@router.post("/tasks/next")
def next_task(asked: NextTask, studio: TheStudio, me: Me) -> dict[str, Any]:
    """The most urgent task, with its photo and masks; what is held already comes first."""
    kinds = [one for one in asked.kinds or me.kinds if one in me.kinds]
    lease = tasks.next_task(studio.project.database, me.name, kinds=kinds) if kinds else None
    waiting = left(studio.project.database, me.name)
    counts = {kind: waiting.get(kind, 0) for kind in tasks.KINDS}
    return {"work": None if lease is None else work_told(studio, lease, me), "left": counts}


@router.post("/images/{image_id}/open")
def open_(image_id: Id, asked: Opening, studio: TheStudio, me: Me) -> dict[str, Any]:
    """Work on a photo that was chosen; for reviewers, finished ones too, and those that somebody holds."""
    reviewer = me.role != "annotator"
    if asked.take_over and not reviewer:
        raise Refused(403, "taking a photo over is for people with the role reviewer")
    database = studio.project.database
    lease = open_image(database, image_id, me.name, finished_too=reviewer, take_over=asked.take_over)
    return work_told(studio, lease, me)


def work_told(studio: Studio, lease: Lease, me: User) -> dict[str, Any]:
    database = studio.project.database
    row = studio.seen(me, after=lease.image_id - 1, limit=1)[0]
    masks = masks_of(database, lease.image_id, lease.layer)
    told = by_origin(database, lease.image_id, masks, lease.layer) if len(masks) <= MAX_IN_JSON else None
    studio.follow_model()
    studio.encode_ahead(row, me)
    return {
        "lease": lease_told(studio, lease),
        "image": image_told(row),
        "revision": lease.revision,
        "stage": stage_of(lease, row, masks),
        "masks": None if told is None else [whole_mask_told(*one) for one in told],
        "embedding": studio.inference.state(row.hash),
    }


def lease_told(studio: Studio, lease: Lease) -> dict[str, Any]:
    names = ("task", "kind", "token", "until", "round", "layer")
    return {
        **{name: getattr(lease, name) for name in names},
        "seconds_left": max(0.0, lease.until - studio.project.database.clock()),
        "note": note_of(studio.project.database, lease.task),
    }


@router.post("/tasks/{task_id}/renew")
def renew(task_id: Id, held: Holding, studio: TheStudio, me: Me) -> dict[str, Any]:
    """Keep it ten minutes more."""
    lease = lease_of(studio.project.database, task_id, held.token, me.name)
    return lease_told(studio, tasks.renew(studio.project.database, lease))


@router.post("/tasks/{task_id}/release", status_code=204)
def release(task_id: Id, held: Holding, studio: TheStudio, me: Me) -> None:
    """Open again for anyone."""
    tasks.give_back(studio.project.database, lease_of(studio.project.database, task_id, held.token, me.name))


@router.post("/tasks/{task_id}/skip", status_code=204)
def skip(task_id: Id, asked: Skipping, studio: TheStudio, me: Me) -> None:
    """Not to be annotated, for a reason."""
    lease = lease_of(studio.project.database, task_id, asked.token, me.name)
    tasks.skip(studio.project.database, lease, asked.reason)
    studio.image_changed(lease.image_id, lease.revision, me.name, lease.layer)


@router.post("/tasks/{task_id}/submit", status_code=204)
def submit(task_id: Id, asked: Submitting, studio: TheStudio, me: Me) -> None:
    """Done."""
    lease = lease_of(studio.project.database, task_id, asked.token, me.name)
    settings = studio.settings()
    finish(studio.project, lease, asked.seconds, settings.review_share, settings.overlap_share)
    studio.image_changed(lease.image_id, lease.revision, me.name, lease.layer)


@router.post("/tasks/{task_id}/review", status_code=204)
def review(task_id: Id, asked: Reviewing, studio: TheStudio, me: Me) -> None:
    """Accept somebody's work, or return it to them with a reason."""
    lease = lease_of(studio.project.database, task_id, asked.token, me.name)
    tasks.review(studio.project.database, lease, asked.verdict, asked.reason)
    studio.image_changed(lease.image_id, lease.revision, me.name, lease.layer)


@router.get("/images/{image_id}/masks", response_model=None)
def masks(
    image_id: Id,
    request: Request,
    studio: TheStudio,
    me: Me,
    layer: Layer = 0,
    revision: MaybeRevision = None,
) -> dict[str, Any] | Response:
    """As bytes, or as JSON for who asks for that, see `bytes_of_masks`; of now or of an earlier revision."""
    database = studio.project.database
    row = images.image(database, image_id)
    if me.role == "annotator":
        check_may_see(database, image_id, layer, me.name, studio.overlap_share())
    now = revision_of(database, image_id, layer)  # before its masks, lest a save in between is missed
    found = by_origin(database, image_id, masks_of(database, image_id, layer, revision), layer)
    shown = now if revision is None else min(revision, now)
    if "application/json" in request.headers.get("accept", ""):
        return {"revision": shown, "masks": [whole_mask_told(*one) for one in found]}
    content = bytes_of_masks(found, shown, (row.height, row.width))
    return Response(content, media_type="application/octet-stream", headers={"ETag": f'"{shown}"'})


@router.post("/images/{image_id}/actions")
def save(
    image_id: Id,
    edits: Edits,
    response: Response,
    studio: TheStudio,
    me: Me,
    idempotency_key: IdempotencyKey,
    if_match: IfMatch,
) -> dict[str, Any]:
    """One save; it is on disk when this is answered. Sent again with the same key, the same answer."""
    base = int(if_match.strip('"'))
    saved = _save(studio, me, image_id, edits.lease, base, idempotency_key, edits.operations)
    response.headers["ETag"] = f'"{saved.revision}"'
    return {"revision": saved.revision, "masks": saved.masks, "repeated": saved.repeated}


@router.post("/images/{image_id}/actions/batch")
def save_batch(
    image_id: Id, batch: EditsBatch, studio: TheStudio, me: Me, if_match: IfMatch
) -> dict[str, Any]:
    """Saves that waited for the server, each on the result of the one before; stops where one fails."""
    base, results, failure = int(if_match.strip('"')), [], None
    for one in batch.actions:
        try:
            saved = _save(studio, me, image_id, batch.lease, base, one.key, one.operations)
        except AnymaskError as error:
            failure = error_told(error)
            break
        base = saved.revision
        told = {"revision": saved.revision, "masks": saved.masks, "repeated": saved.repeated}
        results.append({"key": one.key, **told})
    return {"results": results, "error": failure}


def _save(
    studio: Studio,
    me: User,
    image_id: int,
    held: Held,
    base: int,
    key: str,
    operations: Sequence[Operation],
) -> Saved:
    database = studio.project.database
    lease = lease_of(database, held.task, held.token, me.name)
    if lease.image_id != image_id:
        raise Refused(400, f"expected a lease of photo {image_id}, got one of photo {lease.image_id}")
    action = action_of(database, lease, base, key, me.name, operations)
    try:
        saved = tasks.save_task(database, lease, action)
    except StaleWrite as error:
        now = masks_of(database, image_id, lease.layer)[:MAX_STALE]
        masks = [whole_mask_told(*one) for one in by_origin(database, image_id, now, lease.layer)]
        told = [one.model_dump(mode="json") for one in operations]
        error.detail = {  # type: ignore[attr-defined]
            "revision": error.revision,
            "masks": masks,
            "yours": {"operations": told},
        }
        raise
    if not saved.repeated:
        studio.image_changed(image_id, saved.revision, me.name, lease.layer)
    return saved
