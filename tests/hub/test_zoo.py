"""Models are found by name and by path; published ones are fetched on demand, checked and converted."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anymask
from anymask.cli.models import converter
from anymask.errors import DownloadError, ModelNotFound
from anymask.hub.card import SUFFIXES
from anymask.hub.catalog import ZOO, Published, find_model, list_models, models_folder, pull
from anymask.hub.download import Remote
from anymask.settings import get_settings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ANYMASK_CACHE_DIR", str(tmp_path / "cache"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def published(content: bytes, folder: Path, name: str = "mine") -> Published:
    """Weights "published" as a file on this machine."""
    path = folder / f"{name}.pth"
    path.write_bytes(content)
    remote = Remote(path.as_uri(), hashlib.sha256(content).hexdigest(), len(content))
    return Published(name, remote, "CC0-1.0", "for a test")


def test_published_models_have_an_address_a_checksum_and_a_size() -> None:
    for name, entry in ZOO.items():
        assert entry.name == name and re.fullmatch("[0-9a-f]{64}", entry.remote.sha256)
        assert entry.remote.url.startswith("https://") and entry.remote.size > 1e7
    assert {"sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam"} <= set(ZOO)


def test_a_published_model_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(ModelNotFound, match=r"`anymask models pull sam_vit_b` \(375 MB\)"):
        anymask.load("sam_vit_b")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelNotFound, match="no model 'sam3': .*mobile_sam, sam_vit_b"):
        anymask.load("sam3")
    with pytest.raises(ModelNotFound, match="expected one of mobile_sam"):
        pull("sam3")


@pytest.fixture
def own_card(tmp_path: Path) -> Path:
    """A model of four files, which nobody will open."""
    folder = tmp_path / "cache" / "models" / "own"
    folder.mkdir(parents=True)
    for suffix in SUFFIXES:
        (folder / f"own{suffix}").write_text("{}")
    return folder / "own.json"


def test_the_default_model_is_first_in_the_list_and_needs_no_fetching(default_card: Path) -> None:
    entries = list_models()
    assert (entries[0].name, entries[0].path) == ("lite", default_card)
    assert {e.name for e in entries if e.path is None} == set(ZOO)
    with pytest.raises(ModelNotFound, match="comes with the package"):
        pull("lite")


def test_own_weights_in_the_cache_are_listed(own_card: Path) -> None:
    assert find_model("own") == own_card
    assert "own" in {entry.name for entry in list_models()}


@pytest.mark.parametrize("suffix", [*SUFFIXES, None])
def test_a_model_is_found_by_any_of_its_files_and_by_its_folder(own_card: Path, suffix: str | None) -> None:
    path = own_card.with_name(f"own{suffix}") if suffix else own_card.parent
    assert find_model(str(path)) == own_card


@pytest.mark.parametrize("left", [{".json"}, {".json", ".encoder.onnx"}, {".safetensors"}])
def test_a_model_with_half_of_its_files_is_not_found(own_card: Path, left: set[str]) -> None:
    for suffix in set(SUFFIXES) - left:
        own_card.with_name(f"own{suffix}").unlink()
    with pytest.raises(ModelNotFound, match="own"):
        find_model("own")


@pytest.mark.parametrize(
    ("gone", "asked", "message"),
    [
        (".json", ".safetensors", "own.safetensors: its card own.json is not beside it"),
        (".safetensors", ".json", "own.json: neither own.safetensors nor ONNX files are beside it"),
        (".json", ".json", "own.json: no such file"),
        (".json", None, r"expected a folder with one card \(.json\), found 0"),
    ],
)
def test_a_path_that_is_no_model_says_what_it_lacks(
    own_card: Path, gone: str, asked: str | None, message: str
) -> None:
    for suffix in (gone, ".encoder.onnx"):
        own_card.with_name(f"own{suffix}").unlink()
    path = own_card.with_name(f"own{asked}") if asked else own_card.parent
    with pytest.raises(ModelNotFound, match=message):
        find_model(str(path))


def test_offline_nothing_is_fetched_and_the_message_says_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    get_settings.cache_clear()
    with pytest.raises(DownloadError) as caught:
        pull("sam_vit_h")
    for part in ("ANYMASK_OFFLINE", ZOO["sam_vit_h"].remote.url, str(models_folder() / "sam_vit_h")):
        assert part in str(caught.value)


def test_without_torch_the_published_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anymask.cli.models.find_spec", lambda module: None)
    assert converter() is None
    entry = published(b"weights", tmp_path)
    assert pull(entry).read_bytes() == b"weights"
    assert pull(entry) == models_folder() / "mine" / "mine.pth"


@pytest.mark.slow
def test_with_torch_a_published_file_becomes_a_model_that_is_ready(
    tmp_path: Path, photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from anymask.networks.presets import build

    torch.manual_seed(0)
    torch.save(build("mobile_sam").state_dict(), tmp_path / "random.pth")  # type: ignore[attr-defined]
    entry = published((tmp_path / "random.pth").read_bytes(), tmp_path, "mobile_sam")
    card = pull(entry, convert=converter())
    assert card == find_model("mobile_sam") == pull(entry)
    names = {p.name.removeprefix("mobile_sam") for p in card.parent.iterdir()}
    assert names == {".json", ".safetensors", ".encoder.onnx", ".decoder.onnx", ".points.onnx"}
    models = (anymask.load("mobile_sam", backend=name) for name in ("onnx", "torch:cpu"))
    ours, theirs = (model.encode(photo).segment(box=(30, 20, 80, 60)) for model in models)
    np.testing.assert_allclose(ours.low_res_logits, theirs.low_res_logits, atol=1e-2)
