"""Thousands of damaged COCO and panoptic files: records or a clear line, never an unforeseen error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from format_samples import record
from mutations import mutated

from anymask.data import formats
from anymask.data.sources import open_records
from anymask.errors import AnymaskError

COUNTS = pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])


def written(folder: Path, name: str) -> Path:
    """A data set of two photos with a ring and a block each."""
    ring = np.ones((6, 7), bool)
    ring[2:, 2:] = False
    block = np.zeros((6, 7), bool)
    block[3:5, 3:6] = True
    records = [record(folder / "src", key, [ring, block], (6, 7)) for key in ("a", "b")]
    formats.write(formats.Contents(records, 2), folder / "dst", formats.Notes(), format_name=name)
    return folder / "dst"


def check_line(text: str) -> None:
    assert text and "\n" not in text and "internal error" not in text


def is_refused(data: Path, name: str) -> bool:
    """Whether something could not be used; masks of what could are drawn."""
    notes = formats.Notes()
    try:
        for one in formats.read(data, notes, format_name=name).records:
            for annotation in one.annotations:
                assert annotation.mask is None or annotation.mask.size_hw == one.size_hw
    except AnymaskError as error:
        check_line(str(error))
        return True
    for _, why in notes.failures:
        check_line(why)
    return bool(notes.failures)


@COUNTS
@pytest.mark.parametrize(
    ("name", "suffix"),
    [("coco", "json"), ("coco-polygon", "json"), ("panoptic", "json"), ("panoptic", "png")],
)
def test_a_damaged_file_is_a_record_or_a_line(count: int, name: str, suffix: str, tmp_path: Path) -> None:
    data = written(tmp_path, name)
    file = next(one for one in sorted(data.rglob(f"*.{suffix}")) if not one.is_symlink())
    whole = file.read_bytes()
    refused = 0
    for seed in range(count):
        file.write_bytes(mutated(whole, seed))
        refused += is_refused(file if suffix == "json" else data, name)
    assert count // 10 < refused < count


@COUNTS
@pytest.mark.parametrize("name", ["coco", "coco-polygon"])
def test_what_evaluate_opens_is_a_record_or_a_line(count: int, name: str, tmp_path: Path) -> None:
    file = next(written(tmp_path, name).rglob("*.json"))
    whole = file.read_bytes()
    refused = 0
    for seed in range(count):
        file.write_bytes(mutated(whole, seed))
        try:
            for one in open_records(file):
                for annotation in one.annotations:
                    assert annotation.mask is None or annotation.mask.size_hw == one.size_hw
        except AnymaskError as error:
            check_line(str(error))
            refused += 1
    assert count // 10 < refused < count
