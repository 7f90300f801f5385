"""Exported graphs answer as their network does and hold no private paths; those that fail are not left."""

# ruff: noqa: E402
from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from anymask.backends.base import DecodeInput
from anymask.backends.onnx import OnnxBackend
from anymask.backends.registry import open_backend
from anymask.errors import Failure, WeightsError
from anymask.export.graphs import export_model, export_weights
from anymask.export.parity import check_parity, example_image, example_prompts
from anymask.hub.card import HEAD_PARTS, ModelFiles, check_files, read_card
from anymask.hub.catalog import find_model
from anymask.hub.weights import load_weights, save_weights

COUNTS = [(prompts, points) for prompts in (1, 2, 64) for points in (1, 2, 7)]


def test_any_number_of_prompts_and_points_is_answered_alike(tiny_network: Any, tiny_card: Path) -> None:
    differences = check_parity(tiny_network, tiny_card, COUNTS)
    assert set(differences) == {"image_embeddings", "low_res_masks", "iou_predictions"}


def test_the_card_holds_spec_checksums_and_proof(tiny_network: Any, tiny_card: Path) -> None:
    card = read_card(tiny_card)
    assert card.spec == tiny_network.spec
    assert {"encoder", "decoder", "weights", "proof"} <= set(card.facts)
    assert max(card.facts["proof"].values()) < 1e-4
    check_files(tiny_card)


def test_graphs_hold_neither_weights_nor_paths(tiny_card: Path) -> None:
    files = ModelFiles.of(tiny_card)
    for graph in (files.encoder, files.decoder, files.points):
        content = graph.read_bytes()
        assert b".py" not in content and b"site-packages" not in content
        model = onnx.load(graph, load_external_data=False)
        inside = sum(len(t.raw_data) for t in model.graph.initializer)
        assert inside < 1 << 16
        places = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
        assert places == {files.weights.name}


def test_prompts_without_masks_are_answered_alike_by_either_graph(tiny_card: Path, tmp_path: Path) -> None:
    for path in tiny_card.parent.iterdir():
        if not path.name.endswith(".points.onnx"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    both, one = OnnxBackend(tiny_card, 2), OnnxBackend(tmp_path / tiny_card.name, 2)
    embedding = both.encode(example_image(both.spec, seed=3).numpy())
    asked = example_prompts(both.spec, 5, 3)
    asked = replace(asked, has_mask_P=np.zeros(5, np.float32))
    fast, full = both.decode(embedding, asked), one.decode(embedding, asked)
    assert np.allclose(fast.low_res_masks_P4mm, full.low_res_masks_P4mm, atol=1e-5)
    assert np.allclose(fast.iou_P4, full.iou_P4, atol=1e-5)


def test_openvino_answers_a_batch_as_it_answers_each_alone(tiny_card: Path) -> None:
    pytest.importorskip("openvino")
    backend = open_backend("openvino", tiny_card, 2)
    assert backend.batch_size > 1
    embedding = backend.encode(example_image(backend.spec, seed=3).numpy())
    asked = replace(example_prompts(backend.spec, 4, 3), has_mask_P=np.zeros(4, np.float32))
    together = backend.decode(embedding, asked)
    for p in range(4):
        row = slice(p, p + 1)
        alone = DecodeInput(
            asked.points_PN2[row], asked.labels_PN[row], asked.masks_P1mm[row], asked.has_mask_P[row]
        )
        answer = backend.decode(embedding, alone)
        assert np.array_equal(answer.low_res_masks_P4mm, together.low_res_masks_P4mm[row])
        assert np.array_equal(answer.iou_P4, together.iou_P4[row])


@pytest.mark.slow
def test_half_precision_halves_the_file_and_passes_the_check(tiny_network: Any, tmp_path: Path) -> None:
    full, half = (export_model(tiny_network, tmp_path / str(h), half=h) for h in (False, True))
    sizes = [ModelFiles.of(card).weights.stat().st_size for card in (full, half)]
    assert sizes[1] < 0.6 * sizes[0]
    assert max(read_card(half).facts["proof"].values()) < 1e-4


def test_a_network_with_other_weights_fails_the_parity_check(tiny_network: Any, tiny_card: Path) -> None:
    other = copy.deepcopy(tiny_network)
    with torch.no_grad():
        other.mask_decoder.iou_token.weight += 0.5
    with pytest.raises(Failure, match="iou_predictions"):
        check_parity(other, tiny_card)


@pytest.mark.slow
def test_graphs_that_answer_differently_are_not_left(
    tiny_network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anymask.export.parity.relative_difference", lambda *_: float("nan"))
    with pytest.raises(Failure, match="differ"):
        export_model(tiny_network, tmp_path)
    assert not list(tmp_path.glob("*.onnx"))


def test_activations_run_inside_the_convolutions_before_them(tmp_path: Path) -> None:
    """Left alone, each costs more than its convolution: the map is put in order for it, and back."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    encoder = ModelFiles.of(find_model("lite")).encoder
    assert "Clip" in operators_of(encoder)
    onnxruntime.InferenceSession(str(encoder), options, providers=["CPUExecutionProvider"])
    assert not {"Clip", "Pad"} & operators_of(tmp_path / "loaded.onnx")


def operators_of(graph: Path) -> set[str]:
    return {node.op_type for node in onnx.load(graph, load_external_data=False).graph.node}


@pytest.mark.parametrize("part", ["encoder", "decoder", "weights"])
def test_a_damaged_file_is_told_from_its_card(tiny_card: Path, tmp_path: Path, part: str) -> None:
    for path in tiny_card.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = getattr(ModelFiles.of(tmp_path / tiny_card.name), part)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(WeightsError, match=damaged.name):
        check_files(tmp_path / tiny_card.name)


@pytest.mark.slow
def test_the_default_network_exports_with_what_its_card_said(tmp_path: Path) -> None:
    from anymask.networks.lite import Lite

    torch.manual_seed(0)
    network = Lite()
    weights = tmp_path / "mine.safetensors"
    save_weights(network.state_dict(), weights, "lite", network.spec, {"sources": ["made up"]})
    card = export_weights(weights, tmp_path / "out", half=True)
    facts = json.loads(card.read_text("utf-8"))
    assert facts["sources"] == ["made up"] and facts["network"] == "lite"
    assert sum(p.stat().st_size for p in card.parent.iterdir()) < 12e6
    network = load_weights(ModelFiles.of(card).weights)
    assert max(check_parity(network, card, COUNTS).values()) < 1e-4
    assert np.isfinite(facts["proof"]["probability_logits"])


@pytest.mark.slow
def test_heads_go_along_whatever_the_files_were_called(tmp_path: Path) -> None:
    theirs = ModelFiles.of(find_model("lite"))
    for part, path in theirs.parts():
        if part in (*HEAD_PARTS, "weights"):
            (tmp_path / path.name.replace("lite", "mine")).write_bytes(path.read_bytes())
    (tmp_path / "mine.json").write_bytes(theirs.card.read_bytes())
    card = export_weights(tmp_path / "mine.safetensors", tmp_path / "out", half=True)
    check_files(card)
    for part in HEAD_PARTS:
        assert ModelFiles.of(card).part(part).read_bytes() == theirs.part(part).read_bytes()
