"""What a page needs to decode by itself: the graph, the embedding, the same steps after it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from decoder_examples import FILE, told
from fastapi.testclient import TestClient
from studio_client import API, Annotator

from anymask.core.embedding import Embedding
from anymask.errors import WeightsError
from anymask.export.browser import BrowserDecoder
from anymask.hub.catalog import find_model
from anymask.predict.pipeline import POSTPROCESS
from anymask.web.studio import Studio

EXAMPLES = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
DISK = [64.0, 60.0]


def test_the_graph_answers_from_the_embedding_as_the_server_does(lite: tuple[Studio, TestClient]) -> None:
    studio, client = lite
    eve = Annotator(client)
    eve.open(1)
    answer = eve.get("/images/1/embedding")
    facts, embedding = json.loads(answer.headers["x-decoder"]), Embedding.from_bytes(answer.content)
    assert facts["fingerprint"] == embedding.fingerprint
    got = eve.get(f"/decoder/{embedding.fingerprint}")
    assert got.headers["content-encoding"] == "gzip" and "immutable" in got.headers["cache-control"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # as in a browser
    session = onnxruntime.InferenceSession(got.content, options, providers=["CPUExecutionProvider"])
    side, at = facts["side"], embedding.frame.to_model_points([DISK])[0] + facts["offset"]
    asked = {
        "point_coords": np.array([[[0, 0], [0, 0], at]], np.float32),
        "point_labels": np.array([[-1, -1, 1]], np.float32),
        "mask_input": np.zeros((1, 1, side, side), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
    }
    masks, chances = session.run(["low_res_masks", "probability_logits"], {**embedding.arrays, **asked})
    likely = masks[0, 1 + chances[0, 1:4].argmax()] > 0
    shown = eve.post("/images/1/preview", {"client": "hover", "seq": 1, "prompt": {"points": [DISK]}})
    assert float(shown.headers["server-timing"].partition("dur=")[2]) > 0
    seen = np.frombuffer(shown.content, np.uint8).reshape(side, side) >= 128
    rows, columns = embedding.frame.low_res_extent(side)
    likely, seen = likely[:rows, :columns], seen[:rows, :columns]
    assert (likely & seen).sum() / (likely | seen).sum() > 0.98
    assert facts["postprocess"] == list(POSTPROCESS) and facts["temperature"] == 1


def test_the_graph_needs_nothing_beside_it(lite: tuple[Studio, TestClient]) -> None:
    """No file of weights, and nothing that tells where it was made."""
    found = lite[0].inference.decoder(lite[0].inference.model.fingerprint)
    assert found is not None
    content = gzip.decompress(found.packed())
    assert len(found.packed()) < 3_000_000
    assert b"safetensors" not in content and b"/tmp" not in content
    assert found.packed() is found.packed(), "made once"


def test_a_model_that_a_page_cannot_ask_has_no_decoder_for_it(client: TestClient) -> None:
    ada = Annotator(client)
    ada.open(1)
    assert "x-decoder" not in ada.get("/images/1/embedding").headers
    answer = ada.get("/decoder/0123456789abcdef")
    assert answer.status_code == 204 and answer.headers["x-reason"] == "not-in-use"
    assert ada.get("/decoder/..%2Fsecret").status_code in (404, 422)


def test_the_decoder_of_a_model_before_is_not_given_out(lite: tuple[Studio, TestClient]) -> None:
    eve = Annotator(lite[1])
    assert eve.get("/decoder/0123456789abcdef").status_code == 204


def test_who_did_not_open_the_link_gets_no_decoder(lite: tuple[Studio, TestClient]) -> None:
    fingerprint = lite[0].inference.model.fingerprint
    stranger = TestClient(lite[1].app, base_url=str(lite[1].base_url))
    assert stranger.get(f"{API}/decoder/{fingerprint}").status_code == 401


def test_models_of_another_family_stay_with_the_server(tmp_path: Path) -> None:
    card = find_model("lite")
    facts = json.loads(card.read_text("utf-8"))
    for family in ("lite", "sam"):
        facts["spec"]["family"] = family
        (tmp_path / f"{family}.json").write_text(json.dumps(facts))
        (tmp_path / f"{family}.decoder.onnx").write_bytes(b"no graph")
    assert BrowserDecoder.of(tmp_path / "sam.json") is None
    damaged = BrowserDecoder.of(tmp_path / "lite.json")
    assert damaged is not None
    with pytest.raises(WeightsError, match="cannot read the graph"):
        damaged.packed()


@pytest.mark.skipif(not EXAMPLES, reason="the sources of the page are not here")
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_page_are_what_the_server_shows(number: int) -> None:
    """If this fails, the steps after the decoder changed: change studio/src/decoder/answer.ts too, then write
    the examples anew (tests/support/decoder_examples.py).
    """
    expected = EXAMPLES[number]
    found = json.loads(json.dumps(told(expected)))["preview"]
    assert found["values"] == expected["preview"]["values"]
    assert found["inside"] == expected["preview"]["inside"]
    assert found["probability"] == pytest.approx(expected["preview"]["probability"], abs=1e-5)
