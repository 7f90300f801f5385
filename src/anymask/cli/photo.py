"""One photo of an `anymask segment` call: read, encode, answer, write its files."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anymask.api import EncodedImage, Model
from anymask.cli.stdin import is_stdin, photo_source
from anymask.core.candidates import Candidate
from anymask.core.prompt import Prompt
from anymask.data.record_json import annotation_fields, image_fields, record_json
from anymask.drawing import Drawn, overlay, side_by_side
from anymask.files import check_not_an_input, make_folder, write_atomically
from anymask.images.reader import read_image


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One mask of the result: a candidate, the prompt it answers, its rank among the answers (1 is best)."""

    candidate: Candidate
    rank: int
    prompt: Prompt


class FileWriter:
    """Writes the files of a photo into `folder`; None: nowhere. `inputs` are never overwritten.

    Raises StorageError when the folder cannot be made.
    """

    def __init__(self, folder: Path | None, inputs: Iterable[Path]) -> None:
        self.folder, self._inputs = make_folder(folder) if folder else None, list(inputs)

    def write(self, contents: Iterable[tuple[str, Callable[[], bytes]]]) -> None:
        """All files or, where one would replace an input, none."""
        if self.folder is None:
            return
        made = [(self.folder / name, make) for name, make in contents]
        for file_path, _ in made:
            check_not_an_input(file_path, self._inputs)
        for file_path, make in made:
            write_atomically(file_path, make())


class PhotoSegmenter:
    """Answers the same prompts about one photo after the other. `folder` None: writes nothing.

    `inputs`: the files of the call, which are never overwritten. Raises StorageError when the folder cannot
    be made.
    """

    def __init__(
        self, prompts: Sequence[Prompt], *, inputs: Iterable[Path], folder: Path | None, all_candidates: bool
    ) -> None:
        self._prompts, self._all = list(prompts), all_candidates
        self._files = FileWriter(folder, inputs)

    def segment(self, model: Model, path: Path, name: str, refine: bool | None) -> tuple[str, str]:
        """Read, encode, answer, write; returns the summary and the record as text. Raises AnymaskError."""
        pixels_HW3 = read_image(photo_source(path))
        started = time.perf_counter()
        image = model.encode(pixels_HW3, refine=refine)
        encoded = time.perf_counter()
        answers = self._answers(image)
        decoded = time.perf_counter()
        seconds = {"encode": round(encoded - started, 4), "decode": round(decoded - encoded, 4)}
        names = mask_names(name, len(answers)) if self._files.folder else []
        record = make_record(path, image, answers, names, model=model.name, seconds=seconds)
        self._files.write(files(name, pixels_HW3, answers, names, record))
        return self._summary(path, name, pixels_HW3, answers), record

    def _answers(self, image: EncodedImage) -> list[Answer]:
        candidates = image.segment_batch(self._prompts)
        ranked = ((p, enumerate(c, 1)) for p, c in zip(self._prompts, candidates, strict=True))
        answers = [Answer(candidate, rank, prompt) for prompt, many in ranked for rank, candidate in many]
        return [a for a in answers if self._all or a.rank == 1]

    def _summary(self, path: Path, name: str, pixels_HW3: np.ndarray, answers: Sequence[Answer]) -> str:
        height, width = pixels_HW3.shape[:2]
        lines = [f"{path}  {width} x {height}"]
        for i, answer in enumerate(answers, 1):
            rank = f"candidate {answer.rank}, " if self._all else ""
            lines.append(f"  mask {i}: {rank}{describe(answer, width * height)}")
        if self._files.folder is not None:
            lines.append(
                f"  -> {self._files.folder / name}.overlay.png, .mask{'-*' * (len(answers) > 1)}.png, .json"
            )
        return "\n".join(lines)


def mask_names(name: str, count: int) -> list[str]:
    """One file per mask, numbered where there are several."""
    return [f"{name}.mask.png"] if count == 1 else [f"{name}.mask-{i}.png" for i in range(1, count + 1)]


def make_record(
    path: Path, image: EncodedImage, answers: Sequence[Answer], names: Sequence[str], **more: Any
) -> str:
    """The record of a photo; `names` are the files of its masks, if they are written."""
    described = image_fields("stdin" if is_stdin(path) else path.name, image.size_hw, image.content_hash)
    annotations = [annotation_fields(i, a.candidate, a.rank, a.prompt) for i, a in enumerate(answers, 1)]
    for annotation, mask_file in zip(annotations, names, strict=False):
        annotation["mask_file"] = mask_file
    return record_json(described, annotations, **more)


def files(
    name: str, pixels_HW3: np.ndarray, answers: Sequence[Answer], names: Sequence[str], record: str
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names, and functions that make the contents when their turn comes: one file in memory at a time."""
    for mask_file, answer in zip(names, answers, strict=False):
        yield mask_file, lambda answer=answer: mask_png(answer.candidate.mask.to_array())  # type: ignore[misc]
    yield f"{name}.overlay.png", lambda: png(draw(pixels_HW3, answers))
    yield f"{name}.json", lambda: record.encode("utf-8", "backslashreplace") + b"\n"


def describe(answer: Answer, photo_area: int) -> str:
    candidate = answer.candidate
    area = candidate.mask.area
    size = f"{area:,} pixels ({area / photo_area:.1%})" if area else "empty"
    return f"{size}, predicted IoU {candidate.iou:.2f}, probability {candidate.probability:.2f}"


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
