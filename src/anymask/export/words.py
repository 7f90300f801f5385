"""ONNX export of words: what scores regions, cells and photos by words, as one graph.

`<stem>.names.onnx` looks at a photo; this graph asks what it saw for any number of words at once. It is the
arithmetic of `words.naming.NamingModel`; `words.exported` writes the table of words beside it.

Legend: R regions, W words, N names of the bank, D numbers of a word vector, C channels, K ImageNet classes,
h w cells of a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize

from anymask.backends.onnx import open_session
from anymask.backends.onnx_io import NAMING_OUTPUTS
from anymask.core.resample import Floats
from anymask.core.spec import NAMING_MULTIPLE, NAMING_SIZE
from anymask.export.graphs import save_graph, traced
from anymask.export.parity import check_tolerance, note_differences

INPUTS = (*NAMING_OUTPUTS, "regions", "vectors", "rivals", "photo_biases")
OUTPUTS = ("trained", "imagenet", "heat", "photo_chances")
MAX_CELLS, MAX_ASKED = NAMING_SIZE // NAMING_MULTIPLE, 4096  # for the exporter


class WordsGraph(nn.Module):
    """What `<stem>.names.onnx` gives of one photo, regions of it and words, to chances.

    `tensors`, `facts`: of a naming table.
    """

    bank_vectors: Tensor
    class_vectors: Tensor
    none_vectors: Tensor
    dense_none_vectors: Tensor

    def __init__(self, tensors: Mapping[str, Floats], facts: Mapping[str, Any]) -> None:
        super().__init__()
        for name, array in tensors.items():
            self.register_buffer(name.replace(".", "_"), torch.from_numpy(np.array(array)))
        self.scale, self.dense_scale, self.class_scale = (
            float(facts[name]) for name in ("scale", "dense_scale", "class_scale")
        )
        self.context = tensors["enter.weight"].shape[2] - int(tensors["reduced"].item())

    def forward(
        self,
        features_1Chw: Tensor,
        dense_1Dhw: Tensor,
        classes_1Khw: Tensor,
        photo_1D: Tensor,
        regions_Rhw: Tensor,
        vectors_WD: Tensor,
        rivals_WN: Tensor,
        photo_biases_W: Tensor,
    ) -> tuple[Tensor, ...]:
        """Chances 0..1: of regions by the learned head (R, W), by ImageNet classes (R, W), of cells
        (W, h, w) and of the photo (W,).

        `regions_Rhw`: the share of each cell that a region covers. `rivals_WN`: 1 for names of the bank that
        compete with a word. `photo_biases_W`: NaN gives NaN.
        """
        learned_RD = self.learned(self.pooled(regions_Rhw, features_1Chw[0]), features_1Chw)
        coarse_Rhw = avg_pool2d(regions_Rhw[:, None], 2)[:, 0]
        powers_RK = self.pooled(coarse_Rhw, classes_1Khw[0]).softmax(1)
        classes_RD = normalize(powers_RK @ self.class_vectors, dim=1)
        cells_PD = dense_1Dhw[0].flatten(1).T
        heat_WP = self.chances(cells_PD, vectors_WD, rivals_WN, self.dense_none_vectors, self.dense_scale).T
        return (
            self.chances(learned_RD, vectors_WD, rivals_WN, self.none_vectors, self.scale),
            self.chances(classes_RD, vectors_WD, rivals_WN, self.none_vectors[:0], self.class_scale),
            heat_WP.reshape(-1, dense_1Dhw.shape[2], dense_1Dhw.shape[3]),
            ((photo_1D @ vectors_WD.T)[0] + photo_biases_W).sigmoid(),
        )

    def pooled(self, weights_Rhw: Tensor, map_Chw: Tensor) -> Tensor:
        flat = weights_Rhw.flatten(1)
        return flat @ map_Chw.flatten(1).T / flat.sum(1, keepdim=True).clamp_min(1e-6)

    def learned(self, pooled_RC: Tensor, features_1Chw: Tensor) -> Tensor:
        context_1C = features_1Chw.mean((2, 3))[:, : self.context]
        seen_RC = torch.cat([pooled_RC, context_1C.expand(pooled_RC.shape[0], -1)], 1)
        x = seen_RC[None]  # the same for each head
        for layer in ("enter", "middle", "leave"):
            weight, bias = getattr(self, f"{layer}_weight"), getattr(self, f"{layer}_bias")
            x = x @ weight.mT + bias[:, None]
            x = x if layer == "leave" else x.relu()
        return normalize(x, dim=2).mean(0)

    def chances(
        self, seen_PD: Tensor, vectors_WD: Tensor, rivals_WN: Tensor, none_D: Tensor, scale: float
    ) -> Tensor:
        """(P, W): how likely each is called so, rather than by the name of a rival or by none."""
        asked, names, none = (
            (scale * (seen_PD @ vectors.T - 1)).exp() for vectors in (vectors_WD, self.bank_vectors, none_D)
        )
        return asked / (asked + names @ rivals_WN.T + none.sum(1, keepdim=True))


def export_words_graph(tensors: Mapping[str, Floats], facts: Mapping[str, Any], path: Path) -> None:
    """Write the graph of what a naming table holds. Raises Failure when it differs from torch,
    StorageError.
    """
    graph = WordsGraph(tensors, facts).eval()
    save_graph(traced(graph, example(graph, 1), INPUTS, OUTPUTS, axes()), path)
    check_parity(graph, path)


def example(graph: WordsGraph, seed: int, cells_hw: tuple[int, int] = (24, 32)) -> tuple[Tensor, ...]:
    draw, (height, width) = torch.Generator().manual_seed(seed), cells_hw
    channels = int(graph.get_buffer("enter_weight").shape[2]) - graph.context
    names, size = graph.get_buffer("bank_vectors").shape
    classes = len(graph.get_buffer("class_vectors"))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    return (
        normal(1, channels, height, width), normalize(normal(1, size, height, width), dim=1),
        normal(1, classes, height // 2, width // 2), normal(1, size),
        torch.rand(3, height, width, generator=draw), normalize(normal(2, size), dim=1),
        (normal(2, names) > 0).float(), normal(2),
    )  # fmt: skip


def axes() -> tuple[dict[int, Any], ...]:
    rows, columns, regions, words = (
        torch.export.Dim(name, min=1, max=most)
        for name, most in (
            ("rows", MAX_CELLS), ("columns", MAX_CELLS), ("regions", MAX_ASKED), ("words", MAX_ASKED),
        )
    )  # fmt: skip
    fine, coarse = {2: 2 * rows, 3: 2 * columns}, {2: rows, 3: columns}
    by_word = {0: words}
    return fine, fine, coarse, {}, {0: regions, 1: 2 * rows, 2: 2 * columns}, by_word, by_word, by_word


def check_parity(graph: WordsGraph, path: Path) -> None:
    """Raises Failure."""
    session, differences = open_session(path, 1), dict[str, float]()
    for seed, cells_hw in ((2, (24, 32)), (3, (32, 18))):
        inputs = example(graph, seed, cells_hw)
        with torch.no_grad():
            expected = dict(zip(OUTPUTS, (one.numpy() for one in graph(*inputs)), strict=True))
        fed = {name: one.numpy() for name, one in zip(INPUTS, inputs, strict=True)}
        note_differences(differences, expected, dict(zip(OUTPUTS, session.run(None, fed), strict=True)))
    check_tolerance(differences, path.name)
