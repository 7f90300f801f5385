"""Bad input of every kind: one clear line, the right exit code, no traceback; the other photos are done."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shell import Run, complaints

from anymask import files
from anymask.settings import get_settings


def png_of(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 200)).save(buffer, "PNG")
    return buffer.getvalue()


GOOD = png_of((64, 48))
BAD_PHOTOS = {
    "empty.jpg": b"",
    "truncated.png": GOOD[: len(GOOD) // 2],
    "text.jpg": b"this is no photo\n" * 50,
    "no-pixels.gif": b"GIF89a\x00\x00\x00\x00\x00\x00\x00;",
    "not-an-image.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
}


@pytest.mark.parametrize("name", [*BAD_PHOTOS, "missing.jpg", "folder", "new\nline.jpg"])
def test_a_bad_photo_is_one_line_and_the_others_are_done(run: Run, photo: Path, name: str) -> None:
    if name == "folder":
        Path(name).mkdir()
    elif name in BAD_PHOTOS:
        Path(name).write_bytes(BAD_PHOTOS[name])
    result = run("segment", name, photo, "--point", "10,10", "--json")
    assert result.exit_code == 1
    (line,) = complaints(result)
    assert line.startswith("anymask: ") and name.split("\n")[0] in line
    (record,) = map(json.loads, result.stdout.splitlines())
    assert record["image"]["file_name"] == photo.name


BAD_PROMPTS = {
    "nothing": [],
    "not numbers": ["--point", "a,b"],
    "not a number": ["--point", "nan,3"],
    "infinite": ["--point", "inf,3"],
    "overflowing": ["--point", "1e400,3"],
    "one number": ["--point", "5"],
    "a label that is neither + nor -": ["--point", "5,5,2"],
    "right of the photo": ["--point", "500,5"],
    "left of the photo": ["--point", "-1,5"],
    "one of two outside": ["--point", "5,5", "--point", "5,81"],
    "inverted box": ["--box", "30,5,10,40"],
    "empty box": ["--box", "5,5,5,40"],
    "box of three": ["--box", "5,5,40"],
    "box outside": ["--box", "200,200,300,300"],
    "box with nan": ["--box", "5,nan,40,40"],
    "points with boxes": ["--point", "5,5", "--box", "1,1,9,9", "--box", "2,2,8,8"],
    "grid box outside": ["--grid-in-box", "50,50,300,300"],
    "grid with points": ["--grid-in-box", "5,5,30,30", "--point", "5,5"],
    "unknown backend": ["--point", "5,5", "--backend", "gpu"],
    "unknown model": ["--point", "5,5", "--backend", "onnx", "--model", "sam_vit_z"],
    "unknown option": ["--point", "5,5", "--colour", "red"],
    "option without its value": ["--point"],
}


@pytest.mark.parametrize("arguments", BAD_PROMPTS.values(), ids=BAD_PROMPTS.keys())
def test_a_call_that_makes_no_sense_is_one_line_and_exit_code_2(
    run: Run, photo: Path, arguments: list[str]
) -> None:
    result = run("segment", photo, *arguments)
    assert result.exit_code == 2
    assert len(complaints(result)) == 1
    assert result.stdout == ""


def test_a_point_outside_one_photo_does_not_stop_the_others(run: Run, photo: Path) -> None:
    Path("small.png").write_bytes(png_of((20, 20)))
    result = run("segment", "small.png", photo, "--point", "60,40", "--json")
    assert result.exit_code == 2
    assert "small.png: point 1 is outside" in complaints(result)[0]
    assert len(result.stdout.splitlines()) == 1


def test_a_mask_of_the_wrong_size_is_told(run: Run, photo: Path) -> None:
    Path("mask.png").write_bytes(png_of((20, 20)))
    result = run("segment", photo, "--mask", "mask.png")
    assert result.exit_code == 2
    assert "120 x 80" in complaints(result)[0] and "20 x 20" in complaints(result)[0]


@pytest.mark.parametrize("size_wh", [(100_000, 1), (1, 100_000), (1, 1)])
def test_the_thinnest_photos_are_answered_or_refused_in_one_line(run: Run, size_wh: tuple[int, int]) -> None:
    Path("thin.png").write_bytes(png_of(size_wh))
    result = run("segment", "thin.png", "--point", "0.5,0.5", "--out", "out")
    assert len(complaints(result)) == result.exit_code <= 1


def test_a_photo_over_the_limit_is_refused_before_it_is_read(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYMASK_MAX_PIXELS", "1000")
    get_settings.cache_clear()
    result = run("segment", photo, "--point", "5,5")
    assert result.exit_code == 1
    assert "1,000" in complaints(result)[0]


def test_a_setting_that_makes_no_sense_is_one_line(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYMASK_MAX_PIXELS", "many")
    get_settings.cache_clear()
    result = run("segment", photo, "--point", "5,5")
    assert result.exit_code == 2
    assert "ANYMASK_MAX_PIXELS" in complaints(result)[0]


class Reader:
    """What a pickle can do when it is read by the wrong reader."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle-was-run",)


def test_corrupt_weights_are_refused(run: Run, photo: Path) -> None:
    for name in ("w.json", "w.encoder.onnx", "w.decoder.onnx"):
        Path(name).write_bytes(b"{not json")
    result = run("segment", photo, "--point", "5,5", "--backend", "onnx", "--model", "w.json")
    assert result.exit_code == 1
    assert "w.json" in complaints(result)[0]


@pytest.mark.parametrize("command", ["segment", "convert"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(run: Run, photo: Path, command: str) -> None:
    pytest.importorskip("torch")
    Path("evil.pth").write_bytes(pickle.dumps({"image_encoder": Reader()}))
    calls: dict[str, list[object]] = {
        "segment": ["segment", photo, "--point", "5,5", "--backend", "torch", "--model", "evil.pth"],
        "convert": ["models", "convert", "evil.pth"],
    }
    result = run(*calls[command])
    assert result.exit_code == 1
    assert "evil.pth" in complaints(result)[0]
    assert not Path("pickle-was-run").exists()


class FullDisk(io.BytesIO):
    def write(self, content: Any, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_and_leaves_no_half_files(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "open", lambda *_: FullDisk(), raising=False)
    result = run("segment", photo, "--point", "5,5", "--out", "out")
    assert result.exit_code == 1
    assert "No space left on device" in complaints(result)[0]
    assert os.listdir("out") == []


def test_an_output_folder_that_cannot_be_made_is_told_before_any_work(run: Run, photo: Path) -> None:
    Path("file").write_bytes(b"")
    result = run("segment", photo, "--point", "5,5", "--out", "file/out")
    assert result.exit_code == 1
    assert "file/out" in complaints(result)[0]


def test_damaged_photos_never_crash_the_call(run: Run) -> None:
    rng = np.random.default_rng(5)
    for number in range(40):
        content = bytearray(GOOD)
        for _ in range(int(rng.integers(1, 8))):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        Path(f"{number}.png").write_bytes(content)
    names = [f"{n}.png" for n in range(40)]
    result = run("segment", *names, "--point", "5,5", "--json")
    told = [*result.stdout.splitlines(), *complaints(result)]
    assert len(told) == 40
    assert result.exit_code in (0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["evaluate", "clicks"],
        ["train", "--recipe", "smoke", "--data", "missing", "--out", "o", "--set", "lr"],
        ["models", "info", "nonsense"],
        ["models", "pull", "nonsense"],
        ["bench", "missing.jpg"],
    ],
    ids=" ".join,
)
def test_other_verbs_refuse_in_one_line_too(run: Run, arguments: list[str]) -> None:
    refused_in_one_line(run, arguments)


@pytest.mark.parametrize(
    ("library", "arguments"),
    [
        ("cv2", ["evaluate", "clicks", "missing.tar", "--model", "grabcut"]),
        ("cv2", ["evaluate", "boxes", "missing.tar", "--model", "grabcut", "--limit", "0"]),
        ("torch", ["train", "--recipe", "nonsense", "--data", "missing", "--out", "o"]),
    ],
)
def test_verbs_of_extras_refuse_in_one_line_too(run: Run, library: str, arguments: list[str]) -> None:
    pytest.importorskip(library)
    refused_in_one_line(run, arguments)


def refused_in_one_line(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(complaints(result)) == 1
    assert result.stdout == ""
