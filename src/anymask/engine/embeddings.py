"""Embeddings of a project's photos, computed ahead, so that a page answers the first click at once.

`DIR/embeddings/FINGERPRINT/HASH.safetensors`, about 4 MB each; those of a model that is not in use any more
can be deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anymask.api import EncodedImage, Model, load
from anymask.core.progress import Progress
from anymask.engine.prefill import FREE, model_of
from anymask.engine.project import Project
from anymask.engine.working import do_jobs
from anymask.errors import AnymaskError, BadInput
from anymask.store import images, jobs
from anymask.store.database import AnyRow
from anymask.store.jobs import Job

KIND = "embeddings"
FOLDER = "embeddings"


def queue_embeddings(project: Project, model: Model, found: Iterable[AnyRow] | None = None) -> int:
    """A job for each of these photos that has none; by default of those that nobody has annotated."""
    version = project.version
    free = (image for image in images.each(project.database) if image.state in FREE and not image.fixed)
    count = 0
    for image in free if found is None else found:
        if not _path(project, model, image).is_file():
            body = {"image": image.id, "model": version, "fingerprint": model.fingerprint}
            jobs.put(project.database, KIND, f"{KIND}:{image.hash}:{model.fingerprint}", body, again=True)
            count += 1
    return count


def compute_embeddings(project: Project, model: Model) -> tuple[tuple[str, str], ...]:
    """Those that are queued; returns those that failed, and why."""
    outcomes = do_jobs(project, {KIND: Embeddings(model)})
    return tuple((job.key, str(one)) for job, one in outcomes if isinstance(one, AnymaskError))


def renew(project: Project) -> int:
    """After another model was promoted: queue what had an embedding, and delete those of other models."""
    folder = project.folder / FOLDER
    if not folder.is_dir():
        return 0
    model = load(project.model)
    old = [one for one in folder.iterdir() if one.name != _name(model)]
    known = {path.stem for one in old for path in one.glob("*.safetensors")}
    count = queue_embeddings(project, model, [i for i in images.each(project.database) if i.hash in known])
    for one in old:
        shutil.rmtree(one, ignore_errors=True)
    return count


class Embeddings:
    """Does the jobs: keeps the model of the last one."""

    def __init__(self, model: Model | None = None) -> None:
        self._model = model

    def __call__(self, project: Project, job: Job, progress: Progress) -> dict[str, Any]:
        self._model = model_of(project, job, self._model)
        encoded(project, self._model, images.image(project.database, job.body["image"]))
        return {}


def encoded(project: Project, model: Model, image: AnyRow) -> EncodedImage:
    """A photo ready to be asked, its embedding read where it was computed ahead, else computed and kept.

    Raises BadInput when the photo is gone, StorageError.
    """
    path, content = _path(project, model, image), project.photo(image).read()
    if path.is_file():
        try:
            return model.load_embedding(path, content)
        except BadInput:  # damaged: computed again
            path.unlink(missing_ok=True)
    made = model.encode(content)
    made.save(path)
    return made


def _path(project: Project, model: Model, image: AnyRow) -> Path:
    return project.folder / FOLDER / _name(model) / f"{image.hash}.safetensors"


def _name(model: Model) -> str:
    return (model.fingerprint or model.name)[:32]
