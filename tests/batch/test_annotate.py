"""Everything in many photos: the same bytes however the run was interrupted, and nothing done by halves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anymask.batch.annotate import RunConfig, RunProgress, annotate
from anymask.batch.run_folder import RunLocked, run_folder
from anymask.batch.summary import summarise, text, write_summary
from anymask.cli.everything import live
from anymask.core.mask import Mask
from anymask.data.photos import Photo, open_photos
from anymask.errors import BadInput, StorageError

FEW_POINTS = (("points_per_side", 3), ("pred_iou_thresh", 0.5), ("stability_score_thresh", 0.5))
NAMES = (b"caf\xe9.png", b"x" * 240 + b".png")  # no text, too long with a suffix
CONFIG = RunConfig(model="disk", changes=FEW_POINTS)


def write_photos(folder: Path, count: int, side: int = 40) -> Path:
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number % 7}" / f"photo {number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size_hw = (side + number % 5, side + number % 11)
        Image.fromarray(rng.integers(0, 255, (*size_hw, 3), np.uint8)).save(path, compress_level=1)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file a user sees."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_every_photo_has_a_record_in_the_shape_of_sa_1b(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 3))
    state = annotate(photos, tmp_path / "out", CONFIG)
    assert (state.total, state.done, state.failed) == (3, 3, [])
    for photo in photos:
        record = json.loads((tmp_path / "out" / f"{photo.key}.json").read_bytes())
        with Image.open(photo.blob.path) as image:
            size_wh = image.size
        assert (record["image"]["width"], record["image"]["height"]) == size_wh
        assert record["image"]["file_name"] == photo.blob.path.name
        assert record["annotations"]
        for annotation in record["annotations"]:
            mask = Mask.from_rle(annotation["segmentation"])
            assert mask.area == annotation["area"]
            assert list(mask.bbox_xywh) == annotation["bbox"]
            assert annotation["crop_box"] == [0, 0, *size_wh]


@pytest.mark.parametrize("overlays", [False, True])
def test_one_process_or_two_write_the_same(tmp_path: Path, overlays: bool) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 9))
    config = RunConfig(model="disk", changes=FEW_POINTS, overlays=overlays)
    for processes in (1, 2):
        annotate(photos, tmp_path / f"out{processes}", config, processes=processes)
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
    assert len(contents(tmp_path / "out1")) == 1 + 9 * (1 + overlays)


def test_a_second_run_does_nothing_again(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 4))
    annotate(photos[:2], tmp_path / "out", CONFIG)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    state = annotate(photos, tmp_path / "out", CONFIG)
    assert (state.already, state.done) == (2, 2)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_cannot_be_read_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 4)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (folder / "empty.png").write_bytes(b"")
    state = annotate(open_photos(folder), tmp_path / "out", CONFIG, processes=2)
    assert state.done == 4
    assert [f.photo.key for f in state.failed] == ["broken", "empty"]
    assert all(f.error for f in state.failed)


def test_halves_left_by_a_killed_run_are_gone_after_the_next(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 2))
    annotate(photos[:1], tmp_path / "out", CONFIG)
    record = tmp_path / "out" / f"{photos[1].key}.json"
    record.parent.mkdir(exist_ok=True)
    record.with_name(f".{record.name}.4711.part").write_bytes(b'{"image": {"image_id"')
    theirs = record.with_name("my.part")
    theirs.write_bytes(b"a file of the user's")
    annotate(photos, tmp_path / "out", CONFIG)
    assert not list((tmp_path / "out").rglob(".*.part"))
    assert theirs.exists()
    assert record.exists()


def test_another_configuration_is_refused_with_what_differs(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 1))
    annotate(photos, tmp_path / "out", CONFIG)
    before = contents(tmp_path / "out")
    with pytest.raises(BadInput, match=r'holds another run \(preset "default" there, "sam_default" now'):
        annotate(photos, tmp_path / "out", RunConfig(model="disk", preset="sam_default", changes=FEW_POINTS))
    with pytest.raises(BadInput, match=r"holds another run \(min_probability 0.0 there, 0.5 now\)"):
        changes = (*FEW_POINTS, ("min_probability", 0.5))
        annotate(photos, tmp_path / "out", RunConfig(model="disk", changes=changes))
    assert contents(tmp_path / "out") == before


def test_two_runs_at_once_are_kept_apart(tmp_path: Path) -> None:
    locked = pytest.raises(RunLocked, match="another run is at work")
    with run_folder(tmp_path / "out", {"model": "disk"}), locked:
        enter(tmp_path / "out")
    enter(tmp_path / "out")


def enter(folder: Path) -> None:
    with run_folder(folder, {"model": "disk"}):
        pass


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from anymask.batch.run_folder import run_folder\n"
        "with run_folder(Path(sys.argv[1]), {'model': 'disk'}): print('locked', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        with pytest.raises(RunLocked, match="another run is at work"):
            enter(tmp_path / "out")
        process.kill()
    enter(tmp_path / "out")


def test_a_folder_without_a_place_for_the_lock_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "out" / ".lock" / "folder").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot write to"):
        enter(tmp_path / "out")


def test_photos_with_long_names_or_names_that_are_no_text_are_done(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 2)
    for photo, name in zip(
        sorted(folder.rglob("*.png")), (b"caf\xe9.png", b"x" * 240 + b".png"), strict=True
    ):
        os.rename(photo, os.fsencode(folder) + b"/" + name)
    photos = open_photos(folder)
    state = annotate(photos, tmp_path / "out", RunConfig(model="disk", changes=FEW_POINTS, overlays=True))
    assert (state.done, state.failed) == (2, [])
    assert write_summary(tmp_path / "out", photos, title="names").without_record == 0
    record = json.loads((tmp_path / "out" / "caf_.json").read_bytes())
    assert os.fsencode(record["image"]["file_name"]) == b"caf\xe9.png"


@pytest.mark.parametrize("name", ["run", "summary"])
def test_a_photo_may_have_the_name_of_a_file_of_the_run(name: str, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 1)
    next(folder.rglob("*.png")).rename(folder / f"{name}.png")
    photos = open_photos(folder)
    for already in (0, 1):
        assert annotate(photos, tmp_path / "out", CONFIG).already == already
        assert write_summary(tmp_path / "out", photos, title=name).without_record == 0


def test_a_photo_is_not_overwritten_by_its_own_record(tmp_path: Path) -> None:
    """A photo whose bytes lie in a file with the name of a record."""
    folder = write_photos(tmp_path / "photos", 1)
    photo = next(folder.rglob("*.png"))
    os.link(photo, photo.with_suffix(".json"))
    state = annotate(open_photos(folder), folder, CONFIG)
    assert "is no record of a run and is not overwritten" in state.failed[0].error
    assert photo.read_bytes() == photo.with_suffix(".json").read_bytes()


def disk(path: Path, seed: int, side: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path, compress_level=0)  # the same number of bytes each
    return path


def image_ids(out: Path, photos: list[Photo]) -> list[int]:
    return [json.loads((out / f"{p.key}.json").read_bytes())["image"]["image_id"] for p in photos]


@pytest.mark.parametrize("how", ["another folder", "edited", "another size"])
def test_a_record_of_other_pixels_is_made_again(how: str, tmp_path: Path) -> None:
    out, first = tmp_path / "out", disk(tmp_path / "monday/x.png", 1)
    annotate(open_photos(first), out, CONFIG)
    folder = "monday" if how == "edited" else "tuesday"
    second = disk(tmp_path / folder / "x.png", 2, 24 if how == "another size" else 40)
    state = annotate(photos := open_photos(second), out, CONFIG)
    assert (state.already, state.done, state.replaced) == (0, 1, 1)
    annotate(photos, tmp_path / "fresh", CONFIG)
    assert (out / "x.json").read_bytes() == (tmp_path / "fresh" / "x.json").read_bytes()
    assert annotate(photos, out, CONFIG).already == 1


def test_a_record_of_the_same_pixels_elsewhere_stays(tmp_path: Path) -> None:
    disk(tmp_path / "a/x.png", 1)
    annotate(open_photos(tmp_path / "a"), tmp_path / "out", CONFIG)
    (tmp_path / "a").rename(tmp_path / "b")
    state = annotate(open_photos(tmp_path / "b"), tmp_path / "out", CONFIG)
    assert (state.already, state.done, state.replaced) == (1, 0, 0)


def test_a_photo_that_takes_the_key_of_another_gets_its_own_masks(tmp_path: Path) -> None:
    out = tmp_path / "out"
    disk(tmp_path / "photos/x.png", 1)
    annotate(open_photos(tmp_path / "photos"), out, CONFIG)
    disk(tmp_path / "photos/x.bmp", 2)
    photos = open_photos(tmp_path / "photos")
    annotate(photos, out, CONFIG)
    assert len(set(image_ids(out, photos))) == 2
    assert summarise(out, photos).others == 1
    assert "gone or of an earlier call: 1" in text(summarise(out, photos))


def test_a_record_of_a_photo_that_has_become_unreadable_is_not_counted(tmp_path: Path) -> None:
    photo = disk(tmp_path / "x.png", 1)
    annotate(open_photos(photo), tmp_path / "out", CONFIG)
    photo.write_bytes(b"broken")
    state = annotate(open_photos(photo), tmp_path / "out", CONFIG)
    assert [f.photo.key for f in state.failed] == ["x"]


def test_a_json_file_that_no_run_wrote_is_not_overwritten(tmp_path: Path) -> None:
    photo = disk(tmp_path / "x.png", 1)
    theirs = tmp_path / "x.json"
    theirs.write_text('{"shapes": [], "imagePath": "x.png"}')
    state = annotate(open_photos(photo), tmp_path, CONFIG)
    assert "not overwritten" in state.failed[0].error
    assert theirs.read_text().startswith('{"shapes"')


def test_the_overlays_of_a_run_into_the_folder_of_its_photos_are_no_photos(tmp_path: Path) -> None:
    disk(tmp_path / "x.png", 1)
    config = RunConfig(model="disk", changes=FEW_POINTS, overlays=True)
    for already in (0, 1):
        photos = open_photos(tmp_path, without=tmp_path)
        assert [p.key for p in photos] == ["x"]
        assert annotate(photos, tmp_path, config).already == already


def test_a_photo_with_the_name_of_an_overlay_is_not_overwritten(tmp_path: Path) -> None:
    disk(tmp_path / "x.png", 1)
    theirs = disk(tmp_path / "x.overlay.png", 2)
    before = theirs.read_bytes()
    config = RunConfig(model="disk", changes=FEW_POINTS, overlays=True)
    state = annotate(open_photos(tmp_path, without=tmp_path), tmp_path, config)
    assert [f.photo.key for f in state.failed] == ["x"] and theirs.read_bytes() == before


def test_photos_in_a_folder_called_as_a_format_keep_out_of_what_is_converted(tmp_path: Path) -> None:
    disk(tmp_path / "photos/coco/annotations.png", 1)
    assert [p.key for p in open_photos(tmp_path / "photos")] == ["coco-photos/annotations"]


def test_a_folder_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 3))
    blocked = tmp_path / "out"
    blocked.mkdir()
    (blocked / photos[0].key.split("/")[0]).write_text("a file where a folder must be")
    with pytest.raises(StorageError, match="cannot make the folder"):
        annotate(photos, blocked, CONFIG)


def test_the_summary_counts_what_is_on_disk(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 5)
    (folder / "bad.png").write_bytes(b"bad")
    photos = open_photos(folder)
    annotate(photos, tmp_path / "out", CONFIG)
    summary = write_summary(tmp_path / "out", photos, title="<five & one>")
    assert summary == summarise(tmp_path / "out", photos)
    assert (summary.photos, summary.without_record) == (6, 1)
    assert sum(summary.areas.values()) == summary.masks > 0
    assert "5 of 6 photos" in text(summary)
    page = (tmp_path / "out" / "summary.html").read_text()
    assert page.count("<figure>") == 5
    assert "&lt;five &amp; one&gt;" in page
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["masks"] == summary.masks


def test_the_summary_tells_in_how_many_photos_nothing_was_found(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 3))
    annotate(photos[:1], tmp_path / "out", CONFIG)
    assert "none in" not in text(summarise(tmp_path / "out", photos))
    annotate(
        photos, nothing := tmp_path / "nothing", RunConfig(model="disk", changes=(("pred_iou_thresh", 2.0),))
    )
    summary = summarise(nothing, photos)
    assert (summary.without_mask, summary.masks) == (3, 0)
    assert "0 to 0, none in 3" in text(summary)


def test_progress_says_how_far_a_continued_run_is(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 3))
    annotate(photos[:1], tmp_path / "out", CONFIG)
    told: list[tuple[int, int]] = []

    def progress(state: RunProgress) -> None:
        told.append((state.already + state.done, state.total))

    annotate(photos, tmp_path / "out", CONFIG, progress=progress)
    assert list(dict.fromkeys(told)) == [(1, 3), (2, 3), (3, 3)]


def test_progress_says_how_far_the_photo_at_work_is(tmp_path: Path) -> None:
    photos = open_photos(write_photos(tmp_path / "photos", 1))
    fractions: list[float] = []
    annotate(photos, tmp_path / "out", CONFIG, progress=lambda state: fractions.append(state.fraction))
    start, *within, end = fractions
    assert (start, end) == (0.0, 0.0)
    assert within == sorted(within) and within[-1] == 1.0


def test_the_line_of_progress_overwrites_itself_on_a_terminal_and_is_silent_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show = live(time.monotonic() - 60)
    show(RunProgress(total=4, done=1, masks=7))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show(RunProgress(total=4, done=1, masks=7, fraction=0.5))
    show(RunProgress(total=4, done=4, masks=20))
    _, middle, end = capsys.readouterr().err.split("\r")
    assert middle.rstrip() == "1/4 photos + 50%  0.02 photos/s  7.0 masks each  0 failed  2 min left"
    assert len(middle) == 79
    assert end.startswith("4/4 photos  0.07 photos/s") and end.endswith("\n")


def everything_command(folder: Path, out: Path) -> list[str]:
    options = [f"--set={name}={value}" for name, value in FEW_POINTS]
    call = [
        "everything",
        str(folder),
        "--out",
        str(out),
        "--model",
        "disk",
        "--processes",
        "2",
        "--no-overlays",
    ]
    return [sys.executable, "-m", "anymask", *call, *options]


def killed_runs(command: list[str], out: Path, kills: int, seed: int) -> None:
    """Start the run, kill it some time later, as often as asked for: while there is something left to do."""
    rng = random.Random(seed)
    for _ in range(kills):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 60
        before = sum(1 for _ in out.rglob("*.json")) if out.exists() else 0
        while time.monotonic() < deadline and process.poll() is None:
            if sum(1 for _ in out.rglob("*.json")) > before + rng.randint(1, 60):
                break
            time.sleep(rng.uniform(0.001, 0.05))
        if rng.random() < 0.5:
            os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must notice
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_two_thousand_photos_and_twenty_kills_leave_the_same_bytes(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 2000, side=24)
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert subprocess.run(everything_command(folder, undisturbed), capture_output=True).returncode == 0
    killed_runs(everything_command(folder, disturbed), disturbed, kills=20, seed=1)
    assert subprocess.run(everything_command(folder, disturbed), capture_output=True).returncode == 0
    expected, got = contents(undisturbed), contents(disturbed)
    assert sorted(got.keys() ^ expected.keys()) == []
    assert len(expected) == 2000 + 3
    assert [name for name in expected if got[name] != expected[name]] == []
