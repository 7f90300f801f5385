"""Weights files: published ones are read safely, rewritten as safetensors with a card, and read back."""

# ruff: noqa: E402
from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file
from sam_references import tiny_sam, tiny_spec

from anymask.errors import StorageError, WeightsError
from anymask.files import sha256_of
from anymask.hub.weights import convert_checkpoint, load_weights, save_weights
from anymask.networks import checkpoints, presets
from anymask.networks.checkpoints import load_published, network_of, read_state
from anymask.networks.sam import Sam


@pytest.fixture(scope="module")
def model() -> Sam:
    return tiny_sam()


@pytest.fixture(autouse=True)
def known_tiny_network(monkeypatch: pytest.MonkeyPatch, model: Sam) -> Iterator[None]:
    """A network small enough to be written many times."""
    monkeypatch.setitem(presets.PRESETS, "tiny", tiny_sam)
    monkeypatch.setitem(checkpoints.VIT_WIDTHS, 32, "tiny")
    yield


@pytest.fixture
def published_file(tmp_path: Path, model: Sam) -> Path:
    path = tmp_path / "tiny.pth"
    torch.save(model.state_dict(), path)
    return path


def assert_same_weights(loaded: Any, model: Sam) -> None:
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in loaded.state_dict().items())


def test_a_published_file_is_loaded_as_it_is(published_file: Path, model: Sam) -> None:
    loaded = load_published(published_file, "tiny")
    assert_same_weights(loaded, model)
    assert not loaded.training  # type: ignore[attr-defined]


def test_the_old_format_of_torch_is_read_too(tmp_path: Path, model: Sam) -> None:
    path = tmp_path / "old.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert_same_weights(load_published(path, "tiny"), model)


def test_a_loaded_network_can_be_used_and_trained(published_file: Path) -> None:
    loaded: Any = load_published(published_file, "tiny")
    embedding = loaded.encode_image(torch.zeros(1, 3, 128, 128))
    masks = torch.zeros(1, 1, 32, 32)
    decoded = loaded.decode(embedding, torch.zeros(1, 1, 2), torch.ones(1, 1), masks, torch.zeros(1))
    decoded.low_res_masks_P4mm.square().mean().backward()
    assert loaded.image_encoder.pos_embed.grad.abs().sum() > 0


def test_half_precision_weights_become_those_of_the_network(tmp_path: Path, model: Sam) -> None:
    path = tmp_path / "half.safetensors"
    save_file({key: tensor.half() for key, tensor in model.state_dict().items()}, path)
    loaded: Any = load_weights(path)
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())


def test_the_unused_classifier_of_mobile_sam_is_left_out(tmp_path: Path, model: Sam) -> None:
    path = tmp_path / "with_head.pth"
    extra = {"image_encoder.head.weight": torch.ones(3), "image_encoder.norm_head.bias": torch.ones(3)}
    torch.save(model.state_dict() | extra, path)
    assert_same_weights(load_published(path, "tiny"), model)


def test_conversion_writes_safetensors_and_a_card(published_file: Path, tmp_path: Path, model: Sam) -> None:
    target = tmp_path / "new folder" / "tiny.safetensors"
    card_path = convert_checkpoint(published_file, target)
    card = json.loads(card_path.read_text("utf-8"))
    assert card_path == target.with_suffix(".json")
    assert card["network"] == "tiny"
    assert card["spec"] == json.loads(json.dumps(tiny_spec(128).to_dict()))
    assert card["weights"]["bytes"] == target.stat().st_size
    assert card["weights"]["parameters"] == sum(t.numel() for t in model.state_dict().values())
    assert card["source"] == {"file": "tiny.pth", "sha256": sha256_of(published_file)}
    assert sorted(p.name for p in target.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]
    assert_same_weights(load_weights(target), model)


def test_weights_without_a_card_are_recognised(tmp_path: Path, model: Sam) -> None:
    save_file(dict(model.state_dict()), tmp_path / "bare.safetensors")
    loaded = load_weights(tmp_path / "bare.safetensors")
    assert_same_weights(loaded, model)
    assert loaded.spec.name == "tiny"


def test_the_card_gives_the_model_its_name(tmp_path: Path, model: Sam) -> None:
    spec = presets.replace(model.spec, name="cells")
    save_weights(model.state_dict(), tmp_path / "cells.safetensors", "tiny", spec, {"trained_on": "cells"})
    assert load_weights(tmp_path / "cells.safetensors").spec == spec


@pytest.mark.parametrize("name", ["mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h", "lite"])
def test_every_network_is_recognised_by_its_weights(name: str) -> None:
    with torch.device("meta"):
        state = presets.build(name).state_dict()  # type: ignore[attr-defined]
    assert network_of(state, Path("weights.safetensors")) == name


@pytest.mark.parametrize("name", ["mobile_sam", "sam_vit_b", "lite"])
def test_a_network_keeps_nothing_outside_its_weights(name: str) -> None:
    """Loading starts from a network without values: whatever the file does not hold would have none."""
    with torch.device("meta"):
        model: Any = presets.build(name)
    assert {key for key, _ in model.named_buffers()} <= model.state_dict().keys()


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["EVIL_FOLDER"],)


@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_with_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Any
) -> None:
    folder = tmp_path / "made by the pickle"
    monkeypatch.setenv("EVIL_FOLDER", str(folder))
    writer({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth is damaged, or holds more than tensors: refused"):
        load_published(tmp_path / "evil.pth", "tiny")
    assert not folder.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_published(tmp_path / "module.pth", "tiny")


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3}, {"model": {"weight": torch.ones(1)}}, torch.ones(1)])
def test_a_file_of_something_else_is_refused(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="expected a table of tensors"):
        read_state(tmp_path / "other.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [0.0, 1e-6, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(tmp_path: Path, published_file: Path, suffix: str, keep: float) -> None:
    whole = published_file
    if suffix == "safetensors":
        whole = tmp_path / "whole.safetensors"
        convert_checkpoint(published_file, whole)
    cut = tmp_path / f"cut.{suffix}"
    content = whole.read_bytes()
    cut.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(WeightsError, match=f"cut.{suffix}"):
        load_published(cut, "tiny")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04 no archive", b"\x80\x02 no pickle", b"{}", b"\x00" * 99]
)
def test_a_file_of_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rubbish.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="rubbish"):
        load_published(tmp_path / "rubbish.pth", "tiny")


@pytest.mark.parametrize("suffix", ["pth", "old.pth", "safetensors"])
def test_a_damaged_file_is_refused_or_read_never_a_crash(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    state = {"first": torch.arange(6.0), "second": torch.ones(2, 2)}
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == "pth")
    whole, dice = path.read_bytes(), random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.choice((1, 3, 30))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path.write_bytes(content)
        try:
            assert all(isinstance(tensor, torch.Tensor) for tensor in read_state(path).values())
        except WeightsError as error:
            assert path.name in str(error)


@pytest.mark.parametrize("read", [load_weights, lambda path: load_published(path, "tiny")])
def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, read: Any) -> None:
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(WeightsError, match="cannot read weights from"):
            read(path)


def test_a_change_behind_the_card_is_noticed(tmp_path: Path, published_file: Path) -> None:
    target = tmp_path / "tiny.safetensors"
    convert_checkpoint(published_file, target)
    content = bytearray(target.read_bytes())
    content[-100] ^= 1
    target.write_bytes(content)
    with pytest.raises(WeightsError, match="its SHA-256 is not the one on its card"):
        load_weights(target)


@pytest.mark.parametrize(
    "card, message",
    [
        ("{", "cannot read the card"),
        ("[]", "cannot read the card"),
        ('{"network": "tiny", "spec": {"name": "x"}}', "cannot read the card"),
        ('{"network": "tiny", "spec": 3}', "cannot read the card"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path: Path, model: Sam, card: str, message: str) -> None:
    save_file(dict(model.state_dict()), tmp_path / "tiny.safetensors")
    (tmp_path / "tiny.json").write_text(card)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "tiny.safetensors")


def test_a_card_of_another_frame_is_refused(tmp_path: Path, model: Sam) -> None:
    spec = presets.replace(model.spec, input_size=512)
    save_weights(model.state_dict(), tmp_path / "tiny.safetensors", "tiny", spec)
    with pytest.raises(WeightsError, match="says sam at 512 pixels, the network is sam at 128"):
        load_weights(tmp_path / "tiny.safetensors")


def test_weights_of_another_network_are_named(tmp_path: Path, published_file: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        load_published(published_file, "sam_vit_b")
    for part in ("does not fit sam_vit_b", "missing (image_encoder.blocks.10.", "of another shape", ", ...)"):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_unexpected_tensors_are_named(tmp_path: Path, model: Sam) -> None:
    state = dict(model.state_dict())
    state["prompt_encoder.surprise"] = state.pop("mask_decoder.iou_token.weight")
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError) as raised:
        load_weights(tmp_path / "other.safetensors")
    assert "1 tensors missing (mask_decoder.iou_token.weight)" in str(raised.value)
    assert "1 tensors unexpected (prompt_encoder.surprise)" in str(raised.value)


def test_weights_of_no_known_network_are_refused(tmp_path: Path) -> None:
    save_file({"layer.weight": torch.ones(2)}, tmp_path / "unknown.safetensors")
    with pytest.raises(WeightsError, match="holds the weights of no known network"):
        load_weights(tmp_path / "unknown.safetensors")


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published_file: Path
) -> None:
    def no_space(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(StorageError, match="No space left on device"):
        convert_checkpoint(published_file, tmp_path / "tiny.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.pth"]


def test_a_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Sam
) -> None:
    target = tmp_path / "tiny.safetensors"
    save_weights(model.state_dict(), target, "tiny", model.spec)
    monkeypatch.setattr(checkpoints, "save_file", lambda *_: (_ for _ in ()).throw(OSError("broken disk")))
    with pytest.raises(StorageError, match="broken disk"):
        save_weights(model.state_dict(), target, "tiny", model.spec)
    assert len(load_file(target)) == len(model.state_dict())
