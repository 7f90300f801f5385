"""Photos: the list, and what is shown of each. Always made anew from the pixels, never the file itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response, UploadFile

from anymask.engine.queueing import queue_photos
from anymask.engine.uploads import Upload, add_uploads
from anymask.store import images
from anymask.store.database import AnyRow
from anymask.store.users import User
from anymask.web.errors import Refused
from anymask.web.schemas import After, Id, Limit
from anymask.web.studio import Studio, image_told, studio_of, user_of

FOR_EVER = "private, max-age=31536000, immutable"
router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Me = Annotated[User, Depends(user_of)]
Hash = Annotated[str | None, Query(pattern=r"^[0-9a-f]{1,64}$")]


@router.get("/images")
def list_images(
    studio: TheStudio,
    me: Me,
    state: Literal["new", "prefilled", "annotated", "skipped", "automatic"] | None = None,
    fixed: bool | None = None,
    after: After = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """A page of photos; `next` is the `after` of the one behind it. Of what several people annotate blind,
    annotators are told how their own work on it stands.
    """
    found = studio.seen(me, state=state, fixed=fixed, after=after, limit=limit)
    return {
        "images": [image_told(row) for row in found],
        "next": found[-1].id if len(found) == limit else None,
    }


@router.post("/images")
def upload(files: list[UploadFile], studio: TheStudio, me: Me) -> dict[str, Any]:
    """Photos into the project; what is none is named."""
    sent = [Upload(one.filename or "", one.file) for one in files]
    done = add_uploads(studio.project, sent, me.name)
    queue_photos(studio.project)
    studio.events.tell("project", {})
    failures = [{"name": name, "why": why} for name, why in done.failures]
    return {"new": done.new, "known": done.known, "failures": failures}


@router.get("/images/{image_id}")
def image(image_id: Id, studio: TheStudio, me: Me) -> dict[str, Any]:
    """One photo."""
    find(studio, image_id)
    return image_told(studio.seen(me, after=image_id - 1, limit=1)[0])


@router.get("/images/{image_id}/photo")
def photo(
    image_id: Id,
    request: Request,
    studio: TheStudio,
    size: Literal["display", "full"] = "display",
    v: Hash = None,
) -> Response:
    """The upright photo as JPEG; a version (`v`) is cached for ever."""
    row = find(studio, image_id)
    return _shown(request, row, size, v) or _jpeg(studio.photos.shown(row, size), row, size, v)


@router.get("/images/{image_id}/thumbnail")
def thumbnail(image_id: Id, request: Request, studio: TheStudio, v: Hash = None) -> Response:
    """Small."""
    row = find(studio, image_id)
    return _shown(request, row, "thumbnail", v) or _jpeg(
        studio.photos.shown(row, "thumbnail"), row, "thumbnail", v
    )


@router.get("/images/{image_id}/tiles/{level}/{column}/{row}")
def tile(
    image_id: Id, level: Id, column: Id, row: Id, request: Request, studio: TheStudio, v: Hash = None
) -> Response:
    """A tile of a large photo."""
    found = find(studio, image_id)
    name = f"{level}-{column}-{row}"
    return _shown(request, found, name, v) or _jpeg(
        studio.photos.tile(found, level, column, row), found, name, v
    )


def find(studio: Studio, image_id: int) -> AnyRow:
    """With its masks and revision. Refused with 404."""
    found = images.list_images(studio.project.database, after=image_id - 1, limit=1)
    if not found or found[0].id != image_id:
        raise Refused(404, f"the project has no photo {image_id}")
    return found[0]


def _tag(row: AnyRow, name: str) -> str:
    return f'"{row.hash[:32]}-{name}"'


def _headers(row: AnyRow, name: str, version: str | None) -> dict[str, str]:
    return {
        "ETag": _tag(row, name),
        "Cache-Control": FOR_EVER if version == row.hash else "private, no-cache",
    }


def _shown(request: Request, row: AnyRow, name: str, version: str | None) -> Response | None:
    """304 for who has it."""
    if request.headers.get("if-none-match") != _tag(row, name):
        return None
    return Response(status_code=304, headers=_headers(row, name, version))


def _jpeg(content: bytes, row: AnyRow, name: str, version: str | None) -> Response:
    return Response(content, media_type="image/jpeg", headers=_headers(row, name, version))
