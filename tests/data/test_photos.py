"""Photos without annotations: found in files, folders and shards; keys differ and stay in their folder."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anymask.data.photos import open_photos, safe_key
from anymask.errors import BadInput


def write_photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(path)
    return path


def write_shard(path: Path, names: list[str]) -> Path:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(buffer, "PNG")
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(buffer.getvalue())
            archive.addfile(member, io.BytesIO(buffer.getvalue()))
    return path


def test_a_folder_gives_its_photos_with_those_of_its_folders_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "deep/한 글.png", ".hidden.png", ".cache/x.png"):
        write_photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photo")
    assert [p.key for p in open_photos(tmp_path)] == ["a", "b", "deep/한 글"]


def test_photos_of_the_same_stem_keep_their_suffix(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.png"):
        write_photo(tmp_path / name)
    assert sorted(p.key for p in open_photos(tmp_path)) == ["a.jpg", "a.png", "b"]


def test_photos_of_the_same_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    first, second = write_photo(tmp_path / "one/a.png"), write_photo(tmp_path / "two/a.png")
    assert [p.key for p in open_photos(first, second)] == ["a.png", "a.png-2"]


def test_a_photo_that_is_named_twice_is_one(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.png")
    assert len(open_photos(photo, photo, tmp_path)) == 1


def test_shards_are_read_alone_and_inside_folders(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "shard-0.tar", ["x/2.png", "x/1.png", "x/1.json"])
    write_photo(tmp_path / "a.png")
    assert [p.key for p in open_photos(shard)] == ["x/1", "x/2"]
    assert {p.key for p in open_photos(tmp_path)} == {"a", "x/1", "x/2"}
    assert open_photos(shard)[0].blob.read()[:4] == b"\x89PNG"
    assert open_photos(shard)[0].source == f"{shard}:x/1.png"


def test_pipes_are_left_out_of_a_folder_and_refused_alone(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert [p.key for p in open_photos(tmp_path)] == ["a"]
    with pytest.raises(BadInput, match="expected a regular file"):
        open_photos(tmp_path / "b.png")


def test_names_of_any_length_and_bytes_become_keys_that_can_be_files(tmp_path: Path) -> None:
    write_photo(tmp_path / f"{'한' * 80}.png")
    os.rename(write_photo(tmp_path / "a.png"), os.fsencode(tmp_path) + b"/caf\xe9.png")
    short, long = sorted((p.key for p in open_photos(tmp_path)), key=len)
    assert short == "caf_" and len(long.encode()) <= 200


def test_names_of_files_that_a_run_writes_are_no_keys(tmp_path: Path) -> None:
    for name in ("Run.png", "summary.png", "sub/run.png"):
        write_photo(tmp_path / name)
    assert [p.key for p in open_photos(tmp_path)] == ["Run-2", "summary-2", "sub/run"]


def test_the_output_inside_the_folder_is_left_out(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png")
    write_photo(tmp_path / "out/a.overlay.png")
    assert [p.key for p in open_photos(tmp_path, without=tmp_path / "out")] == ["a"]


def test_nothing_to_do_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no photos in"):
        open_photos(tmp_path)
    with pytest.raises(BadInput, match="not found"):
        open_photos(tmp_path / "missing")
    (tmp_path / "bad.tar").write_bytes(b"no shard at all")
    with pytest.raises(BadInput, match="not an uncompressed tar shard"):
        open_photos(tmp_path / "bad.tar")


@given(st.text(alphabet="a./\\ é한", max_size=12))
def test_a_key_stays_below_the_folder_it_is_joined_to(name: str) -> None:
    root = Path("/root/folder")
    joined = root / safe_key(name)
    assert ".." not in joined.parts
    assert joined.is_relative_to(root)
    assert joined != root
