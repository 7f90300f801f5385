"""Using a model: encode an image once, then answer any number of prompts.

`load` finds the model and its backend; `Model.encode` gives an `EncodedImage`, a value that can be kept,
saved and shared between threads. What a prompt is answered with (how many candidates, which probabilities)
is decided here.

Legend: P prompts, M candidates, m side of the low-resolution masks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from anymask.core.automatic_mask import AutomaticMask
from anymask.core.candidates import Candidates, tempered
from anymask.core.geometry import ResizeLongest, normalise_and_pad
from anymask.core.image import content_hash, read_image
from anymask.core.progress import Progress
from anymask.core.prompt import Prompt
from anymask.core.spec import ModelSpec
from anymask.core.window import redraw
from anymask.errors import BadInput, BadOption, BadPrompt
from anymask.inference.backend import Backend, DecodedArrays, Embedding, Floats, open_backend
from anymask.inference.box_finder import BoxFinder, FoundBoxes
from anymask.inference.edge_finder import EdgeFinder
from anymask.inference.holding import holding, one_piece, within_box
from anymask.inference.model_files import HEAD_PARTS, ModelFiles, read_card
from anymask.inference.probability import MaskProbability
from anymask.inference.prompt_arrays import batches
from anymask.inference.tensor_file import read_tensors, write_tensors
from anymask.inference.zoo import find_model

if TYPE_CHECKING:
    from anymask.inference.zoom import ZoomImage

SINGLE, SEVERAL, NONE = slice(0, 1), slice(1, 4), 4  # slots of the decoder
HEADER = "anymask"
HOW_ASKED = ("zoom", "clicks_hold", "boxes_hold", "candidates_differ")  # facts on a card
HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class Model:
    """Weights that are loaded and ready. Safe to share between threads.

    `fingerprint` names the weights; it is empty where nothing is known about them. `automatic`: thresholds
    for automatic masks that were calibrated for these weights, for each preset, see `AutomaticSettings`, and
    `probability`, see `MaskProbability`. `workers` calls for automatic masks, too small to share a
    processor's cores, run at a time. `box_path`: the graph that finds where things are, see `BoxFinder`;
    `edge_path`: where they end, see `EdgeFinder`.
    `zooms`: this model is at its best when it looks twice, see `zoom`.
    `clicks_hold`: its masks are bent to what the clicks say, and one click asks for one piece, see `holding`;
    `boxes_hold`: they stay in their box, see `within_box`. `candidates_differ`: where several are asked for,
    copies give way to something else, see `differing`. `temperature`: what makes its probabilities
    calibrated, see `tempered`.
    """

    backend: Backend
    fingerprint: str = ""
    automatic: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    box_path: Path | None = None
    edge_path: Path | None = None
    zooms: bool = False
    clicks_hold: bool = False
    boxes_hold: bool = False
    candidates_differ: bool = False
    temperature: float = 1.0

    @cached_property
    def box_finder(self) -> BoxFinder | None:
        """What tells where things are; None where the model has none."""
        return None if self.box_path is None else BoxFinder(self.box_path, self.workers)

    @cached_property
    def edge_finder(self) -> EdgeFinder:
        """What tells where things end. Raises BadOption for a model that cannot tell."""
        if self.edge_path is None:
            raise BadOption(f"model: {self.name} does not find edges: it has no <stem>.edges.onnx")
        return EdgeFinder(self.edge_path, self.workers)

    @property
    def spec(self) -> ModelSpec:
        return self.backend.spec

    @property
    def name(self) -> str:
        return self.spec.name

    def encode(self, source: Any, /) -> EncodedImage:
        """Encode a path, bytes, a file, a PIL image or an array (see `read_image`). Raises BadImage."""
        pixels = read_image(source)
        height, width = pixels.shape[:2]
        transform = ResizeLongest((height, width), self.spec.input_size)
        with ThreadPoolExecutor(1) as beside:
            digest = beside.submit(content_hash, pixels)
            small = transform.resize_image(pixels)
        del pixels  # a large photo need not lie in memory while the network works
        framed = normalise_and_pad(
            small, self.spec.mean, self.spec.std, self.spec.frame_hw(transform.size_hw_model)
        )
        return EncodedImage(self, self.backend.encode(framed), transform, digest.result())

    def zoom(self, source: Any, /) -> ZoomImage:
        """Encode an image to be looked at twice: see `ZoomImage`. Raises BadImage."""
        from anymask.inference.zoom import ZoomImage

        return ZoomImage.of(self, read_image(source))

    def everything(
        self, source: Any, /, preset: str = "default", *, progress: Progress | None = None, **changes: Any
    ) -> list[AutomaticMask]:
        """All masks of an image, without prompts: see `anymask.inference.generator.everything`.

        Raises BadImage, BadOption.
        """
        from anymask.inference.generator import everything

        return everything(self, source, preset, progress=progress, **changes).masks

    def load_embedding(self, path: str | os.PathLike[str]) -> EncodedImage:
        """What `EncodedImage.save` wrote. Raises BadInput for a damaged file and for one of another model."""
        tensors, metadata = read_tensors(Path(path))
        try:
            facts = json.loads(metadata[HEADER])
            made_by, digest = (facts["model"], facts["fingerprint"]), str(facts["content_hash"])
            height, width = (int(side) for side in facts["size_hw"])
            embedding = {name: tensors[name].astype(np.float32) for name in self.spec.embedding_names}
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{path} is no embedding that {self.name} can use: {error!r}") from error
        self._check_maker(made_by, path)
        return EncodedImage(self, embedding, ResizeLongest((height, width), self.spec.input_size), digest)

    def _check_maker(self, made_by: tuple[str, str], path: str | os.PathLike[str]) -> None:
        name, fingerprint = made_by
        if name != self.name or (fingerprint and self.fingerprint and fingerprint != self.fingerprint):
            expected, got = f"{self.name} {self.fingerprint}".strip(), f"{name} {fingerprint}".strip()
            raise BadInput(f"{path} was made by other weights: expected {expected}, got {got}")


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image as the network sees it. `content_hash` names the pixels, whatever file they came from."""

    model: Model
    embedding: Embedding
    transform: ResizeLongest
    content_hash: str

    @property
    def size_hw(self) -> tuple[int, int]:
        """Of the image, in its own pixels."""
        return self.transform.size_hw_image

    def segment(
        self,
        *,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: Any = None,
        text: str | None = None,
    ) -> Candidates:
        """Answer one prompt: three candidates for a point alone, one for anything else; best first.

        `points`: x, y in pixels of the image (the first centre is 0.5, 0.5). `labels`: 1 inside, 0 outside;
        all 1 unless given. `box`: x0, y0, x1, y1. `mask`: an earlier answer, its low-resolution logits, or
        a Mask or bool array of the size of the image. `text`: no model takes one yet. Raises BadPrompt.
        """
        return self.segment_batch([Prompt.of(points, labels, box, mask, text)])[0]

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        """Answer several prompts, alike or not, in their order; each as if it had been asked alone.

        Raises BadPrompt that says which prompt is wrong.
        """
        checked = [self._drawn_here(prompt) for prompt in self.check(prompts)]
        answers: dict[int, Candidates] = {}
        backend = self.model.backend
        for indices, arrays in batches(checked, backend.spec, self.transform, backend.batch_size):
            decoded = backend.decode(self.embedding, arrays)
            for row, index in enumerate(indices):
                answers[index] = self._answer(decoded, row, checked[index])
        return [answers[i] for i in range(len(checked))]

    def _answer(self, decoded: DecodedArrays, row: int, prompt: Prompt) -> Candidates:
        temperature = self.model.temperature
        return self.held(candidates(decoded, row, prompt.is_ambiguous, self.transform, temperature), prompt)

    def held(self, answer: Candidates, prompt: Prompt) -> Candidates:
        """What a person says holds in an answer of the whole image, if it does with this model."""
        if self.model.boxes_hold:
            answer = within_box(answer, prompt, self.transform)
        if self.model.clicks_hold:
            answer = holding(one_piece(answer, prompt, self.transform), prompt, self.transform)
        return answer

    def find_boxes(self, at_most: int = 100, at_least: float = 0.05) -> FoundBoxes:
        """Where things are: boxes to ask for masks, at most so many with at least such a score, best first.

        Raises BadOption for a model that cannot tell.
        """
        finder = self.model.box_finder
        if finder is None:
            raise BadOption(f"{self.model.name} does not find boxes: it has no <stem>.boxes.onnx")
        return finder.find(self.embedding, self.transform, at_most, at_least)

    def find_edges(self) -> Floats:
        """float32 (H, W) in 0..1: how likely a person would draw an edge at each pixel.

        Raises BadOption for a model that cannot tell.
        """
        return self.model.edge_finder.find(self.embedding, self.transform, self.model.spec.low_res_size)

    def everything(
        self, preset: str = "default", *, progress: Progress | None = None, **changes: Any
    ) -> list[AutomaticMask]:
        """All masks of the image, without prompts; for presets without crops. Raises BadOption."""
        from anymask.inference.generator import everything_encoded

        return everything_encoded(self, preset, progress=progress, **changes).masks

    def check(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts with their boxes clipped to the image. Raises BadPrompt that says which is wrong."""
        return [self._checked(number, prompt, len(prompts)) for number, prompt in enumerate(prompts, 1)]

    def _checked(self, number: int, prompt: Prompt, count: int) -> Prompt:
        try:
            if prompt.text is not None:
                raise BadPrompt(f"text: {self.model.name} takes points, a box or a mask, got {prompt.text!r}")
            return prompt.check(self.size_hw, self.model.spec.low_res_size)
        except BadPrompt as error:
            if count == 1:
                raise
            raise BadPrompt(f"prompt {number} of {count}: {error}") from error

    def _drawn_here(self, prompt: Prompt) -> Prompt:
        """Earlier logits in the frame of the whole image, whatever part of it they were drawn in."""
        frame = prompt.mask_frame
        if prompt.mask is None or frame is None or frame == self.transform:
            return prompt
        mask = redraw(prompt.mask.astype(np.float32), frame, self.transform)
        return replace(prompt, mask=mask, mask_frame=self.transform)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the embedding in half precision, as a safetensors file. Raises StorageError."""
        facts = {
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "size_hw": list(self.size_hw),
            "content_hash": self.content_hash,
        }
        halves = {n: a.clip(-HALF_MAX, HALF_MAX).astype(np.float16) for n, a in self.embedding.items()}
        write_tensors(Path(path), halves, {HEADER: json.dumps(facts)})
        return Path(path)


def candidates(
    decoded: DecodedArrays, row: int, ambiguous: bool, transform: ResizeLongest, temperature: float = 1.0
) -> Candidates:
    """Slots 1..3 for an ambiguous prompt, slot 0 otherwise."""
    slots = SEVERAL if ambiguous else SINGLE
    iou_M = decoded.iou_P4[row, slots].astype(np.float32)
    logits_Mmm = decoded.low_res_masks_P4mm[row, slots].copy()  # not a view: it would keep the whole batch
    probability_M, none = probabilities(decoded, row, slots, iou_M, temperature)
    return Candidates(logits_Mmm, iou_M, probability_M, none, (transform,) * len(iou_M)).by_probability()


def probabilities(
    decoded: DecodedArrays, row: int, slots: slice, iou_M: Floats, temperature: float = 1.0
) -> tuple[Floats, float]:
    """Of the slots in use and of "none of these"; they sum to 1.

    From the network's own head; without one, predicted IoUs that sum to more than 1 share it out.
    """
    if decoded.probability_logits_P5 is None:
        clipped = iou_M.clip(0, 1).astype(np.float64)
        share_M = clipped / max(1.0, float(clipped.sum()))
        chance_N = np.append(share_M, max(0.0, 1 - float(share_M.sum())))
    else:
        logits = decoded.probability_logits_P5[row].astype(np.float64)
        used = np.append(logits[slots], logits[NONE])
        chance_N = np.exp(used - used.max())
        chance_N /= chance_N.sum()
    chance_N = tempered(chance_N, temperature)
    return chance_N[:-1].astype(np.float32), float(chance_N[-1])


def load(name: str = "lite", *, backend: str = "auto", threads: int = 0) -> Model:
    """Open a model by its name (`anymask models list`) or by the path of its card or weights.

    `backend`: `auto`, `onnx`, `openvino`, `torch` or `disk` (a fake without weights), some with an option
    after a colon, as in `torch:cuda:1`. `threads`: 0 means all cores. `auto` and 0 give way to the
    settings. Raises ModelNotFound, WeightsError, MissingExtra, BadOption.
    """
    from anymask.settings import get_settings

    settings = get_settings()
    backend = settings.backend if backend == "auto" else backend
    if "disk" in (name, backend):
        return Model(open_backend("disk", Path("disk")))
    path = find_model(name)
    opened = open_backend(backend, path, threads or settings.threads)
    if not ModelFiles.of(path).card.is_file():
        return Model(opened)
    card = read_card(path)
    automatic = card.facts.get("automatic", {})
    MaskProbability.of_card(automatic)  # damaged coefficients are told now, not after the first photo
    zooms, clicks, inside, differ = (card.facts.get(fact) is True for fact in HOW_ASKED)
    heads = {part: file for part, file in ModelFiles.of(path).parts() if part in HEAD_PARTS}
    return Model(
        opened,
        card.fingerprint,
        automatic,
        workers=(threads or settings.threads or os.cpu_count() or 1) if heads else 1,
        box_path=heads.get("boxes"),
        edge_path=heads.get("edges"),
        zooms=zooms,
        clicks_hold=clicks,
        boxes_hold=inside,
        candidates_differ=differ,
        temperature=card.temperature,
    )
