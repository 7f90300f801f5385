"""Files with anything in them: what can be read is read, the rest is a line, and nothing else happens."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from format_samples import NAMES as ALL
from format_samples import png, record
from hypothesis import given
from hypothesis import strategies as st

from anymask.data import formats
from anymask.data.sources import open_records
from anymask.errors import AnymaskError

JUNK = st.sampled_from(
    [None, -1, 0, 1, True, 0.5, 1e308, float("inf"), float("nan"), 2**70, "", "x", "\ud800", "../..", "/",
     "a" * 300, [], [1], [[1]], [[1, 2, 3, 4, 5, 6]], {}, {"a": 1}, [None], [{}], [[None] * 6],
     {"size": [1, 1]}]
)  # fmt: skip
NAMES = ["sa1b", "coco", "coco-polygon", "labelme"]


def written(folder: Path, name: str) -> Path:
    """A data set of two photos; the JSON file to damage."""
    ring = np.ones((6, 7), bool)
    ring[2, 2] = False
    block = np.zeros((6, 7), bool)
    block[1:4, 1:5] = True
    records = [record(folder / "src", key, [ring, block], (6, 7)) for key in ("a", "b")]
    notes = formats.Notes()
    contents = formats.Contents(records, 2)
    formats.write(contents, folder / "dst", notes, format_name=name)
    return folder / "dst" / ("annotations.json" if name.startswith("coco") else "a.json")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def damaged(value: Any, place: tuple[Any, ...], junk: Any) -> Any:
    if not place:
        return junk
    value = copy.copy(value)
    value[place[0]] = damaged(value[place[0]], place[1:], junk)
    return value


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_json_with_anything_anywhere_in_it(name: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), name)
        fields = json.loads(path.read_text())
        place = data.draw(st.sampled_from(places(fields)))
        path.write_text(json.dumps(damaged(fields, place, data.draw(JUNK))))
        notes = formats.Notes()
        source_format = "coco" if name == "coco-polygon" else name
        target = data.draw(st.sampled_from(ALL))
        try:
            contents = formats.read(path.parent, notes, format_name=source_format)
            formats.write(contents, Path(folder) / "out", notes, format_name=target)
        except AnymaskError:  # the only file, or its table, is no good
            assert source_format == "coco"
        assert not [why for _, why in notes.failures if "internal error" in why]
        assert all("\n" not in why for _, why in notes.failures)
        outside = {p.name for p in Path(folder).iterdir()}
        assert outside <= {"src", "dst", "out"}


@given(data=st.data())
def test_coco_with_anything_in_it_is_opened_for_training_as_it_is_converted(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), data.draw(st.sampled_from(["coco", "coco-polygon"])))
        fields = json.loads(path.read_text())
        place = data.draw(st.sampled_from(places(fields)))
        path.write_text(json.dumps(damaged(fields, place, data.draw(JUNK))))
        try:
            converted = list(formats.read(path, formats.Notes(), format_name="coco").records)
        except AnymaskError:  # its table is no good
            converted = []
        if not converted:
            with pytest.raises(AnymaskError):
                open_records(path)
            return
        opened = list(open_records(path))
        assert [one.key for one in opened] == [one.key for one in converted]
        for one, other in zip(opened, converted, strict=True):
            assert [a.mask for a in one.annotations] == [a.mask for a in other.annotations]
            assert [a.mask for a in one.crowd] == [a.mask for a in other.crowd]


LINE = st.text("0123456789. -+enaif,x\t", max_size=60)


@given(
    lines=st.lists(LINE, max_size=4), yaml=st.text(st.sampled_from("names:0 []{}'\"-#,\\\nab"), max_size=60)
)
def test_yolo_with_any_lines(lines: list[str], yaml: str) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("images", "labels"):
            (root / name).mkdir()
        (root / "images" / "a.png").write_bytes(png((5, 6)))
        (root / "labels" / "a.txt").write_text("\n".join(lines))
        (root / "data.yaml").write_text(f"names:{yaml}")
        notes = formats.Notes()
        try:
            list(formats.read(root, notes, format_name="yolo").records)
        except AnymaskError as error:
            assert "cannot understand 'names'" in str(error)
        assert not [why for _, why in notes.failures if "internal error" in why]


@pytest.mark.parametrize("name", ["voc", "label-map"])
@given(data=st.data())
def test_png_files_with_any_bytes_changed(name: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        written(Path(folder), name)
        label = next(
            (Path(folder) / "dst").rglob("b.png" if name == "label-map" else "SegmentationObject/b.png")
        )
        content = bytearray(label.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        label.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        notes = formats.Notes()
        records = list(formats.read(Path(folder) / "dst", notes, format_name=name).records)
        assert "a" in {one.key for one in records}
        assert len(records) + len(notes.failures) == 2
        assert not [why for _, why in notes.failures if "internal error" in why]
