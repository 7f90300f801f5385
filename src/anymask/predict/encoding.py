"""Encoding: an image encoded once, asked any number of prompts in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from anymask.core.candidates import AnswerStep, Candidates
from anymask.core.embedding import Embedding
from anymask.core.frames import Edges, ResizeLongest, redraw
from anymask.core.prompt import LowResLogits, Prompt
from anymask.core.resample import Floats, Pixels, normalise_and_pad
from anymask.errors import BadPrompt
from anymask.images.reader import content_hash
from anymask.predict.detectors import DetectedBoxes
from anymask.predict.layouts import batches
from anymask.predict.loaded import LoadedModel
from anymask.predict.pipeline import postprocess
from anymask.predict.probabilities import candidates


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """An embedding with the model that decodes it."""

    model: LoadedModel
    embedding: Embedding

    @classmethod
    def of_pixels(cls, model: LoadedModel, pixels_HW3: Pixels) -> Encoding:
        """Encode an image: uint8, (H, W, 3)."""
        spec = model.spec
        frame = ResizeLongest((int(pixels_HW3.shape[0]), int(pixels_HW3.shape[1])), spec.input_size)
        with ThreadPoolExecutor(1) as beside:
            digest = beside.submit(content_hash, pixels_HW3)
            small = frame.resize_image(pixels_HW3)
        network_13hw = normalise_and_pad(small, spec.mean, spec.std, spec.frame_hw(frame.size_hw_model))
        arrays = model.backend.encode(network_13hw)
        return cls(model, Embedding(arrays, frame, digest.result(), model.name, model.fingerprint))

    @property
    def frame(self) -> ResizeLongest:
        return self.embedding.frame

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the image, in its own pixels."""
        return self.frame.size_hw_image

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        """Answer several prompts in their order; each as if it had been asked alone. Raises BadPrompt."""
        checked = [self._in_this_frame(prompt) for prompt in self.check(prompts)]
        answers: dict[int, Candidates] = {}
        backend, temperature = self.model.backend, self.model.temperature
        for indices, arrays in batches(checked, backend.spec, self.frame, backend.batch_size):
            decoded = backend.decode(self.embedding.arrays, arrays)
            for row, index in enumerate(indices):
                answer = candidates(decoded, row, checked[index].is_ambiguous, self.frame, temperature)
                answers[index] = self.postprocess(answer, checked[index])
        return [answers[i] for i in range(len(checked))]

    def segment_steps(self, prompt: Prompt, view_xyxy: Edges | None = None) -> Iterator[AnswerStep]:
        """One pass is the whole answer, and sees the whole image. Raises BadPrompt at once."""
        return iter([AnswerStep("look", self.segment_batch([prompt])[0], True)])

    def postprocess(self, answer: Candidates, prompt: Prompt) -> Candidates:
        """After the steps that the model's card lists."""
        return postprocess(answer, prompt, self.frame, self.model.postprocess)

    def detect_boxes(self, max_boxes: int = 100, min_score: float = 0.05) -> DetectedBoxes:
        """Raises BadOption for a model without a box head."""
        return self.model.box_detector.detect(self.embedding.arrays, self.frame, max_boxes, min_score)

    def detect_edges(self) -> Floats:
        """Raises BadOption for a model without an edge head."""
        size = self.model.spec.low_res_size
        return self.model.edge_detector.detect(self.embedding.arrays, self.frame, size)

    def check(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts with their boxes clipped to the image. Raises BadPrompt that says which is wrong."""
        return [self._checked(number, prompt, len(prompts)) for number, prompt in enumerate(prompts, 1)]

    def _checked(self, number: int, prompt: Prompt, count: int) -> Prompt:
        try:
            if not isinstance(prompt, Prompt):
                raise BadPrompt(f"expected a Prompt (Prompt.of(points=...)), got {type(prompt).__name__}")
            if prompt.text is not None:
                raise BadPrompt(f"text: {self.model.name} takes points, a box or a mask, got {prompt.text!r}")
            return prompt.check(self.size_hw, self.model.spec.low_res_size)
        except BadPrompt as error:
            if count == 1:
                raise
            raise BadPrompt(f"prompt {number} of {count}: {error}") from error

    def _in_this_frame(self, prompt: Prompt) -> Prompt:
        """Logits of an earlier answer in the frame of the whole image, whatever window they come from."""
        mask = prompt.mask
        if not isinstance(mask, LowResLogits) or mask.frame is None or mask.frame == self.frame:
            return prompt
        logits_hw = redraw(mask.logits_hw.astype(np.float32), mask.frame, self.frame)
        return replace(prompt, mask=LowResLogits(logits_hw, self.frame))
