"""Worker: does the jobs of a project, each kind by its own code; training is one of them.

On more machines: each has the folder of the project (a disk that they share) and one PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from anymask.engine import embeddings, prefill
from anymask.engine.project import Project
from anymask.engine.rounds import Outcome, Recipe, cancel_round, next_number, run_round
from anymask.engine.working import Cancelled, Doer, Hold, attempt, wait_for
from anymask.errors import Failure
from anymask.store import jobs, registry
from anymask.store.jobs import Job

TRAIN = "train"
KINDS = (prefill.KIND, embeddings.KIND, TRAIN)

MakeRecipe = Callable[[bool, Hold], Recipe]
"""For quick rounds or whole ones; tells its progress."""


def doers(make_recipe: MakeRecipe) -> Mapping[str, Doer]:
    """What a worker can do."""
    return {
        prefill.KIND: prefill.Masks(),
        embeddings.KIND: embeddings.Embeddings(),
        TRAIN: Rounds(make_recipe),
    }


class Rounds:
    """Does the jobs of training. A round that was stopped goes on where it was; one that is cancelled is over."""

    def __init__(self, make_recipe: MakeRecipe) -> None:
        self._make_recipe = make_recipe

    def __call__(self, project: Project, job: Job, hold: Hold) -> dict[str, Any]:
        recipe = self._make_recipe(job.body["quick"], hold)
        try:
            done = run_round(project, recipe, stage=job.body["stage"])
        except Cancelled:
            cancel_round(project)
            raise
        if done.promoted:
            embeddings.renew(project)
        return asdict(done)


def queue_round(project: Project, *, quick: bool = False, stage: str = "manual") -> int:
    """The next round, or the one that was stopped, as a job; there is one at a time. Returns its id."""
    number = next_number(registry.list_rounds(project.database))
    return jobs.put(project.database, TRAIN, f"{TRAIN}:{number}", {"quick": quick, "stage": stage})


def train_now(project: Project, make_recipe: MakeRecipe, *, quick: bool = False) -> Outcome:
    """The next round, or the rest of one that was stopped, by this process.

    Raises Failure when another process trains it; BadInput as `run_round`.
    """
    job = _claimed(project, quick)
    return Outcome(**attempt(project, job, Rounds(make_recipe)))


def _claimed(project: Project, quick: bool) -> Job:
    for _ in range(2):  # a job that was given up after many tries is queued again by the second
        queue_round(project, quick=quick)
        job = wait_for(project.database, TRAIN, 0 if project.database.is_sqlite else jobs.LEASE_S + 1)
        if job is not None:
            return job
    raise Failure("another process trains this round: wait until it has ended")
