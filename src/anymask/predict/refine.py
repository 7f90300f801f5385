"""Two-pass refinement: encode a window around the first answer and predict it again there.

A small network sees a large photo coarsely. So what it found is cropped with a margin, encoded alone and
asked again: the same prompt with the first answer as its mask. A mask that touches the window's inner edges
is asked for in a larger one. Click benchmarks measure interactive networks so too ("zoom-in": Sofiiuk et al.
2022, RITM; "local refinement": FocalClick).
Legend: H W image pixels, h w low-resolution pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from anymask.core.boxes import box_iou
from anymask.core.candidates import THRESHOLD, AnswerStep, Candidate, Candidates, mask_in
from anymask.core.frames import Edges, Window, around, redraw
from anymask.core.mask import Mask
from anymask.core.prompt import ImageMask, LowResLogits, Prompt
from anymask.core.resample import Floats, Pixels
from anymask.predict.diversify import diversify_candidates, merge_near_duplicates, threshold_variants
from anymask.predict.encoding import Encoding
from anymask.predict.layouts import mask_logits

WINDOW_SCALE = 1.4  # a window's sides relative to those of what it shows
MIN_WINDOW_SIDE = 160  # in pixels of the image: in smaller ones there is nothing more to see
SAME_WINDOW_IOU = 0.5  # of two windows above which the one that is encoded already will do
CUT_OFF_FRACTION = 0.02  # of a window's side: a mask that touches more of it goes on outside
MAX_WINDOWS = 3  # ever larger ones, while they cut the mask off
ASSUMED_PROMPTS = 2  # behind a mask prompt of unknown origin
CACHED_WINDOWS = 4  # of an image, that are kept encoded
CACHED_VIEWS = 2


@dataclass(frozen=True, eq=False)
class Refinement:
    """An image whose answers are refined in a second pass. Asked as an `Encoding`.

    Keeps the photo, and the last few windows encoded: a correction is predicted in the window of the earlier
    answer, unless the mask outgrows it.
    """

    whole: Encoding
    pixels_HW3: Pixels = field(repr=False)
    _encoded: Callable[[Window], Encoding] = field(init=False, repr=False)
    _viewed: Callable[[Window], Encoding] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_encoded", lru_cache(CACHED_WINDOWS)(self._encode))
        object.__setattr__(self, "_viewed", lru_cache(CACHED_VIEWS)(self._encode))

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        """As `Encoding.segment_batch`; each prompt is refined by itself. Raises BadPrompt."""
        checked = self.whole.check(prompts)
        first = iter(self.whole.segment_batch([p for p in checked if not p.is_mask_alone]))
        return [self._mask_refined(p) if p.is_mask_alone else self._refined(p, next(first)) for p in checked]

    def segment_steps(self, prompt: Prompt, view_xyxy: Edges | None = None) -> Iterator[AnswerStep]:
        """The answer step by step; work that nobody asks for is not done. `view_xyxy`: the first pass sees
        only that part of the image. Raises BadPrompt at once.
        """
        (checked,) = self.whole.check([prompt])
        return self._steps(checked, view_xyxy)

    def _steps(self, prompt: Prompt, view_xyxy: Edges | None) -> Iterator[AnswerStep]:
        if prompt.is_mask_alone:
            yield AnswerStep("best", self._mask_refined(prompt), True)
            return
        first = self._first_pass(prompt, view_xyxy)
        yield AnswerStep("look", first, False)
        yield from self._refined_steps(prompt, first)

    def _first_pass(self, prompt: Prompt, view_xyxy: Edges | None) -> Candidates:
        """In the whole image, or in the part of it that somebody looks at. A view that does not show all that
        is asked for does not count.
        """
        view = None if view_xyxy is None else self._shown_in(prompt, view_xyxy)
        if view is None:
            return self.whole.segment_batch([prompt])[0]
        earlier = self._earlier(prompt, view)
        moved = self._moved_to(view, prompt, None if earlier is None else LowResLogits(earlier))
        return self._predicted(self._viewed(view), moved, view)

    def _shown_in(self, prompt: Prompt, view_xyxy: Edges) -> Window | None:
        named = [prompt.points_xy[prompt.labels == 1]]
        named += [] if prompt.box_xyxy is None else [prompt.box_xyxy.reshape(2, 2)]
        xy, (x0, y0, x1, y1) = np.concatenate(named), view_xyxy
        if not len(xy) or (xy < (x0, y0)).any() or (xy > (x1, y1)).any():
            return None
        return Window(self.whole.size_hw, view_xyxy, self.whole.frame.input_size)

    def detect_edges(self) -> Floats:
        """Edges averaged with those of the mirrored photo: noise, unlike an edge, changes sides.

        Raises BadOption.
        """
        mirrored = np.ascontiguousarray(self.pixels_HW3[:, ::-1])
        edges_HW = self.whole.detect_edges()
        edges_HW += Encoding.of_pixels(self.whole.model, mirrored).detect_edges()[:, ::-1]
        edges_HW /= 2
        return edges_HW

    def _refined(self, prompt: Prompt, first: Candidates) -> Candidates:
        *_, last = self._refined_steps(prompt, first)
        return last.candidates

    def _refined_steps(self, prompt: Prompt, first: Candidates) -> Iterator[AnswerStep]:
        """The most probable candidate predicted again, then all of them where there are more.

        IoU and probability stay those of the first pass: the second is given a mask and would score how well
        that is redrawn.
        """
        windows = _windows_of(prompt)

        def refine(candidate: Candidate) -> Candidate:
            window = self._window(prompt, _box_of(candidate.mask), windows)
            if window is None:
                return candidate
            windows.append(window)
            best = self._second_pass(prompt, candidate, window).best
            return replace(best, iou=candidate.iou, probability=candidate.probability)

        def rest(candidate: Candidate) -> Candidate:
            return best if candidate is first.best else refine(candidate)

        best = refine(first.best)
        yield AnswerStep("best", Candidates.of([best], first.none_probability), True)
        if prompt.is_ambiguous and merge_near_duplicates in self.whole.model.postprocess:
            variants = self.whole.postprocess(threshold_variants(first), prompt)
            yield AnswerStep("alternatives", diversify_candidates(first, variants, rest), True)
        elif len(first) > 1:
            every = Candidates.of([rest(one) for one in first], first.none_probability)
            yield AnswerStep("alternatives", every, True)

    def _mask_refined(self, prompt: Prompt) -> Candidates:
        """A mask and nothing else needs no first pass."""
        window = self._window(prompt, self._box_of_prompt(prompt), _windows_of(prompt))
        return self._second_pass(prompt, None, window) if window else self.whole.segment_batch([prompt])[0]

    def _box_of_prompt(self, prompt: Prompt) -> Edges | None:
        """Of the prompt's mask."""
        if isinstance(prompt.mask, ImageMask):
            return _box_of(Mask.from_array(prompt.mask.inside_HW))
        assert prompt.mask is not None, "a mask alone"
        return _box_of(mask_in(prompt.mask.frame or self.whole.frame, prompt.mask.logits_hw))

    def _window(self, prompt: Prompt, box_xyxy: Edges | None, known: Sequence[Window]) -> Window | None:
        """Around the box of a mask and what the prompt names; one of the known if it will do; None: nothing
        there.
        """
        if box_xyxy is None:
            return None
        shown = _extent(prompt, box_xyxy)
        wanted = Window(
            self.whole.size_hw, _with_margin(shown, self.whole.size_hw), self.whole.frame.input_size
        )
        will_do = (w for w in known if _contains(w.edges_xyxy, shown) and _iou(w, wanted) > SAME_WINDOW_IOU)
        return next(will_do, wanted)

    def _second_pass(self, prompt: Prompt, first: Candidate | None, window: Window) -> Candidates:
        """The answer in a window, or in a larger one if that cuts it off. It is predicted once more from
        itself, unless it corrects an earlier answer, which gains nothing by that.
        """
        larger = window
        for _ in range(MAX_WINDOWS):
            window, moved = larger, self._moved(prompt, first, larger)
            answer = self._predicted(self._encoded(window), moved, window)
            larger = _larger(window, answer.best.low_res_logits)
            if larger == window:
                break
        if prompt.mask is not None:
            return answer
        again = replace(moved, mask=LowResLogits(answer.best.low_res_logits))
        return self._predicted(self._encoded(window), again, window)

    def _predicted(self, encoding: Encoding, moved: Prompt, window: Window) -> Candidates:
        answer = encoding.segment_batch([moved])[0]
        return replace(answer, frames=(window,) * len(answer))

    def _moved(self, prompt: Prompt, first: Candidate | None, window: Window) -> Prompt:
        """With the answer of the first pass as its mask."""
        return self._moved_to(window, prompt, LowResLogits(self._mask_prompt(prompt, first, window)))

    def _moved_to(self, window: Window, prompt: Prompt, mask: LowResLogits | None) -> Prompt:
        """The prompt in the window's own pixels; clicks outside of it say nothing about what it shows."""
        (x0, y0, x1, y1), origin = window.edges_xyxy, np.array(window.origin_xy, np.float32)
        xy = prompt.points_xy
        near = (xy >= (x0, y0)).all(1) & (xy <= (x1, y1)).all(1)
        box = None if prompt.box_xyxy is None else prompt.box_xyxy - np.tile(origin, 2)
        return Prompt(xy[near] - origin, prompt.labels[near], box, mask)

    def _mask_prompt(self, prompt: Prompt, first: Candidate | None, window: Window) -> Floats:
        """Logits for the second pass to start from: a blend of the first pass and an earlier answer.

        The more prompts the earlier answer rests on, the less the first pass, which is coarse, changes it.
        """
        earlier = self._earlier(prompt, window)
        if first is None:
            assert earlier is not None, "a mask alone"
            return earlier
        seen = redraw(first.low_res_logits, first.frame, window)
        if earlier is None:
            return seen
        weight = np.float32(1 / (_prompt_count(prompt) - 1 or ASSUMED_PROMPTS))
        return weight * seen + (1 - weight) * earlier

    def _earlier(self, prompt: Prompt, window: Window) -> Floats | None:
        mask = prompt.mask
        if isinstance(mask, ImageMask):
            inside = ImageMask(window.cut(mask.inside_HW))
            return mask_logits(inside, self.whole.model.spec, window.inside)
        if mask is None:
            return None
        return redraw(mask.logits_hw, mask.frame or self.whole.frame, window)

    def _encode(self, window: Window) -> Encoding:
        if window.edges_xyxy == (0, 0, *self.whole.size_hw[::-1]):
            return self.whole
        return Encoding.of_pixels(self.whole.model, np.ascontiguousarray(window.cut(self.pixels_HW3)))


def _windows_of(prompt: Prompt) -> list[Window]:
    """In which an earlier answer was predicted."""
    frame = prompt.mask.frame if isinstance(prompt.mask, LowResLogits) else None
    return [frame] if isinstance(frame, Window) else []


def _prompt_count(prompt: Prompt) -> int:
    return len(prompt.points_xy) + (prompt.box_xyxy is not None)


def _box_of(mask: Mask) -> Edges | None:
    """None of an empty one."""
    return None if mask.is_empty else mask.box_xyxy


def _extent(prompt: Prompt, box_xyxy: Edges) -> Edges:
    """The pixels that hold the box of a mask, the positive points and the prompt's box."""
    corners = np.array(box_xyxy).reshape(2, 2)
    low, high = [corners[0]], [corners[1]]
    for xy in prompt.points_xy[prompt.labels == 1]:
        low, high = [*low, np.floor(xy)], [*high, np.floor(xy) + 1]
    if prompt.box_xyxy is not None:
        low, high = [*low, np.floor(prompt.box_xyxy[:2])], [*high, np.ceil(prompt.box_xyxy[2:])]
    (x0, y0), (x1, y1) = np.min(low, 0).astype(int), np.max(high, 0).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _with_margin(shown_xyxy: Edges, size_hw: tuple[int, int]) -> Edges:
    """Around the same centre, clipped to the image."""
    (a0, b0, a1, b1), (height, width) = shown_xyxy, size_hw
    x0, x1 = around(a0, a1, width, WINDOW_SCALE, MIN_WINDOW_SIDE)
    y0, y1 = around(b0, b1, height, WINDOW_SCALE, MIN_WINDOW_SIDE)
    return x0, y0, x1, y1


def _larger(window: Window, logits_mm: Floats) -> Window:
    """Twice as far to the sides at which the window cuts the mask off; the same where it cuts off nothing."""
    high, wide = (max(1, int(s * len(logits_mm) / window.input_size)) for s in window.inside.size_hw_model)
    inside_hw = logits_mm[:high, :wide] > THRESHOLD
    sides = (inside_hw[:, 0], inside_hw[0], inside_hw[:, -1], inside_hw[-1])
    cut = [float(side.mean()) > CUT_OFF_FRACTION for side in sides]
    (x0, y0, x1, y1), (height, width) = window.edges_xyxy, window.size_hw_image
    by_x, by_y = x1 - x0, y1 - y0
    edges = (
        max(0, x0 - cut[0] * by_x),
        max(0, y0 - cut[1] * by_y),
        min(width, x1 + cut[2] * by_x),
        min(height, y1 + cut[3] * by_y),
    )
    return replace(window, edges_xyxy=edges)


def _contains(edges_xyxy: Edges, shown_xyxy: Edges) -> bool:
    (x0, y0, x1, y1), (a0, b0, a1, b1) = edges_xyxy, shown_xyxy
    return x0 <= a0 and y0 <= b0 and a1 <= x1 and b1 <= y1


def _iou(a: Window, b: Window) -> float:
    return float(box_iou(a.edges_xyxy, b.edges_xyxy)[0, 0])
