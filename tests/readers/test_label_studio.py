"""Label Studio's own converter decodes our brushes, and we decode those it encodes: the same pixels."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats_of_readers import MASKS, SIZE_HW, drawn_records, read_back, written

from anymask.core.mask import Mask
from anymask.data.formats.brush_rle import decode_brush, encode_brush

NOISE = [np.random.default_rng(n).random((37, 41)) < n / 20 for n in range(21)]
LARGE = [np.ones((300, 400), bool), np.zeros((300, 400), bool)]  # runs longer than 16 bits count


@cache
def converter() -> Any:
    """The one file of the SDK that knows brushes; the SDK itself needs much that it does not."""
    sdk = importlib.util.find_spec("label_studio_sdk")
    if sdk is None or not sdk.submodule_search_locations:
        pytest.skip("label-studio-sdk is not installed")
    path = Path(sdk.submodule_search_locations[0], "converter", "brush.py")
    spec = importlib.util.spec_from_file_location("label_studio_brush", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mask", [*MASKS, *NOISE, *LARGE])
def test_the_converter_and_we_read_each_others_brushes(mask: np.ndarray) -> None:
    brush = converter()
    theirs = brush.decode_rle(encode_brush(Mask.from_array(mask)))
    assert np.array_equal(theirs.reshape(*mask.shape, 4) // 255, np.repeat(mask[:, :, None], 4, axis=2))
    encoded = brush.encode_rle(np.repeat(mask.astype(np.uint8).ravel() * 255, 4))
    assert decode_brush(encoded, mask.shape) == Mask.from_array(mask)
    mixed = np.random.default_rng(1).integers(0, 256, (*mask.shape, 4), dtype=np.uint8)  # soft edges
    mixed[:, :, 3] *= mask
    expected = Mask.from_array(mixed[:, :, 3])
    assert decode_brush(brush.encode_rle(mixed.ravel()), mask.shape) == expected


def test_the_sdk_and_we_write_the_same_bytes() -> None:
    """The SDK adds a byte where the bits fill the last one."""
    brush = converter()
    for mask in (*MASKS, *NOISE):
        ours, theirs = encode_brush(Mask.from_array(mask)), brush.mask2rle(mask.astype(np.uint8) * 255)
        assert theirs in (ours, [*ours, 0])


def test_the_converter_reads_our_tasks(tmp_path: Path) -> None:
    brush = converter()
    tasks = json.loads((written(tmp_path, "label-studio") / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        f"/data/local-files/?d=images/{key}.png" for key in ("a", "b")
    ]
    for task in tasks:
        results = [
            {**one["value"], **{k: one[k] for k in ("type", "original_width", "original_height")}}
            for one in task["annotations"][0]["result"]
        ]
        layers = brush.decode_from_annotation("brush", results)
        assert list(layers) == [f"brush-c{n}-0" for n in range(len(MASKS))]
        assert all(
            np.array_equal(layer > 0, mask) for layer, mask in zip(layers.values(), MASKS, strict=True)
        )


def test_our_tasks_are_read_as_the_same_masks_and_boxes(tmp_path: Path) -> None:
    records = drawn_records(tmp_path / "src")
    back, _ = read_back(written(tmp_path, "label-studio", records), "label-studio")
    assert [[one.mask for one in record.annotations] for record in back] == [
        [one.mask for one in record.annotations] for record in records
    ]
    assert back[0].annotations[-1].box_xyxy == (1.5, 2, 4.5, 6) and back[0].size_hw == SIZE_HW
