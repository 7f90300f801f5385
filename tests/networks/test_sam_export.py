"""The networks export to ONNX: one graph for any number of prompts and points, with the same answers."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from sam_references import PROMPT_CASES, PromptCase, assert_parity, seeded, tiny_sam
from torch import Tensor, nn
from torch.export import Dim, export

from anymask.networks.sam import Sam

# third parties: the exporter uses what its own tree library and Python have deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore:# The axis name:UserWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\):FutureWarning"),
]

SIZE = 128
INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input")


class Encoder(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model.encode_image(image)["image_embeddings"]


class Decoder(nn.Module):
    def __init__(self, model: Sam) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, image_embeddings: Tensor, points: Tensor, labels: Tensor, masks: Tensor, has_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.model.decode({"image_embeddings": image_embeddings}, points, labels, masks, has_mask)[:2]


@pytest.fixture(scope="module")
def model() -> Sam:
    return tiny_sam(SIZE)


@pytest.fixture(scope="module")
def embedding(model: Sam) -> Any:
    with seeded(1), torch.no_grad():
        return model.encode_image(torch.randn(1, 3, SIZE, SIZE))["image_embeddings"]


def example(embedding: Any) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    """Inputs to trace with, and which of their axes are free."""
    P, N = Dim("P"), Dim("N")
    arguments = PromptCase("several", 3, [1, 0, 1]).decode_arguments(SIZE)
    inputs = tuple(
        tensor.nan_to_num() if tensor.is_floating_point() else tensor.float() for tensor in arguments
    )
    return (embedding, *inputs), ({}, {0: P, 1: N}, {0: P, 1: N}, {0: P}, {0: P})


def run(path: Path, inputs: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [
        torch.from_numpy(output) for output in session.run(None, {k: v.numpy() for k, v in inputs.items()})
    ]


@pytest.fixture(scope="module")
def decoder_program(model: Sam, embedding: Any) -> Any:
    inputs, free = example(embedding)
    return export(Decoder(model).eval(), inputs, dynamic_shapes=free, strict=False)


@pytest.fixture(scope="module")
def decoder_file(decoder_program: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "tiny.decoder.onnx"
    torch.onnx.export(decoder_program, (), path, dynamo=True, verbose=False, input_names=INPUTS)
    return path


def test_the_decoder_is_one_graph_for_any_number_of_prompts_and_points(decoder_program: Any) -> None:
    ranges = [(int(r.lower), r.upper) for r in decoder_program.range_constraints.values()]
    assert len(ranges) == 2
    assert all(lower <= 1 and upper > 10_000 for lower, upper in ranges), ranges


# a decoder without any token but its own is not exported: callers pad
@pytest.mark.parametrize("case", [c for c in PROMPT_CASES if c.labels or c.box], ids=lambda case: case.name)
def test_the_exported_decoder_answers_as_the_network(
    model: Sam, embedding: Any, decoder_file: Path, case: PromptCase
) -> None:
    points, labels, masks, has_mask = case.decode_arguments(SIZE)
    arguments = (embedding, points, labels.float(), masks.nan_to_num(), has_mask)
    with torch.no_grad():
        expected = model.decode({"image_embeddings": embedding}, *arguments[1:])[:2]
    for ours, theirs in zip(
        run(decoder_file, dict(zip(INPUTS, arguments, strict=True))), expected, strict=True
    ):
        assert_parity(ours, theirs, 1e-5)


def test_the_exported_encoder_answers_as_the_network(model: Sam, tmp_path: Path) -> None:
    with seeded(2):
        pixels = torch.randn(1, 3, SIZE, SIZE)
    path = tmp_path / "tiny.encoder.onnx"
    torch.onnx.export(
        Encoder(model).eval(), (pixels,), path, dynamo=True, verbose=False, input_names=["image"]
    )
    with torch.no_grad():
        expected = model.encode_image(pixels)["image_embeddings"]
    assert_parity(run(path, {"image": pixels})[0], expected, 1e-5)
