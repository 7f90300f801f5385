"""The project: what it is, its settings, its numbers, what happened to it; events for open pages."""

from __future__ import annotations

import json
from importlib.metadata import version as version_of
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse

from anymask.data.formats import FORMATS
from anymask.engine import statistics
from anymask.engine.project import SETTINGS
from anymask.engine.report import status_page
from anymask.engine.round_pictures import folder_of, read_pictures
from anymask.engine.status import status_of
from anymask.store import images, registry
from anymask.store.blind import second_waiting
from anymask.store.users import User
from anymask.web.inference import NoModel
from anymask.web.schemas import After, Id, Limit, Promoting, SettingsChange
from anymask.web.studio import Studio, studio_of, user_of

START = "start"  # the id of the model that a project begins with
router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Me = Annotated[User, Depends(user_of)]


@router.get("/project")
def project(studio: TheStudio) -> dict[str, Any]:
    """What a page needs to begin."""
    database = studio.project.database
    studio.follow_model()
    current = registry.current_model(database)
    return {
        "name": studio.name,
        "version": version_of("anymask"),
        "mode": studio.people.mode,
        "model": {
            "id": START if current is None else current.id,
            "name": studio.project.config.model if current is None else current.name,
            **_opened(studio),
        },
        "counts": images.counts(database),
        "second_waiting": second_waiting(database),
        "settings": studio.settings().model_dump(mode="json"),
        "formats": {
            "read": [one.name for one in FORMATS.values() if one.readable],
            "write": [one.name for one in FORMATS.values()],
        },
        "can": {"train": statistics.can_train()},
    }


def _opened(studio: Studio) -> dict[str, Any]:
    """Whether it takes words, and what is wrong with it: the page is to open without a model, too."""
    try:
        return {"words": studio.inference.model.names_path is not None, "problem": None}
    except NoModel as error:
        return {"words": False, "problem": str(error)}


@router.patch("/project/settings")
def change_settings(change: SettingsChange, studio: TheStudio, me: Me) -> dict[str, Any]:
    """What is named changes."""
    named = change.model_dump(mode="json", exclude_none=True)
    settings = {**studio.settings().model_dump(mode="json"), **named}
    registry.set_setting(studio.project.database, SETTINGS, settings)
    registry.note(studio.project.database, me.name, "settings changed", fields=sorted(named))
    studio.events.tell("project", {})
    return settings


@router.get("/stats")
def stats(studio: TheStudio) -> dict[str, Any]:
    """The numbers of the dashboard."""
    return statistics.dashboard(studio.project)


@router.get("/report")
def report(studio: TheStudio) -> Response:
    """The page that `anymask project status --html` writes, as a file to keep."""
    content = status_page(studio.project, status_of(studio.project))
    headers = {"Content-Disposition": 'attachment; filename="report.html"'}
    return Response(content, media_type="text/html", headers=headers)


@router.get("/log")
def log(studio: TheStudio, after: After = 0, limit: Limit = 200) -> dict[str, Any]:
    """What happened, by whom."""
    rows = registry.read_log(studio.project.database, after=after, limit=limit)
    names = ("id", "at", "author", "what")
    lines = [{**{n: getattr(row, n) for n in names}, "detail": json.loads(row.detail)} for row in rows]
    return {"lines": lines}


@router.get("/rounds")
def rounds(studio: TheStudio) -> dict[str, Any]:
    """Of training, in their order."""
    return {"rounds": statistics.rounds_told(studio.project)}


@router.get("/rounds/{number}/pictures")
def pictures(number: Id, studio: TheStudio) -> dict[str, Any]:
    """One click on a few held-out photos, answered by the model before and after."""
    return {"pictures": read_pictures(folder_of(studio.project, number))}


@router.get("/models")
def models(studio: TheStudio) -> dict[str, Any]:
    """The one that the project began with, then those of the rounds."""
    current = registry.current_model(studio.project.database)
    found = [{"id": START, "name": studio.project.config.model, "round": 0, "parent": None, "metrics": {}}]
    for one in registry.list_models(studio.project.database):
        told = {"round": one.round, "parent": one.parent or START, "metrics": one.metrics}
        found.append({"id": one.id, "name": one.name, **told})
    wanted = START if current is None else current.id
    return {"models": [{**one, "current": one["id"] == wanted} for one in found]}


@router.post("/models/{model_id}/promote", status_code=204)
def promote(model_id: str, asked: Promoting, studio: TheStudio, me: Me) -> None:
    """Use this model from now on; to roll back, an older one."""
    studio.project.promote(None if model_id == START else model_id, me.name, asked.why)
    studio.model_changed()


@router.get("/events")
async def events(studio: TheStudio, me: Me) -> StreamingResponse:
    """Server-sent events: job, image, project."""
    return StreamingResponse(studio.events.stream(me), media_type="text/event-stream")
