"""Folders reached by symbolic links: followed, once each, without end."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from anymask.data.listing import list_files
from anymask.data.photos import open_photos


def a_store(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    return folder


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "sub").symlink_to(store)
    assert [one.name for one in open_photos(tmp_path / "photos")] == ["sub/a.png"]


def test_a_folder_linked_twice_is_listed_once(tmp_path: Path) -> None:
    store = a_store(tmp_path / "photos" / "store")
    (tmp_path / "photos" / "again").symlink_to(store)
    assert len(list_files(tmp_path / "photos")) == 1


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store")
    (store / "up").symlink_to(tmp_path)
    (store / "self").symlink_to(store)
    assert [name.rpartition("/")[2] for name in list_files(store)].count("a.png") == 1


def test_a_link_to_the_folder_that_is_left_out_is_left_out(tmp_path: Path) -> None:
    a_store(tmp_path / "photos")
    out = a_store(tmp_path / "out")
    (tmp_path / "photos" / "result").symlink_to(out)
    assert list(list_files(tmp_path / "photos", without=out)) == ["a.png"]
