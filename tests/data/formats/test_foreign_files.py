"""Files as other tools write them: COCO, YOLO, VOC, LabelMe; names of classes in their many notations."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from format_samples import masks_of, png
from PIL import Image

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.formats.voc import COLOURS, PALETTE, colour
from anymask.data.formats.yolo_yaml import names_of_yaml
from anymask.data.record import Record
from anymask.errors import BadInput


def read(path: Path, expected: str) -> tuple[list[Record], formats.Notes]:
    notes = formats.Notes()
    assert formats.detect(path).name == expected
    return list(formats.read(path, notes).records), notes


def block(size_hw: tuple[int, int], rows: slice, columns: slice) -> Mask:
    mask = np.zeros(size_hw, bool)
    mask[rows, columns] = True
    return Mask.from_array(mask)


def test_coco_with_polygons_crowds_and_uncompressed_run_lengths(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "000001.jpg").write_bytes(png((6, 8)))
    square = [1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [square, [6, 4, 8, 4, 8, 6, 6, 6]]},
        {
            "id": 2, "image_id": 1, "category_id": 3, "iscrowd": 1,
            "segmentation": {"size": [6, 8], "counts": [6, 2, 40]},
        },
        {"id": 3, "image_id": 1, "category_id": 9, "segmentation": [square, [1, 1, 2, 2]], "area": 5.5},
        {"id": 4, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "segmentation": []},
        {"id": 5, "image_id": 1, "category_id": 3},
        {"id": 6, "image_id": 1, "category_id": 3, "segmentation": {"size": [5, 8], "counts": [40]}},
        {"id": 7, "image_id": 99, "category_id": 3, "segmentation": [square]},
    ]  # fmt: skip
    images = [
        {"id": 1, "width": 8, "height": 6, "file_name": "000001.jpg", "license": 4},
        {"id": 2, "width": 3, "height": 2, "file_name": "gone.jpg"},
        {"width": 3, "height": 2},
    ]
    coco = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "car"}],
    }
    path = tmp_path / "annotations" / "instances_val.json"
    path.write_text(json.dumps(coco))
    (first, second), notes = read(path, "coco")
    assert (first.key, second.key) == ("000001", "gone")
    assert first.blob.read() == png((6, 8)) and first.fields["image"]["license"] == 4
    two_pieces = block((6, 8), slice(1, 3), slice(1, 4)) | block((6, 8), slice(4, 6), slice(6, 8))
    assert first.annotations[0].mask == two_pieces and first.annotations[0].category == "car"
    assert first.annotations[1].mask == block((6, 8), slice(1, 3), slice(1, 4))
    assert first.annotations[1].category == "9" and first.annotations[1].area == 5.5
    assert first.annotations[2].mask is None and first.annotations[2].box_xyxy == (1, 2, 4, 6)
    assert [one.mask for one in first.crowd] == [block((6, 8), slice(0, 2), slice(1, 2))]
    assert [where.rpartition(", ")[2] for where, _ in notes.failures] == [
        "annotation 5", "annotation 6", "photo None",
    ]  # fmt: skip
    assert notes.changes == {
        "annotations of photos that are not listed passed over": 1,
        "outlines of fewer than three points passed over": 1,
        "categories that are not declared called by their number": 1,
    }


def test_yolo_as_it_is_published_with_splits_boxes_and_confidences(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "images" / split / "p.jpg").write_bytes(png((10, 20)))
    (tmp_path / "images" / "train" / "background.jpg").write_bytes(png((4, 4)))
    (tmp_path / "labels" / "train" / "p.txt").write_text(
        "0 0.05 0.1 0.5 0.1 0.5 0.4 0.05 0.4\n\n1 0.5 0.5 0.2 0.4\n"
        "1 0.05 0.1 0.5 0.1 0.5 0.4 0.05 0.4 0.75\n7 0 0 1 0 1 1\nx y\n0 0.1\n"
    )
    (tmp_path / "labels" / "val" / "p.txt").write_text("")
    (tmp_path / "labels" / "val" / "gone.txt").write_text("0 0 0 1 0 1 1\n")
    (tmp_path / "labels" / "train.cache").write_bytes(b"x")
    (tmp_path / "data.yaml").write_text(
        "# a data set\npath: ../d\ntrain: images/train\nval: images/val\nnc: 2\nnames: ['a cat', dog] # two\n"
    )
    for path in (tmp_path, tmp_path / "data.yaml"):
        records, notes = read(path, "yolo")
        found = {one.key: one for one in records}
        assert found.keys() == {"train/p", "val/p", "train/background"}
        annotations = found["train/p"].annotations
        rectangle = block((10, 20), slice(1, 5), slice(1, 11))  # with its outline, as YOLO's tools fill
        assert [one.mask for one in annotations[::2]] == [rectangle, rectangle]
        assert [one.category for one in annotations] == ["a cat", "dog", "dog", "7"]
        assert annotations[1].mask is None and annotations[1].box_xyxy == (8, 3, 12, 7)
        assert annotations[2].fields["score"] == 0.75
        assert found["val/p"].annotations == found["train/background"].annotations == []
        assert len(notes.failures) == 3 and "its photo is missing" in str(notes.failures)


def test_yolo_as_roboflow_and_darknet_lay_it_out(tmp_path: Path) -> None:
    line = "0 0 0 1 0 1 1 0 1\n"
    roboflow, darknet = tmp_path / "roboflow", tmp_path / "darknet"
    for folder in (roboflow / "train" / "images", roboflow / "train" / "labels", darknet):
        folder.mkdir(parents=True)
    (roboflow / "train" / "images" / "p.jpg").write_bytes(png((3, 4)))
    (roboflow / "train" / "labels" / "p.txt").write_text(line)
    (roboflow / "data.yaml").write_text("names:\n- 'it''s'\n- \"q\\\"\"\n")
    (roboflow / "README.roboflow.txt").write_text("words")
    (darknet / "p.jpg").write_bytes(png((3, 4)))
    (darknet / "p.txt").write_text(line)
    (darknet / "classes.txt").write_text("cat\ndog\n")
    for folder, key, category in ((roboflow, "train/p", "it's"), (darknet, "p", "cat")):
        (record,), notes = read(folder, "yolo")
        assert (record.key, record.size_hw) == (key, (3, 4))
        assert [(one.mask, one.category) for one in record.annotations] == [
            (block((3, 4), slice(0, 3), slice(0, 4)), category)
        ]
        assert not [f for f in notes.failures if "README" not in f[0]]


NAMES = {
    "names: [a, 'b c', \"d, e\"]": {0: "a", 1: "b c", 2: "d, e"},
    "names: [a,\n  b,\n]\nnc: 2": {0: "a", 1: "b"},
    "names: {0: a, 3: 'b: c'}": {0: "a", 3: "b: c"},
    "names:\n  0: a  # first\n  1: b#c\n\n  5: '5'\ntrain: x": {0: "a", 1: "b#c", 5: "5"},
    'names:\n- a\n- it\'s\n- "\\uac00"\n': {0: "a", 1: "it's", 2: "가"},
    "names: {}": {},
    "names: []": {},
    "names:\n": {},
    "nc: 3": {},
}


@pytest.mark.parametrize("text", NAMES)
def test_names_of_classes_are_read_in_every_notation(text: str) -> None:
    assert names_of_yaml(text, Path("data.yaml")) == NAMES[text]


@pytest.mark.parametrize("text", ["names: x", "names: [a, b", "names:\n  a: b\n"])
def test_names_that_make_no_sense_say_so(text: str) -> None:
    with pytest.raises(BadInput, match="data.yaml: cannot understand 'names'"):
        names_of_yaml(text, Path("data.yaml"))


def test_the_colours_are_those_of_voc() -> None:
    assert [colour(n) for n in (0, 1, 2, 15, 20, 255)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192),
    ]  # fmt: skip
    assert len(COLOURS) == 256


@pytest.mark.parametrize("mode", ["P", "RGB"])
@pytest.mark.parametrize("with_objects", [True, False])
def test_voc_as_it_is_published(mode: str, with_objects: bool, tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    objects, classes = np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint8)
    objects[0:2, 0:3], objects[0:2, 4:6], objects[4] = 1, 2, 255
    classes[0:2, 0:3], classes[0:2, 4:6], classes[4] = 15, 15, 255
    for kind, labels in (("SegmentationObject", objects), ("SegmentationClass", classes))[not with_objects :]:
        (root / kind).mkdir(parents=True)
        image = Image.fromarray(labels)
        image.putpalette(PALETTE)
        image.convert(mode).save(root / kind / "2007_000032.png")
    (root / "JPEGImages").mkdir()
    (root / "JPEGImages" / "2007_000032.jpg").write_bytes(png((5, 6)))
    (record,), notes = read(tmp_path / "VOCdevkit", "voc")
    assert record.key == "VOC2012/2007_000032" and not notes.failures
    assert record.blob.read() == png((5, 6)) and record.ignore == block((5, 6), slice(4, 5), slice(0, 6))
    one, two = block((5, 6), slice(0, 2), slice(0, 3)), block((5, 6), slice(0, 2), slice(4, 6))
    assert masks_of(record) == ([one, two] if with_objects else [one | two])
    assert {one.category for one in record.annotations} == {"person"}
    assert {one.semantic for one in record.annotations} == {not with_objects}


def test_voc_with_a_list_of_names(tmp_path: Path) -> None:
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(np.array([[0, 2, 2]], np.uint8)).save(tmp_path / "SegmentationClass" / "a.png")
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    (record,), _ = read(tmp_path, "voc")
    assert [one.category for one in record.annotations] == ["dog"]


def labelme_mask(inside: np.ndarray) -> str:
    """As LabelMe writes it: 8 bit, 0 and 1."""
    buffer = io.BytesIO()
    Image.fromarray(inside.astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_labelme_with_every_kind_of_shape(tmp_path: Path) -> None:
    hole = np.ones((3, 4), bool)
    hole[1, 1] = False
    png_text = labelme_mask(hole)
    base = {"group_id": None, "flags": {}, "description": "", "mask": None}
    square, other = [[1, 1], [4, 1], [4, 3], [1, 3]], [[6, 1], [8, 1], [8, 3], [6, 3]]
    shapes = [
        {**base, "label": "cat", "points": square, "shape_type": "polygon", "group_id": 1},
        {**base, "label": "dog", "points": [[5, 5], [8, 7]], "shape_type": "rectangle"},
        {**base, "label": "cat", "points": other, "shape_type": "polygon", "group_id": 1},
        {**base, "label": "m", "points": [[2, 4], [5, 6]], "shape_type": "mask", "mask": png_text},
        {**base, "label": "c", "points": [[10, 5], [13, 5]], "shape_type": "circle", "description": "round"},
        {**base, "label": "l", "points": [[1, 1], [2, 2]], "shape_type": "line"},
        {**base, "label": "p", "points": [[1, 1]], "shape_type": "point"},
        {**base, "label": "bad", "points": [[1, 1], [2, 2]], "shape_type": "polygon"},
        {**base, "label": "edge", "points": [[18, 8], [21, 10]], "shape_type": "mask", "mask": png_text},
    ]  # fmt: skip
    fields = {
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": "..\\photos\\고양이.jpg",
        "imageData": None, "imageHeight": 10, "imageWidth": 20,
    }  # fmt: skip
    (tmp_path / "labels").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "고양이.jpg").write_bytes(png((10, 20)))
    (tmp_path / "labels" / "one.json").write_text(json.dumps(fields))
    (record,), notes = read(tmp_path / "labels", "labelme")
    assert record.key == "one" and record.blob.read() == png((10, 20)) and record.size_hw == (10, 20)
    cat, dog, drawn, circle, edge = record.annotations
    # with their outlines, as LabelMe fills
    assert cat.mask == block((10, 20), slice(1, 4), slice(1, 5)) | block((10, 20), slice(1, 4), slice(6, 9))
    assert dog.mask is None and dog.box_xyxy == (5, 5, 8, 7)
    assert drawn.mask is not None and np.array_equal(drawn.mask.to_array()[4:7, 2:6], hole)
    assert drawn.mask.area == 11
    assert circle.mask is not None and abs(circle.mask.area - np.pi * 3.5**2) < 4
    assert circle.fields["description"] == "round"
    assert edge.mask is not None and edge.mask.area == 3
    assert notes.changes == {"shapes without an area (points, lines) passed over": 2}
    assert [where.rpartition(", ")[2] for where, _ in notes.failures] == ["annotation 7"]


def test_label_maps_of_any_depth_in_a_folder_of_their_own(tmp_path: Path) -> None:
    labels = np.array([[0, 3, 3], [7, 0, 3]])
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray((labels * 100).astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(labels > 0).save(tmp_path / "bit.png")
    palette = Image.fromarray(labels.astype(np.uint8))
    palette.putpalette(PALETTE)
    palette.save(tmp_path / "palette.png")
    Image.new("RGB", (3, 2)).save(tmp_path / "photo.png")
    records, notes = read(tmp_path, "label-map")
    three, seven = Mask.from_array(labels == 3), Mask.from_array(labels == 7)
    assert {one.key: masks_of(one) for one in records} == {
        "grey": [three, seven], "palette": [three, seven], "deep": [three, seven], "bit": [three | seven],
    }  # fmt: skip
    ((where, why),) = notes.failures
    assert where.endswith("photo.png") and "label numbers" in why
