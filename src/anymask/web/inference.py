"""Inference of the studio: photos encoded ahead, prompts answered on a few threads, the newest first.

Never on the event loop. Each request has one thread of the network; encoding ahead and automatic masks have
one of their own, so that a click does not wait behind them.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from anymask.api import EncodedImage, Model, load
from anymask.core.candidates import AnswerStep, Candidate
from anymask.core.resample import Pixels
from anymask.errors import AnymaskError, Failure
from anymask.export.browser import BrowserDecoder
from anymask.hub.catalog import find_model
from anymask.web.cache import BytesCache

Result = TypeVar("Result")
Key = tuple[str, str]  # hash of a photo, model
Asked = dict[str, Any]  # what `EncodedImage.segment` takes
Who = tuple[str, str]  # a person, a tab
Steps = Iterator[AnswerStep]
GIGABYTE = 1 << 30
CANDIDATE_BYTES = 128 << 20  # of answers that a later prompt may refer to
BEGUN_BYTES = 128 << 20  # of previews that a click may go on with, and the photos that they hold
WINDOWS = 5  # embeddings that an image may hold: its own and those of windows
MAX_AHEAD = 16  # photos that wait to be encoded ahead
CLIENTS = 4_096  # whose newest prompt is remembered
PREVIEW_STEPS = 8  # of a byte to one logit


class Gone(Failure):
    """An earlier answer that is not kept any more."""

    http_status = 410


class NoModel(Failure):
    """The model of the project cannot be opened; masks can still be drawn by hand."""

    http_status = 503


class Busy(Failure):
    """More prompts at once than are worth queueing."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class Preview:
    """(side, side) uint8, 128 and more is inside; the part `shown_xyxy` of the photo fills `inside_hw` cells
    from the top left.
    """

    pixels: NDArray[np.uint8]
    inside_hw: tuple[float, float]
    shown_xyxy: tuple[int, int, int, int]
    probability: float


class Turns:
    """The newest prompt of each client; older ones are not worth answering."""

    def __init__(self) -> None:
        self._newest: OrderedDict[Who, int] = OrderedDict()
        self._gate = threading.Lock()

    def begin(self, who: Who, seq: int) -> Callable[[], bool]:
        """Whether it still is the newest."""
        with self._gate:
            self._newest[who] = max(seq, self._newest.pop(who, seq))
            while len(self._newest) > CLIENTS:
                self._newest.popitem(last=False)
        return lambda: self._newest.get(who, seq) <= seq


class Inference:
    """One model at a time, for all pages of the studio."""

    def __init__(
        self, model_name: str, *, workers: int = 0, cache_bytes: int = GIGABYTE, queue: int = 64
    ) -> None:
        self.workers = workers or max(2, os.cpu_count() or 1)
        self.turns = Turns()
        self._prompts = ThreadPoolExecutor(self.workers, "anymask-prompt")
        self._ahead = ThreadPoolExecutor(1, "anymask-ahead")
        self._slow = ThreadPoolExecutor(1, "anymask-everything")
        self._room = threading.BoundedSemaphore(queue)
        self._gate = threading.RLock()
        self._loading = threading.Lock()
        self._encoded: BytesCache[Key, EncodedImage] = BytesCache(cache_bytes)
        self._working: dict[Key, tuple[Future[EncodedImage], bool]] = {}
        self._waiting: list[Future[EncodedImage]] = []
        self._answers: BytesCache[str, tuple[int, Candidate]] = BytesCache(CANDIDATE_BYTES)
        self._begun: BytesCache[Who, tuple[EncodedImage, object, Steps]] = BytesCache(BEGUN_BYTES)
        self._names = itertools.count()
        self._prefix = secrets.token_hex(4)
        self.model_name = model_name
        self._model: Model | None = None

    @property
    def model(self) -> Model:
        """Loaded when it is first asked for. Raises NoModel when it was removed or is damaged."""
        with self._loading:
            if self._model is None:
                try:
                    self._model = load(self.model_name, threads=1)
                except AnymaskError as error:
                    raise NoModel(f"the model in use cannot be opened: {error}; use another one") from error
            return self._model

    def use(self, model_name: str) -> None:
        """Another model from now on; what the one before encoded is forgotten."""
        with self._loading:
            self.model_name, self._model = model_name, None
        self._encoded.clear()
        self._begun.clear()

    def state(self, content: str) -> str:
        """`ready`, `working` or `none`, of a photo by its hash."""
        key = self._key(content)
        return "ready" if key in self._encoded else "working" if key in self._working else "none"

    def _key(self, content: str) -> Key:
        return content, self.model_name

    def encode(
        self, content: str, pixels: Callable[[], Pixels], *, ahead: bool = False
    ) -> Future[EncodedImage]:
        """The encoded photo of that hash; encoded once, however many ask. Ahead: when nothing else is."""
        key = self._key(content)
        kept = self._encoded.get(key)
        if kept is not None:
            done: Future[EncodedImage] = Future()
            done.set_result(kept)
            return done
        with self._gate:
            running, was_ahead = self._working.get(key, (None, False))
            if running is not None and (ahead or not was_ahead or not running.cancel()):
                return running
            future = (self._ahead if ahead else self._prompts).submit(self._encode, key, pixels)
            self._working[key] = (future, ahead)
            if ahead:
                self._forget_oldest(future)
        future.add_done_callback(lambda ended: self._ended(key, ended))
        return future

    def _forget_oldest(self, newest: Future[EncodedImage]) -> None:
        """Of what is to be encoded ahead: somebody leafed through many photos."""
        self._waiting = [one for one in self._waiting if not one.done()] + [newest]
        for old in self._waiting[:-MAX_AHEAD]:
            old.cancel()

    def _ended(self, key: Key, future: Future[EncodedImage]) -> None:
        with self._gate:
            if self._working.get(key, (None, False))[0] is future:
                del self._working[key]

    def _encode(self, key: Key, pixels: Callable[[], Pixels]) -> EncodedImage:
        image = self.model.encode(pixels())
        embedding = sum(array.nbytes for array in image.embedding.arrays.values())
        self._encoded.put(key, image, _photo_bytes(image) + WINDOWS * embedding)
        return image

    def decoder(self, fingerprint: str) -> BrowserDecoder | None:
        """For a page with an embedding of that model; None: another is in use, or a page cannot ask it."""
        if not fingerprint or self.model.fingerprint != fingerprint:
            return None
        return BrowserDecoder.of(find_model(self.model_name))

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """On one of the threads for prompts. Raises Busy."""
        if not self._room.acquire(blocking=False):
            raise Busy("the model is busy: try again in a moment")
        future = self._prompts.submit(work)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def submit_slow(self, work: Callable[[], Result]) -> Future[Result]:
        """On the thread for automatic masks."""
        return self._slow.submit(work)

    def keep(self, image_id: int, candidate: Candidate) -> str:
        """A name by which a later prompt may refer to a candidate."""
        name = f"{self._prefix}-{next(self._names)}"
        self._answers.put(name, (image_id, candidate), candidate.low_res_logits.nbytes + 1_000)
        return name

    def answer(self, image_id: int, name: str) -> Candidate:
        """Raises Gone, also for an answer about another photo."""
        found = self._answers.get(name)
        if found is None or found[0] != image_id:
            raise Gone(f"candidate {name}: expected an answer of the last minutes about this photo")
        return found[1]

    def begin(self, who: Who, image: EncodedImage, prompt: object, asked: Asked) -> AnswerStep:
        """The first step of an answer; `steps` goes on with it when the same is asked. Raises BadPrompt."""
        steps = image.segment_steps(**asked)
        first = next(steps)
        size = _photo_bytes(image) + sum(one.low_res_logits.nbytes for one in first.candidates)
        self._begun.put(who, (image, prompt, itertools.chain([first], steps)), size)
        return first

    def steps(self, who: Who, image: EncodedImage, prompt: object, asked: Asked) -> Steps:
        """Those of an answer, also where the first was seen before. Raises BadPrompt at once."""
        known = self._begun.pop(who)
        if known is not None and known[0] is image and known[1] == prompt:
            return known[2]
        return image.segment_steps(**asked)

    def close(self) -> None:
        for pool in (self._prompts, self._ahead, self._slow):
            pool.shutdown(wait=False, cancel_futures=True)


def _photo_bytes(image: EncodedImage) -> int:
    return 0 if image.pixels_HW3 is None else image.pixels_HW3.nbytes


def wanted_of(steps: Steps, wanted: Collection[str]) -> Steps:
    """The steps that are wanted; one that ends the answer always."""
    return (step for step in _until(steps, wanted) if step.name in wanted or step.is_final)


def _until(steps: Steps, wanted: Collection[str]) -> Steps:
    for step in steps:
        yield step
        if step.name != "look" and "alternatives" not in wanted:
            return


def preview_of(look: AnswerStep) -> Preview:
    """The best candidate of one pass, as bytes at the resolution of the network."""
    best = look.candidates.best
    scaled = np.ceil(best.low_res_logits * PREVIEW_STEPS) + 127
    inside, (x, y) = best.frame.inside, best.frame.origin_xy
    cells = best.low_res_logits.shape[0] / inside.input_size
    (high, wide), (height, width) = inside.size_hw_model, inside.size_hw_image
    shown = (x, y, x + width, y + height)
    return Preview(
        scaled.clip(0, 255).astype(np.uint8), (high * cells, wide * cells), shown, best.probability
    )
