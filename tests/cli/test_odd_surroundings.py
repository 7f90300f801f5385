"""Where programs hang or lose what they made: odd files, closed streams, any name, standard input."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from shell import Run, Start, complaints

SECONDS = 60
DOTFILES = (".DS_Store", ".lock", ".anymask-convert.json", "._photo.png", ".", "..")
VERBS = {
    "segment": ("segment", "{}", "--point", "5,5", "--out", "made"),
    "everything": ("everything", "{}", "--out", "made", "--processes", "1", "--set", "points_per_side=2"),
    "edges": ("edges", "{}", "--out", "made"),
    "evaluate clicks": ("evaluate", "clicks", "{}", "--max-clicks", "1"),
    "evaluate boxes": ("evaluate", "boxes", "{}"),
    "evaluate proposals": ("evaluate", "proposals", "{}"),
    "evaluate edges": ("evaluate", "edges", "{}"),
    "evaluate calibration": ("evaluate", "calibration", "{}"),
    "train": ("train", "--recipe", "smoke", "--data", "{}", "--out", "made"),
    "models info": ("models", "info", "{}"),
    "models convert": ("models", "convert", "{}"),
    "export": ("export", "{}", "--out", "made"),
    **{
        f"convert {name}": ("convert", "{}", "made", "--from", name, "--to", "coco")
        for name in ("auto", "sa1b", "coco", "yolo", "voc", "labelme", "label-map")
    },
}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder of what is no photo and no annotation, some with the names of such."""
    folder = tmp_path / "odd"
    (folder / "images" / ".hidden").mkdir(parents=True)
    for name in DOTFILES[:4]:
        (folder / name).write_bytes(b"\0")
        (folder / "images" / name).write_bytes(b"")
    for name in ("pipe.png", "pipe.json", "pipe.tar", "pipe.txt", "images/data.yaml"):
        os.mkfifo(folder / name)
    listening = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket may have about a hundred characters
    listening.bind("socket.png")
    os.chdir(here)
    listening.close()
    (folder / "nowhere.png").symlink_to("none.png")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "itself.json").symlink_to("itself.json")
    (folder / "images" / "loop").symlink_to("..")
    (folder / "device.png").symlink_to("/dev/zero")
    return folder


def ended(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anymask", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders")
@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_of_pipes_sockets_dotfiles_and_loops_of_links_is_a_line(verb: str, odd: Path) -> None:
    done = ended([one.format(odd) for one in VERBS[verb]])
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr
    assert done.stderr.startswith("anymask: ") or done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no pipes in folders")
@pytest.mark.parametrize(
    "verb", ["segment", "everything", "evaluate boxes", "convert auto", "models convert", "export"]
)
@pytest.mark.parametrize(
    "name", ["pipe.png", "pipe.json", "pipe.tar", "socket.png", "itself.json", "device.png"]
)
def test_a_pipe_a_socket_or_a_loop_alone_is_a_line(verb: str, name: str, odd: Path) -> None:
    done = ended([one.format(odd / name) for one in VERBS[verb]])
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr, done.stderr


def test_closed_streams_lose_nothing_that_is_written(photo: Path) -> None:
    shell = f"{sys.executable} -m anymask segment {photo} --point 5,5 --out"
    for number, closed in enumerate((">&-", "2>&-", "<&-", ">&- 2>&- <&-")):
        done = subprocess.run(
            f"{shell} {number} {closed}", shell=True, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(os.listdir(str(number))) == ["photo.json", "photo.mask.png", "photo.overlay.png"]
    done = subprocess.run(f"{shell} json --json >&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "anymask: cannot write to standard output: it is closed\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "utf-8"])
def test_json_is_valid_in_every_encoding(
    encoding: str, start: Start, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = photo.rename(photo.with_name("café 🦊.png"))
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done = start("segment", named, "--point", "5,5", "--json")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["image"]["file_name"] == named.name


@pytest.mark.parametrize("name", ["사진" * 39, "x" * 240, "사진"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_of_any_length_are_done_in_any_locale(
    name: str, locale: str, start: Start, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = photo.rename(photo.with_name(f"{name}.png"))
    for variable, value in (("LC_ALL", locale), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(variable, value)
    for verb in ("segment", "everything"):
        done = start(
            *(one.format(named.parent) if verb == "everything" else one.format(named) for one in VERBS[verb])
        )
        assert done.returncode == 0, done.stderr
        (record,) = (p for p in Path("made").glob("*.json") if p.name not in ("run.json", "summary.json"))
        assert json.loads(record.read_bytes())["image"]["file_name"] == named.name
        assert record.name.startswith(name[:50])
        for made in Path("made").iterdir():
            made.unlink()


def test_a_name_that_is_no_text_is_segmented(start: Start, photo: Path) -> None:
    odd = os.fsencode(photo.parent) + b"/caf\xe9.png"
    os.rename(photo, odd)
    done = start("segment", os.fsdecode(odd), "--point", "5,5", "--out", "made")
    assert (done.returncode, len(os.listdir("made"))) == (0, 3), done.stderr


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_photo_is_taken_from_standard_input(name: str, photo: Path) -> None:
    for arguments in (("segment", name, "--point", "5,5", "--json"), ("edges", name)):
        command = [sys.executable, "-m", "anymask", *arguments]
        done = subprocess.run(command, input=photo.read_bytes(), capture_output=True, check=False)
        if arguments[0] == "segment":
            assert json.loads(done.stdout)["image"]["file_name"] == "stdin"
    done = subprocess.run(
        [sys.executable, "-m", "anymask", "segment", name, "--point", "5,5"],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1 and b"empty file" in done.stderr


def test_a_photo_that_is_missing_does_not_stop_everything_in_the_others(run: Run, photo: Path) -> None:
    result = run(*(one.format(photo) for one in VERBS["everything"]), "missing.jpg")
    assert result.exit_code == 1
    assert complaints(result) == ["anymask: not found: missing.jpg"]
    assert Path("made/photo.json").exists()


def test_a_box_outside_all_photos_is_a_wrong_call(run: Run, photo: Path) -> None:
    result = run(*(one.format(photo) for one in VERBS["everything"]), "--box", "5000,5000,6000,6000")
    assert result.exit_code == 2, result.stderr


def test_a_run_goes_on_with_overlays_or_without_however_many_photos_there_are(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for count in (2, 52):
        for number in range(count):
            Image.new("RGB", (20, 20), (number, 90, 200)).save(folder / f"{number}.png")
        result = run(*(one.format(folder) for one in VERBS["everything"]))
        assert result.exit_code == 0, result.stderr
    assert len(list(Path("made").glob("*.overlay.png"))) == 52
    assert "anymask: 2 of 52 photos were done before" in complaints(result)


def test_debug_may_stand_after_the_verb(start: Start) -> None:
    assert "Traceback" in start("segment", "none.jpg", "--point", "5,5", "--debug").stderr


def test_a_setting_that_nobody_knows_is_told(run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYMASK_OFLINE", "1")
    result = run("segment", photo, "--point", "5,5")
    assert complaints(result) == [
        "anymask: ANYMASK_OFLINE is set, and there is no such setting; see docs/settings.md"
    ]


def test_points_that_are_all_outside_are_refused(run: Run, photo: Path) -> None:
    result = run("segment", photo, "--point", "5,5,-")
    assert (result.exit_code, len(complaints(result))) == (2, 1)
