"""The `webdataset` and `datasets` libraries read our tar shards and Parquet files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from formats_of_readers import MASKS, SIZE_HW, drawn_records, read_back, written
from programs import reader

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.formats import webdataset as ours
from anymask.data.sources import open_records


def test_webdataset_reads_our_shards(tmp_path: Path) -> None:
    path = written(tmp_path, "webdataset", drawn_records(tmp_path / "src", suffix="jpg"))
    files = sorted(str(file) for file in path.glob("*.tar"))
    samples = list(reader("webdataset").WebDataset(files, shardshuffle=False).decode("rgb8"))
    assert [one["__key__"] for one in samples] == ["a", "b"]
    for one in samples:
        assert one["jpg"].shape == (*SIZE_HW, 3)
        found = [a["segmentation"] for a in one["json"]["annotations"] if "segmentation" in a]
        decoded = [reader("pycocotools.mask").decode(rle) for rle in found]
        assert all(map(np.array_equal, decoded, MASKS)) and len(decoded) == len(MASKS)


def test_our_own_readers_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "SHARD_PHOTOS", 1)
    path = written(tmp_path, "webdataset", drawn_records(tmp_path / "src", suffix="jpg"))
    assert [file.name for file in sorted(path.iterdir())] == ["shard-000000.tar", "shard-000001.tar"]
    expected = [Mask.from_array(mask) for mask in MASKS]
    for records in (read_back(path, "webdataset")[0], list(open_records(path))):
        assert [one.key for one in records] == ["a", "b"]
        for one in records:
            assert [a.mask for a in one.annotations[:-1]] == expected
            assert one.read_pixels().shape == (*SIZE_HW, 3)


def test_datasets_reads_our_parquet(tmp_path: Path) -> None:
    reader("pyarrow")
    path = written(tmp_path, "parquet", drawn_records(tmp_path / "src"))
    datasets = reader("datasets")
    found = datasets.load_dataset(str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert found["key"][:] == ["a", "b"] and isinstance(found.features["image"], datasets.Image)
    for row in found:
        assert row["image"].size == SIZE_HW[::-1] and (row["height"], row["width"]) == SIZE_HW
        *things, box = row["objects"]
        masks = [Mask.from_rle({"size": SIZE_HW, "counts": one["counts"]}) for one in things]
        assert masks == [Mask.from_array(mask) for mask in MASKS]
        assert [one["category"] for one in things] == [f"c{n}" for n in range(len(MASKS))]
        assert box["counts"] is None and box["bbox"] == [1.5, 2, 3, 4]


def test_pyarrow_reads_the_bytes_of_photos_and_run_lengths(tmp_path: Path) -> None:
    parquet = reader("pyarrow.parquet")
    path = written(tmp_path, "parquet", drawn_records(tmp_path / "src"))
    (file,) = path.rglob("*.parquet")
    table = parquet.read_table(file)
    rows = table.to_pylist()
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and len(rows) == 2
    assert rows[0]["image"]["bytes"] == (tmp_path / "src" / "a.png").read_bytes()
    decoded = reader("pycocotools.mask").decode({"size": SIZE_HW, "counts": rows[0]["objects"][3]["counts"]})
    assert np.array_equal(decoded, MASKS[3])


def test_photos_that_are_missing_are_counted(tmp_path: Path) -> None:
    reader("pyarrow")
    records = drawn_records(tmp_path / "src")
    for one in records:
        one.blob.path.unlink()
    for name in ("webdataset", "parquet"):
        notes = formats.Notes()
        formats.write(formats.Contents(records, 2), tmp_path / name, notes, format_name=name)
        assert notes.changes["photos not found, not put beside the annotations"] == 2
