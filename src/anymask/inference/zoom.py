"""Looking twice: at the whole image, then closer at what the first answer shows.

A small network sees a large photo coarsely. So what it found is cut out with some room around it, encoded
alone and asked again: the same prompt with the first answer as its mask. A mask that the edges of what was
cut out cut off is asked for in more of the photo. The networks for which the click protocol was written are
measured so too ("zoom-in": Sofiiuk et al. 2022, RITM).
Legend: H W image pixels, h w low-resolution pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import THRESHOLD, Candidate, Candidates, shared
from anymask.core.geometry import Floats, Pixels, box_iou
from anymask.core.progress import Progress
from anymask.core.prompt import Prompt
from anymask.core.window import Edges, Window, around, redraw
from anymask.inference.box_finder import FoundBoxes
from anymask.inference.differing import alike, differing, joined, others_of
from anymask.inference.predictor import EncodedImage, Model
from anymask.inference.prompt_arrays import mask_logits

ROOM = 1.4  # a window's sides relative to those of what it shows
LEAST_SIDE = 160  # of a window, in pixels: below, there is nothing more to see
ALIKE = 0.5  # IoU of two windows above which the one that is encoded already will do
CUT_OFF = 0.02  # of a window's side: a mask that reaches along more of it goes on outside
LOOKS = 3  # at most, in ever larger windows, while they cut the mask off
UNTOLD = 2  # prompts that a mask counts for if those that it rests on are not told
REMEMBERED = 4  # windows of an image that are kept encoded


@dataclass(frozen=True, eq=False)
class ZoomImage:
    """An image that is looked at twice. Asked and answered as an `EncodedImage`.

    Keeps the photo, and the last few windows encoded: a correction is looked at in the window of the earlier
    answer (`mask`), unless the mask outgrows it.
    """

    whole: EncodedImage
    pixels_HW3: Pixels = field(repr=False)
    _encoded: Callable[[Window], EncodedImage] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_encoded", lru_cache(REMEMBERED)(self._encode))

    @classmethod
    def of(cls, model: Model, pixels_HW3: Pixels) -> ZoomImage:
        return cls(model.encode(pixels_HW3), pixels_HW3)

    @property
    def model(self) -> Model:
        return self.whole.model

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.whole.size_hw

    @property
    def content_hash(self) -> str:
        return self.whole.content_hash

    def segment(
        self,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: Any = None,
        text: str | None = None,
    ) -> Candidates:
        """As `EncodedImage.segment`. Raises BadPrompt."""
        return self.segment_batch([Prompt.of(points, labels, box, mask, text)])[0]

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        """As `EncodedImage.segment_batch`; each prompt is looked at closer by itself. Raises BadPrompt."""
        checked = self.whole.check(prompts)
        first = iter(self.whole.segment_batch([p for p in checked if not _is_mask_alone(p)]))
        return [self._redrawn(p) if _is_mask_alone(p) else self._closer(p, next(first)) for p in checked]

    def everything(
        self, preset: str = "default", *, progress: Progress | None = None, **changes: Any
    ) -> list[AutomaticMask]:
        """As `Model.everything`: with crops and second looks, which the encoded image alone has no photo for.

        Raises BadOption.
        """
        return self.model.everything(self.pixels_HW3, preset, progress=progress, **changes)

    def find_boxes(self, at_most: int = 100, at_least: float = 0.05) -> FoundBoxes:
        """As `EncodedImage.find_boxes`, in the whole image. Raises BadOption."""
        return self.whole.find_boxes(at_most, at_least)

    def find_edges(self) -> Floats:
        """As `EncodedImage.find_edges`; the mean of what is seen in the photo and in its mirror image, since
        chance, unlike an edge, changes sides. Raises BadOption.
        """
        mirrored = self.model.encode(np.ascontiguousarray(self.pixels_HW3[:, ::-1]))
        edges_HW = self.whole.find_edges()
        edges_HW += mirrored.find_edges()[:, ::-1]
        edges_HW /= 2
        return edges_HW

    def _closer(self, prompt: Prompt, first: Candidates) -> Candidates:
        """Every candidate drawn again. Whether it was meant and how good it is, the first look says:
        the second is given a mask and sees little else, so it would judge how well that is redrawn.
        """
        windows = _known(prompt)

        def draw(candidate: Candidate) -> Candidate:
            shown_HW = candidate.transform.to_image_mask(candidate.low_res_logits)
            window = self._window(prompt, shown_HW, windows)
            if window is None:
                return candidate
            windows.append(window)
            best = self._look(prompt, candidate, window).best
            return replace(best, iou=candidate.iou, probability=candidate.probability)

        if len(first) > 1 and self.model.candidates_differ:
            return differing(first, self.whole.held(others_of(first), prompt), draw)
        return _together([draw(candidate) for candidate in first], first.none_probability)

    def _redrawn(self, prompt: Prompt) -> Candidates:
        """A mask and nothing else needs no first look."""
        window = self._window(prompt, self._shown(prompt), _known(prompt))
        return self._look(prompt, None, window) if window else self.whole.segment_batch([prompt])[0]

    def _shown(self, prompt: Prompt) -> NDArray[np.bool_]:
        """The prompt's mask, (H, W) bool."""
        assert prompt.mask is not None, "a mask alone"
        if prompt.mask.dtype == np.bool_:
            return np.asarray(prompt.mask, np.bool_)
        return (prompt.mask_frame or self.whole.transform).to_image_mask(prompt.mask.astype(np.float32))

    def _window(self, prompt: Prompt, mask_HW: NDArray[np.bool_], known: Sequence[Window]) -> Window | None:
        """Around the mask and what the prompt names; one of the known if it will do; None: nothing there."""
        shown = _extent(prompt, mask_HW)
        if shown is None:
            return None
        wanted = Window(self.size_hw, _with_room(shown, self.size_hw), self.whole.transform.input_size)
        will_do = (w for w in known if _holds(w.edges_xyxy, shown) and _iou(w, wanted) > ALIKE)
        return next(will_do, wanted)

    def _look(self, prompt: Prompt, first: Candidate | None, window: Window) -> Candidates:
        """The answer in a window, or in a larger one if it is cut off by the window's edges. It is asked once
        more with itself, unless it corrects an earlier one, which gains nothing by that.
        """
        larger = window
        for _ in range(LOOKS):
            window, moved = larger, self._moved(prompt, first, larger)
            answer = self._asked(moved, window)
            larger = _larger(window, answer.best.low_res_logits)
            if larger == window:
                break
        if prompt.mask is not None:
            return answer
        return self._asked(replace(moved, mask=answer.best.low_res_logits), window)

    def _asked(self, moved: Prompt, window: Window) -> Candidates:
        answer = self._encoded(window).segment_batch([moved])[0]
        return replace(answer, transforms=(window,) * len(answer))

    def _moved(self, prompt: Prompt, first: Candidate | None, window: Window) -> Prompt:
        """The prompt in the window's own pixels; clicks outside of it say nothing about what it shows."""
        (x0, y0, x1, y1), origin = window.edges_xyxy, np.array(window.origin_xy, np.float32)
        xy = prompt.points_xy
        near = (xy >= (x0, y0)).all(1) & (xy <= (x1, y1)).all(1)
        box = None if prompt.box_xyxy is None else prompt.box_xyxy - np.tile(origin, 2)
        return Prompt(xy[near] - origin, prompt.labels[near], box, self._given(prompt, first, window))

    def _given(self, prompt: Prompt, first: Candidate | None, window: Window) -> Floats:
        """Logits for the second look to start from: those of the first look and of an earlier answer.

        The more prompts that rests on, the less the first look, which is coarse, changes it.
        """
        earlier = self._earlier(prompt, window)
        if first is None:
            assert earlier is not None, "a mask alone"
            return earlier
        seen = redraw(first.low_res_logits, first.transform, window)
        if earlier is None:
            return seen
        share = np.float32(1 / (_count(prompt) - 1 or UNTOLD))
        return share * seen + (1 - share) * earlier

    def _earlier(self, prompt: Prompt, window: Window) -> Floats | None:
        if prompt.mask is None:
            return None
        if prompt.mask.dtype == np.bool_:
            return mask_logits(window.cut(prompt.mask), self.model.spec, window.inside)
        return redraw(prompt.mask.astype(np.float32), prompt.mask_frame or self.whole.transform, window)

    def _encode(self, window: Window) -> EncodedImage:
        if window.edges_xyxy == (0, 0, *self.size_hw[::-1]):
            return self.whole
        return self.model.encode(np.ascontiguousarray(window.cut(self.pixels_HW3)))


@dataclass(frozen=True, slots=True)
class Zooming:
    """A model whose `encode` gives images that are looked at twice, for those who ask nothing else of it."""

    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    def encode(self, source: Any, /) -> ZoomImage:
        """Raises BadImage."""
        return self.model.zoom(source)


def _together(candidates: Sequence[Candidate], none_probability: float) -> Candidates:
    """In the order of the first look, whose probabilities those share that came out alike."""
    chance_M = shared(np.array([c.probability for c in candidates]), alike(candidates))
    sharing = zip(candidates, chance_M.tolist(), strict=True)
    return joined([replace(c, probability=chance) for c, chance in sharing], none_probability)


def _known(prompt: Prompt) -> list[Window]:
    """In which an earlier answer was drawn."""
    return [prompt.mask_frame] if isinstance(prompt.mask_frame, Window) else []


def _count(prompt: Prompt) -> int:
    return len(prompt.points_xy) + (prompt.box_xyxy is not None)


def _is_mask_alone(prompt: Prompt) -> bool:
    return prompt.mask is not None and not _count(prompt)


def _extent(prompt: Prompt, mask_HW: NDArray[np.bool_]) -> Edges | None:
    """The pixels that hold the mask, the points inside of what is meant and the box; None without a mask."""
    rows, columns = (np.flatnonzero(mask_HW.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    low = [np.array([columns[0], rows[0]])]
    high = [np.array([columns[-1] + 1, rows[-1] + 1])]
    for xy in prompt.points_xy[prompt.labels == 1]:
        low, high = [*low, np.floor(xy)], [*high, np.floor(xy) + 1]
    if prompt.box_xyxy is not None:
        low, high = [*low, np.floor(prompt.box_xyxy[:2])], [*high, np.ceil(prompt.box_xyxy[2:])]
    (x0, y0), (x1, y1) = np.min(low, 0).astype(int), np.max(high, 0).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _with_room(shown_xyxy: Edges, size_hw: tuple[int, int]) -> Edges:
    """Around the same centre, cut at the edges of the image."""
    (a0, b0, a1, b1), (height, width) = shown_xyxy, size_hw
    (x0, x1), (y0, y1) = around(a0, a1, width, ROOM, LEAST_SIDE), around(b0, b1, height, ROOM, LEAST_SIDE)
    return x0, y0, x1, y1


def _larger(window: Window, logits_mm: Floats) -> Window:
    """Twice as far to the sides at which the window cuts the mask off; the same where it cuts off nothing."""
    high, wide = (max(1, int(s * len(logits_mm) / window.input_size)) for s in window.inside.size_hw_model)
    inside_hw = logits_mm[:high, :wide] > THRESHOLD
    sides = (inside_hw[:, 0], inside_hw[0], inside_hw[:, -1], inside_hw[-1])
    cut = [float(side.mean()) > CUT_OFF for side in sides]
    (x0, y0, x1, y1), (height, width) = window.edges_xyxy, window.size_hw_image
    by_x, by_y = x1 - x0, y1 - y0
    edges = (
        max(0, x0 - cut[0] * by_x),
        max(0, y0 - cut[1] * by_y),
        min(width, x1 + cut[2] * by_x),
        min(height, y1 + cut[3] * by_y),
    )
    return replace(window, edges_xyxy=edges)


def _holds(edges_xyxy: Edges, shown_xyxy: Edges) -> bool:
    (x0, y0, x1, y1), (a0, b0, a1, b1) = edges_xyxy, shown_xyxy
    return x0 <= a0 and y0 <= b0 and a1 <= x1 and b1 <= y1


def _iou(a: Window, b: Window) -> float:
    return float(box_iou(a.edges_xyxy, b.edges_xyxy)[0, 0])
