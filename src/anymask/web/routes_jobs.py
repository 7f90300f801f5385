"""Jobs of the machine: filling, training, data in and out; progress and cancel."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from anymask.engine.background import job_row, list_jobs
from anymask.web.errors import Refused
from anymask.web.schemas import Filling, Id, Limit, Training
from anymask.web.studio import Studio, job_told, studio_of

router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]


@router.get("/jobs")
def jobs(studio: TheStudio, limit: Limit = 100) -> dict[str, Any]:
    """The newest first."""
    return {"jobs": [job_told(row) for row in list_jobs(studio.project, limit)]}


@router.get("/jobs/{job_id}")
def job(job_id: Id, studio: TheStudio) -> dict[str, Any]:
    """One job."""
    return job_told(_found(studio, job_id))


def _found(studio: Studio, job_id: int) -> Any:
    from anymask.errors import BadInput

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
    return job_told(studio.background.put("train", asked.model_dump()))
