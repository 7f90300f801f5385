"""Using a model: encode an image once, then answer any number of prompts.

`load()` finds the model and its backend; `Model.encode` gives an `EncodedImage`, a value that can be kept, saved and
shared between threads.

Legend: P prompts, M candidates, m low-res mask size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from anymask.core.candidates import Candidates
from anymask.core.geometry import ResizeLongest, normalise_and_pad
from anymask.core.image import content_hash, read_image
from anymask.core.prompt import Prompt
from anymask.core.spec import ModelSpec
from anymask.errors import BadInput, BadPrompt, StorageError
from anymask.inference.backend import Backend, DecodedArrays, Embedding, Floats, open_backend
from anymask.inference.prompt_arrays import groups
from anymask.inference.zoo import find_model

SINGLE, SEVERAL = slice(0, 1), slice(1, 4)
HEADER = "__anymask__"


@dataclass(frozen=True, eq=False)
class Model:
    """A network and the backend that runs it. Thread-safe."""

    backend: Backend

    @property
    def spec(self) -> ModelSpec:
        return self.backend.spec

    @property
    def name(self) -> str:
        return self.spec.name

    def encode(self, source: Any, /) -> EncodedImage:
        """Encode a path, bytes, PIL image or array. Raises BadImage."""
        pixels = read_image(source)
        transform = ResizeLongest(pixels.shape[:2], self.spec.input_size)
        digest = content_hash(pixels)
        framed = normalise_and_pad(transform.resize_image(pixels), self.spec.mean, self.spec.std, self.spec.input_size)
        return EncodedImage(self, self.backend.encode(framed), transform, digest)

    def load_embedding(self, path: str | os.PathLike[str]) -> EncodedImage:
        """Read what `EncodedImage.save` wrote. Raises BadInput for another model's or a damaged file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file[HEADER]))
                tensors = {name: file[name].astype(np.float32) for name in self.spec.embedding_names}
            size_hw = (int(header["size_hw"][0]), int(header["size_hw"][1]))
        except FileNotFoundError:
            raise BadInput(f"embedding not found: {path}") from None
        except Exception as error:  # a damaged archive fails in many ways
            raise BadInput(f"not an embedding of {self.name}: {path} ({error})") from error
        if header["model"] != self.name:
            raise BadInput(f"expected an embedding of {self.name}, got one of {header['model']}: {path}")
        return EncodedImage(self, tensors, ResizeLongest(size_hw, self.spec.input_size), header["content_hash"])


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image as the network sees it. `content_hash` identifies the picture, `size_hw` is in original pixels."""

    model: Model
    embedding: Embedding
    transform: ResizeLongest
    content_hash: str

    @property
    def size_hw(self) -> tuple[int, int]:
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
        """Answer one prompt: three candidates for a single point, one mask otherwise, best first.

        `points` are x, y in image pixels, `labels` 1 (inside) or 0 (outside), `box` x0, y0, x1, y1, `mask` an earlier
        answer, its logits or a bool array of the image's size. Raises BadPrompt.
        """
        return self.segment_batch([Prompt.of(points, labels, box, mask, text)])[0]

    def segment_batch(self, prompts: Sequence[Prompt]) -> list[Candidates]:
        """Answer several prompts at once; every answer equals the one the prompt would get alone."""
        checked = [self._checked(p) for p in prompts]
        answers: dict[int, Candidates] = {}
        for members, arrays in groups(checked, self.model.spec, self.transform):
            decoded = self.model.backend.decode(self.embedding, arrays)
            for row, index in enumerate(members):
                answers[index] = candidates(decoded, row, checked[index].is_ambiguous, self.transform)
        return [answers[i] for i in range(len(checked))]

    def _checked(self, prompt: Prompt) -> Prompt:
        if prompt.text is not None:
            raise BadPrompt(f"{self.model.name} takes no text; expected points, a box or a mask, got {prompt.text!r}")
        return prompt.check(self.size_hw, self.model.spec.low_res_size)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the embedding in half precision (.npz). Raises StorageError."""
        target = Path(path)
        partial = target.with_name(f".{target.name}.partial")
        header = {"model": self.model.name, "size_hw": list(self.size_hw), "content_hash": self.content_hash}
        halves = {name: a.astype(np.float16) for name, a in self.embedding.items()}
        try:
            with partial.open("wb") as file:
                np.savez(file, **{HEADER: np.array(json.dumps(header))}, **halves)  # type: ignore[arg-type]
            os.replace(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
        return target


def candidates(decoded: DecodedArrays, row: int, ambiguous: bool, transform: ResizeLongest) -> Candidates:
    """Slots 1..3 for an ambiguous prompt, slot 0 otherwise, with probabilities that sum to 1 with "none of these"."""
    slots = SEVERAL if ambiguous else SINGLE
    iou = decoded.iou_P4[row, slots].astype(np.float32)
    chances, none = probabilities(decoded, row, slots, iou)
    return Candidates(decoded.low_res_masks_P4mm[row, slots], iou, chances, none, transform)


def probabilities(decoded: DecodedArrays, row: int, slots: slice, iou_M: Floats) -> tuple[Floats, float]:
    """Softmax over the used slots and "none"; a network without that head shares out its predicted IoUs."""
    if decoded.probability_logits_P5 is None:
        clipped = iou_M.clip(0, 1)
        share = clipped / max(1.0, float(clipped.sum()))
        return share.astype(np.float32), 1 - float(share.sum())
    logits = decoded.probability_logits_P5[row]
    used = np.append(logits[slots], logits[4]).astype(np.float64)
    weights = np.exp(used - used.max())
    weights /= weights.sum()
    return weights[:-1].astype(np.float32), float(weights[-1])


def load(name: str = "lite", *, backend: str | None = None, threads: int | None = None) -> Model:
    """Open a model by name (`anymask models list`) or by the path of its card or weights.

    `backend`: auto, onnx, openvino, torch or disk; `threads`: 0 means all cores; both default to the settings.
    Raises ModelNotFound, WeightsError, MissingExtra, BadOption.
    """
    from anymask.settings import get_settings

    settings = get_settings()
    backend = settings.backend if backend is None else backend
    threads = settings.threads if threads is None else threads
    if "disk" in (name, backend):
        return Model(open_backend("disk", Path("disk")))
    return Model(open_backend(backend, find_model(name, backend), threads))
