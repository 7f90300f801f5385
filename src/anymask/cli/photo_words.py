"""One photo of an `anymask segment --text` call: read, encode, find, write its files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.api import EncodedImage, Model
from anymask.cli.photo import FileWriter, mask_names, mask_png, png
from anymask.cli.stdin import is_stdin, photo_source
from anymask.data.record_json import image_fields, named_fields, record_json
from anymask.drawing import Drawn, overlay
from anymask.errors import BadPrompt
from anymask.images.reader import read_image
from anymask.words import understand
from anymask.words.photo_words import PhraseAnswer
from anymask.words.search import NamedMask

Box = tuple[float, float, float, float]


class PhotoFinder:
    """Finds the same phrases in one photo after the other. `folder` None: writes nothing.

    `texts`: phrases; a negative one, "not a car", leaves out what the others found. `box`: search only in it.
    Raises BadPrompt for a word that nobody knows, before any photo is read, StorageError.
    """

    def __init__(
        self, texts: Sequence[str], *, box: Box | None, inputs: Iterable[Path], folder: Path | None
    ) -> None:
        phrases = [understand(text) for text in texts]
        self._wanted = [one.text for one in phrases if not one.negated]
        self._without = [one.noun.asked for one in phrases if one.negated]
        if not self._wanted:
            raise BadPrompt(
                f"--text {texts[0]!r}: says what is not wanted; expected what is in another --text"
            )
        self._box, self._files = box, FileWriter(folder, inputs)

    def segment(self, model: Model, path: Path, name: str, refine: bool | None) -> tuple[str, str]:
        """Read, encode, find, write; returns the summary and the record as text. Raises AnymaskError."""
        pixels_HW3 = read_image(photo_source(path))
        started = time.perf_counter()
        image = model.encode(pixels_HW3, refine=True)
        encoded = time.perf_counter()
        answers = [
            image.find(text, without=self._without, box=self._box, refine=refine) for text in self._wanted
        ]
        seconds = {"encode": encoded - started, "find": time.perf_counter() - encoded}
        found = [one for answer in answers for one in answer.masks]
        names = mask_names(name, len(found)) if self._files.folder else []
        record = self._record(path, image, answers, names, model.name, seconds)
        self._files.write(
            [
                *((file, partial(_mask_png, one)) for file, one in zip(names, found, strict=False)),
                (f"{name}.overlay.png", lambda: png(draw(pixels_HW3, found))),
                (f"{name}.json", lambda: record.encode("utf-8", "backslashreplace") + b"\n"),
            ]
        )
        return self._summary(path, name, pixels_HW3, answers), record

    def _record(
        self,
        path: Path,
        image: EncodedImage,
        answers: Sequence[PhraseAnswer],
        names: Sequence[str],
        model: str,
        seconds: dict[str, float],
    ) -> str:
        described = image_fields("stdin" if is_stdin(path) else path.name, image.size_hw, image.content_hash)
        pairs = [
            (text, one) for text, answer in zip(self._wanted, answers, strict=True) for one in answer.masks
        ]
        annotations = [
            named_fields(number, one.mask, one.name, one.score, scorer=one.scorer, text=text)
            for number, (text, one) in enumerate(pairs, 1)
        ]
        for annotation, file in zip(annotations, names, strict=False):
            annotation["mask_file"] = file
        told = [phrase_fields(answer) for answer in answers]
        took = {key: round(value, 4) for key, value in seconds.items()}
        return record_json(described, annotations, model=model, texts=told, seconds=took)

    def _summary(self, path: Path, name: str, pixels_HW3: np.ndarray, answers: Sequence[PhraseAnswer]) -> str:
        height, width = pixels_HW3.shape[:2]
        lines, number = [f"{path}  {width} x {height}"], 0
        for answer in answers:
            lines += told(answer)
            for one in answer.masks:
                number += 1
                share = one.mask.area / (width * height)
                size = f"{one.mask.area:,} pixels ({share:.1%})"
                lines.append(f"    mask {number}: {one.name} {one.score:.2f}, {size}")
        if self._files.folder is not None:
            masks = f", .mask{'-*' * (number > 1)}.png" if number else ""
            lines.append(f"  -> {self._files.folder / name}.overlay.png{masks}, .json")
        return "\n".join(lines)


def _mask_png(one: NamedMask) -> bytes:
    return mask_png(one.mask.to_array())


def told(answer: PhraseAnswer) -> list[str]:
    """What was understood, whether it is there, what was not understood."""
    assert answer.phrase is not None
    how = f"presence {answer.presence:.2f}, threshold {answer.threshold:.2f}"
    what = "; ".join(answer.understood)
    if not answer.present:
        line = f'  "{answer.phrase.text}" ({what}): not here ({how})'
    elif not answer.masks:
        name = answer.phrase.noun.name
        line = f'  "{answer.phrase.text}" ({what}): {name} is here, but none that fits ({how})'
    else:
        line = f'  "{answer.phrase.text}" ({what}): {len(answer.masks)} ({how})'
    lines = [line, *(f"    {one}" for one in answer.told)]
    if answer.not_understood:
        lines.append(f"    not understood, and left out: {', '.join(answer.not_understood)}")
    return lines


def phrase_fields(answer: PhraseAnswer) -> dict[str, object]:
    """For the record: what was asked and how it was read."""
    assert answer.phrase is not None
    return {
        "text": answer.phrase.text,
        "name": answer.phrase.noun.name,
        "understood": list(answer.understood),
        "not_understood": list(answer.not_understood),
        "told": list(answer.told),
        "present": answer.present,
        "presence": round(answer.presence, 4),
        "threshold": round(answer.threshold, 4),
        "scorer": answer.scorer,
        "masks": len(answer.masks),
    }


def draw(pixels_HW3: np.ndarray, found: Sequence[NamedMask]) -> Image.Image:
    """Each mask with its name and score."""
    return overlay(pixels_HW3, [Drawn(one.mask, None, f"{one.name}  {one.score:.2f}") for one in found])
