"""annotate: everything in every photo of a data set, written so that a run can stop anywhere and go on.

The unit is a photo: its overlay is written first, its record last, each whole or not at all. A photo with a
record is done; anything else is done again. So a run that was killed is continued by running it again, and
leaves the same bytes as one that was not.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from anymask.core.image import read_image
from anymask.core.progress import Progress
from anymask.errors import AnymaskError, StorageError
from anymask.scale.executor import run_all
from anymask.scale.run_folder import RunFolder, record_path
from anymask.store.files import check_not_an_input, make_folder, write_atomically
from anymask.store.photos import Photo

OVERLAY_SUFFIX = ".overlay.png"
OVERLAY_QUALITY = 1  # zlib level: overlays are large and looked at once


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run is asked for. Everything that the output depends on, and `threads`."""

    model: str = "lite"
    backend: str = "auto"
    preset: str = "default"
    changes: tuple[tuple[str, Any], ...] = ()
    overlays: bool = False
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A photo that has been worked on; `error` says why it has no record."""

    photo: Photo
    masks: int = 0
    seconds: float = 0.0
    error: str = ""


@dataclass(slots=True)
class Tally:
    """How far a run is. `share`: of the photo at work, where one process works on one after the other."""

    total: int
    already: int = 0
    done: int = 0
    masks: int = 0
    share: float = 0.0
    failed: list[Done] = field(default_factory=list)


def annotate(
    photos: Sequence[Photo],
    out: Path,
    wishes: Wishes,
    *,
    processes: int = 1,
    progress: Callable[[Tally], None] | None = None,
) -> Tally:
    """Write `OUT/<key>.json` for every photo that has none yet; `run_folder.py` says what else.

    A photo that fails does not stop the others; it is told in the tally and tried again by the next run.
    Raises BadInput when `out` holds a run with other wishes, Busy when one is at work there, StorageError
    when the disk takes no more.
    """
    described = describe(wishes)  # opens the model: what cannot work is said before anything is written
    with RunFolder(out, described) as folder:
        todo = [p for p in photos if not folder.is_done(p)]
        tally = Tally(len(photos), already=len(photos) - len(todo))

        def within(points: int, of: int) -> None:
            tally.share = points / of
            if progress:
                progress(tally)

        if progress:
            progress(tally)
        for done in _answers(todo, out, wishes, processes, within):
            tally.share = 0.0
            tally.done += not done.error
            tally.masks += done.masks
            if done.error:
                tally.failed.append(done)
            if progress:
                progress(tally)
    tally.failed.sort(key=lambda done: done.photo.key)
    return tally


def describe(wishes: Wishes) -> dict[str, Any]:
    """The wishes as they are kept with the run: names, fingerprint of the weights, every threshold."""
    from importlib.metadata import version

    from anymask.inference.generator import settings_for
    from anymask.inference.predictor import load

    model = load(wishes.model, backend=wishes.backend, threads=wishes.threads)
    settings = settings_for(model, wishes.preset, **dict(wishes.changes))
    return {
        "anymask": version("anymask"),
        "model": model.name,
        "fingerprint": model.fingerprint,
        "backend": wishes.backend,
        "preset": wishes.preset,
        "settings": asdict(settings),
        "overlays": wishes.overlays,
    }


def _answers(
    todo: Sequence[Photo], out: Path, wishes: Wishes, processes: int, within: Progress
) -> Iterator[Done]:
    """In this process when one is enough; then `within` is told how far each photo is.

    Raises StorageError as soon as one photo could not be written.
    """
    make_work = partial(Annotator, wishes, out)
    if processes > 1 and len(todo) > 1:
        answers = run_all(todo, make_work, processes)
    else:
        answers = _one_by_one(todo, partial(make_work, within))
    for photo, answer in answers:
        if isinstance(answer, StorageError):
            raise answer
        yield answer if isinstance(answer, Done) else Done(photo, error=_told(answer))


def _one_by_one(
    todo: Sequence[Photo], make_work: Callable[[], Callable[[Photo], Done]]
) -> Iterator[tuple[Photo, Done | Exception]]:
    work = make_work() if todo else None
    for photo in todo:
        assert work is not None
        try:
            yield photo, work(photo)
        except Exception as error:
            yield photo, error


def _told(error: Exception) -> str:
    if isinstance(error, AnymaskError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"{type(error).__name__}: {error}"


class Annotator:
    """Finds everything in one photo after the other and writes it. One for each process."""

    def __init__(self, wishes: Wishes, out: Path, within: Progress | None = None) -> None:
        from anymask.inference.predictor import load

        self._wishes, self._out, self._within = wishes, out, within
        self._model = load(wishes.model, backend=wishes.backend, threads=wishes.threads)

    def __call__(self, photo: Photo) -> Done:
        """Raises AnymaskError."""
        from anymask.inference.generator import everything

        pixels_HW3 = read_image(_bytes_of(photo))
        changes = dict(self._wishes.changes)
        found = everything(self._model, pixels_HW3, self._wishes.preset, progress=self._within, **changes)
        record = self._record(photo, found)
        path = record_path(self._out, photo.key)
        check_not_an_input(path, [photo.blob.path])
        make_folder(path.parent)
        if self._wishes.overlays:
            overlay = self._overlay(pixels_HW3, found)
            write_atomically(path.with_name(path.name.removesuffix(".json") + OVERLAY_SUFFIX), overlay)
        write_atomically(path, record.encode() + b"\n")
        return Done(photo, masks=len(found.masks), seconds=sum(found.seconds.values()))

    def _record(self, photo: Photo, found: Any) -> str:
        from anymask.store.record_json import automatic_fields, image_fields, record_json

        image = image_fields(photo.file_name, found.size_hw, found.content_hash)
        annotations = [automatic_fields(number, mask) for number, mask in enumerate(found.masks, 1)]
        facts = {"model": self._model.name, "preset": self._wishes.preset, "filtered_by": found.filtered_by}
        return record_json(image, annotations, **facts)

    def _overlay(self, pixels_HW3: Any, found: Any) -> bytes:
        from anymask.drawing import everything_overlay

        buffer = io.BytesIO()
        picture = everything_overlay(pixels_HW3, [found_mask.mask for found_mask in found.masks])
        picture.save(buffer, "PNG", compress_level=OVERLAY_QUALITY)
        return buffer.getvalue()


def _bytes_of(photo: Photo) -> Any:
    """The path of a file of its own, so that messages name it; the bytes of a member of a shard."""
    return os.fspath(photo.blob.path) if photo.blob.length is None else photo.blob.read()
