"""annotate: automatic masks of every photo of a data set, as a run that can be interrupted and resumed.

Of each photo the overlay is written first, the record last, each whole or not at all. A photo is done when
its record was made of this file as it is, or holds the hash of its pixels. So a killed run is resumed
by running it again, and leaves the same bytes as any other.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from anymask.batch.local import answer, run_all
from anymask.batch.run_folder import Journal, file_of, read_record, record_path, run_folder
from anymask.core.progress import Progress
from anymask.data.photos import OVERLAY_SUFFIX, Photo
from anymask.data.record_json import automatic_fields, image_fields, record_json
from anymask.drawing import everything_overlay
from anymask.errors import AnymaskError, BadInput, StorageError
from anymask.files import write_atomically
from anymask.images.reader import content_hash, read_image
from anymask.words.mask_words import MaskWords

if TYPE_CHECKING:
    from anymask.api import Model

OWN_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)  # of a photo's name; others end the run
OVERLAY_QUALITY = 1  # zlib level: overlays are large and looked at once


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Configuration of a run: everything that the output depends on, and `threads`."""

    model: str = "lite"
    backend: str = "auto"
    preset: str = "default"
    changes: tuple[tuple[str, Any], ...] = ()
    overlays: bool = False
    threads: int = 0
    box_xyxy: tuple[float, float, float, float] | None = None
    words: MaskWords = MaskWords()


@dataclass(frozen=True, slots=True)
class PhotoResult:
    """What came of a photo; `error` says why it has no record, `exit_code` whose fault that is.

    `kept`: its record was there. `replaced`: one of other pixels was.
    """

    photo: Photo
    masks: int = 0
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 1
    kept: bool = False
    replaced: bool = False


@dataclass(slots=True)
class RunProgress:
    """How far a run is. `fraction`: of the photo at work, where one process works on one after the other."""

    total: int
    already: int = 0
    done: int = 0
    masks: int = 0
    fraction: float = 0.0
    replaced: int = 0
    failed: list[PhotoResult] = field(default_factory=list)


def annotate(
    photos: Sequence[Photo],
    out: Path,
    config: RunConfig,
    *,
    processes: int = 1,
    progress: Callable[[RunProgress], None] | None = None,
) -> RunProgress:
    """Write `OUT/<key>.json` for every photo that has none yet, or one of other pixels; `run_folder.py` says
    what else.

    A photo that fails does not stop the others; it is listed in `failed` and tried again by the next run.
    Raises BadInput when `out` holds a run with another configuration, RunLocked when one is at work there,
    StorageError when the disk takes no more.
    """
    described = describe(config)  # opens the model: what cannot work fails before anything is written
    with run_folder(out, described):
        journal = Journal(out)
        todo = [p for p in photos if not (record_path(out, p.key).is_file() and journal.knows(p))]
        files = {photo.key: file_of(photo) for photo in todo}  # as they are before they are read
        state = RunProgress(len(photos), already=len(photos) - len(todo))

        def report(points: int = 0, of: int = 1) -> None:
            state.fraction = points / of
            if progress:
                progress(state)

        report()
        beside = os.path.realpath(out) + os.sep
        real = (os.path.realpath(p.blob.path) for p in photos if p.blob.length is None)
        inputs = frozenset(path for path in real if path.startswith(beside))
        work = partial(Annotator, config, out, inputs=inputs)
        for result in _results(todo, work, processes, report):
            state.done += not (result.error or result.kept)
            state.already += result.kept
            state.replaced += result.replaced
            state.masks += result.masks
            if not result.error:
                journal.note(result.photo, files[result.photo.key])
            if result.error:
                state.failed.append(result)
            report()
    state.failed.sort(key=lambda result: result.photo.key)
    return state


def describe(config: RunConfig) -> dict[str, Any]:
    """The configuration as it is kept with the run: names, fingerprint of the weights, every threshold."""
    from importlib.metadata import version

    from anymask.api import load
    from anymask.automatic.generator import settings_for

    model = load(config.model, backend=config.backend, threads=config.threads)
    settings = settings_for(model, config.preset, **dict(config.changes))
    return {
        "anymask": version("anymask"),
        "model": model.name,
        "fingerprint": model.fingerprint,
        "backend": config.backend,
        "preset": config.preset,
        "settings": asdict(settings),
        "overlays": config.overlays,
        "box": config.box_xyxy and list(config.box_xyxy),
        **(_described_words(model, config.words) if config.words else {}),
    }


def _described_words(model: Model, words: MaskWords) -> dict[str, Any]:
    """Raises BadOption for a model without names."""
    like = hashlib.sha256(json.dumps(words.exemplars).encode()).hexdigest() if words.exemplars else None
    return {"names": words.names, "like": like, "bank": len(model.namer.names)}


def _results(
    todo: Sequence[Photo], make_work: Callable[..., Annotator], processes: int, within: Progress
) -> Iterator[PhotoResult]:
    """In this process when one is enough; `within` then gets the progress in a photo. Raises StorageError."""
    results: Iterable[tuple[Photo, PhotoResult | Exception]] = ()
    if processes > 1 and len(todo) > 1:
        results = run_all(todo, make_work, processes)
    elif todo:
        work = make_work(within=within)
        results = ((photo, answer(work, photo)) for photo in todo)
    for photo, result in results:
        if isinstance(result, StorageError) and getattr(result.__cause__, "errno", None) not in OWN_ERRORS:
            raise result
        if isinstance(result, PhotoResult):
            yield result
        else:
            code = result.exit_code if isinstance(result, AnymaskError) else 1
            yield PhotoResult(photo, error=_text_of(result), exit_code=code)


def _text_of(error: Exception) -> str:
    if isinstance(error, AnymaskError):
        return str(error)
    return "not enough memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"


class Annotator:
    """Segments one photo after the other and writes its record. One for each process."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        within: Progress | None = None,
        inputs: frozenset[str] = frozenset(),
    ) -> None:
        from anymask.api import load

        self._config, self._out, self._within = config, out, within
        self._inputs = inputs
        self._model = load(config.model, backend=config.backend, threads=config.threads)

    def __call__(self, photo: Photo) -> PhotoResult:
        """Raises AnymaskError."""
        from anymask.automatic.generator import everything

        blob = photo.blob  # a path where it is a file of its own: messages name it
        pixels_HW3 = read_image(blob.path if blob.length is None else blob.read())
        path = record_path(self._out, photo.key)
        if there := path.is_file():
            before = read_record(path)
            if before is None:
                raise BadInput(f"{path} is no record of a run and is not overwritten: choose another folder")
            if _is_of(before, pixels_HW3):
                return PhotoResult(photo, kept=True)
        changes = dict(self._config.changes)
        options: dict[str, Any] = {"box": self._config.box_xyxy, "progress": self._within}
        found = everything(self._model, pixels_HW3, self._config.preset, **options, **changes)
        told: list[tuple[int, dict[str, Any]]] = [(i, {}) for i in range(len(found.masks))]
        if self._config.words:
            masks = [one.mask for one in found.masks]
            told = self._config.words.told(self._model.namer, pixels_HW3, masks)
        if self._config.overlays:
            drawn = path.with_name(f"{path.stem}{OVERLAY_SUFFIX}")
            if os.path.realpath(drawn) in self._inputs:
                raise BadInput(
                    f"{drawn} is a photo of this call and is not overwritten: choose another folder"
                )
            kept = [found.masks[i].mask for i, _ in told]
            picture, buffer = everything_overlay(pixels_HW3, kept), io.BytesIO()
            picture.save(buffer, "PNG", compress_level=OVERLAY_QUALITY)
            write_atomically(drawn, buffer.getvalue())
        record = self._record(photo, found, told).encode(
            "utf-8", "backslashreplace"
        )  # for names that are no UTF-8
        write_atomically(path, record + b"\n")
        return PhotoResult(photo, masks=len(told), seconds=sum(found.seconds.values()), replaced=there)

    def _record(self, photo: Photo, found: Any, told: Sequence[tuple[int, dict[str, Any]]]) -> str:
        image = image_fields(PurePosixPath(photo.name).name, found.size_hw, found.content_hash)
        annotations = [
            automatic_fields(number, found.masks[i]) | more for number, (i, more) in enumerate(told, 1)
        ]
        facts = {"model": self._model.name, "preset": self._config.preset, "filtered_by": found.filtered_by}
        return record_json(image, annotations, **facts)


def _is_of(record: dict[str, Any], pixels_HW3: Any) -> bool:
    """By size and content hash."""
    expected = image_fields("", pixels_HW3.shape[:2], content_hash(pixels_HW3))
    return all(record["image"].get(key) == expected[key] for key in ("image_id", "width", "height"))
