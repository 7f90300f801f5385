"""One photo of an `anymask segment` call: read, encode, answer, write its files."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anymask.commands.grid import segment_grid_in_box
from anymask.commands.parsing import Question
from anymask.core.candidates import Candidate
from anymask.core.image import content_hash, read_image
from anymask.core.prompt import Prompt
from anymask.drawing import Drawn, overlay, side_by_side
from anymask.errors import BadPrompt
from anymask.store.files import make_folder, write_atomically
from anymask.store.record_json import JsonObject, annotation_fields, image_fields, record_json


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One mask of the result: a candidate, the prompt it answers, its rank among the answers (1 is best)."""

    candidate: Candidate
    rank: int
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Result:
    """What is told of a photo: to people, and to programs."""

    summary: str
    json_text: str


class Photos:
    """Answers the same question for one photo after the other. `folder` None: writes nothing.

    `keep`: the inputs of the call, which are never overwritten. Raises StorageError when the folder cannot
    be made.
    """

    def __init__(
        self, question: Question, *, keep: Iterable[Path], folder: Path | None, all_candidates: bool
    ) -> None:
        self._question, self._keep, self._all = question, list(keep), all_candidates
        self._folder = make_folder(folder) if folder else None

    def segment(self, model: Any, path: Path, name: str) -> Result:
        """Read, encode, answer and write. Raises AnymaskError."""
        pixels_HW3 = read_image(path)
        started = time.perf_counter()
        image = model.encode(pixels_HW3)
        encoded = time.perf_counter()
        answers = self._answers(image, pixels_HW3.shape[:2])
        decoded = time.perf_counter()
        seconds = {"encode": round(encoded - started, 4), "decode": round(decoded - encoded, 4)}
        written = self._write_masks(name, answers)
        record = self._record(path, pixels_HW3, answers, written, model=model.name, seconds=seconds)
        self._write_rest(name, pixels_HW3, answers, record)
        return Result(self._summary(path, name, pixels_HW3, answers), record)

    def _answers(self, image: Any, size_hw: tuple[int, ...]) -> list[Answer]:
        if self._question.grid_box is not None:
            return self._everything(image, size_hw)
        prompts = list(self._question.prompts)
        ranked = ((p, enumerate(c, 1)) for p, c in zip(prompts, image.segment_batch(prompts), strict=True))
        answers = [Answer(candidate, rank, prompt) for prompt, many in ranked for rank, candidate in many]
        return [a for a in answers if self._all or a.rank == 1]

    def _everything(self, image: Any, size_hw: tuple[int, ...]) -> list[Answer]:
        assert self._question.grid_box is not None
        (height, width), (x0, y0, x1, y1) = size_hw, self._question.grid_box
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            raise BadPrompt(
                f"--grid-in-box: expected a box inside 0,0,{width},{height}, got {x0:g},{y0:g},{x1:g},{y1:g}"
            )
        return [Answer(f.candidate, 1, f.prompt) for f in segment_grid_in_box(image, self._question.grid_box)]

    def _record(
        self,
        path: Path,
        pixels_HW3: np.ndarray,
        answers: Sequence[Answer],
        written: Sequence[str],
        **more: Any,
    ) -> str:
        height, width = pixels_HW3.shape[:2]
        image = image_fields(path.name, (height, width), content_hash(pixels_HW3))
        annotations: list[JsonObject] = []
        for number, answer in enumerate(answers, 1):
            fields = annotation_fields(number, answer.candidate, answer.rank, answer.prompt)
            annotations.append(fields | ({"mask_file": written[number - 1]} if written else {}))
        return record_json(image, annotations, **more)

    def _write_masks(self, name: str, answers: Sequence[Answer]) -> list[str]:
        """Names of the files, one per answer; none without a folder."""
        if self._folder is None:
            return []
        several = len(answers) > 1
        names = [
            f"{name}.mask-{i}.png" if several else f"{name}.mask.png" for i in range(1, len(answers) + 1)
        ]
        for file_name, answer in zip(names, answers, strict=True):
            self._write(file_name, mask_png(answer.candidate.mask.to_array()))
        return names

    def _write_rest(self, name: str, pixels_HW3: np.ndarray, answers: Sequence[Answer], record: str) -> None:
        if self._folder is not None:
            self._write(f"{name}.overlay.png", png(draw(pixels_HW3, answers)))
            self._write(f"{name}.json", record.encode() + b"\n")

    def _write(self, file_name: str, content: bytes) -> None:
        assert self._folder is not None
        write_atomically(self._folder / file_name, content, keep=self._keep)

    def _summary(self, path: Path, name: str, pixels_HW3: np.ndarray, answers: Sequence[Answer]) -> str:
        height, width = pixels_HW3.shape[:2]
        lines = [f"{path}  {width} x {height}"]
        lines += [f"  mask {i}: {describe(a, width * height)}" for i, a in enumerate(answers, 1)]
        if not answers:
            lines.append("  nothing found that the model is sure of")
        if self._folder is not None:
            lines.append(
                f"  -> {self._folder / name}.overlay.png, .mask{'-*' * (len(answers) > 1)}.png, .json"
            )
        return "\n".join(lines)


def describe(answer: Answer, photo_area: int) -> str:
    candidate = answer.candidate
    area = candidate.mask.area
    size = f"{area:,} pixels ({area / photo_area:.1%})" if area else "empty"
    rank = f"candidate {answer.rank}, " if answer.rank > 1 else ""
    return f"{rank}{size}, predicted IoU {candidate.iou:.2f}, probability {candidate.probability:.2f}"


def draw(pixels_HW3: np.ndarray, answers: Sequence[Answer]) -> Image.Image:
    """One overlay; with several candidates per prompt one per rank, side by side."""
    ranks = sorted({a.rank for a in answers}) or [1]
    several = len(answers) > 1
    panels = []
    for rank in ranks:
        shown = [(i, a) for i, a in enumerate(answers, 1) if a.rank == rank]
        drawn = [
            Drawn(a.candidate.mask, a.prompt, _tag(i, a, len(ranks)) if several else "") for i, a in shown
        ]
        panels.append(overlay(pixels_HW3, drawn))
    return side_by_side(panels)


def _tag(number: int, answer: Answer, ranks: int) -> str:
    return f"{number}   p {answer.candidate.probability:.2f}" if ranks > 1 else str(number)


def mask_png(inside_HW: np.ndarray) -> bytes:
    """8 bit grey: 255 inside, 0 outside."""
    return png(Image.fromarray(np.multiply(inside_HW, 255, dtype=np.uint8)))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
