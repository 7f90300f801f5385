"""Words on one photo: instances of a phrase, names of masks, a word beside a click.

Legend: M candidates, R regions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anymask.core.candidates import Candidates
from anymask.core.mask import Mask
from anymask.core.prompt import Prompt
from anymask.core.resample import Floats, Pixels, SizeHW
from anymask.errors import BadPrompt
from anymask.words import attributes
from anymask.words.naming import NamingModel, Query
from anymask.words.phrase import Phrase, understand
from anymask.words.query import query_of_row, searched_query
from anymask.words.search import HEAT, SAME_IOU, ImageParts, NamedMask, WordSearch, name_masks
from anymask.words.text import quoted
from anymask.words.vocabulary import Vocabulary, default_vocabulary

SAME_ANSWER = 0.9  # IoU of two candidates, above which they are the same
WORD_SHARE = 0.5  # power of a word beside a click, against the model's own probability
LEAST_FIT = 0.01  # below it a word says nothing of which candidate is meant
AROUND, LEAST_SIDE = 1.6, 96  # the closer look at candidates: times their longest side; pixels

Answer = Callable[[Sequence[Prompt]], list[Candidates]]


@dataclass(frozen=True, slots=True)
class PhraseAnswer:
    """What a phrase names in a photo.

    `masks`: best first; empty when it is not there, or when none of those that are has the attributes.
    `present`: whether the noun is there: `presence` (0..1) reaches `threshold`, which one in twenty absent
    words does. `scorer`: "trained" or "imagenet", see `naming`; "like" for an exemplar. `understood`,
    `not_understood`: parts of the phrase. `told`: what attributes and words to leave out did to the masks.
    """

    phrase: Phrase | None
    masks: tuple[NamedMask, ...]
    present: bool
    presence: float
    threshold: float
    scorer: str
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PhotoWords:
    """A photo that words can be asked about. `parts` answers in one pass, `refined` as the model is best."""

    parts: ImageParts
    namer: NamingModel
    pixels_HW3: Pixels
    refined: Answer | None = None

    @cached_property
    def search(self) -> WordSearch:
        return WordSearch(self.parts, self.namer, self.namer.look(self.pixels_HW3))

    @property
    def vocabulary(self) -> Vocabulary:
        return default_vocabulary()

    def find(
        self,
        text: str,
        *,
        without: Sequence[str] = (),
        box: ArrayLike | None = None,
        refine: bool = True,
    ) -> PhraseAnswer:
        """Every instance of what `text` names. `without`: words whose things are left out. `box`: x0, y0, x1,
        y1: search only in it. `refine`: outlines in a second pass, where the model has one. Raises BadPrompt.
        """
        phrase = understand(text, self.vocabulary)
        if phrase.negated:
            raise BadPrompt(
                f"text: {text!r} says what is not wanted; expected what is, too: a word or a point"
            )
        query = searched_query(phrase.noun.row, self.vocabulary, self.namer)
        found, told = self.search.find(query, self._checked(box)), list[str]()
        present, masks = found.present, found.masks if found.present else ()
        for word in without:
            left = self.search.without(found, self._query(understand(word, self.vocabulary)))
            told += (
                [f"without {word}: {len(masks) - len(left.masks)} of {len(masks)} left out"] if masks else []
            )
            found, masks = left, left.masks if present else ()
        if masks and phrase.has_attributes:
            masks, more = self._with_attributes(masks, phrase)
            told += more
        if refine:
            masks = tuple(self._redrawn(one) for one in masks)
        return PhraseAnswer(
            phrase, masks, present, found.presence, found.threshold, found.scorer,
            (*phrase.understood, *self._stood_in(phrase, query)), phrase.not_understood, tuple(told),
        )  # fmt: skip

    def find_like(self, exemplars: Sequence[Floats], *, refine: bool = True) -> PhraseAnswer:
        """Every instance of what the exemplars show; see `exemplar`."""
        found = self.search.find_like(exemplars)
        masks = tuple(self._redrawn(one) for one in found.masks) if refine else found.masks
        return PhraseAnswer(None, masks, found.present, found.presence, found.threshold, found.scorer)

    def exemplar(self, mask: Mask) -> Floats:
        """What a mask shows, to be looked for in this photo and in others."""
        return self.namer.exemplar(self.search.features, mask)

    def names(self, masks: Sequence[Mask]) -> list[tuple[str, float]]:
        """A name for each mask with its probability; "unknown" where none is likely enough."""
        return name_masks(self.namer, self.search.features, masks)

    def beside(self, prompt: Prompt) -> Prompt:
        """The prompt without its words. Raises BadPrompt when nothing is left, and for an unknown word."""
        assert prompt.text is not None
        understand(prompt.text, self.vocabulary)
        if not len(prompt.points_xy) and prompt.box_xyxy is None and prompt.mask is None:
            raise BadPrompt(
                f"text: expected a point, box or mask beside it; find({prompt.text!r}) gives every instance"
            )
        return replace(prompt, text=None)

    def choose(self, answer: Candidates, prompt: Prompt) -> Candidates:
        """The candidates of a prompt in the order that its words give them.

        Their probabilities are as likely as before, times the root of how likely each is called so. In a box
        the instances of the word are candidates too; not at a click, where they lose to the model's own.
        """
        assert prompt.text is not None
        phrase = understand(prompt.text, self.vocabulary)
        if phrase.negated:
            fits_M = 1 - self._fits(answer, self._query(phrase))
        else:
            query = searched_query(phrase.noun.row, self.vocabulary, self.namer)
            answer = joined(answer, self._instances_in(prompt, query))
            fits_M = self._fits(answer, query)
        return reweighted(answer, np.minimum(fits_M + LEAST_FIT, 1) ** WORD_SHARE)

    def _fits(self, answer: Candidates, query: Query) -> Floats:
        """(M,): how likely the box of each candidate is called so, 0..1: the geometric mean of what the photo
        says and a closer look, in which small things are more than a cell.
        """
        boxes_M4 = np.array([one.mask.box_xyxy for one in answer], np.float64)
        x0, y0, x1, y1 = window_around(boxes_M4, self.parts.size_hw)
        closer = self.namer.look(np.ascontiguousarray(self.pixels_HW3[y0:y1, x0:x1]))
        of_photo = self.namer.regions_of_boxes(self.search.features, boxes_M4)
        of_window = self.namer.regions_of_boxes(closer, boxes_M4 - (x0, y0, x0, y0))
        scores = [self.namer.score_regions(regions, query) for regions in (of_photo, of_window)]
        return np.asarray(np.sqrt(scores[0] * scores[1]), np.float32)

    def _query(self, phrase: Phrase) -> Query:
        return query_of_row(phrase.noun.row, self.vocabulary)

    def _stood_in(self, phrase: Phrase, query: Query) -> tuple[str, ...]:
        """What to tell when another word than the noun is searched."""
        name = self.vocabulary.names[phrase.noun.row]
        return () if query.word == name else (f"{quoted(name)} was not learned; searched as {query.word}",)

    def _checked(self, box: ArrayLike | None) -> ArrayLike | None:
        """Raises BadPrompt."""
        return None if box is None else Prompt.of(box=box).check(self.parts.size_hw).box_xyxy

    def _with_attributes(
        self, masks: Sequence[NamedMask], phrase: Phrase
    ) -> tuple[tuple[NamedMask, ...], list[str]]:
        scores = [one.score for one in masks]
        applied = attributes.apply(phrase, [one.mask for one in masks], scores, self.pixels_HW3)
        kept = zip(applied.kept, applied.scores, strict=True)
        return tuple(replace(masks[i], score=score) for i, score in kept), list(applied.told)

    def _redrawn(self, one: NamedMask) -> NamedMask:
        """In a second pass; as it was where that takes it for something else."""
        if self.refined is None or one.scorer == HEAT:
            return one
        mask = self.refined([Prompt.of(box=one.mask.box_xyxy)])[0].best.mask
        return replace(one, mask=mask) if mask.iou(one.mask) >= SAME_IOU else one

    def _instances_in(self, prompt: Prompt, query: Query) -> list[Candidates]:
        """Answers to the boxes of instances that lie in the box of a prompt and hold its clicks."""
        if prompt.box_xyxy is None or prompt.mask is not None:
            return []
        found = self.search.find(query, prompt.box_xyxy)
        inside = prompt.points_xy[prompt.labels == 1]
        masks = [one for one in found.masks if one.scorer != HEAT and _holds(one.mask, inside)]
        boxes = [np.asarray(one.mask.box_xyxy, np.float32) for one in masks] if found.present else []
        prompts = [replace(prompt, box_xyxy=box, text=None) for box in boxes]
        return (self.refined or self.parts.segment_batch)(prompts) if prompts else []


def _holds(mask: Mask, points_xy: Floats) -> bool:
    inside_HW = mask.to_array()
    height, width = inside_HW.shape
    return all(inside_HW[min(int(y), height - 1), min(int(x), width - 1)] for x, y in points_xy)


def window_around(boxes_xyxy_M4: NDArray[np.float64], size_hw: SizeHW) -> tuple[int, int, int, int]:
    """A square around the box with the longest side, cut to the image: x0, y0, x1, y1 in whole pixels."""
    sides_M = (boxes_xyxy_M4[:, 2:] - boxes_xyxy_M4[:, :2]).max(1)
    largest = boxes_xyxy_M4[int(sides_M.argmax())]
    middle, half = (largest[:2] + largest[2:]) / 2, max(AROUND * float(sides_M.max()), LEAST_SIDE) / 2
    x0, y0 = np.maximum(middle - half, 0).astype(int).tolist()
    x1, y1 = np.minimum(middle + half, size_hw[::-1]).astype(int).tolist()
    return x0, y0, x1, y1


def joined(first: Candidates, more: Sequence[Candidates]) -> Candidates:
    """The candidates, and the best of each further answer that is none of them; as likely as the first."""
    found, masks = list(first), [one.mask for one in first]
    for answer in more:
        if all(answer.best.mask.iou(mask) < SAME_ANSWER for mask in masks):
            found.append(replace(answer.best, probability=first.best.probability))
            masks.append(answer.best.mask)
    return Candidates.of(found, first.none_probability)


def reweighted(answer: Candidates, fits_M: Floats) -> Candidates:
    """By how well each fits, best first; what does not fit goes to none of them."""
    total = sum(one.probability for one in answer) + answer.none_probability
    chances = [one.probability / total * float(fit) for one, fit in zip(answer, fits_M, strict=True)]
    found = [replace(one, probability=chance) for one, chance in zip(answer, chances, strict=True)]
    return Candidates.of(found, max(0.0, 1 - sum(chances))).by_probability()
