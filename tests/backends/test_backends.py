"""Every backend answers as every other does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anymask
from anymask.api import EncodedImage, Model
from anymask.backends.base import DecodeInput
from anymask.backends.registry import BACKENDS, open_backend
from anymask.core.prompt import Prompt
from anymask.errors import BadOption, MissingExtra, ModelNotFound

PROMPTS = [
    Prompt.of(points=[(40, 40)]),
    Prompt.of(box=(30, 20, 80, 60)),
    Prompt.of(points=[(40, 40), (100, 70)], labels=[1, 0]),
    Prompt.of(mask=np.arange(90 * 120).reshape(90, 120) % 120 < 60),
]


def assert_agreement(one: EncodedImage, other: EncodedImage) -> None:
    for name, array in one.embedding.arrays.items():
        assert np.abs(array - other.embedding.arrays[name]).max() < 1e-3 * np.abs(array).max()
    for ours, theirs in zip(one.segment_batch(PROMPTS), other.segment_batch(PROMPTS), strict=True):
        np.testing.assert_allclose(ours.iou, theirs.iou, atol=1e-3)
        np.testing.assert_allclose(ours.probability, theirs.probability, atol=1e-3)
        for a, b in zip(ours.low_res_logits, theirs.low_res_logits, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(a).max())
        for mine, other_one in zip(ours, theirs, strict=True):
            differing = (mine.array ^ other_one.array).sum()
            assert differing <= max(2, 0.001 * mine.mask.area)  # logits that are nearly 0 may fall either way


@pytest.mark.parametrize("backend", ["openvino", "torch:cpu"])
def test_backends_agree_on_the_default_model(default_card: Path, backend: str, photo: np.ndarray) -> None:
    pytest.importorskip(backend.partition(":")[0])
    models = (anymask.load(str(default_card), backend=name, threads=1) for name in ("onnx", backend))
    assert_agreement(*(model.encode(photo) for model in models))


def test_backends_agree_on_a_published_network(tiny_network: Any, tiny_card: Path, photo: np.ndarray) -> None:
    from anymask.backends.torch import TorchBackend

    image = anymask.load(str(tiny_card), backend="onnx", threads=1).encode(photo)
    assert_agreement(image, Model(TorchBackend.of(tiny_network)).encode(photo))
    pytest.importorskip("openvino")
    assert_agreement(image, anymask.load(str(tiny_card), backend="openvino", threads=1).encode(photo))


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch:cpu"])
def test_a_decoder_takes_several_prompts_at_once(default_card: Path, backend: str) -> None:
    """Whoever calls a backend itself may do so, whatever its `batch_size` is."""
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend.partition(":")[0]))
    opened = open_backend(backend, default_card, threads=1)
    draw = np.random.default_rng(0)
    embedding = opened.encode(draw.standard_normal((1, 3, 512, 512), np.float32))
    points, labels = draw.random((3, 4, 2), np.float32) * 512, np.ones((3, 4), np.float32)
    masks, has_mask = np.zeros((3, 1, 256, 256), np.float32), np.zeros(3, np.float32)
    together = opened.decode(embedding, DecodeInput(points, labels, masks, has_mask))
    for row in range(3):
        part = slice(row, row + 1)
        alone = opened.decode(embedding, DecodeInput(points[part], labels[part], masks[part], has_mask[part]))
        np.testing.assert_allclose(alone.low_res_masks_P4mm[0], together.low_res_masks_P4mm[row], atol=1e-3)


def test_openvino_runs_in_half_precision_when_asked(default_card: Path, photo: np.ndarray) -> None:
    pytest.importorskip("openvino")
    exact, fast = (
        anymask.load(str(default_card), backend=name).encode(photo).segment(box=(30, 20, 80, 60))
        for name in ("openvino", "openvino:bf16")
    )
    assert exact.best.mask.iou(fast.best.mask) > 0.9


def test_torch_without_such_a_device_says_so(default_card: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.device_count() > 77:
        pytest.skip("so many devices")
    with pytest.raises(BadOption, match="'cuda:77'"):
        anymask.load(str(default_card), backend="torch:cuda:77")


def test_auto_takes_onnx_where_there_are_graphs_and_else_torch(default_card: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"lite{suffix}").write_bytes(default_card.with_suffix(suffix).read_bytes())
    assert type(open_backend("auto", default_card)).__name__ == "OnnxBackend"
    assert type(open_backend("auto", tmp_path / "lite.json", threads=1)).__name__ == "TorchBackend"
    with pytest.raises(ModelNotFound, match="anymask export"):
        open_backend("onnx", tmp_path / "lite.json")


def test_a_backend_whose_package_is_missing_names_the_extra(
    default_card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "openvino", "anymask_backend_for_a_test:Backend")
    monkeypatch.setattr("anymask.backends.registry.EXTRAS", {"anymask_backend_for_a_test": "openvino"})
    with pytest.raises(MissingExtra, match=r'pip install "anymask\[openvino\]"'):
        open_backend("openvino", default_card)
