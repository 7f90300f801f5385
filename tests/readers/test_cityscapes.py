"""Cityscapes' own scripts and datumaro read what we write, and we draw polygons as those scripts do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from formats_of_readers import MASKS, SIZE_HW, drawn_records, read_back, written
from PIL import Image
from programs import reader

from anymask.core.mask import Mask
from anymask.data.record import Record

CLASSES = ("car", "sky", "person", "rail track", "traffic light")


def apart() -> list[np.ndarray]:
    taken, found = np.zeros(SIZE_HW, bool), []
    for mask in (MASKS[4], MASKS[2], MASKS[1], MASKS[3], MASKS[0]):
        found.append(mask & ~taken)
        taken |= mask
    return found


def street(folder: Path) -> tuple[list[np.ndarray], list[Record]]:
    masks = apart()
    records = drawn_records(folder, masks, box=False)
    for record in records:
        for one, name in zip(record.fields["annotations"], CLASSES, strict=True):
            one["category"] = name
    return masks, records


def test_the_scripts_find_the_instances_that_were_written(tmp_path: Path) -> None:
    instance = reader("cityscapesscripts.evaluation.instance").Instance
    labels = reader("cityscapesscripts.helpers.labels").id2label
    masks, records = street(tmp_path / "src")
    path = written(tmp_path, "cityscapes", records)
    files = sorted(path.rglob("*_gtFine_instanceIds.png"))
    assert len(files) == 2
    for file in files:
        pixels = np.array(Image.open(file))
        values = [int(value) for value in np.unique(pixels) if value]
        found = {labels[instance(pixels, value).labelID].name: value for value in values}
        assert found.keys() == set(CLASSES)
        assert all(np.array_equal(pixels == found[n], m) for n, m in zip(CLASSES, masks, strict=True))
        for name, value in found.items():
            number = reader("cityscapesscripts.helpers.labels").name2label[name]
            assert (value >= 1000) == number.hasInstances
            of_class = np.array(Image.open(str(file).replace("instanceIds", "labelIds")))
            assert np.array_equal(of_class == number.id, pixels == value)


def test_polygons_are_drawn_as_the_scripts_draw_them(tmp_path: Path) -> None:
    draw = reader("cityscapesscripts.preparation.json2instanceImg").json2instanceImg
    rng = np.random.default_rng(4)
    names = ["car", "sky", "person", "car", "cargroup", "road", "person", "bicycle"] * 3
    objects = [
        {"label": name, "polygon": rng.integers(-3, 40, (6, 2)).tolist(), "deleted": 0} for name in names
    ]
    fields = {"imgHeight": SIZE_HW[0], "imgWidth": SIZE_HW[1], "objects": objects}
    folder = tmp_path / "gtFine" / "val" / "bonn"
    folder.mkdir(parents=True)
    (folder / "a_gtFine_polygons.json").write_text(json.dumps(fields))
    (record,), _ = read_back(tmp_path, "cityscapes")
    draw(str(folder / "a_gtFine_polygons.json"), str(folder / "a_gtFine_instanceIds.png"), "ids")
    theirs = np.array(Image.open(folder / "a_gtFine_instanceIds.png"))
    ids = reader("cityscapesscripts.helpers.labels").name2label
    for kind, is_group in ((record.annotations, False), (record.crowd, True)):
        for name in {one.category for one in kind}:
            ours = np.any([one.mask.to_array() for one in kind if one.category == name], axis=0)
            value = ids[str(name)].id
            expected = theirs == value if is_group or value < 24 else theirs // 1000 == value
            assert np.array_equal(ours, expected), name
    (again,), _ = read_back(tmp_path, "cityscapes")  # of the PNG of the scripts
    cars = [one.mask for one in again.annotations if one.category == "car"]
    assert cars == [one.mask for one in record.annotations if one.category == "car"]
    assert [one.mask for one in again.crowd] and record.key == again.key == "bonn/a"


def test_datumaro_reads_classes_without_instances(tmp_path: Path) -> None:
    """It takes values of the PNG of instances for classes, so it finds only those."""
    datumaro = reader("datumaro")
    masks, records = street(tmp_path / "src")
    dataset = datumaro.Dataset.import_from(str(written(tmp_path, "cityscapes", records)), "cityscapes")
    labels = dataset.categories()[datumaro.AnnotationType.label]
    expected = {
        n.replace(" ", ""): m for n, m in zip(CLASSES, masks, strict=True) if n not in ("car", "person")
    }
    for item in dataset:
        found = {labels[one.label].name: one.image for one in item.annotations}
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert len(dataset) == 2 and Mask.from_array(masks[0]).area == 1
