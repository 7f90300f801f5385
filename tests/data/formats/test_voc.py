"""Pascal VOC: lists of classes as programs write them, palettes, XML files of objects."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from format_samples import png, record
from PIL import Image

from anymask.core.mask import Mask
from anymask.data import formats
from anymask.data.formats.voc import BY_COLOUR, BY_INDEX, ESCAPED_NAMES
from anymask.data.formats.voc_labels import BACKGROUND, PALETTE, colour, labelmap, of_labelmap
from anymask.data.record import Blob, Record, annotation_of, box_annotation

CAT, DOG, BLACK = (250, 50, 83), (50, 183, 250), (0, 0, 0)
LABELS = np.zeros((6, 9), np.uint8)
LABELS[1:3, 1:5], LABELS[3:6, 6:8] = 1, 2
CATS, DOGS = Mask.from_array(LABELS == 1), Mask.from_array(LABELS == 2)


def save(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def coloured(*colours: tuple[int, int, int]) -> Image.Image:
    return Image.fromarray(np.array(colours, np.uint8)[LABELS])


def palette_png(palette: bytes) -> Image.Image:
    image = Image.fromarray(LABELS)
    image.putpalette(palette)
    return image


def read(path: Path) -> tuple[list[Record], formats.Notes]:
    notes = formats.Notes()
    records = list(formats.read(path, notes).records)
    return records, notes


def found(path: Path) -> list[tuple[str | None, Mask | None]]:
    (one,), notes = read(path)
    assert not notes.failures
    return [(annotation.category, annotation.mask) for annotation in one.annotations]


LISTS = {
    "the background is last": "# label:color_rgb\ncat:250,50,83::\ndog:50,183,250::\nbackground:0,0,0::\n",
    "no background": "cat:250,50,83::\ndog:50,183,250::\n",
    "a background of another name": "cat:250,50,83::\n_nothing_:0,0,0::\ndog:50,183,250::\n",
    "a background without a colour": "cat:250,50,83::\nbackground:::\ndog:50,183,250::\n",
}


@pytest.mark.parametrize("with_objects", [True, False])
@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_number_0_is_the_background_wherever_it_stands(text: str, with_objects: bool, tmp_path: Path) -> None:
    save(tmp_path / "SegmentationClass" / "a.png", coloured(BLACK, CAT, DOG))
    if with_objects:
        save(tmp_path / "SegmentationObject" / "a.png", coloured(BLACK, colour(1), colour(2)))
    (tmp_path / "labelmap.txt").write_text(text)
    assert found(tmp_path) == [("cat", CATS), ("dog", DOGS)]
    assert set(formats.read(tmp_path, formats.Notes()).categories) == {"cat", "dog"}


def test_a_list_without_colours_has_those_of_voc(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:::\ncat:::\ndog:::\n")
    for image in (coloured(BLACK, colour(1), colour(2)), palette_png(PALETTE), Image.fromarray(LABELS)):
        save(tmp_path / "SegmentationClass" / "a.png", image)
        assert found(tmp_path) == [("cat", CATS), ("dog", DOGS)]


def test_where_a_palette_and_the_list_disagree_the_colours_count_and_a_note_says_so(tmp_path: Path) -> None:
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncat:250,50,83::\ndog:50,183,250::\n")
    path = tmp_path / "SegmentationClass" / "a.png"
    save(path, palette_png(bytes([*BLACK, *DOG, *CAT])))
    (one,), notes = read(tmp_path)
    assert [(a.category, a.mask) for a in one.annotations] == [("cat", DOGS), ("dog", CATS)]
    assert notes.changes[BY_COLOUR] == 1
    save(path, palette_png(bytes([*BLACK, *CAT, *DOG])))
    (one,), notes = read(tmp_path)
    assert [(a.category, a.mask) for a in one.annotations] == [("cat", CATS), ("dog", DOGS)]
    assert not notes.changes
    save(path, palette_png(PALETTE))
    (one,), notes = read(tmp_path)
    assert [a.category for a in one.annotations] == ["cat", "dog"] and notes.changes[BY_INDEX] == 1


def test_every_folder_has_its_own_list(tmp_path: Path) -> None:
    for name, first in (("train", "cat"), ("val", "cow")):
        save(tmp_path / name / "SegmentationClass" / "a.png", Image.fromarray(LABELS))
        (tmp_path / name / "labelmap.txt").write_text(f"background:0,0,0::\n{first}:9,9,9::\nx:8,8,8::\n")
    records, _ = read(tmp_path)
    names = {one.key: [a.category for a in one.annotations] for one in records}
    assert names == {"train/a": ["cat", "x"], "val/a": ["cow", "x"]}


NAMES = [
    "#1 bolt", "nut", " # c", "two  spaces", "one space", " leading", "trailing ", "a\nb", "a b", "a\rb",
    "x:1,2,3", "a:b:c:d", "100%", "%23", "50%25", "background", "Background", "   ", "\u3000", "ẞ", "\u2028",
    "\ud800", "\x00\x1f", "# %XX in names: a byte of UTF-8", "#",
]  # fmt: skip


def test_names_of_every_kind_come_back(tmp_path: Path) -> None:
    masks = np.arange(1, 6 * 9 + 1).reshape(6, 9)
    annotations = [annotation_of(n, Mask.from_array(masks == n), name) for n, name in enumerate(NAMES, 1)]
    one = record(tmp_path / "src", "k", [], (6, 9))
    one.fields["annotations"] = annotations
    notes = formats.Notes()
    formats.write(formats.Contents([one], 1), tmp_path / "dst", notes, format_name="voc")
    (back,), _ = read(tmp_path / "dst")
    assert [a.category for a in back.annotations] == NAMES
    assert [a.mask for a in back.annotations] == [a.mask for a in one.annotations]
    assert notes.changes[ESCAPED_NAMES] == 17


def test_names_that_a_line_can_hold_stay_as_they_are() -> None:
    names = ["two  spaces", "100%", "%23", "a#1"]
    text, escaped = labelmap(names)
    lines = text.decode().splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == [BACKGROUND, *names] and escaped == 0
    assert list(of_labelmap(text.decode()).names.values()) == [BACKGROUND, *names]


def test_comments_are_the_first_line_and_lines_without_a_colour() -> None:
    text = "# a:1,2,3::\n# remark\n#1 bolt:4,5,6::\nnut:7,8,9::\n"
    assert of_labelmap(text).names == {0: BACKGROUND, 1: "#1 bolt", 2: "nut"}


def sheet(objects: str, size: str = "<size><width>9</width><height>6</height><depth>3</depth></size>") -> str:
    return f"<annotation><filename>a.png</filename>{size}{objects}</annotation>"


def thing(name: str, box: tuple[float, ...], more: str = "") -> str:
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox>{more}</object>"


@pytest.mark.parametrize(
    "xml, photo",
    [
        ("Annotations/a.xml", "JPEGImages/a.png"),
        ("a.xml", "a.png"),
        ("annots/a.xml", "pictures/a.png"),
        ("train/a.xml", "train/a.png"),
    ],
)
def test_xml_files_alone_are_boxes(xml: str, photo: str, tmp_path: Path) -> None:
    for name in (xml, photo):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / xml).write_text(sheet(thing("cat", (2, 1, 5, 3)) + thing("dog", (7.5, 2, 9, 4.25)), size=""))
    (tmp_path / photo).write_bytes(png((6, 9)))
    assert formats.detect(tmp_path).name == "voc"
    (one,), notes = read(tmp_path)
    assert not notes.failures and one.blob.path == tmp_path / photo and one.size_hw == (6, 9)
    boxes = [(a.category, a.fields["bbox"]) for a in one.annotations]
    assert boxes == [("cat", [1, 0, 4, 3]), ("dog", [6.5, 1, 2.5, 3.25])]
    assert not formats.read(tmp_path, formats.Notes()).categories


def test_outlines_in_xml_go_through_the_centres_of_pixels(tmp_path: Path) -> None:
    corners = [(2, 2), (5, 2), (5, 4), (2, 4)]
    points = "".join(f"<x{n}>{x}</x{n}><y{n}>{y}</y{n}>" for n, (x, y) in enumerate(corners, 1))
    (tmp_path / "a.xml").write_text(sheet(thing("cat", (2, 2, 5, 4), f"<polygon>{points}</polygon>")))
    expected = np.zeros((6, 9), bool)
    expected[1:4, 1:5] = True
    assert found(tmp_path) == [("cat", Mask.from_array(expected))]


def test_an_object_that_is_a_mask_of_the_png_is_not_read_twice(tmp_path: Path) -> None:
    save(tmp_path / "SegmentationObject" / "a.png", Image.fromarray(LABELS))
    save(tmp_path / "SegmentationClass" / "a.png", Image.fromarray(LABELS))
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\ncat:1,1,1::\ndog:2,2,2::\n")
    (tmp_path / "Annotations").mkdir()
    objects = thing("dog", (7, 4, 8, 6)) + thing("cow", (1, 1, 2, 2)) + thing("cat", (2, 2, 5, 3))
    (tmp_path / "Annotations" / "a.xml").write_text(sheet(objects))
    assert found(tmp_path) == [("cat", CATS), ("dog", DOGS), ("cow", None)]


def test_a_damaged_xml_file_does_not_cost_the_masks(tmp_path: Path) -> None:
    save(tmp_path / "SegmentationObject" / "a.png", Image.fromarray(LABELS))
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text("<annotation><object>")
    (one,), notes = read(tmp_path)
    assert [a.mask for a in one.annotations] == [CATS, DOGS] and len(notes.failures) == 1


def test_boxes_come_back(tmp_path: Path) -> None:
    one = record(tmp_path / "src", "sub/k", [LABELS == 1], (6, 9))
    boxes = [(1, 2, 3, 4), (0.5, 1.25, 3, 4.1)]
    one.fields["annotations"] += [box_annotation(n, box, "c9") for n, box in enumerate(boxes, 2)]
    notes = formats.Notes()
    formats.write(formats.Contents([one], 1), tmp_path / "dst", notes, format_name="voc")
    (back,), _ = read(tmp_path / "dst")
    assert [a.category for a in back.annotations] == ["c0", "c9", "c9"] and not notes.changes
    assert [a.fields["bbox"] for a in back.annotations[1:]] == [pytest.approx(list(box)) for box in boxes]


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(sheet(thing("cat", (2, 2, 5, 3))))
    (tmp_path / "a.png").write_bytes(png((6, 9)))
    (tmp_path / "b.xml").write_text("no xml")
    assert formats.detect(tmp_path / "a.xml").name == "voc"
    (one,), notes = read(tmp_path / "a.xml")
    assert one.blob == Blob(tmp_path / "a.png") and not notes.failures


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">]><annotation>&a;</annotation>'
    (tmp_path / "a.xml").write_text(bomb)
    _, notes = read(tmp_path)
    assert "document type" in notes.failures[0][1]


def test_16_bit_of_many_classes(tmp_path: Path) -> None:
    labels = np.arange(300, dtype=np.uint16).reshape(15, 20)
    one = record(tmp_path / "src", "k", [labels == n for n in range(1, 300)], (15, 20))
    formats.write(formats.Contents([one], 1), tmp_path / "dst", formats.Notes(), format_name="voc")
    (back,), _ = read(tmp_path / "dst")
    assert [a.category for a in back.annotations] == [f"c{n}" for n in range(299)]
    buffer = io.BytesIO((tmp_path / "dst" / "SegmentationClass" / "k.png").read_bytes())
    assert Image.open(buffer).mode == "I;16"
