"""Jobs of the machine: filling, training, data in and out; progress and cancel."""

from __future__ import annotations

import shutil
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, UploadFile
from fastapi.responses import FileResponse

from anymask.data.formats import find_format
from anymask.engine.background import SENT, archive_of, job_row, list_jobs, upload_of
from anymask.engine.operations import Line
from anymask.engine.uploads import clean_name
from anymask.errors import BadInput
from anymask.files import make_folder, writing_atomically
from anymask.store.database import AnyRow
from anymask.store.users import User
from anymask.web.errors import Refused
from anymask.web.schemas import Exporting, Filling, Id, Limit, Training
from anymask.web.studio import Studio, job_told, studio_of, user_of

PIECE = 1 << 20
router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Me = Annotated[User, Depends(user_of)]


@router.get("/jobs")
def jobs(studio: TheStudio, limit: Limit = 100) -> dict[str, Any]:
    """The newest first."""
    return {"jobs": [job_told(row) for row in list_jobs(studio.project, limit)]}


@router.get("/jobs/{job_id}")
def job(job_id: Id, studio: TheStudio) -> dict[str, Any]:
    """One job."""
    return job_told(_found(studio, job_id))


def _found(studio: Studio, job_id: int) -> AnyRow:
    try:
        return job_row(studio.project, job_id)
    except BadInput as error:
        raise Refused(404, str(error)) from None


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: Id, studio: TheStudio) -> dict[str, Any]:
    """At once while it waits; soon when it runs."""
    _found(studio, job_id)
    return job_told(studio.background.cancel(job_id))


@router.post("/jobs/prefill", status_code=202)
def prefill(asked: Filling, studio: TheStudio) -> dict[str, Any]:
    """Masks of the model for all photos that nobody has annotated."""
    return job_told(studio.background.put("prefill", asked.model_dump()))


@router.post("/jobs/train", status_code=202)
def train(asked: Training, studio: TheStudio) -> dict[str, Any]:
    """A round: train on what people drew, compare, promote if it is not worse."""
    return job_told(studio.background.train(quick=asked.quick))


@router.post("/jobs/export", status_code=202)
def export(asked: Exporting, studio: TheStudio) -> dict[str, Any]:
    """All masks as a data set, to download when it is done."""
    find_format(asked.format)
    return job_told(studio.background.put("export", asked.model_dump()))


@router.get("/jobs/{job_id}/download")
def download(job_id: Id, studio: TheStudio) -> FileResponse:
    """What an export wrote."""
    row = _found(studio, job_id)
    path = archive_of(studio.project, job_id)
    if row.kind != "export" or row.state != "done" or not path.is_file():
        raise Refused(404, "expected an export that is done")
    return FileResponse(path, media_type="application/zip", filename=f"{studio.name}-{job_id}.zip")


@router.post("/jobs/import", status_code=202)
def import_(
    file: UploadFile,
    studio: TheStudio,
    me: Me,
    format: Annotated[Line, Form()] = "auto",  # noqa: A002
) -> dict[str, Any]:
    """Masks that exist already: a zip file or a single one, of any format that can be read."""
    if format != "auto":
        find_format(format, to_read=True)
    upload = uuid.uuid4().hex
    folder = make_folder(upload_of(studio.project, upload) / SENT)
    name = clean_name(file.filename or "")
    with writing_atomically(folder / name) as target:
        shutil.copyfileobj(file.file, target, PIECE)
    body = {"upload": upload, "name": name, "format": format, "author": me.name}
    return job_told(studio.background.put("import", body))
