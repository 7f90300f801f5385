"""Pictures of answers to words that chance drew, present and absent ones: they show what numbers hide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from anymask.data.record import Record
from anymask.data.sources import open_records
from anymask.drawing import Drawn, contact_sheet, overlay
from anymask.errors import StorageError, mapped
from anymask.evaluation.samples import Photos, checked_pixels
from anymask.evaluation.text import Answer, WordModel, names_there

SEED, ON_A_SHEET, COLUMNS = 40, 8, 4
TILE_WH, TITLE, GAP = (380, 300), 44, 8
PAPER, INK, RIGHT, WRONG = (255, 255, 255), (24, 24, 27), (22, 128, 61), (200, 30, 30)


def write_text_pictures(data: Photos, model: WordModel, folder: Path, count: int = 40) -> list[Path]:
    """Sheets of eight answers, `words-1.png` and so on; where absent names are known, every other is one.

    The title says what is true, what the model says, and in green or red whether that is right; masks are
    drawn where it says that the name is there. Raises BadInput, StorageError.
    """
    drawn = [tile(record, name, model) for record, name in chosen_pairs(data, count)]
    paths = []
    with mapped(OSError, StorageError, f"cannot write to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(drawn), ON_A_SHEET):
            paths.append(folder / f"words-{start // ON_A_SHEET + 1}.png")
            contact_sheet(drawn[start : start + ON_A_SHEET], COLUMNS, GAP).save(paths[-1])
    return paths


def chosen_pairs(data: Photos, count: int) -> Iterator[tuple[Record, str]]:
    """Photos by chance, each again only after all others, and a name of each."""
    records, rng = open_records(data), np.random.default_rng(SEED)
    rounds = -(-count // max(1, len(records)))
    numbers = [number for _ in range(rounds) for number in rng.permutation(len(records)).tolist()]
    for turn, number in enumerate(numbers[:count]):
        record = records[number]
        there = sorted(names_there(record))
        absent = sorted(set(record.fields.get("exhaustive_categories", ())) - set(there))
        names = absent if absent and (turn % 2 or not there) else there
        if names:
            yield record, names[int(rng.integers(len(names)))]


def tile(record: Record, name: str, model: WordModel) -> Image.Image:
    pixels = checked_pixels(record)
    answer = model.encode(pixels).find(name)
    masks = [Drawn(one.mask, None, f"{one.score:.2f}") for one in answer.masks] if answer.present else []
    picture = overlay(pixels, masks) if masks else Image.fromarray(pixels)
    page = Image.new("RGB", (TILE_WH[0], TILE_WH[1] + TITLE), PAPER)
    page.paste(ImageOps.pad(picture, TILE_WH, Image.Resampling.LANCZOS, PAPER), (0, TITLE))
    pen = ImageDraw.Draw(page)
    pen.text((2, 0), name, INK, ImageFont.load_default(19))
    there = name in names_there(record)
    told, colour = verdict(answer, there)
    pen.text((2, 23), told, colour, ImageFont.load_default(14))
    return page


def verdict(answer: Answer, there: bool) -> tuple[str, tuple[int, int, int]]:
    said = f"says there, {len(answer.masks)} found" if answer.present else "says absent"
    told = f"{'there' if there else 'absent'}; {said}; presence {answer.presence:.2f}"
    return told, RIGHT if answer.present == there else WRONG
