"""Project: a folder with the store, models and settings of one data engine; photos stay where they are.

DIR/project.json    where the photos are, which database
DIR/store.db        the store, unless it is in PostgreSQL
DIR/photos/         copies, only where they were asked for
DIR/models/         what the rounds made
DIR/snapshots/      what they were trained on
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from anymask.data.listing import size_of
from anymask.data.photos import Photo, open_photos
from anymask.data.record import Blob, Record
from anymask.errors import BadImage, BadInput, StorageError, mapped
from anymask.files import make_folder, sha256_of, write_atomically
from anymask.store import images, jobs, registry
from anymask.store.annotations import each_image
from anymask.store.database import AnyRow, Clock, Database
from anymask.store.images import NewImage
from anymask.store.values import StoredMask

CONFIG = "project.json"
PROJECT_FOLDER = ".anymask"  # the project of a folder of photos that is none itself: the studio makes it
FIXED_SHARE = 0.2  # of the photos, for evaluation; by their hash, so the same on every machine
SCHEMA = 1
SETTINGS = "studio"  # in the store: what its people chose

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Config:
    """`database`: a URL, or None for SQLite in the folder. `model`: the one to begin with."""

    photos: tuple[str, ...]
    database: str | None = None
    model: str = "lite"
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Added:
    """Photos that a project took in. `failures`: file and reason of those that could not be read."""

    new: int
    known: int
    failures: tuple[tuple[str, str], ...]


class Project:
    """An open project. Close it, or use it in a `with` statement."""

    def __init__(self, folder: Path, config: Config, database: Database) -> None:
        self.folder = folder.absolute()
        self.config = config
        self.database = database

    @classmethod
    def init(
        cls,
        folder: Path,
        photos: Sequence[Path],
        *,
        copy: bool = False,
        database: str | None = None,
        model: str = "lite",
        fixed_share: float = FIXED_SHARE,
        progress: Progress | None = None,
    ) -> tuple[Project, Added]:
        """Make a project of folders of photos; again with the same folder, photos that are new are added.

        Raises BadInput when the folder holds something else, StorageError.
        """
        folder = project_in(folder)
        if (folder / CONFIG).exists():
            project = cls.open(folder)
        else:
            if folder.is_dir() and any(folder.iterdir()):
                raise BadInput(f"{folder} is not empty and holds no project: choose a new folder")
            places = tuple(str(path.resolve()) for path in photos)
            make_folder(folder)
            config = Config(places, database, model)
            opened = Database.open(database or sqlite_url(folder))
            write_atomically(folder / CONFIG, config.to_json())
            project = cls(folder, config, opened)
            registry.note(opened, "project", "made", model=model)
        try:
            return project, project.add_photos(photos, copy=copy, fixed_share=fixed_share, progress=progress)
        except BaseException:
            project.close()
            raise

    @classmethod
    def open(cls, folder: Path, *, read_only: bool = False, clock: Clock | None = None) -> Project:
        """The project of a folder. Raises BadInput where there is none, StorageError when another process has
        it.
        """
        folder = project_in(folder)
        config = read_config(folder)
        url = config.database or sqlite_url(folder)
        project = cls(folder, config, Database.open(url, read_only=read_only, clock=clock))
        if project.database.is_sqlite and not read_only:
            jobs.release(project.database)  # of a process that was killed: this one is alone now
        return project

    def add_photos(
        self,
        photos: Sequence[Path],
        *,
        copy: bool = False,
        fixed: bool | None = None,
        fixed_share: float = FIXED_SHARE,
        progress: Progress | None = None,
    ) -> Added:
        """Take in the photos of folders. One that is known by its bytes is not added again.

        `fixed`: all or none of them for evaluation only; by default a share, chosen by their hash.
        """
        found = open_photos(*photos, without=self.folder)
        new, failures = [], []
        for number, photo in enumerate(found, 1):
            try:
                new.append(self._new_image(photo, copy))
            except (BadImage, BadInput, StorageError) as error:
                failures.append((photo.source, str(error)))
            if progress is not None:
                progress(number, len(found))
        new = _with_fixed(new, fixed, fixed_share)
        added = len(images.add_images(self.database, new))
        registry.note(self.database, "project", "photos added", new=added, failed=len(failures))
        return Added(added, len(new) - added, tuple(failures))

    def _new_image(self, photo: Photo, copy: bool) -> NewImage:
        content = photo.blob.read()
        digest = hashlib.sha256(content).hexdigest()
        path = photo.blob.path.resolve()
        if copy or photo.blob.length is not None:  # members of a shard are no files of their own
            path = (
                Path("photos") / f"{digest}{Path(photo.name).suffix.lower()}"
            )  # in the folder, which may move
            if not (self.folder / path).exists():
                write_atomically(self.folder / path, content)
        return NewImage(digest, photo.name, path.as_posix(), size_of(Blob(self.folder / path)))

    def place(self, image: AnyRow) -> Path:
        """Where the file of an image was when it was added: outside of the folder, or a copy in it."""
        return self.folder / str(image.path)

    def photo(self, image: AnyRow) -> Blob:
        """The file of an image, by its hash where it moved. Raises BadInput when gone or changed, by
        its name alone: pages show that.
        """
        path = self.place(image)
        if path.is_file() and sha256_of(path) == image.hash:
            return Blob(path)
        for other in self._elsewhere(path.suffix):
            if sha256_of(other) == image.hash:
                return Blob(other)
        changed = "has changed since it was added" if path.is_file() else "is not there any more"
        raise BadInput(f"{image.name} {changed}: put the photo back or add its new folder to the project")

    def _elsewhere(self, suffix: str) -> Iterator[Path]:
        """Files of this kind in the folders of photos."""
        for folder in map(Path, self.config.photos):
            for other in sorted(folder.rglob(f"*{suffix}")) if folder.is_dir() else ():
                if other.is_file():
                    yield other

    def missing(self) -> list[AnyRow]:
        """Images whose photo is neither where it was nor, by its hash, in the folders of photos."""
        gone = [
            image
            for image in images.each(self.database)
            if not (self.place(image).is_file() and sha256_of(self.place(image)) == image.hash)
        ]
        return self._not_elsewhere(gone, set())

    def absent(self) -> list[AnyRow]:
        """As `missing`, but photos that are where they were are not read: changes of them are not seen."""
        rows = list(images.each(self.database))
        places = {self.place(image) for image in rows}
        return self._not_elsewhere([image for image in rows if not self.place(image).is_file()], places)

    def _not_elsewhere(self, gone: Sequence[AnyRow], known: set[Path]) -> list[AnyRow]:
        """Those whose hash no file has in the folders of photos, other than `known` ones."""
        suffixes = {Path(image.path).suffix for image in gone}
        others = {other for suffix in suffixes for other in self._elsewhere(suffix)} - known
        there = {sha256_of(other) for other in others}
        return [image for image in gone if image.hash not in there]

    def records(
        self,
        *,
        fixed: bool | None = None,
        stages: Sequence[str] | None = None,
        only: Container[int] | None = None,
    ) -> Iterator[Record]:
        """Every image with its masks, in the shape of SA-1B. `stages`: only masks of these. `only`: numbers
        of images.
        """
        for image, masks in each_image(self.database):
            if (fixed is None or bool(image.fixed) == fixed) and (only is None or image.id in only):
                kept = masks if stages is None else [one for one in masks if one.stage in stages]
                yield record_of(image, kept, self.place(image))

    @property
    def classes(self) -> list[str]:
        """Names of the classes that people of the studio choose from, in their order."""
        return [one["name"] for one in registry.setting(self.database, SETTINGS, {}).get("classes", [])]

    @property
    def model(self) -> str:
        """What `anymask.load` takes for the model of now."""
        return self.model_of(self.version)

    @property
    def version(self) -> str | None:
        """The id of the model of now; None for the one that the project began with."""
        current = registry.current_model(self.database)
        return None if current is None else current.id

    def model_of(self, version: str | None) -> str:
        """What `anymask.load` takes for a model by its id. Raises BadInput."""
        if version is None:
            return self.config.model
        return str(self.folder / registry.model_version(self.database, version).path)

    def promote(self, wanted: str | None, author: str, why: str) -> str:
        """Use a model from now on, by its id or the beginning of one; None: the one that the project began
        with. Returns its name. Raises BadInput, also when its files are gone.
        """
        version = None if wanted is None else registry.model_version(self.database, wanted)
        if version is not None and not (self.folder / version.path).exists():
            raise BadInput(f"{version.name}: its files are not there any more; what was in use stays")
        registry.promote(self.database, None if version is None else version.id, author, why)
        return self.config.model if version is None else version.name

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def record_of(image: AnyRow, masks: Sequence[StoredMask], photo: Path) -> Record:
    """An image of the store as a record that formats are written from."""
    fields = {
        "image": {
            "image_id": image.id,
            "width": image.width,
            "height": image.height,
            "file_name": Path(image.name).name,
        },
        "annotations": [_annotation(number, one) for number, one in enumerate(masks, 1)],
    }
    return Record(str(Path(image.name).with_suffix("")), fields, Blob(photo))


def _annotation(number: int, one: StoredMask) -> dict[str, Any]:
    own: dict[str, Any] = {
        "id": number,
        "segmentation": one.mask.rle,
        "bbox": list(one.mask.bbox_xywh),
        "area": one.mask.area,
        "stage": one.stage,
        "author": one.author,
    }
    told = {"category": one.category, "probability": one.probability, "seconds": one.seconds}
    fields = one.more.get("fields", {})
    return {**fields, **own, **{name: value for name, value in told.items() if value is not None}}


def _with_fixed(new: Sequence[NewImage], fixed: bool | None, share: float) -> list[NewImage]:
    """Some for evaluation only: those whose hashes come first, so the same on every machine; at least one."""
    if fixed is not None:
        return [replace(one, fixed=fixed) for one in new]
    count = max(1, round(share * len(new))) if share > 0 and len(new) > 1 else 0
    chosen = {one.hash for one in sorted(new, key=lambda one: one.hash)[:count]}
    return [replace(one, fixed=one.hash in chosen) for one in new]


def project_in(folder: Path) -> Path:
    """The folder itself where it is a project; of a folder of photos the one that is kept in it, if any."""
    inner = folder / PROJECT_FOLDER
    return inner if (inner / CONFIG).is_file() and not (folder / CONFIG).is_file() else folder


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder.resolve() / 'store.db'}"


def read_config(folder: Path) -> Config:
    path = folder / CONFIG
    if not path.is_file():
        raise BadInput(f"{folder} is no project: expected {CONFIG} in it; anymask project init makes one")
    with mapped((OSError, ValueError, KeyError, TypeError), BadInput, f"{path} is damaged"):
        found = json.loads(path.read_text("utf-8"))
        if found["schema"] > SCHEMA:
            raise BadInput(f"{path} is of a newer anymask: update anymask")
        return Config(tuple(found["photos"]), found["database"], found["model"], found["schema"])
