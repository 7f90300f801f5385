"""Files are whole or not there, inputs stay, and a full disk is told in one line."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest

from anymask import files
from anymask.errors import StorageError
from anymask.files import check_not_an_input, make_folder, sha256_of, write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"old", b"new and longer"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.bin", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


class FullDisk(io.BytesIO):
    def write(self, content: Any, /) -> int:
        super().write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_a_storage_error_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(files, "open", lambda *_: FullDisk(), raising=False)
    with pytest.raises(StorageError, match=r"cannot write .*a\.bin: No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_in_the_way_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(StorageError, match=r"a\.bin"):
        write_atomically(tmp_path / "a.bin", b"x")
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_input_is_recognised_under_any_name(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"precious")
    (tmp_path / "link.png").symlink_to(photo)
    for name in ("photo.png", "link.png"):
        with pytest.raises(StorageError, match="is an input"):
            check_not_an_input(tmp_path / name, [photo])
    check_not_an_input(tmp_path / "new.png", [photo, tmp_path / "missing.png"])


def test_a_file_in_place_of_the_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot make the folder"):
        make_folder(tmp_path / "out")


def test_a_checksum_is_of_the_whole_file_and_a_missing_one_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(StorageError, match="cannot read .*missing: No such file"):
        sha256_of(tmp_path / "missing")
