"""Files of VOC, SA-1B and label maps with bytes changed: a record or one clear line, never an internal error,
and never the other photo lost.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from formats_of_readers import MASKS, drawn_records, written
from mutations import mutated

from anymask.data import formats

FILES = {
    "voc labelmap": "labelmap.txt",
    "voc xml": "Annotations/a.xml",
    "voc xml alone": "Annotations/a.xml",
    "voc objects": "SegmentationObject/a.png",
    "voc classes": "SegmentationClass/a.png",
    "sa1b": "a.json",
    "sa1b run": ".photos.jsonl",
    "label-map": "masks/a.png",
}
POLYGON = (
    b"<object><name>p</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox><polygon>"
    b"<x1>2</x1><y1>3</y1><x2>9</x2><y2>3</y2><x3>9</x3><y3>9</y3></polygon></object></annotation>"
)


def damage(folder: Path, case: str, seeds: range) -> int:
    name = case.partition(" ")[0]
    path = written(folder, name, drawn_records(folder / "src", MASKS[:5]))
    file = path / FILES[case]
    if case == "voc xml alone":
        for one in path.glob("Segmentation*/*.png"):
            one.unlink()
    if case == "sa1b run":
        (path / "a.png").rename(folder / "elsewhere.png")
        file.write_text(f'\n["a", "{folder / "elsewhere.png"}", 0, null, 99, 1234567890]\n')
    content = file.read_bytes().replace(b"</annotation>", POLYGON)
    read = 0
    for seed in seeds:
        file.write_bytes(mutated(content, seed))
        notes = formats.Notes()
        formats.detect(path)
        records = list(formats.read(path, notes, format_name=name).records)
        read += len(records)
        assert "b" in [one.key for one in records], seed
        for one in records:
            assert all(a.mask is None or a.mask.size_hw == one.size_hw for a in one.annotations)
        for _, why in notes.failures:
            assert "internal error" not in why and "\n" not in why, (seed, why)
    return read


@pytest.mark.parametrize("case", FILES)
def test_a_few_changed_bytes(case: str, tmp_path: Path) -> None:
    assert damage(tmp_path, case, range(40)) > 40


@pytest.mark.slow
@pytest.mark.parametrize("case", FILES)
def test_many_changed_bytes(case: str, tmp_path: Path) -> None:
    assert damage(tmp_path, case, range(1000, 3000)) > 2000
