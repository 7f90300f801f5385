"""`anymask convert`: what it prints and writes, what it refuses, how it goes on after bad files."""

from __future__ import annotations

import errno
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shell import Run, complaints

from anymask import files
from anymask.core.mask import Mask

MASK = Mask.from_array(np.pad(np.ones((3, 4), bool), ((1, 6), (2, 9))))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Records of two photos, one in a sub-folder."""
    for name in ("사진 1", "sub/two"):
        add(tmp_path / "data", name)
    return tmp_path / "data"


def add(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (15, 10), (1, 2, 3)).save(folder / f"{name}.png")
    (folder / f"{name}.json").write_text(json.dumps(record(name)))


def record(name: str) -> dict[str, Any]:
    annotation = {"id": 1, "segmentation": MASK.rle, "bbox": MASK.bbox_xywh, "area": 12, "predicted_iou": 0.9}
    image = {"image_id": 1, "width": 15, "height": 10, "file_name": f"{Path(name).name}.png"}
    return {"image": image, "annotations": [annotation]}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_it_says_what_was_converted_and_what_was_lost(run: Run, data: Path) -> None:
    result = run("convert", data, "out", "--to", "yolo")
    assert (result.exit_code, result.stdout) == (0, "2 masks of 2 photos: sa1b -> yolo in out\n")
    assert complaints(result) == ["anymask: note: 2 x scores not kept (first: 사진 1)"]
    assert Path("out/labels/sub/two.txt").read_text().startswith("0 0.165625")
    back = run("convert", "out", "back", "--to", "sa1b", "--json")
    assert json.loads(back.stdout) == {
        "from": "yolo", "to": "sa1b", "photos": 2, "masks": 2, "notes": {}, "failures": 0,
    }  # fmt: skip
    found = json.loads(Path("back/사진 1.json").read_text("utf-8"))
    assert found["annotations"][0]["segmentation"] == MASK.rle


def test_photos_are_linked_copied_or_left(run: Run, data: Path) -> None:
    for manner in ("link", "copy", "none"):
        assert run("convert", data, manner, "--to", "labelme", "--images", manner).exit_code == 0
    linked, copied = Path("link/sub/two.png"), Path("copy/sub/two.png")
    assert linked.is_symlink() and linked.resolve() == (data / "sub/two.png").resolve()
    assert not copied.is_symlink() and copied.read_bytes() == (data / "sub/two.png").read_bytes()
    assert not Path("none/sub/two.png").exists() and Path("none/sub/two.json").exists()


def test_photos_elsewhere_are_found_or_counted(run: Run, data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    (bare / "sub").mkdir(parents=True)
    for name in ("사진 1", "sub/two"):
        (bare / f"{name}.json").write_bytes((data / f"{name}.json").read_bytes())
    result = run("convert", bare, "without", "--to", "coco")
    assert result.exit_code == 0
    assert complaints(result) == [
        "anymask: note: 2 x photos not found, not put beside the annotations (first: 사진 1)"
    ]
    result = run("convert", bare, "with", "--to", "coco", "--photos", data)
    assert (result.exit_code, complaints(result)) == (0, [])
    assert Path("with/images/sub/two.png").is_symlink()


def test_a_shard_is_converted_with_copies_of_its_photos(run: Run, data: Path) -> None:
    with tarfile.open("s.tar", "w") as archive:
        for name, blob in content(data).items():
            info = tarfile.TarInfo(name)
            info.size = len(blob)
            archive.addfile(info, io.BytesIO(blob))
    result = run("convert", "s.tar", "out", "--to", "voc")
    assert result.exit_code == 0, result.stderr
    assert Path("out/JPEGImages/sub/two.png").read_bytes() == (data / "sub/two.png").read_bytes()


def test_bad_files_are_reported_and_the_others_converted(run: Run, data: Path) -> None:
    (data / "cut.json").write_text('{"image": {"width": 3')
    (data / "list.json").write_text("[1, 2]")
    wrong = record("wrong")
    wrong["annotations"].append({"id": 2, "segmentation": {"size": [10, 15], "counts": "zz"}})
    (data / "wrong.json").write_text(json.dumps(wrong))
    (data / "run.json").write_text('{"model": "lite"}')
    result = run("convert", data, "out", "--to", "coco")
    assert result.exit_code == 1
    assert result.stdout == "3 masks of 3 photos: sa1b -> coco in out\n"
    lines = complaints(result)
    assert len(lines) == 5
    for words in (
        "cut.json",
        "list.json",
        "wrong, annotation 2",
        "no records passed over",
        "photos not found",
    ):
        assert sum(words in line for line in lines) == 1, lines
    assert not any("internal error" in line for line in lines)


def test_the_same_call_again_replaces_and_another_is_refused(run: Run, data: Path) -> None:
    assert run("convert", data, "out", "--to", "coco").exit_code == 0
    first = content(Path("out"))
    assert run("convert", data, "out", "--to", "coco").exit_code == 0
    assert content(Path("out")) == first
    result = run("convert", data, "out", "--to", "voc")
    assert result.exit_code == 2 and "is not empty" in complaints(result)[0]
    assert content(Path("out")) == first


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["DATA", "full", "--to", "coco"], "not empty"),
        (["DATA", "file", "--to", "coco"], "is a file"),
        (["DATA", "DATA", "--to", "coco"], "within each other"),
        (["DATA", "DATA/inside", "--to", "coco"], "within each other"),
        (["missing", "out", "--to", "coco"], "not found: missing"),
        (["DATA", "out", "--to", "cocoa"], "expected one of sa1b, coco"),
        (["DATA", "out", "--to", "coco", "--from", "x"], "expected one of sa1b, coco"),
        (["DATA", "out", "--to", "coco", "--images", "move"], "expected link, copy, none"),
        (["DATA", "out", "--to", "coco", "--photos", "nowhere"], "expected a folder"),
        (["DATA", "out", "--to", "coco", "--from", "yolo"], "expected label files"),
        (["DATA", "out", "--to", "coco", "--from", "coco"], "expected one COCO JSON"),
        (["full", "out", "--to", "coco"], "cannot tell the format of full"),
        (["file", "out", "--to", "coco"], "choose the format with --from"),
        (["DATA", "out"], "Missing option '--to'"),
    ],
)
def test_what_cannot_be_right_is_refused_and_nothing_written(
    run: Run, data: Path, arguments: list[str], words: str
) -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    before = content(data)
    result = run("convert", *[one.replace("DATA", str(data)) for one in arguments])
    (line,) = complaints(result)
    assert result.exit_code == 2 and words in line
    assert content(data) == before and not Path("out").exists()
    assert content(Path("full")) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("to", ["sa1b", "coco", "yolo", "voc", "labelme", "label-map"])
def test_a_full_disk_stops_it_with_one_line(
    run: Run, data: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files.os.replace

    def full(source: Any, target: Any) -> None:
        if not str(target).endswith(".anymask-convert.json"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    result = run("convert", data, "out", "--to", to, "--images", "none")
    assert result.exit_code == 1 and "No space left on device" in complaints(result)[-1]
    assert not list(Path("out").rglob("*.part"))


def test_an_input_is_not_changed_through_a_link(run: Run, data: Path) -> None:
    before = content(data)
    for manner in ("link", "copy", "link"):
        assert run("convert", data, "out", "--to", "sa1b", "--images", manner).exit_code == 0
    assert content(data) == before
