"""Worker: does the jobs of a project, each kind by its own code; training is one of them.

On more machines: each has the folder of the project (a disk that they share) and one PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anymask.core.progress import Progress
from anymask.engine import embeddings, prefill
from anymask.engine.project import Project
from anymask.engine.rounds import Outcome, Recipe, next_number, run_round
from anymask.engine.working import Doer, holding, wait_for
from anymask.errors import AnymaskError, Failure
from anymask.store import jobs, registry
from anymask.store.jobs import Job
from anymask.store.values import LostLease

ROUND = "round"
KINDS = (prefill.KIND, embeddings.KIND, ROUND)

MakeRecipe = Callable[[bool, Progress], Recipe]
"""For quick rounds or whole ones; tells its progress."""


def doers(make_recipe: MakeRecipe) -> Mapping[str, Doer]:
    """What a worker can do."""
    return {
        prefill.KIND: prefill.Masks(),
        embeddings.KIND: embeddings.Embeddings(),
        ROUND: _Rounds(make_recipe),
    }


class _Rounds:
    def __init__(self, make_recipe: MakeRecipe) -> None:
        self._make_recipe = make_recipe

    def __call__(self, project: Project, job: Job, progress: Progress) -> dict[str, Any]:
        recipe = self._make_recipe(job.body["quick"], progress)
        return _told(project, run_round(project, recipe, stage=job.body["stage"]))


def _told(project: Project, done: Outcome) -> dict[str, Any]:
    if done.promoted:
        embeddings.renew(project)
    return {"round": done.number, "promoted": done.promoted, "why": done.why}


def queue_round(project: Project, *, quick: bool = False, stage: str = "manual") -> int:
    """The next round, or the one that was stopped, as a job; there is one at a time. Returns its id."""
    number = next_number(registry.list_rounds(project.database))
    return jobs.put(project.database, ROUND, f"{ROUND}:{number}", {"quick": quick, "stage": stage})


def train_now(project: Project, make_recipe: MakeRecipe, *, quick: bool = False) -> Outcome:
    """The next round, or the rest of one that was stopped, by this process.

    Raises Failure when another process trains it; BadInput as `run_round`.
    """
    job = _claimed(project, quick)
    try:
        with holding(project.database, job) as progress:
            outcome = run_round(project, make_recipe(quick, progress))
    except LostLease:
        raise
    except AnymaskError as error:
        jobs.fail(project.database, job, str(error), again=False)
        raise
    jobs.finish(project.database, job, _told(project, outcome))
    return outcome


def _claimed(project: Project, quick: bool) -> Job:
    for _ in range(2):  # a job that was given up after many tries is queued again by the second
        queue_round(project, quick=quick)
        job = wait_for(project.database, ROUND, 0 if project.database.is_sqlite else jobs.LEASE_S + 1)
        if job is not None:
            return job
    raise Failure("another process trains this round: wait until it has ended")
