"""Studio: what the routes share. One project, one model, the people, the events."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from anymask.core.resample import Pixels
from anymask.data.record import Blob
from anymask.engine.background import Background
from anymask.engine.project import SETTINGS, Project
from anymask.images.reader import read_image, read_reduced
from anymask.images.renditions import DISPLAY_SIDE, THUMBNAIL_SIDE, levels_of, rendition, tile
from anymask.store import blind, images, registry
from anymask.store.database import AnyRow
from anymask.store.opening import upcoming
from anymask.store.users import User
from anymask.web.cache import BytesCache
from anymask.web.events import Events
from anymask.web.inference import Inference
from anymask.web.people import People
from anymask.web.rates import Rates
from anymask.web.schemas import Settings

RENDITION_BYTES, PIXEL_BYTES = 256 << 20, 640 << 20
ENOUGH = 0.8  # of a side, where a JPEG can be read at a half, a quarter or an eighth of its own
FOLLOW_S = 1.0
SIDES = {"display": DISPLAY_SIDE, "thumbnail": THUMBNAIL_SIDE, "full": None}


@dataclass
class Studio:
    """An open project with everything that serves it. `close` ends all threads."""

    name: str
    project: Project
    people: People
    inference: Inference
    events: Events = field(default_factory=Events)
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        self.photos = Photos(self.project)
        self.background = Background(self.project, self._job_changed)
        self._followed = time.monotonic()

    def _job_changed(self, row: AnyRow) -> None:
        self.events.tell("job", job_told(row))
        if row.state == "done" and row.kind == "train":
            self.model_changed()
        elif row.state == "done":
            self.events.tell("project", {})

    def model_changed(self) -> None:
        """Another model was promoted."""
        self.inference.use(self.project.model)
        self.events.tell("project", {})

    def follow_model(self) -> None:
        """Another process may have promoted one: looked for when a model is about to be used, not more often
        than every FOLLOW_S.
        """
        now = time.monotonic()
        if now - self._followed >= FOLLOW_S:
            self._followed = now
            if self.inference.model_name != self.project.model:
                self.model_changed()

    def settings(self) -> Settings:
        return Settings.model_validate(registry.setting(self.project.database, SETTINGS, {}))

    def overlap_share(self) -> float:
        """Of the settings alone: it is asked for with every save."""
        return float(registry.setting(self.project.database, SETTINGS, {}).get("overlap_share", 0.0))

    def seen(self, user: User, **asked: Any) -> list[AnyRow]:
        """What `images.list_images` gives; to annotators, of what others annotate too, their own layer."""
        database = self.project.database
        if user.role != "annotator":
            return images.list_images(database, **asked)
        return blind.list_seen(database, user.name, self.overlap_share(), **asked)

    def encode(self, image: AnyRow, *, ahead: bool = False) -> Future[Any]:
        """The encoded photo; ahead: when nothing else is to be done."""
        return self.inference.encode(image.hash, functools.partial(self.photos.pixels, image), ahead=ahead)

    def encode_ahead(self, image: AnyRow, user: User) -> None:
        """This one at once, as somebody has it before them; then those that come next."""
        self.encode(image)
        for row in upcoming(self.project.database, user.name, user.kinds, image.id):
            self.encode(row, ahead=True)

    def image_changed(self, image_id: int, revision: int, by: str, layer: int) -> None:
        database = self.project.database
        state = images.image(database, image_id).state
        told = {"id": image_id, "layer": layer, "revision": revision, "state": state, "by": by}
        hear: set[str] | None = set()
        if self.events.reaches_annotators:
            hear = blind.annotators_of(database, image_id, layer, self.overlap_share())
        self.events.tell("image", told, hear)

    def close(self) -> None:
        self.events.end()
        self.background.close()
        self.inference.close()


class Photos:
    """Photos as they are shown, the last ones kept."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._renditions: BytesCache[tuple[str, ...], bytes] = BytesCache(RENDITION_BYTES)
        self._pixels: BytesCache[str, Pixels] = BytesCache(PIXEL_BYTES)
        self._gates = [threading.Lock() for _ in range(16)]

    def shown(self, image: AnyRow, size: str) -> bytes:
        """`size`: display, thumbnail or full. Raises BadInput, BadImage."""
        side = SIDES[size]
        if side is None or max(image.height, image.width) <= side:
            size = "full"
        return self._made(
            (image.hash, size), lambda: rendition(self._reduced(image, SIDES[size]), SIDES[size])
        )

    def _reduced(self, image: AnyRow, side: int | None) -> Pixels:
        """A large photo is first painted long before all of it is decoded."""
        kept = self._pixels.get(image.hash)
        if kept is None and side is not None and max(image.height, image.width) >= 2 * side:
            return read_reduced(self._project.photo(image).read(), round(ENOUGH * side))
        return self.pixels(image) if kept is None else kept

    def tile(self, image: AnyRow, level: int, column: int, row: int) -> bytes:
        """Raises BadInput for one that is not there."""
        key = (image.hash, str(level), str(column), str(row))
        return self._made(key, lambda: tile(self.pixels(image), level, column, row))

    def _made(self, key: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
        kept = self._renditions.get(key)
        if kept is None:
            kept = make()
            self._renditions.put(key, kept, len(kept))
        return kept

    def pixels(self, image: AnyRow) -> Pixels:
        """Read once, however many ask. Raises BadInput, BadImage."""
        with self._gates[int(image.hash[:2], 16) % len(self._gates)]:
            kept = self._pixels.get(image.hash)
            if kept is None:
                blob: Blob = self._project.photo(image)
                kept = read_image(blob.read())
                self._pixels.put(image.hash, kept, kept.nbytes)
            return kept


def studio_of(request: Request) -> Studio:
    """For `Depends`."""
    found: Studio = request.app.state.studio
    return found


def user_of(request: Request) -> User:
    """For `Depends`, behind `authorise`."""
    found: User = request.state.user
    return found


def image_told(row: AnyRow) -> dict[str, Any]:
    """A row of `images.list_images`."""
    levels = levels_of((row.height, row.width))
    tiles = {"size": 512, "levels": [vars_of(level) for level in levels]} if levels else None
    names = ("id", "name", "width", "height", "state", "hash", "masks", "revision")
    return {**{name: getattr(row, name) for name in names}, "fixed": bool(row.fixed), "tiles": tiles}


def vars_of(level: Any) -> dict[str, int]:
    return {"scale": level.scale, "width": level.width, "height": level.height}


def job_told(row: AnyRow) -> dict[str, Any]:
    """A row of jobs; its result as JSON."""
    names = ("id", "kind", "state", "done", "total", "message", "created", "finished")
    return {
        **{name: getattr(row, name) for name in names},
        "cancelling": bool(row.cancel) and row.state == "running",
        "result": json.loads(row.result) if row.result else None,
    }
