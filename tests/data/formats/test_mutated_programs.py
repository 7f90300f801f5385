"""Files of annotation programs with bytes changed: a record or one clear line, never an internal error."""

from __future__ import annotations

from pathlib import Path

import pytest
from formats_of_readers import MASKS, drawn_records, written
from mutations import mutated

from anymask.data import formats
from anymask.errors import AnymaskError

FILES = {
    "cvat": "annotations.xml",
    "label-studio": "tasks.json",
    "datumaro": "annotations/default.json",
    "geojson": "a.geojson",
    "cityscapes": "gtFine/train/nowhere/a_gtFine_instanceIds.png",
    "cityscapes polygons": "gtFine/train/nowhere/a_gtFine_polygons.json",
}
MORE = {
    "cvat": b'<polygon label="a" points="1,2;3,4.5;6,1" group_id="1"/><box label="b" xtl="1" ytl="1" '
    b'xbr="3" ybr="4" rotation="30"/><ellipse label="c" cx="5" cy="5" rx="2" ry="3"/></image>',
    "label-studio": b'"result": [{"id": "x", "type": "polygonlabels", "value": {"points": [[1, 2], [50, 3], '
    b'[4, 90]], "polygonlabels": ["p"]}}, {"id": "y", "type": "ellipse", "value": {"x": 50, "y": 50, '
    b'"radiusX": 9, "radiusY": 20, "rotation": 3}}, {"id": "y", "type": "labels", '
    b'"value": {"labels": ["e"]}}, ',
    "datumaro": b'"annotations": [{"type": "polygon", "points": [1, 2, 9, 3, 4, 8], "label_id": 0, '
    b'"group": 3}, ',
}

STREET = (
    b'{"imgHeight": 24, "imgWidth": 31, "objects": [{"label": "car", "polygon": [[1, 2], [9, 3], [4, 20]]}, '
    b'{"label": "cargroup", "polygon": [[11, 2], [19, 3], [14, 20], [3, 4]], "deleted": 0}]}'
)


def damage(folder: Path, name: str, seeds: range) -> int:
    file_name, name = FILES[name], name.partition(" ")[0]
    path = written(folder, name, drawn_records(folder / "src", MASKS[:3]))
    file = path / file_name
    if file.name.endswith("_polygons.json"):
        file.write_bytes(STREET)
        file.with_name("a_gtFine_instanceIds.png").unlink()
    content = file.read_bytes()
    for old in (b"</image>", b'"result": [', b'"annotations": ['):
        if name in MORE and (old in MORE[name]):
            content = content.replace(old, MORE[name], 1)
    read = 0
    for seed in seeds:
        file.write_bytes(mutated(content, seed))
        notes = formats.Notes()
        try:
            records = list(formats.read(path, notes, format_name=name).records)
            read += len(records)
            for one in records:
                assert all(a.mask is None or a.mask.size_hw == one.size_hw for a in one.annotations)
        except AnymaskError as error:
            notes.failed(name, error)
        for _, why in notes.failures:
            assert "internal error" not in why and "\n" not in why, (seed, why)
    return read


@pytest.mark.parametrize("name", FILES)
def test_a_few_changed_bytes(name: str, tmp_path: Path) -> None:
    assert damage(tmp_path, name, range(60)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_many_changed_bytes(name: str, tmp_path: Path) -> None:
    assert damage(tmp_path, name, range(1000, 3000)) > 0


BOMB = b'<!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>'


def test_entities_are_refused(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_bytes(BOMB)
    with pytest.raises(AnymaskError, match="document type"):
        formats.read(tmp_path / "annotations.xml", formats.Notes(), format_name="cvat")


def test_brushes_and_boxes_of_more_pixels_than_a_photo_may_have_are_refused(tmp_path: Path) -> None:
    notes = formats.Notes()
    (tmp_path / "annotations.xml").write_text(
        '<annotations><image id="0" name="a.png" width="60000" height="60000"><mask label="a" left="0" '
        'top="0" width="60000" height="60000" rle="0, 3600000000"/></image></annotations>'
    )
    list(formats.read(tmp_path, notes, format_name="cvat").records)
    assert "200,000,000 pixels" in notes.failures[0][1]
