"""The Python API: open a model, encode an image once, answer any number of prompts about it.

    model = load()
    image = model.encode("photo.jpg")
    answer = image.segment(points=[(480, 300)])

The only file that sees prediction, refinement and automatic masks at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from anymask.automatic.generator import everything, everything_encoded, region_of
from anymask.automatic.probability import MaskProbability
from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import AnswerStep, Candidates
from anymask.core.embedding import Embedding
from anymask.core.mask import Mask
from anymask.core.progress import Progress
from anymask.core.prompt import Prompt
from anymask.core.resample import Floats, Pixels
from anymask.errors import BadInput, BadOption
from anymask.images.reader import content_hash, read_image
from anymask.predict.detectors import DetectedBoxes
from anymask.predict.encoding import Encoding
from anymask.predict.loaded import LoadedModel, model_facts
from anymask.predict.refine import Refinement
from anymask.words.naming import NamingModel
from anymask.words.photo_words import PhotoWords, PhraseAnswer


def load(name: str = "lite", *, backend: str = "auto", threads: int = 0) -> Model:
    """Open a model by its name (`anymask models list`) or by the path of its card or weights.

    `backend`: `auto`, `onnx`, `openvino`, `torch` or `disk` (a fake without weights), some with an option
    after a colon, as in `torch:cuda:1`. `threads`: 0 means all cores. `auto` and 0 give way to the
    settings. Raises ModelNotFound, WeightsError, MissingExtra, BadOption.
    """
    model = Model(**model_facts(name, backend, threads))
    MaskProbability.of_card(model.automatic)  # damaged coefficients are reported now, not after a photo
    return model


@dataclass(frozen=True, eq=False, repr=False)
class Model(LoadedModel):
    """Weights that are loaded and ready. Safe to share between threads; a pickle opens them again."""

    def encode(self, source: Any, /, *, refine: bool | None = None) -> EncodedImage:
        """Encode a path, bytes, a file, a PIL image or an array (see `read_image`).

        `refine`: answer in two passes, the second in a window around the first answer: better outlines and
        small things for another run of the encoder. None: as the model's card says (`lite` refines). An image
        that is refined keeps its pixels. Raises BadImage.
        """
        pixels_HW3 = read_image(source)
        encoding = Encoding.of_pixels(self, pixels_HW3)
        refines = self.refines if refine is None else refine
        return EncodedImage(self, encoding.embedding, pixels_HW3 if refines else None)

    def everything(
        self,
        source: Any,
        /,
        preset: str = "default",
        *,
        box: ArrayLike | None = None,
        progress: Progress | None = None,
        **changes: Any,
    ) -> list[AutomaticMask]:
        """Automatic masks: everything in an image, without prompts. See `EncodedImage.everything`.

        Raises BadImage, BadOption.
        """
        return everything(self, read_image(source), preset, box=box, progress=progress, **changes).masks

    def attach(self, embedding: Embedding, photo: Any = None, *, refine: bool | None = None) -> EncodedImage:
        """An embedding that was made elsewhere, ready to be asked; with its photo, refined as `encode` does.

        Without the photo answers come in one pass. Raises BadInput for an embedding of other weights and for
        another photo, BadOption for `refine=True` without the photo.
        """
        self._check_maker(embedding)
        if photo is None:
            if refine:
                raise BadOption("refine: expected the photo too; the embedding alone answers in one pass")
            return EncodedImage(self, embedding)
        pixels_HW3 = read_image(photo)
        if content_hash(pixels_HW3) != embedding.content_hash:
            raise BadInput("photo: expected the one that was encoded, got other pixels")
        return EncodedImage(
            self, embedding, pixels_HW3 if (self.refines if refine is None else refine) else None
        )

    def load_embedding(self, path: str | os.PathLike[str], photo: Any = None) -> EncodedImage:
        """What `EncodedImage.save` wrote, in half precision; see `attach`.

        Raises BadInput for a damaged file, one of other weights and another photo.
        """
        return self.attach(Embedding.load(Path(path)), photo)

    @cached_property
    def namer(self) -> NamingModel:
        """What tells words from pixels. Raises BadOption for a model without names."""
        return NamingModel(self.names_path, self.names_table_path, self.threads)

    def _check_maker(self, embedding: Embedding) -> None:
        name, fingerprint = embedding.model, embedding.fingerprint
        if name != self.name or (fingerprint and self.fingerprint and fingerprint != self.fingerprint):
            expected, got = f"{self.name} {self.fingerprint}".strip(), f"{name} {fingerprint}".strip()
            raise BadInput(f"the embedding was made by other weights: expected {expected}, got {got}")

    def __reduce__(self) -> tuple[Callable[..., Model], tuple[Any, ...]]:
        """Raises BadOption for a model that was put together by hand."""
        if self.opened_as is None:
            raise BadOption(f"{self!r} cannot be pickled: expected a model that `load` opened")
        return _reopen, self.opened_as


def _reopen(name: str, backend: str, threads: int) -> Model:
    return load(name, backend=backend, threads=threads)


@dataclass(frozen=True, eq=False, repr=False)
class EncodedImage:
    """An image encoded once, ready for any number of prompts. Safe to share between threads.

    `pixels_HW3`: kept where answers are refined in a second pass, else None. `embedding` travels without
    model and photo.
    """

    model: Model
    embedding: Embedding
    pixels_HW3: Pixels | None = field(default=None)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the image, in its own pixels."""
        return self.embedding.size_hw

    @property
    def content_hash(self) -> str:
        """Names the pixels, whatever file they came from."""
        return self.embedding.content_hash

    @property
    def refines(self) -> bool:
        """Answers come in two passes."""
        return self.pixels_HW3 is not None

    def segment(
        self,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: Any = None,
        text: str | None = None,
    ) -> Candidates:
        """Answer one prompt: up to three candidates for a point alone, one for anything else; best first.

        `points`: x, y in pixels of the image (the first centre is 0.5, 0.5). `labels`: 1 inside, 0 outside;
        all 1 unless given. `box`: x0, y0, x1, y1. `mask`: an earlier answer, its low-resolution logits, or
        a Mask or bool array of the size of the image. `text`: a word that says which of them is meant, beside
        a point, box or mask; alone see `find`. Raises BadPrompt.
        """
        return self.segment_batch([Prompt.of(points, labels, box, mask, text)])[0]

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        """Answer several prompts, alike or not, in their order; each as if it had been asked alone.

        Raises BadPrompt that says which prompt is wrong.
        """
        asked = list(prompts)
        worded = [i for i, p in enumerate(asked) if isinstance(p, Prompt) and p.text is not None]
        for i in worded:
            asked[i] = self._words.beside(asked[i])
        answers = (self._refinement or self._encoding).segment_batch(asked)
        for i in worded:
            answers[i] = self._words.choose(answers[i], prompts[i])
        return answers

    def find(
        self,
        text: str,
        *,
        without: Sequence[str] = (),
        box: ArrayLike | None = None,
        refine: bool | None = None,
    ) -> PhraseAnswer:
        """Text prompt: every instance of what a phrase names, best first; none where it is not there.

        `text`: a noun in English or Korean, with a colour, size, place, order or number if need be: "the two
        red cars on the left". `without`: words whose things are left out. `box`: x0, y0, x1, y1: search only
        in it. `refine`: outlines in a second pass; None: as the model's card says. Raises BadPrompt for a
        word that nobody knows, BadOption for a model without names.
        """
        return self._words.find(text, without=without, box=box, refine=self._redraws(refine))

    def find_like(self, *exemplars: Floats, refine: bool | None = None) -> PhraseAnswer:
        """Every instance of what exemplars show, in this image or in others: see `exemplar`."""
        return self._words.find_like(exemplars, refine=self._redraws(refine))

    def exemplar(self, mask: Mask | Candidates | None = None, *, box: ArrayLike | None = None) -> Floats:
        """What a mask or a box shows, as a vector for `find_like`. Raises BadPrompt."""
        if mask is None:
            mask = self.segment(box=box)
        return self._words.exemplar(mask if isinstance(mask, Mask) else mask.best.mask)

    def names(self, masks: Sequence[Mask]) -> list[tuple[str, float]]:
        """A name for each mask with its probability; "unknown" where none is likely enough.

        Raises BadOption for a model without names.
        """
        return self._words.names(masks)

    def segment_steps(
        self,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: Any = None,
        text: str | None = None,
        view: ArrayLike | None = None,
    ) -> Iterator[AnswerStep]:
        """The answer of `segment` step by step, for a screen: something to show long before it is complete.

        `look`: one pass, the coarse candidates. `best`: the most probable of them refined. `alternatives`:
        all of them, what `segment` returns; not where there is only one. Each step is worked out when it is
        asked for, so stopping early saves the rest. The candidate of `best` is among the alternatives bit for
        bit, nearly always as their first. An image that is not refined answers with `look` alone. `view`: x0,
        y0, x1, y1, the part of a large image that is on the screen: the first pass sees it alone, so that
        small things are found in it. With `text`: `look` without it, then `alternatives` in the order that it
        gives. Raises BadPrompt at once, BadOption for a view of nothing.
        """
        prompt = Prompt.of(points, labels, box, mask, text)
        view_xyxy = None if view is None else region_of(view, self.size_hw)
        answering = self._refinement or self._encoding
        if text is None:
            return answering.segment_steps(prompt, view_xyxy)
        return self._worded(prompt, answering.segment_steps(self._words.beside(prompt), view_xyxy))

    def _worded(self, prompt: Prompt, steps: Iterator[AnswerStep]) -> Iterator[AnswerStep]:
        """The look, then the whole answer with the words of the prompt."""
        for step in steps:
            if not step.is_final:
                yield step
        yield AnswerStep("alternatives", self._words.choose(step.candidates, prompt), True)

    def everything(
        self,
        preset: str = "default",
        *,
        box: ArrayLike | None = None,
        progress: Progress | None = None,
        **changes: Any,
    ) -> list[AutomaticMask]:
        """Automatic masks: everything in the image, without prompts, most probable first (paper, section 5).

        `preset`: `default` (everything the model can tell apart), `precise` (few, mostly right), `sa1b` or
        `sam_default` (as published, for models of the SAM family). `box`: x0, y0, x1, y1: only what lies in
        it. `changes`: fields of `AutomaticSettings`, as `min_probability=0.5`. Raises BadOption, also for
        settings with crops where the image has not kept its pixels.
        """
        if self.pixels_HW3 is None:
            if box is not None:
                raise BadOption("box: expected an image that keeps its photo: encode(photo, refine=True)")
            return everything_encoded(self._encoding, preset, progress=progress, **changes).masks
        options: dict[str, Any] = {"whole": self._encoding, "box": box, "progress": progress}
        return everything(self.model, self.pixels_HW3, preset, **options, **changes).masks

    def detect_boxes(self, max_boxes: int = 100, min_score: float = 0.05) -> DetectedBoxes:
        """Class-agnostic box proposals, best first. Raises BadOption, also for a model without a box head."""
        return self._encoding.detect_boxes(max_boxes, min_score)

    def detect_edges(self) -> Floats:
        """float32 (H, W) in 0..1: how likely a person would draw an edge at each pixel.

        Refined: the mean of the photo's and its mirror image's. Raises BadOption for a model without an edge
        head.
        """
        return (self._refinement or self._encoding).detect_edges()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the embedding in half precision, as a safetensors file. Raises StorageError."""
        return self.embedding.save(Path(path))

    @cached_property
    def _encoding(self) -> Encoding:
        return Encoding(self.model, self.embedding)

    @cached_property
    def _refinement(self) -> Refinement | None:
        return None if self.pixels_HW3 is None else Refinement(self._encoding, self.pixels_HW3)

    @cached_property
    def _words(self) -> PhotoWords:
        if self.pixels_HW3 is None:
            raise BadOption("words: expected an image that keeps its photo: encode(photo, refine=True)")
        refined = None if self._refinement is None else self._refinement.segment_batch
        return PhotoWords(self._encoding, self.model.namer, self.pixels_HW3, refined)

    def _redraws(self, refine: bool | None) -> bool:
        return self.model.refines if refine is None else refine

    def __getstate__(self) -> dict[str, Any]:
        """Without what is encoded on demand."""
        return {"model": self.model, "embedding": self.embedding, "pixels_HW3": self.pixels_HW3}

    def __repr__(self) -> str:
        height, width = self.size_hw
        refined = ", refined" if self.refines else ""
        return f"EncodedImage({width} x {height}, {self.model.name}{refined})"
